"""Writes a report: one HTML file with all that it shows, which needs no network."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from condense.reports.material import Material, gather
from condense.reports.sections import Page, overview, validation
from condense.runtime.extras import needed
from condense.runtime.log import note, progress
from condense.studies.compare import compare_rows
from synth.errors import BadInput
from synth.files.atomic import write_bytes

HERE = Path(__file__).parent
LARGEST = 10_000_000  # bytes of a report
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def report(what: str | Path | Sequence[str | Path], out: str | Path) -> Path:
    """Writes a report of runs and suites as one HTML file: tables, charts, images beside real ones, settings and commands.

    Nothing is trained: scores are those that evaluations and suites have kept. What a run lacks is left out, and a sentence says so.

    Args:
      what: folders of finished runs and of suites, one or several.
      out: the file.

    Returns:
      The path of the file.

    Raises BadInput for what is neither, and where the extra `report` is not installed.
    """
    places = [what] if isinstance(what, str | Path) else list(what)
    if not places:
        raise BadInput("report: names nothing; give runs or suites")
    needed("altair", "a report", extra="report")
    page = render(gather(places)).encode()
    if len(page) > LARGEST:
        note(f"warning: the report has {len(page):,} bytes; give fewer runs for a smaller one")
    write_bytes(out, page)
    return Path(out)


def render(material: Material) -> str:
    """The report as the text of one HTML page. Raises BadInput where the extra `report` is not installed."""
    jinja2 = needed("jinja2", "a report", extra="report")
    bundle = needed("vl_convert", "a report", extra="report").javascript_bundle(SNIPPET)
    drawn = Charts()
    shown, page = compare_rows(material.rows, material.failed), Page(material)
    subjects = []
    with progress(len(material.subjects), "report") as bar:
        for one in material.subjects:
            subjects.append(page.subject(one))
            bar.advance()
    kit = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    kit.filters["chart"] = drawn.place
    how = {"overview": overview(shown), "validation": validation(material.subjects), "subjects": subjects}
    how |= {"failed": material.failed, "suites": material.suites, "version": version(), "taken": drawn.specs}
    files = {
        "style": (HERE / "page.css").read_text(),
        "script": (HERE / "page.js").read_text(),
        "bundle": bundle.replace("</script", "<\\/script"),
    }
    safe = {name: kit.filters["safe"](text) for name, text in files.items()}
    return kit.get_template("page.html").render(**how, **safe)


class Charts:
    """The specifications of the charts of a page; a chart is drawn when it comes into view."""

    def __init__(self) -> None:
        self.specs: dict[str, dict[str, Any]] = {}

    def place(self, spec: dict[str, Any]) -> str:
        """Takes a chart's Vega-Lite specification into the page and returns its name there, `chart0`, `chart1`, ..."""
        name = f"chart{len(self.specs)}"
        self.specs[name] = json.loads(json.dumps(spec))
        return name


def version() -> str:
    """The version of this package, as reports name it."""
    import condense

    return condense.__version__

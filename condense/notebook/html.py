"""The values of this project as HTML for Jupyter: tables that wrap, pictures, and curves where the extra `report` is installed."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from importlib.util import find_spec

import jax.numpy as jnp
import numpy as np
from PIL import Image

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.modality import MODALITIES
from condense.evaluation.report import Evaluation, Evaluations, per_cent, shown_set
from condense.nets import brief
from condense.plots.modalities import draw_set
from condense.studies.compare import Comparison
from condense.studies.texts import HEAD, cells
from condense.workflows.describe import Description, describe
from condense.workflows.plan import Plan
from condense.workflows.preview import plan_rows
from condense.workflows.runs import SavedRun
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet

FEW, ROWS = 5, 20  # real examples of a class, and classes, that are drawn of data


def table(rows: Iterable[Sequence[str]], *, heads: Sequence[str] = (), caption: str = "") -> str:
    """The HTML of a table of texts, which are escaped; long ones wrap. Without `heads` or `caption` it has none."""
    how = 'style="text-align:left;white-space:normal;overflow-wrap:anywhere;vertical-align:top"'
    head = "".join(f"<th {how}>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td {how}>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    said = f'<caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>' if caption else ""
    return f"<table>{said}{f'<thead><tr>{head}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def picture(image: Image.Image, text: str) -> str:
    """The HTML of a picture, held in it as PNG; `text` stands for it where it is not shown."""
    held = io.BytesIO()
    image.save(held, "PNG")
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}">'


def notes(lines: Iterable[str]) -> str:
    """The HTML of lines below a table, a paragraph each; they are escaped, and long ones wrap."""
    return "".join(f'<div style="max-width:60em">{escape(line)}</div>' for line in lines)


def description_html(found: Description) -> str:
    """What something is, as an HTML table of two columns."""
    return table(found.rows, caption=found.what)


def set_html(synth: SyntheticSet) -> str:
    """A set as HTML: its picture, where it has `info`, and what it is."""
    drawn = "" if synth.info is None else picture(draw_set(synth), "the set")
    return drawn + description_html(describe(synth))


def data_html(data: Data | GraphData) -> str:
    """Data as HTML: a picture of the first FEW training examples of each of the first ROWS classes (not of graphs), and a table of names
    and sizes."""
    rows = [("data", data.spec), ("modality", data.modality), ("classes", f"{len(data.classes)}: {', '.join(data.classes[:ROWS])}")]
    parts = {"training": data.train, "validation": data.val, "test": data.test}
    rows += [(name, f"{len(part.y):,}") for name, part in parts.items()]
    content = MODALITIES[data.modality].content
    if content is None:
        return table(rows)
    index = np.concatenate([np.flatnonzero(data.train.y == c)[:FEW] for c in range(min(ROWS, len(data.classes)))])
    some = data.train.take(index)
    x, y = content(data).encode(jnp.asarray(some.x)), Hard(jnp.asarray(some.y), len(data.classes))
    first = SyntheticSet(x, y, info=Info(data.classes, data.preprocess))
    return picture(draw_set(first, per_class=FEW), "training examples") + table(rows)


def plan_html(made: Plan) -> str:
    """A plan as an HTML table: all its choices, with where each comes from."""
    return table(plan_rows(made), caption="a plan")


def run_html(run: SavedRun) -> str:
    """A run as HTML: its curves, where the extra `report` is installed, the picture of its set, if it has one, and what its record says."""
    curves = run.plot().svg() if run.curves() and find_spec("vl_convert") and find_spec("altair") else ""
    drawn = picture(draw_set(run.set), "the set") if run.set and run.set.info else ""
    return curves + drawn + description_html(describe(run))


def evaluation_html(found: Evaluation) -> str:
    """The scores of a set as HTML: a row for each kind of examples, a column for each network, accuracies in per cent."""
    return evaluations_html(Evaluations((found,)))


def evaluations_html(found: Evaluations) -> str:
    """The scores of several sets as HTML: a row for each set and kind of examples, a column for each network, accuracies in per cent."""
    nets, rows = list(dict.fromkeys(report.net for report in found.reports)), []
    for one in found.sets:
        for line in one.lines():
            at = {report.net: report for report in line}
            scores = [per_cent(at[net].mean, at[net].std, len(at[net].accuracy)) if net in at else "" for net in nets]
            rows.append([shown_set(one.set) or "a set", line[0].set_kind, f"{one.bytes['total']:,}", *scores])
    heads = ["set", found.sets[0].modality, "bytes", *map(brief, nets)]
    return table(rows, heads=heads) + notes([found.sets[0].title([""])])


def comparison_html(found: Comparison) -> str:
    """Methods side by side as HTML, a table for each data set, budget, network and recipe, and the comparison's notes below."""
    tables = (table(map(cells, lines), heads=HEAD, caption=lines[0].title()) for lines in found.tables())
    return "".join(tables) + notes(found.notes())

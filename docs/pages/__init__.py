"""Pages that are written from what the packages themselves say: methods, presets, lists, experiments, notebooks and the public names.

Sphinx loads this as an extension. It writes `docs/generated/`, which is not kept in git, before it reads the pages.
"""

from pathlib import Path
from typing import Any

from pages import experiments, hours, interface, lists, methods, notebooks, presets
from pages.text import write

DOCS = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """All generated pages: path under docs/generated -> text."""
    made: dict[str, str] = {}
    for part in (methods, presets, lists, experiments, hours, notebooks, interface):
        made |= part.pages(DOCS.parent)
    return made


def write_all(app: Any) -> None:
    """Writes the pages, and removes those of an earlier build that are not among them."""
    place = DOCS / "generated"
    made = pages()
    for path in [path for path in place.rglob("*") if path.is_file() and path.relative_to(place).as_posix() not in made]:
        path.unlink()
    for name, text in made.items():
        write(place / name, text)


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls."""
    app.connect("builder-inited", write_all, priority=1)
    app.connect("autodoc-process-docstring", interface.protect, priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

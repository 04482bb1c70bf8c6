"""The notebooks as pages, as they stand in notebooks/: they are not executed here."""

from pathlib import Path

import jupytext


def pages(root: Path) -> dict[str, str]:
    """A page for each notebook, and the list of them."""
    found = sorted((root / "notebooks").glob("*.py"))
    toc = "\n".join(f"notebooks/{path.stem}" for path in found)
    head = "# Notebooks\n\nThey lie in `notebooks/` as jupytext files: Jupyter with the extra `notebook` opens them. The tests run them.\n"
    made = {"notebooks.md": f"{head}\n```{{toctree}}\n:maxdepth: 1\n\n{toc}\n```\n"}
    return made | {f"notebooks/{path.stem}.ipynb": jupytext.writes(numbered(path), fmt="ipynb") for path in found}


def numbered(path: Path):
    """A notebook whose cells are called by their place, so that the same source gives the same page."""
    book = jupytext.read(path)
    for at, one in enumerate(book.cells):
        one["id"] = f"cell-{at}"
    return book

"""The records of presets, as `condense describe PRESET` prints them, and where families of them differ from papers and releases."""

import inspect
from pathlib import Path
from types import ModuleType

from condense.presets import FAMILIES, PRESETS
from pages.text import code, plain, table

COMMANDS = ("first", "run", "evaluate")
LEFT_OUT = ("method", "record", "unset")


def pages(root: Path) -> dict[str, str]:
    """A list of all presets, family by family, and a page of records for each method."""
    by_method: dict[str, list] = {}
    for preset in PRESETS.values():
        by_method.setdefault(preset.method, []).append(preset)
    toc = "\n".join(f"presets/{method}" for method in by_method)
    parts = ["# All presets", *(section for family in FAMILIES for section in sections(family)), f"```{{toctree}}\n:hidden:\n\n{toc}\n```"]
    return {"presets.md": "\n\n".join(parts) + "\n"} | {
        f"presets/{method}.md": records(method, found) for method, found in by_method.items()
    }


def sections(family: ModuleType) -> list[str]:
    """What the docstring of a family's file says of its presets, under its first words as a header, and the list of them."""
    first, *said = (inspect.getdoc(family) or "").split("\n\n")
    title, _, rest = first.partition(":")
    rows = [(f"[`{one.name}`](presets/{one.method}.md)", code(one.data), plain(one.claim), plain(one.source)) for one in family.PRESETS]
    return [f"## {plain(title)}", *map(plain, (rest, *said)), table(("preset", "data", "score", "source"), rows)]


def records(method: str, found: list) -> str:
    """The records of one method's presets."""
    parts = [f"# Presets of {method}", "Where these differ from papers and releases, the [list of all presets](../presets.md) says so."]
    for preset in found:
        rows = [(name, code(text) if name in COMMANDS else plain(text)) for name, text in preset.rows() if name not in LEFT_OUT]
        parts += [f"## {preset.name}", table(("", ""), rows)]
    return "\n\n".join(parts) + "\n"

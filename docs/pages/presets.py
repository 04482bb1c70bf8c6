"""The records of presets, as `condense describe PRESET` prints them."""

from pathlib import Path

from condense.presets import PRESETS
from pages.text import code, plain, table

COMMANDS = ("first", "run", "evaluate")
LEFT_OUT = ("method", "record", "unset")


def pages(root: Path) -> dict[str, str]:
    """A list of all presets, and a page of records for each method."""
    by_method: dict[str, list] = {}
    for preset in PRESETS.values():
        by_method.setdefault(preset.method, []).append(preset)
    rows = [(f"[`{one.name}`](presets/{one.method}.md)", code(one.data), plain(one.claim), plain(one.source)) for one in PRESETS.values()]
    toc = "\n".join(f"presets/{method}" for method in by_method)
    text = f"# All presets\n\n{table(('preset', 'data', 'score', 'source'), rows)}\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"
    return {"presets.md": text} | {f"presets/{method}.md": records(method, found) for method, found in by_method.items()}


def records(method: str, found: list) -> str:
    """The records of one method's presets."""
    parts = [f"# Presets of {method}"]
    for preset in found:
        rows = [(name, code(text) if name in COMMANDS else plain(text)) for name, text in preset.rows() if name not in LEFT_OUT]
        parts += [f"## {preset.name}", table(("", ""), rows)]
    return "\n\n".join(parts) + "\n"

"""Markdown from plain text."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

SPECIAL = re.compile(r"([\\*_{}\[\]<>#|~$])")


def plain(text: str) -> str:
    """Text as Markdown shows it: what stands in backticks stays, all else means what it says."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else SPECIAL.sub(r"\\\1", part) for part in parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace(chr(10), ' ') for cell in line)} |" for line in lines) + "\n"


def code(text: str) -> str:
    """Text in backticks, in a cell of a table too."""
    return f"`{text}`".replace("|", "\\|") if text else ""


def write(path: Path, text: str) -> None:
    """Writes a page where it has changed, so that Sphinx reads again only what it must."""
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

"""The public names of `import condense`, each from its docstring."""

import inspect
import re
from pathlib import Path
from typing import Any

import condense

MARKS = re.compile(r"([*|])|(_)(?!\w)")


def pages(root: Path) -> dict[str, str]:
    """One page: functions, then what they give back, then errors."""
    functions = [name for name in condense.__all__ if inspect.isfunction(getattr(condense, name))]
    classes = [name for name in condense.__all__ if inspect.isclass(getattr(condense, name))]
    parts = ["Every public name", "=================", ""]
    parts += [line for name in functions for line in (f".. autofunction:: condense.{name}", "")]
    parts += [line for name in classes for line in (f".. autoclass:: condense.{name}", *members(name), "")]
    return {"interface.rst": "\n".join(parts) + "\n"}


def members(name: str) -> list[str]:
    """The public methods of a class, by name: fields are in its text."""
    found = [key for key, value in vars(getattr(condense, name)).items() if is_documented(key, value)]
    return [f"   :members: {', '.join(found)}"] if found else []


def is_documented(name: str, value: Any) -> bool:
    """Whether it is a public method or property with a text of its own."""
    return not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)) and bool(value.__doc__)


def protect(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: marks of reStructuredText outside of backticks and examples mean themselves."""
    for at, line in enumerate(lines):
        if not line.lstrip().startswith(">>>"):
            parts = re.split(r"(`[^`]*`)", line)
            lines[at] = "".join(part if part.startswith("`") else MARKS.sub(r"\\\1\2", part) for part in parts)

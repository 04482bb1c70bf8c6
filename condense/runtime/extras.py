"""Libraries that are not always installed: each belongs to an extra, and a message names that."""

from importlib import import_module
from types import ModuleType
from typing import Any

from synth.errors import BadInput


def needed(package: str, what: str, *, extra: str) -> ModuleType | Any:
    """Imports and returns the library `package`, which belongs to the extra `extra` of this project. Raises BadInput where it is not there:
    the message says that `what` needs it, and by which command it is installed."""
    try:
        return import_module(package)
    except ImportError as error:
        raise BadInput(f"{what} needs {package}, which cannot be imported; pip install 'condense-workbench[{extra}]'") from error

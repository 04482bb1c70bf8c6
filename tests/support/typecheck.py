"""Annotations of arguments, results and fields are checked while tests run; an integer passes for a float, as for every type checker."""

from pathlib import Path

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

from tests.support.places import ROOT

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
FREE = {
    "synth.set",  # JAX rebuilds its record around leaves that are no arrays
    "condense.nets.conv",  # says itself, in its own words, which shapes are wrong
    "condense.engine.feeds",  # names a protocol, which tests at run time cannot compare
    "condense.workflows.distill",  # refuses arguments of a wrong type itself, in its own words
    "condense.workflows.plan",  # the same arguments
    "condense.workflows.transfer",  # as the distillation does
}


def checked(root: Path = ROOT) -> set[str]:
    """Every module of every package beside the tests, in folders of any depth.

    The hook takes a package with all that is in it, so a package around a free module is left out.
    """
    rooms = [path.parent for path in root.glob("*/__init__.py") if path.parent.name != "tests"]
    files = [path.relative_to(root).with_suffix("") for room in rooms for path in room.rglob("*.py")]
    names = {".".join(path.parts).removesuffix(".__init__") for path in files}
    return {name for name in names if not any(f"{free}.".startswith(f"{name}.") for free in FREE)}


def install() -> None:
    """For whatever of the rooms is imported from here on."""
    install_import_hook(sorted(checked()), "tests.support.typecheck.check")

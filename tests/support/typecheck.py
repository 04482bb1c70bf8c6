"""Annotations of arguments, results and fields are checked while tests run; an integer passes for a float, as for every type checker."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

from tests.support.places import ROOT

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
INNER = ("nets", "engine", "data", "plots", "teachers", "experts", "evaluation")
ROOMS = ("synth", "matchers", "evals", *(f"condense/{room}" for room in INNER))
FREE = {
    "synth.set",  # JAX rebuilds its record around leaves that are no arrays
    "condense.nets.conv",  # says itself, in its own words, which shapes are wrong
    "condense.engine.feeds",  # names a protocol, which tests at run time cannot compare
}


def checked() -> set[str]:
    """Every module of the rooms, in folders of any depth.

    The hook takes a package with all that is in it, so a package around a free module is left out.
    """
    files = [path.relative_to(ROOT).with_suffix("") for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    names = {".".join(path.parts).removesuffix(".__init__") for path in files}
    return {name for name in names if not any(f"{free}.".startswith(f"{name}.") for free in FREE)}


def install() -> None:
    """For whatever of the rooms is imported from here on."""
    install_import_hook(sorted(checked()), "tests.support.typecheck.check")

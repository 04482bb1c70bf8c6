"""Annotations of arguments, results and fields are checked while tests run; an integer passes for a float, as for every type checker."""

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

from tests.support.places import ROOT

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
# JAX rebuilds the record of the one around leaves that are no arrays; the other says itself, in its own words, which shapes are wrong
FREE = {"synth.set", "condense.nets.conv"}


def install() -> None:
    """For whatever of the networks and of the rooms below the application is imported from here on."""
    files = [path for room in ("synth", "matchers", "evals", "condense/nets") for path in (ROOT / room).rglob("[!_]*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    install_import_hook(sorted(modules - FREE), "tests.support.typecheck.check")

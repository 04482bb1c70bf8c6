"""The suites that come with condense, by name: files in `condense/studies/suites`. A list of them needs no JAX."""

import tomllib
from pathlib import Path

from synth.errors import BadInput

FOLDER = Path(__file__).parent / "suites"


def list_suites() -> dict[str, str]:
    """The suites that come with condense: the line of each about itself, by the name for `condense suite NAME`, in alphabetical order."""
    return {path.stem: tomllib.loads(path.read_text()).get("about", "") for path in sorted(FOLDER.glob("*.toml"))}


def find_suite(what: str | Path) -> Path:
    """The file of a suite: the given one, else the shipped one of that name. Raises BadInput naming the shipped ones."""
    path = Path(what)
    if path.is_file():
        return path
    if (FOLDER / f"{what}.toml").is_file() and path.name == str(what):
        return FOLDER / f"{what}.toml"
    raise BadInput(f"{what}: no such file, and no suite of that name; give a FILE.toml, or one of {', '.join(list_suites())}")

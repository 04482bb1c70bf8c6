"""The data that a set is scored on."""

from collections.abc import Callable
from pathlib import Path

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import BUILDERS, Given, load_data
from condense.data.readers import READERS
from condense.data.spec import parse_spec
from condense.runtime.log import note
from synth.errors import BadInput
from synth.set import SyntheticSet


def find_set(place: str | Path) -> Path:
    """The path of a set: `set.npz` in the folder of a run, or the given file. Raises BadInput if there is none."""
    path = Path(place)
    found = path / "set.npz" if path.is_dir() else path
    if not found.is_file():
        raise BadInput(f"{place}: no set.npz there; give a set's file or the folder of a finished run")
    return found


def take_data(synth: SyntheticSet, data: Given | None, *, load: Callable[..., Data | GraphData] = load_data) -> Data | GraphData:
    """Loads the data to score a set on, with the set's own validation split and normalisation. Warns if the data's content differs from
    that of the set's data.

    Args:
      data: a specification, arrays or the like, or loaded data, which keep the split that they have; None for what the set was made from.
      load: reads a specification, as `load_data` does; whatever else is given, `load_data` takes.

    Raises BadInput for a set without `info`, where no data are given and those that the set names are not there, and where data and set
    differ in modality, classes or shape of examples.
    """
    if synth.info is None:
        raise BadInput("the set has no `info`: a score needs its class names and normalisation")
    if data is None and not synth.info.data:
        raise BadInput("--data: the set does not say what it was made from; give a data specification")
    data = place_of(synth) if data is None else data
    data = (load if isinstance(data, str) else load_data)(data, seed=synth.info.split_seed)
    fit_together(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        made, here = synth.info.data_digest[:12], data.digest[:12]
        source = synth.info.data or "data"
        note(f"warning: a set was made from {source} of digest {made}, and {data.spec} here has digest {here}: scores may not compare")
    return data.under(synth.info.preprocess)


def place_of(synth: SyntheticSet) -> str:
    """The specification of the data that a set was made from: with the absolute path where something is there, else as it was given.

    Raises BadInput where they were read from a path, and nothing lies at either.
    """
    name, path = synth.info.data, synth.info.data_path
    found = next((text for text in (path, name) if text and is_there(text)), None)
    if found is None and (path or is_path(name)):
        was = f", at {path.partition(':')[2].partition('?')[0]}" if path else ""
        raise BadInput(f"--data: the set was made from {name}{was}, and nothing is there; where the data have moved, give them by --data")
    return found or name


def is_there(text: str) -> bool:
    """Whether a text is a specification, and something lies at its location. True for the name of a set too: whether that is there is for
    its reader to find."""
    try:
        spec = parse_spec(text)
        return not spec.location or spec.place().exists()
    except BadInput:
        return False


def is_path(text: str) -> bool:
    """Whether a specification is `kind:location` with a known kind and a location that looks like a path, with a / or a point. Nothing is
    looked for."""
    kind, _, location = text.partition("?")[0].partition(":")
    return kind in READERS and ("/" in location or "." in location)


def fit_together(synth: SyntheticSet, data: Data | GraphData) -> None:
    """Raises BadInput if the set and the data differ in modality, classes or shape of examples. The message names both."""
    wrong, remedy = f"--data {data.spec}: ", "give the data the set was made for"
    if synth.x.modality != data.modality:
        raise BadInput(f"{wrong}holds {data.modality}, the set {synth.x.modality}; {remedy}")
    if synth.info.classes != data.classes:
        raise BadInput(f"{wrong}its classes {_names(data.classes)} are not the set's {_names(synth.info.classes)}; {remedy}")
    if differ := BUILDERS[data.modality].differ(synth, data):
        raise BadInput(f"{wrong}{differ}; {remedy}")


def _names(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:12]) + (f" ... ({len(classes)})" if len(classes) > 12 else "")

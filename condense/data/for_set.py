"""The data that a set is scored on."""

from collections.abc import Callable
from pathlib import Path

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import BUILDERS, load_data
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


def take_data(
    synth: SyntheticSet, data: Data | GraphData | str | None, *, load: Callable[..., Data | GraphData] = load_data
) -> Data | GraphData:
    """Loads the data to score a set on, by `load`, with the set's validation split and normalisation. Warns if the data's content differs
    from that of the set's data."""
    if synth.info is None:
        raise BadInput("the set has no `info`: a score needs its class names and normalisation")
    if data is None and not synth.info.data:
        raise BadInput("--data: the set does not say what it was made from; give a data specification")
    if data is None or isinstance(data, str):
        data = load(data or synth.info.data, seed=synth.info.split_seed)
    fit_together(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        made, here = synth.info.data_digest[:12], data.digest[:12]
        note(f"warning: the set was made from data of digest {made}, {data.spec} here is {here}: scores may not compare")
    return data.under(synth.info.preprocess)


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

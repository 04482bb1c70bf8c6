"""The data that a set is scored on."""

from pathlib import Path

from condense.data.graphs import GraphData
from condense.data.graphs import fit_together as fit_graphs
from condense.data.images import Data, fit_together
from condense.data.load import load_data
from condense.runtime.log import note
from synth.errors import BadInput
from synth.set import SyntheticSet


def find_set(place: str | Path) -> Path:
    """The set of a run's folder, or the file itself. Raises BadInput where there is none."""
    path = Path(place)
    found = path / "set.npz" if path.is_dir() else path
    if not found.is_file():
        raise BadInput(f"{place}: no set.npz there; give a set's file or the folder of a finished run")
    return found


def take_data(synth: SyntheticSet, data: Data | str | None) -> Data:
    """The data a set is scored on, cut as the set's maker cut it and normalised as the set says; warns where its content is another's."""
    if synth.info is None:
        raise BadInput("the set has no `info`: a score needs its class names and normalisation")
    if data is None and not synth.info.data:
        raise BadInput("--data: the set does not say what it was made from; give a data specification")
    if not isinstance(data, Data | GraphData):
        data = load_data(data or synth.info.data, seed=synth.info.split_seed)
    fit = fit_graphs if isinstance(data, GraphData) else fit_together
    fit(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        made, here = synth.info.data_digest[:12], data.digest[:12]
        note(f"warning: the set was made from data of digest {made}, {data.spec} here is {here}: scores may not compare")
    return data.under(synth.info.preprocess)

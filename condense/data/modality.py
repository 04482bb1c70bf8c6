"""Modalities: what kind of thing an example is.

A modality is a record of facts; what acts for it is a registry in each room, by this name.
"""

from typing import NamedTuple

from synth.errors import BadInput


class Modality(NamedTuple):
    """Facts of a modality.

    Args:
      name: as data and contents name it (`Data.modality`, `Content.modality`).
      example: what messages call one example.
      net: the network where a call names none.
      recipe: the evaluation recipe where neither a call nor a set names one.
      seeds: fresh networks a row of an evaluation, where a call does not say.
      sources: data that hold this modality, for messages.
      starts: whether the workbench starts its sets, from as many examples as a budget buys and `--start` chooses; otherwise methods do.
    """

    name: str
    example: str
    net: str
    recipe: str
    seeds: int
    sources: str
    starts: bool


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality("images", "image", "convnet", "dsa", 5, "`condense list data` shows sets of images", True),
        Modality("graphs", "graph", "gin", "graph", 10, "--data toy_graphs, tu:FILE or smiles:FILE", False),
    )
}


def check_modality(data, *modalities: str, flag: str):
    """The data. Raises BadInput where they are of another modality than these."""
    if data.modality in modalities:
        return data
    there, takes = MODALITIES[data.modality], " or ".join(modalities)
    sources = "; ".join(MODALITIES[name].sources for name in modalities)
    raise BadInput(f"{flag} {data.spec}: holds {there.name}, and this takes {takes}; {sources}")

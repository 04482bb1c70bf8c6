"""The experts of a distillation: those that `--experts` names, or a few small ones made in the run's folder."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from condense import nets
from condense.data.images import Data
from condense.data.modality import usual_net
from condense.experts import Experts, load_experts, preprocess_digest, train_experts
from condense.experts.store import RECORD, bytes_needed, read_header
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.runtime.log import note
from synth.errors import BadInput

COUNT = 4  # enough for a first look on two cores; the papers train 100 experts for 50 epochs


def pace_of(examples: int) -> tuple[int, int]:
    """(batch size, number of epochs) for the experts that a run trains itself on `examples` examples.

    An epoch has about 50 steps where the examples are few, so that two epochs apart lie two networks that differ; the batch is never above
    the usual 256, nor below 4. There are about 1,000 steps in all, in 8 to 40 epochs. The 4 stand on 36 pictures of Fashion-MNIST; of
    CIFAR-10, which was looked at as well, they lose less than 1 point (`docs/experiments/few_pictures.json`).
    """
    batch = min(256, max(4, 2 ** int(math.log2(max(1, examples / 50)))))
    return batch, min(40, max(8, -(-1_000 // -(-examples // batch))))


GRADIENTS = {"sgd": 1, "flat": 2, "smooth": 3}  # of a mini-batch, by recipe: what a penalty on a gradient costs is about two more


class StandIns(NamedTuple):
    """Takes the place of experts in a plan until they are trained. It has the same fields, and random parameters."""

    ends = False  # a run that trains its own records all epochs

    net: str
    count: int
    epochs: int
    size: int

    def read(self, expert: int, epochs: Sequence[int]) -> Float32[np.ndarray, "k p"]:
        """Random numbers in the place of parameters, one row for each epoch in `epochs`; the same numbers for the same `expert`."""
        rng = np.random.default_rng(expert)
        return rng.normal(scale=0.05, size=(len(epochs), self.size)).astype(np.float32)

    def last(self, expert: int) -> Float32[np.ndarray, " p"]:
        """Random numbers in the place of the parameters after the last epoch."""
        return self.read(expert, [self.epochs])[0]


def recipe_of(context: Context) -> str:
    """The name of the recipe that trains experts for the method: the one in its record, else `sgd`."""
    return context.method.experts or "sgd"


def find(context: Context) -> Input:
    """Loads the experts that the flag names. Without the flag, gives stand-ins for the experts that the run will train.

    Raises BadInput for a folder without experts, or experts of other data or another validation split.
    """
    if context.given is not None:
        experts = load_experts(context.given)
        check_same_data(experts, context.data)
        return Input(experts, net=experts.net)
    net, place = context.net or usual_net(context.data), context.out and context.out / "experts"
    batch, epochs = pace_of(len(context.data.train.y))
    size = nets.count(nets.build(net, context.data.image, len(context.data.classes)))
    to_make = plan_experts(context.data, net, recipe_of(context), place, count=COUNT, epochs=epochs, batch=batch)
    return Input(StandIns(net, COUNT, epochs, size), net=net, to_make=to_make)


def plan_experts(
    data: Data, net: str, recipe: str, place: Path | None, *, count: int, epochs: int, batch: int, ends: bool = False
) -> ToMake:
    """Describes experts that are to be trained on data.

    Args:
      net: specification of their network. recipe: how they are trained, by its name.
      place: the folder that will keep them; None where none will.
      count, epochs, batch: how many, how long each is trained, and how many examples a step. ends: whether the ends alone are recorded.
    """
    examples, size = len(data.train.y), nets.count(nets.build(net, data.image, len(data.classes)))
    text = f"{count} networks, {epochs} epochs of {examples:,} examples, recipe {recipe}"
    work = {"batches": count * epochs * -(-examples // batch), "batch": batch, "gradients": GRADIENTS[recipe], "networks": count}
    begun = bool(place and (place / RECORD).is_file())
    return ToMake("experts", (net,), text, place, **work, begun=begun, disk=bytes_needed(count, epochs, size, ends=ends))


def make(context: Context) -> Input:
    """Loads the experts that the flag names. Without the flag, trains four by the recipe of the method's paper and keeps them in
    OUT/experts; those that are there already and fit are taken. Raises BadInput where others are there, unless the run may remove them
    (`force`)."""
    if context.given is not None:
        return find(context)
    recipe = recipe_of(context)
    _, epochs = pace_of(len(context.data.train.y))
    note(
        f"no --experts: {COUNT} are trained for {epochs} epochs with recipe {recipe}; `condense experts` makes more, and longer trained,"
        " which one run after another may use"
    )
    if context.out is None:
        with tempfile.TemporaryDirectory(prefix="experts.") as folder:
            experts = _train(context, Path(folder))  # mapped files outlive their names
    else:
        try:
            experts = _train(context, context.out / "experts")
        except BadInput:  # the folder holds others; those that fit are kept
            if not context.force:
                raise
            experts = _train(context, context.out / "experts", force=True)
    return Input(experts, net=experts.net)


def _train(context: Context, out: Path, *, force: bool = False) -> Experts:
    batch, epochs = pace_of(len(context.data.train.y))
    settings = {"net": context.net, "recipe": recipe_of(context), "batch": batch, "seed": context.seed}
    command = f"made for {context.method.name}"
    return train_experts(context.data, count=COUNT, epochs=epochs, out=out, **settings, force=force, command=command)


def check_same_data(experts: Experts, data: Data) -> None:
    """Raises BadInput if the experts were trained on other data than the run's, or with another validation split or normalisation."""
    header, at = experts.header, f"--experts {experts.folder}"
    if header.data_digest != data.digest:
        made, here = header.data_digest[:12], data.digest[:12]
        raise BadInput(f"{at}: trained on {header.data} of digest {made}, and {data.spec} has {here}; give --data {header.data}")
    if header.preprocess != preprocess_digest(data.preprocess) or header.split_seed != data.seed:
        cut = f"cut by seed {header.split_seed}, here {data.spec}, cut by {data.seed}"
        raise BadInput(f"{at}: trained on {header.data}, {cut}: normalisation or validation split are not the same")


PROVIDER = Provider(find, make, lambda experts: experts.identity(), lambda place: read_header(Path(place)).split_seed)

"""The self-supervised teacher of a distillation: the one that `--teacher` names, or one trained in the run's folder."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from condense.data.images import Data
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.inputs.teachers import stand_in
from condense.runtime.log import note
from condense.runtime.processes import is_first, one_by_one
from condense.teachers.barlow import Config, complete
from condense.teachers.self_supervised import Representer, load_ssl_teacher, train_ssl_teacher
from synth.base import Net, Vars
from synth.errors import BadInput


class Blank(NamedTuple):
    """Takes the place of a teacher in a plan until it is trained: a network whose variables are all 0."""

    net: Net
    vars: Vars
    digest: str = ""

    def represent(self, x: jax.Array) -> jax.Array:
        """What the network makes of images in evaluation mode, f32[n d]."""
        return self.net.apply(jax.tree.map(jnp.asarray, self.vars), jnp.asarray(x)).embed


def find(context: Context) -> Input:
    """Loads the teacher that the flag names. Without the flag, gives a stand-in for the teacher that the run will train.

    Raises BadInput where the teacher takes other images than those of the data.
    """
    if context.given is not None:
        return Input(_fitting(load_ssl_teacher(context.given), context))
    config = complete(Config(seed=context.seed), context.data.image, len(context.data.train.y))
    to_make = plan_teacher(context.data, config, context.out and context.out / "teacher")
    return Input(Blank(*stand_in(config.net, context)[:2]), to_make=to_make)


def plan_teacher(data: Data, config: Config, place: Path | None) -> ToMake:
    """Describes a self-supervised teacher that is to be trained on data, by a complete configuration, and kept in the folder `place`; None
    where it is not kept."""
    recipe = f"Barlow Twins, {config.epochs} epochs of {len(data.train.y):,} images"
    batches = config.epochs * max(1, len(data.train.y) // config.batch)
    begun = bool(place and (place / "teacher.json").is_file())
    return ToMake("teacher", (config.net,), recipe, place, batches, config.batch, gradients=2, begun=begun)


def make(context: Context) -> Input:
    """Loads the teacher that the flag names. Without the flag, uses the one in OUT/teacher if it fits, and trains it there otherwise.
    Raises BadInput where another one is there, unless the run may remove it (`force`)."""
    if context.given is not None:
        return find(context)
    if context.out is None:
        with tempfile.TemporaryDirectory() as place:
            return Input(_fitting(train_ssl_teacher(context.data, place, seed=context.seed), context))
    place = context.out / "teacher"
    note(f"no --teacher is given: {'using' if (place / 'teacher.json').is_file() else 'training'} the one in {place}")
    leader = is_first()
    try:
        teacher = one_by_one(lambda: train_ssl_teacher(context.data, place, seed=context.seed))
    except BadInput:
        if not context.force:
            raise
        teacher = one_by_one(lambda: train_ssl_teacher(context.data, place, seed=context.seed, force=leader))
    return Input(_fitting(teacher, context))


def _fitting(teacher: Representer, context: Context) -> Representer:
    teacher.check_fit(context.data, "--teacher")
    return teacher


def split_of(place: str | Path) -> int | None:
    """The seed of the validation split that the teacher's training left out; None if the folder does not record it."""
    return load_ssl_teacher(place).about.get("split_seed")


PROVIDER = Provider(find, make, lambda teacher: teacher.digest, split_of)

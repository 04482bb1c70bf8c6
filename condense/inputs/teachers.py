"""The teachers of a distillation: the committee that `--teachers` names, or one made in the run's folder."""

import contextlib
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np

from condense import nets
from condense.data.images import Data
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.runtime.log import note
from condense.teachers.store import INDEX, load_teachers, take_teachers
from condense.teachers.train import BATCH, CommitteeMember, default_committee, kept_epochs, train_teachers, usual_epochs
from synth.base import Teacher
from synth.errors import BadInput
from synth.labelling import teacher_digest


def names_of(context: Context) -> tuple[str, ...]:
    """Specifications of the networks to train for a method: the first members of the usual committee, as many as the method uses."""
    return default_committee(context.data.image)[: context.method.teachers or None]


def find(context: Context) -> Input:
    """Loads the committee that the flag names. Without the flag, gives untrained networks as stand-ins for the committee that the run will
    train."""
    if context.given is not None:
        return _input(take_teachers(context.given, context.data))
    names, place = tuple(map(nets.canonical, names_of(context))), context.out and context.out / "teachers"
    examples = len(context.data.train.y)
    epochs = (place and kept_epochs(place)) or usual_epochs(examples)
    recipe = f"{len(names)} networks, {epochs} epochs of {examples:,} examples each"
    begun = bool(place and (place / INDEX).is_file())
    untrained = tuple(stand_in(name, context) for name in names)
    disk = sum(leaf.nbytes for teacher in untrained for leaf in jax.tree.leaves(teacher.vars))
    to_make = ToMake("teachers", names, recipe, place, epochs * -(-examples // BATCH), BATCH, split=True, begun=begun, disk=disk)
    return _input(untrained)._replace(to_make=to_make)


def plan_teachers(data: Data, members: Sequence[CommitteeMember], place: Path) -> list[ToMake]:
    """Describes members of a committee that are to be trained on data and kept in the folder `place`, one by one."""
    examples, begun, waiting = len(data.train.y), (place / INDEX).is_file(), []
    for net, recipe in members:
        shapes = jax.tree.leaves(jax.eval_shape(nets.build(net, data.image, len(data.classes)).init, jax.random.key(0)))
        text, disk = f"{recipe.epochs} epochs of {examples:,} examples", sum(leaf.size * leaf.dtype.itemsize for leaf in shapes)
        batches = recipe.epochs * -(-examples // recipe.batch)
        waiting.append(ToMake("teachers", (net,), text, place, batches, recipe.batch, split=True, begun=begun, disk=disk))
    return waiting


def stand_in(name: str, context: Context) -> Teacher:
    """A network whose variables are all 0. A plan draws no random numbers."""
    net = nets.build(name, context.data.image, len(context.data.classes))
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return Teacher(net, zeros, name, partial(nets.build, name, classes=len(context.data.classes)))


def make(context: Context) -> Input:
    """Loads the committee that the flag names. Without the flag, uses the one in OUT/teachers if it fits, and trains it there otherwise.
    Raises BadInput where another one is there, unless the run may remove it (`force`)."""
    if context.given is not None:
        return find(context)
    names = names_of(context)
    with contextlib.ExitStack() as stack:
        folder = context.out / "teachers" if context.out else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        epochs = kept_epochs(folder) or usual_epochs(len(context.data.train.y))
        note(f"{context.method.name} works from teachers and was given none: {len(names)} of {epochs} epochs in {folder}")
        try:
            train_teachers(context.data, folder, net=names, seed=context.seed)
        except BadInput:  # the folder holds another committee; one that fits is kept
            if not context.force:
                raise
            train_teachers(context.data, folder, net=names, seed=context.seed, force=True)
        return _input(take_teachers(folder, context.data))


def _input(teachers: tuple[Teacher, ...]) -> Input:
    return Input(teachers, usual_net=teachers[0].name)  # what learns from teachers has batch statistics, as they have


PROVIDER = Provider(
    find, make, lambda teachers: [teacher_digest(teacher) for teacher in teachers], lambda place: load_teachers(place).split_seed
)

"""Trains teachers: a committee of networks on real data, epoch by epoch, in a folder that can resume.

The folder is a run (`run.json`, `metrics.jsonl`) and holds `teachers.json`, written when all are trained, and `members/K.npz`, the
variables of the K-th network by path. Networks see the model space of the data they were trained on; `take_teachers` puts them behind a
change of normalisation where the data at hand has another one.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import Given, load_data
from condense.data.modality import check_modality
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.checks import check_seed
from condense.runtime.devices import replicate_here, share_rows
from condense.runtime.log import COMPILING, MetricsLog, note, progress
from condense.runtime.processes import count, gather, index, is_first, on_first
from condense.runtime.run_folder import RECORD, Run, check_there, open_run
from condense.teachers.recipe import CommitteeMember, TeacherRecipe, member_of
from condense.teachers.sanity import check_sense, classify
from condense.teachers.store import INDEX, Teachers, load_teachers, write_index, write_member
from synth.base import Net, Split, Teacher
from synth.errors import BadInput, RunFailed
from synth.files.memory import forcible
from synth.files.records import Table, read_record
from synth.images.views import View
from synth.labelling import teacher_digest
from synth.labels.plain import Hard
from synth.numerics.pytree import all_finite
from synth.options import Share, check_option
from synth.training.fit import Fit, Item, epoch_items, fit, init_fit, on_examples
from synth.training.stream import Blocks

SMALL = ("resnet:width=16", "convnet:norm=batch,width=64", "mobilenet", "shufflenet", "densenet")
LARGE = (
    "resnet18:norm=batch",
    "convnet:norm=batch",
    "mobilenet:width=32,depth=3",
    "shufflenet:width=48,depth=4",
    "densenet:growth=12,depth=6",
)
LR, BATCH = 0.05, 128
EPOCHS, STEPS = 5, 50  # the fewest epochs and optimiser steps of a member whose epochs nobody names
PIECES = 20  # an epoch is trained in so many pieces, between which progress is shown
TOLD = 5  # seconds from which on an epoch over data in files says how long it waited for them


def default_committee(image: tuple[int, int, int]) -> tuple[str, ...]:
    """Five different kinds of networks with batch statistics, which make ten pairs. The networks for 48 pixels a side and more need an
    accelerator."""
    return SMALL if min(image[:2]) < 48 else LARGE


@forcible
def train_teachers(
    data: Given,
    out: str | Path,
    *,
    net: Sequence[str] | None = None,
    epochs: int | None = None,
    lr: float = LR,
    batch: int = BATCH,
    optimizer: str = "sgd",
    decay: float = 5e-4,
    precision: str = "f32",
    fraction: float | None = None,
    seed: int = 0,
    force: bool = False,
    command: str = "",
) -> Teachers:
    """Trains a committee on the training split and stores it. The same call again resumes, or returns the finished committee.

    Args:
      data: data as `load_data` takes them.
      out: the folder.
      net: specifications of the members, each with what of its recipe is its own (`member_of`); by default `default_committee`.
      epochs, lr, batch: of every member's training: passes (>= 1; None for `usual_epochs`), step size (> 0), examples a step.
      optimizer, decay: `sgd` or `adam`, and its weight decay (>= 0).
      precision: of the products in the networks while they are trained and scored, `f32` or `bf16`; what is stored is f32.
      fraction: part of the training images that they see, in (0, 1], every class in proportion; by default all. Fractions of one data set
        are nested. An epoch is as long as the part.
      seed: of weights, order and views, and of the validation split where `data` is a specification.
      force: removes another committee that the folder holds, or this one where it is done.
      command: what run.json records as the command.

    Raises:
      BadInput: a wrong call. RunFailed: a member that does not learn or diverges, or a full disk.
    """
    recipe, seed = TeacherRecipe(EPOCHS if epochs is None else epochs, lr, batch, optimizer, decay, precision).checked(), check_seed(seed)
    data = part_of(load_data(data, seed=seed), fraction)
    if epochs is None:
        recipe = recipe._replace(epochs=kept_epochs(Path(out)) or usual_epochs(len(data.train.y), batch=recipe.batch))
    members = settle_committee(data, net, recipe)
    part = {} if fraction is None else {"fraction": float(fraction)}
    names = [member.as_text(recipe) for member in members]
    config = {"verb": "teachers", "data": data.spec, "nets": names, "split_seed": data.seed, **recipe.as_record(), **part}
    ends, folder = list(accumulate(member.recipe.epochs for member in members)), Path(out)
    steps = ends[-1]
    request = {"steps": steps, "seed": seed, "command": command, "data_digest": data.digest, "force": force}
    with open_run(folder, config, beside={"trained_on": data.trained_on}, spent=("checkpoints",), **request) as run:
        if not run.done:
            run.begin()
            record = Record(run, MetricsLog(folder / "metrics.jsonl", step=run.record["step"]) if is_first() else None)
            starts = [0, *ends[:-1]]
            places = [Place(number, *one) for number, one in enumerate(zip(members, starts, strict=True))]
            found = []
            with progress(steps * PIECES, "teachers", done=run.record["step"] * PIECES, phase=COMPILING) as bar:
                for at in range(0, len(places), count()):
                    found += _train_together(jax.random.key(seed), places[at : at + count()], data, record, bar)
            own = [{"recipe": member.recipe.as_record()} if member.recipe != recipe else {} for member in members]
            entries = [entry | more for entry, more in zip(found, own, strict=True)]
            on_first(lambda: write_index(folder, data, recipe.as_record() | part, entries))
        check_there(folder, INDEX)
    return load_teachers(folder)


def usual_epochs(examples: int, *, batch: int = BATCH) -> int:
    """How many epochs a member of a committee is trained for where nobody says: 5, or as many as make 50 steps of `batch` examples."""
    return max(EPOCHS, -(-STEPS // -(-examples // batch)))


def kept_epochs(folder: Path) -> int | None:
    """The epochs of a committee that the folder holds or has begun, so that a call that names none repeats it; None where there is none."""
    if not (folder / RECORD).is_file():
        return None
    try:
        kept = read_record(folder / RECORD, Table({"config": Table()}), what="is not a run's record", remedy="remove the folder")
    except BadInput:
        return None  # `open_run` says what is wrong
    return kept["config"].get("epochs") if kept["config"].get("verb") == "teachers" else None


def part_of(data: Data | GraphData, fraction: float | None) -> Data:
    """The part of the data that a committee sees. Raises BadInput for data that are no images, and a fraction that is no share."""
    check_modality(data, "images", flag="--data")
    return data if fraction is None else data.with_fraction(check_option("fraction", fraction, Annotated[float, Share]))


def settle_committee(data: Data, net: Sequence[str] | None, recipe: TeacherRecipe) -> list[CommitteeMember]:
    """The members of a committee, as `train_teachers` describes them. Raises BadInput for one that is unknown or does not take the data."""
    members = [member_of(text, recipe) for text in net or default_committee(data.image)]
    for member in members:
        member.build(data)
    return members


class MemberProgress(NamedTuple):
    """The checkpoint of a member: epochs done, validation accuracy after each (0 for later ones), and the state of the training."""

    epoch: jax.Array
    accuracies: jax.Array
    state: Fit


class Place(NamedTuple):
    """A member to be trained: its number, what it is, and how many epochs members before it take."""

    number: int
    member: CommitteeMember
    before: int


class Record(NamedTuple):
    """Where a training is recorded: its run, and the run's log, which only the first of several processes has."""

    run: Run
    log: MetricsLog | None

    def add(self, place: Place, epoch: int, accuracy: float) -> None:
        """Records once that a member has done an epoch, which counts from 1, with its accuracy on validation images."""
        step = place.before + epoch
        if self.log is not None and step not in self.log.column("val_accuracy"):
            self.log.add(step, member=place.number, epoch=epoch, val_accuracy=accuracy)
            self.run.saved(step)


def _train_together(root, places: Sequence[Place], data: Data, record: Record, bar) -> list[dict]:
    """Trains one member on each process, and gives for each what `teachers.json` holds of it. The process that trains a member writes its
    checkpoints and its variables, and the first one all else. `root` is the key of the committee."""

    def train_own() -> dict | None:
        if index() >= len(places):
            return None
        place = places[index()]
        return _train(jax.random.fold_in(root, place.number), place, data, record, bar)

    entries = gather(train_own)[: len(places)]
    for place, entry in list(zip(places, entries, strict=True))[1:]:  # those that others have trained
        for epoch, accuracy in enumerate(entry["accuracies"], 1):
            record.add(place, epoch, math.nan if accuracy is None else accuracy)
        bar.advance(place.member.recipe.epochs * PIECES)
    return entries


def _train(key, place: Place, data: Data, record: Record, bar) -> dict:
    """Trains one member from wherever it was left, stores it, and says what `teachers.json` holds of it."""
    (number, (name, recipe), _), folder = place, record.run.folder
    net, kept = place.member.build(data), Checkpoints(folder / "checkpoints" / str(number), owner=record.run.owner)
    blank = MemberProgress(jnp.int32(0), jnp.zeros(recipe.epochs, jnp.float32), init_fit(key, net, recipe.optimiser(1.0)))
    found = jax.tree.map(jnp.array, kept.restore(blank) or blank)
    done, accuracies = int(found.epoch), np.array(found.accuracies)
    state, train = found.state, None
    for epoch in range(recipe.epochs):
        if epoch >= done:
            train = train or trainer(net, data, recipe)
            state = train(key, state, epoch, bar)
            if not all_finite(state.vars):
                raise RunFailed(f"{name} diverged in epoch {epoch + 1} at step size {recipe.lr:g}; try a smaller --lr")
            accuracies[epoch] = classify(Teacher(net, state.vars), data.val)
            kept.save(epoch + 1, jax.tree.map(np.array, MemberProgress(np.int32(epoch + 1), accuracies, state)))
        record.add(place, epoch + 1, float(accuracies[epoch]))
    last = float(accuracies[-1])
    if done < recipe.epochs and len(data.val.y):
        note(f"{name}: {100 * last:.1f} % of validation images")
    check_sense(Teacher(net, state.vars, name), data, failed=RunFailed, advice="give more --epochs, or look at the data's labels")
    write_member(folder / "members" / f"{number}.npz", state.vars)
    known = [float(value) if math.isfinite(value) else None for value in accuracies]  # of no validation images there is none
    return {"net": name, "accuracy": known[-1], "accuracies": known, "digest": teacher_digest(Teacher(net, state.vars))}


def usual_view(data: Data, *, cropped: bool = False) -> View:
    """The view of a mini-batch of images in a teacher's training: shifted by up to an eighth of the height, and mirrored if labels
    allow. Random parts of pictures, `cropped` by the option `crops` of data, are not shifted."""
    return View(pad=0 if cropped else int(data.image[0] / 8 + 0.5), flip=data.flips)


def compile_steps(
    net: Net, classes: int, recipe: TeacherRecipe, steps: int, *, view: View | None = None, augment: Callable | None = None
) -> Callable:
    """Compiles steps of a training of `steps` steps an epoch: (state, mini-batches, x, y, epoch, step of the first mini-batch, first step,
    step to stop before) -> state. A call uses up the memory of the state. `x` and `y` are what the mini-batches index. The devices of this
    process share every mini-batch."""

    @partial(jax.jit, donate_argnums=0)
    def advance(state: Fit, items: Item, x, y, epoch, offset, first, stop):
        objective = on_examples(net, x, Hard(y, classes), view=view, augment=augment)

        def one(i, state):
            share = (epoch * steps + i).astype(jnp.float32) / (recipe.epochs * steps)
            tx = recipe.optimiser((1 + jnp.cos(jnp.pi * share)) / 2)
            item = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i - offset, 1), items)
            item = item._replace(index=share_rows(item.index, axis=1), counts=share_rows(item.counts, axis=1))
            return fit(objective, tx, state, item)[0]

        return jax.lax.fori_loop(first, stop, one, state)

    return advance


def crop_seeds(key: jax.Array, epoch: int, count: int) -> Int[np.ndarray, " n"]:
    """A seed for each of `count` examples of an epoch: which part of its picture it shows."""
    words = [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]
    return np.random.default_rng([*words, epoch]).integers(1 << 63, size=count)


def trainer(net: Net, data: Data, recipe: TeacherRecipe, *, examples: Split | None = None, augment: Callable | None = None) -> Callable:
    """Builds the function (key, state, epoch, bar) -> state after the epoch, which counts from 0. It compiles once for a network, uses up
    the memory of the state that it is given, and tells the progress display `bar` of every twentieth of the epoch.

    `examples` are those of the training split, where the caller has them in memory. `augment`, as
    `synth.training.fit.on_examples` takes it, stands in place of the usual view.
    """
    cropped = augment is None and getattr(data.train, "crops", False)
    view = usual_view(data, cropped=cropped) if augment is None else None
    n, batch = len(data.train.y), min(recipe.batch, len(data.train.y))
    steps, blocks = -(-n // batch), Blocks(examples or data.train)
    blocks.whole = replicate_here(blocks.whole)
    advance = compile_steps(net, len(data.classes), recipe, steps, view=view, augment=augment)
    marks = [steps * at // PIECES for at in range(PIECES)]
    order = jax.jit(lambda key, epoch: epoch_items(key, epoch, n, batch=batch))

    def train(key, state: Fit, epoch: int, bar) -> Fit:
        began, before = time.perf_counter(), blocks.waiting.seconds
        k_order = jax.random.fold_in(key, 1)
        items = order(k_order, jnp.int32(epoch))
        for block in blocks(items, seeds=crop_seeds(k_order, epoch, items.index.size) if cropped else None):
            ends = sorted({block.first, block.stop, *(at for at in marks if block.first < at < block.stop)})
            for first, stop in pairwise(ends):
                places = map(jnp.int32, (epoch, block.first, first, stop))
                state = advance(state, block.items, block.x, block.y, *places)
                jax.block_until_ready(state.vars.params)
                bar.advance(stop * PIECES // steps - first * PIECES // steps)
        waited, took = blocks.waiting.seconds - before, time.perf_counter() - began
        if not data.train.in_memory and took >= TOLD:
            note(f"epoch {epoch + 1}: waited {waited:.2f} s of {took:.2f} s for data")
        return state

    return train

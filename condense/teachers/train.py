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
from typing import Annotated, NamedTuple, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.images import Data
from condense.data.load import Given, load_data
from condense.data.modality import check_modality
from condense.nets.precision import in_precision
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import COMPILING, MetricsLog, note, progress
from condense.runtime.run_folder import check_there, open_run
from condense.teachers.sanity import check_sense, classify
from condense.teachers.store import INDEX, Teachers, load_teachers, write_index, write_member
from synth.base import Examples, Net, Teacher
from synth.errors import BadInput, RunFailed
from synth.files.memory import forcible
from synth.images.views import View
from synth.labelling import teacher_digest
from synth.labels.plain import Hard
from synth.numerics.pytree import all_finite
from synth.options import Positive, Precision, Share, check_option
from synth.training.fit import Fit, Item, adam, epoch_items, fit, init_fit, on_examples, sgd
from synth.training.stream import Blocks

SMALL = ("resnet:width=16", "convnet:norm=batch,width=64", "mobilenet", "shufflenet", "densenet")
LARGE = (
    "resnet18:norm=batch",
    "convnet:norm=batch",
    "mobilenet:width=32,depth=3",
    "shufflenet:width=48,depth=4",
    "densenet:growth=12,depth=6",
)
EPOCHS, LR, BATCH = 5, 0.05, 128
PIECES = 20  # an epoch is trained in so many pieces, between which progress is shown


def default_committee(image: tuple[int, int, int]) -> tuple[str, ...]:
    """Five different kinds of networks with batch statistics, which make ten pairs. The networks for 48 pixels a side and more need an
    accelerator."""
    return SMALL if min(image[:2]) < 48 else LARGE


class TeacherRecipe(NamedTuple):
    """How a teacher is trained: by SGD with momentum 0.9, or by Adam with the decay added to the gradient. The step size follows a cosine
    over all steps. Mini-batches are shifted by up to an eighth of the side and, if labels allow, flipped. `precision` is that of the
    products in the network (`condense.nets.precision`)."""

    epochs: int
    lr: float
    batch: int
    optimizer: str = "sgd"
    decay: float = 5e-4
    precision: str = "f32"

    def checked(self) -> "TeacherRecipe":
        """Returns the recipe with numbers of the right types. Raises BadInput, naming the flag, if one is out of range."""
        lr = check_option("lr", self.lr, Annotated[float, Positive])
        numbers = check_whole("epochs", self.epochs), lr, check_whole("batch", self.batch, least=2)
        if self.optimizer not in ("sgd", "adam") or not 0 <= self.decay < math.inf:
            raise BadInput(f"--optimizer {self.optimizer} --decay {self.decay}: give sgd or adam, and a weight decay of at least 0")
        return TeacherRecipe(*numbers, self.optimizer, float(self.decay), check_option("precision", self.precision, Precision))

    def optimiser(self, factor):
        """The optimiser at `factor` times the step size; `factor` may be traced."""
        if self.optimizer == "adam":
            return adam(self.lr * factor, weight_decay=self.decay)
        return sgd(self.lr * factor, momentum=0.9, weight_decay=self.decay)

    def as_record(self) -> dict:
        """The recipe as records store it. Settings that older versions did not have are left out at their defaults, so that older folders
        still match."""
        known = TeacherRecipe._field_defaults
        return {name: value for name, value in self._asdict().items() if name not in known or value != known[name]}


class CommitteeMember(NamedTuple):
    """A network to be trained: its full specification and its recipe."""

    net: str
    recipe: TeacherRecipe

    def build(self, data: Data) -> Net:
        """The network for these data, its products in the recipe's precision. Raises BadInput where it does not take them."""
        return in_precision(nets.build(self.net, data.image, len(data.classes)), self.recipe.precision, self.net)

    def as_text(self, shared: TeacherRecipe) -> str:
        """The member as text, from which `member_of` reads it: `NET`, with `@key=value,...` behind it for what differs from `shared`, the
        recipe of the committee."""
        own = self.recipe._asdict()
        changed = [f"{name}={value}" for name, value in own.items() if value != getattr(shared, name)]
        return self.net + "@" * bool(changed) + ",".join(changed)


def member_of(text: str, shared: TeacherRecipe) -> CommitteeMember:
    """Reads a member from text: `NET`, trained by the committee's recipe `shared`, or `NET@key=value,...`, where these keys of it differ.
    Raises BadInput for an unknown network or key, a key given twice, and a value out of range."""
    net, _, rest = text.partition("@")
    kinds, changed = get_type_hints(TeacherRecipe), {}
    for item in rest.split(",") if rest else ():
        key, _, value = item.partition("=")
        if key not in kinds or key in changed:
            raise BadInput(f"--net {text}: give each of {', '.join(kinds)} at most once behind the @, as in @lr=0.1,epochs=9; got '{item}'")
        try:
            changed[key] = kinds[key](value)
        except ValueError:
            raise BadInput(f"--net {text}: {key} must be a number, got '{value}'") from None
    try:
        own = shared._replace(**changed).checked()
    except BadInput as error:
        raise BadInput(f"--net {text}: {error}") from error
    return CommitteeMember(nets.canonical(net), own)


@forcible
def train_teachers(
    data: Given,
    out: str | Path,
    *,
    net: Sequence[str] | None = None,
    epochs: int = EPOCHS,
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
      epochs, lr, batch: of every member's training: passes (>= 1), step size (> 0), examples a step.
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
    recipe, seed = TeacherRecipe(epochs, lr, batch, optimizer, decay, precision).checked(), check_seed(seed)
    data, members = settle_committee(load_data(data, seed=seed), net, recipe, fraction=fraction)
    part = {} if fraction is None else {"fraction": float(fraction)}
    names = [member.as_text(recipe) for member in members]
    config = {"verb": "teachers", "data": data.spec, "nets": names, "split_seed": data.seed, **recipe.as_record(), **part}
    ends, folder = list(accumulate(member.recipe.epochs for member in members)), Path(out)
    steps = ends[-1]
    request = {"steps": steps, "seed": seed, "command": command, "data_digest": data.digest, "force": force}
    with open_run(folder, config, beside={"trained_on": data.trained_on}, spent=("checkpoints",), **request) as run:
        if not run.done:
            run.begin()
            log = MetricsLog(folder / "metrics.jsonl", step=run.record["step"])
            entries = []
            with progress(steps * PIECES, "teachers", done=run.record["step"] * PIECES, phase=COMPILING) as bar:
                for number, (member, end) in enumerate(zip(members, ends, strict=True)):
                    key, before = jax.random.fold_in(jax.random.key(seed), number), end - member.recipe.epochs
                    entry = _train(key, number, member, before, data, folder, log, run, bar)
                    entries.append(entry | ({"recipe": member.recipe.as_record()} if member.recipe != recipe else {}))
            write_index(folder, data, recipe.as_record() | part, entries)
        check_there(folder, INDEX)
    return load_teachers(folder)


def settle_committee(
    data: Data, net: Sequence[str] | None, recipe: TeacherRecipe, *, fraction: float | None = None
) -> tuple[Data, list[CommitteeMember]]:
    """The part of the data that a committee sees, and its members, as `train_teachers` describes them. Raises BadInput for data that are no
    images, a fraction that is no share, and a member that is unknown or does not take the data."""
    check_modality(data, "images", flag="--data")
    data = data if fraction is None else data.with_fraction(check_option("fraction", fraction, Annotated[float, Share]))
    members = [member_of(text, recipe) for text in net or default_committee(data.image)]
    for member in members:
        member.build(data)
    return data, members


class MemberProgress(NamedTuple):
    """The checkpoint of a member: epochs done, validation accuracy after each (0 for later ones), and the state of the training."""

    epoch: jax.Array
    accuracies: jax.Array
    state: Fit


def _train(key, number: int, member: CommitteeMember, before: int, data: Data, folder: Path, log: MetricsLog, run, bar) -> dict:
    """Trains one member, `before` epochs of others after the start, from wherever it was left, stores it, and says what `teachers.json`
    holds of it."""
    name, recipe = member
    net, kept = member.build(data), Checkpoints(folder / "checkpoints" / str(number), owner=run.owner)
    blank = MemberProgress(jnp.int32(0), jnp.zeros(recipe.epochs, jnp.float32), init_fit(key, net, recipe.optimiser(1.0)))
    found = jax.tree.map(jnp.array, kept.restore(blank) or blank)
    done, accuracies = int(found.epoch), np.array(found.accuracies)
    state, train = found.state, None
    for epoch in range(recipe.epochs):
        step = before + epoch + 1
        if epoch >= done:
            train = train or trainer(net, data, recipe)
            state = train(key, state, epoch, bar)
            if not all_finite(state.vars):
                raise RunFailed(f"{name} diverged in epoch {epoch + 1} at step size {recipe.lr:g}; try a smaller --lr")
            accuracies[epoch] = classify(Teacher(net, state.vars), data.val)
            kept.save(epoch + 1, jax.tree.map(np.array, MemberProgress(np.int32(epoch + 1), accuracies, state)))
        if step not in log.column("val_accuracy"):
            log.add(step, member=number, epoch=epoch + 1, val_accuracy=accuracies[epoch])
            run.saved(step)
    last = float(accuracies[-1])
    if done < recipe.epochs:
        note(f"{name}: {100 * last:.1f} % of validation images")
    check_sense(Teacher(net, state.vars, name), data, failed=RunFailed, advice="give more --epochs, or look at the data's labels")
    write_member(folder / "members" / f"{number}.npz", state.vars)
    known = [float(value) if math.isfinite(value) else None for value in accuracies]  # of no validation images there is none
    return {"net": name, "accuracy": known[-1], "accuracies": known, "digest": teacher_digest(Teacher(net, state.vars))}


def usual_view(data: Data) -> View:
    """The view of a mini-batch of images in a teacher's training: shifted by up to an eighth of the height, and mirrored if labels
    allow."""
    return View(pad=int(data.image[0] / 8 + 0.5), flip=data.flips)


def compile_steps(
    net: Net, classes: int, recipe: TeacherRecipe, steps: int, *, view: View | None = None, augment: Callable | None = None
) -> Callable:
    """Compiles steps of a training of `steps` steps an epoch: (state, mini-batches, x, y, epoch, step of the first mini-batch, first step,
    step to stop before) -> state. A call uses up the memory of the state. `x` and `y` are what the mini-batches index."""

    @partial(jax.jit, donate_argnums=0)
    def advance(state: Fit, items: Item, x, y, epoch, offset, first, stop):
        objective = on_examples(net, x, Hard(y, classes), view=view, augment=augment)

        def one(i, state):
            share = (epoch * steps + i).astype(jnp.float32) / (recipe.epochs * steps)
            tx = recipe.optimiser((1 + jnp.cos(jnp.pi * share)) / 2)
            return fit(objective, tx, state, jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, i - offset, 1), items))[0]

        return jax.lax.fori_loop(first, stop, one, state)

    return advance


def trainer(net: Net, data: Data, recipe: TeacherRecipe, *, examples: Examples | None = None, augment: Callable | None = None) -> Callable:
    """Builds the function (key, state, epoch, bar) -> state after the epoch, which counts from 0. It compiles once for a network, uses up
    the memory of the state that it is given, and tells the progress display `bar` of every twentieth of the epoch.

    `examples` are those of the training split, where the caller has them in memory. `augment`, as
    `synth.training.fit.on_examples` takes it, stands in place of the usual view.
    """
    view = usual_view(data) if augment is None else None
    n, batch = len(data.train.y), min(recipe.batch, len(data.train.y))
    steps, blocks = -(-n // batch), Blocks(examples or data.train)
    advance = compile_steps(net, len(data.classes), recipe, steps, view=view, augment=augment)
    marks = [steps * at // PIECES for at in range(PIECES)]
    order = jax.jit(lambda key, epoch: epoch_items(key, epoch, n, batch=batch))

    def train(key, state: Fit, epoch: int, bar) -> Fit:
        began, before = time.perf_counter(), blocks.waiting.seconds
        for block in blocks(order(jax.random.fold_in(key, 1), jnp.int32(epoch))):
            ends = sorted({block.first, block.stop, *(at for at in marks if block.first < at < block.stop)})
            for first, stop in pairwise(ends):
                places = map(jnp.int32, (epoch, block.first, first, stop))
                state = advance(state, block.items, block.x, block.y, *places)
                jax.block_until_ready(state.vars.params)
                bar.advance(stop * PIECES // steps - first * PIECES // steps)
        if not data.train.in_memory:
            waited, took = blocks.waiting.seconds - before, time.perf_counter() - began
            note(f"epoch {epoch + 1}: waited {waited:.2f} s of {took:.2f} s for data")
        return state

    return train

"""Labels from teachers, resumable, epoch by epoch: of any kind, for a set that is there or one that a run has just made."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from condense.config import check_seed
from condense.data import Data
from condense.interrupts import whole
from condense.log import note, progress
from condense.score import find_set, take_data
from condense.teacher_store import load_teachers
from evals.base import RECIPES, Closed, Recipe
from evals.base import recipe as find_recipe
from synth.atomic import FULL, write_bytes
from synth.base import Teacher
from synth.errors import BadInput, RunFailed
from synth.file import load_set, save_set
from synth.labels import Labels
from synth.npz import opened, write_npz
from synth.set import SyntheticSet
from synth.teacher_labels import KINDS, Plan, demand_distances, demand_room, label, named

STORED = ("committee", "distances")  # kinds that answer to the views of every epoch
LOSS = ("alpha", "norm", "sce")  # of distances; no answer depends on them
PIECES = 20  # a labelling is saved about so often
FOLDER = ".labels.partial"  # in a run's folder: of labels that are under way


def plan_of(chosen: Recipe | Closed, image: tuple[int, int, int], flips: bool) -> Plan:
    """What a recipe does with a set of such images, with a progress bar. Raises BadInput for one that shows no view."""
    view = None if isinstance(chosen, Closed) else chosen.sight(height=image[0], flips=flips)
    if view is None:
        known = ", ".join(name for name, other in RECIPES.items() if getattr(other, "view", ""))
        raise BadInput(
            f"--recipe {chosen.name}: teachers label the views that a recipe draws, and this one draws none; take one of {known}"
        )
    return Plan(chosen.epochs, chosen.batch, view, chosen.temperature, progress)


def relabel(
    what: SyntheticSet | str | Path,
    out: str | Path | None,
    teachers: str | Path | Sequence[Teacher],
    kind: str,
    *,
    data: Data | str | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    temperature: float | None = None,
    members: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    statistics: str = "running",
    alpha: float = 1.0,
    norm: str = "l1",
    sce: str = "mixed",
    seed: int = 0,
) -> SyntheticSet:
    """A set with labels of another kind from teachers, for a recipe. The same call again resumes, and gives the same bits.

    A step size that was learned with the set is left out: it is one of plain descent on the labels of before, and recipes that show views
    take steps of Adam.

    Args:
      what: a set, its file, or a run's folder.
      out: the file to write, or None.
      teachers: folder of a committee, or networks in the set's model space.
      kind: one of `synth.teacher_labels.KINDS`.
      data: what teachers and flips are checked on; by default what the set was made from.
      recipe: that networks will be trained with; by default the set's, or `cvdd` where that shows no views. `epochs` replaces its length.
      temperature: of the labels; by default the recipe's, and 1 for `distances`.
      members: which teachers answer, from 1; by default all.
      weights: of their logits; by default equal.
      statistics: of their batch norms: `running`, `batch`, `batch/2`; see `synth.teacher_labels.ask`.
      alpha, norm, sce: of the loss of `distances`.
      seed: of the views.

    Raises:
      BadInput: unknown names, a recipe without views, teachers of other data, labels that no file holds.
    """
    synth = load_set(find_set(what)) if isinstance(what, str | Path) else what
    if kind not in KINDS:
        raise BadInput(f"--kind: unknown kind of labels '{kind}' (known: {', '.join(KINDS)})")
    data, seed = take_data(synth, data), check_seed(seed)
    chosen = choose_recipe(synth, recipe, epochs)
    plan = plan_of(chosen, data.image, data.flips).at(kind, temperature=temperature)
    if plan.temperature <= 0:
        raise BadInput(f"--temperature {temperature}: give a number above 0")
    demand_distances(kind, alpha, norm, sce)
    known = () if kind == "hard" else load_teachers(teachers, data) if isinstance(teachers, str | Path) else tuple(teachers)
    asked = pick_members(known, members) if known else known
    x, index, classes = synth.x.decode(), jnp.asarray(synth.y.probs().argmax(-1), jnp.int32), len(data.classes)
    own = {"weights": weights, "statistics": statistics, "alpha": alpha, "norm": norm, "sce": sce}
    if out:
        fewer = "give --kind online, or fewer --epochs"
        demand_room(kind, len(x), classes, plan.epochs, images=synth.x.nbytes(), advice=fewer)
    under_way = Path(out).with_name(f".{Path(out).name}.partial") if out else None
    ask = partial(label_in_pieces, folder=under_way) if out else label
    made = replace(synth, y=ask(jax.random.key(seed), kind, x, index, classes, asked, plan, **own), lr=None)
    if made.info:
        made = replace(made, info=replace(made.info, recipe=chosen.name))
    if out:
        save_set(out, made)
        shutil.rmtree(under_way, ignore_errors=True)
    return made


def label_in_pieces(
    key: jax.Array,
    kind: str,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    classes: int,
    teachers: Sequence[Teacher],
    plan: Plan,
    *,
    folder: Path,
    **own: Any,
) -> Labels:
    """What `synth.teacher_labels.label` gives. Answers to stored views are kept in `folder` on the way, from which the same call goes on;
    the folder may go as soon as the labels are safe."""
    if kind not in STORED:
        return label(key, kind, x, index, classes, teachers, plan, **own)
    said = {
        "kind": kind,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "temperature": plan.temperature,
        "epochs": plan.epochs,
        **{name: value for name, value in own.items() if name not in LOSS},
    }
    seen = hashlib.sha256(np.asarray(x).tobytes() + np.asarray(index).tobytes()).hexdigest()[:16]
    said |= {"view": str(plan.view), "batch": plan.batch, "teachers": named(teachers, [1] * len(teachers)), "content": seen}
    given = Partial(folder, said, plan.epochs, len(x), classes)
    return label(key, kind, x, index, classes, teachers, plan, **own, done=given.done, tick=given.tick)


def choose_recipe(synth: SyntheticSet, recipe: str | None, epochs: int | None) -> Recipe:
    """The recipe asked for, else the set's, else `cvdd` where that shows no views."""
    if recipe is None:
        own = find_recipe(synth.info.recipe or "cvdd")
        recipe = own.name if getattr(own, "view", "") else "cvdd"
    return find_recipe(recipe, epochs=epochs)


def pick_members(known: Sequence[Teacher], members: Sequence[int] | None) -> tuple[Teacher, ...]:
    """The chosen teachers, numbered from 1; all for None. Raises BadInput for a number that is none of theirs."""
    numbers = range(1, len(known) + 1) if members is None else members
    if wrong := [number for number in numbers if not 1 <= number <= len(known)]:
        names = ", ".join(f"{i + 1} {teacher.name}" for i, teacher in enumerate(known))
        raise BadInput(f"--members {wrong[0]}: there is no such teacher (there are {names})")
    return tuple(known[number - 1] for number in numbers)


class Partial:
    """Answers that are given so far, in a folder, a file for every piece; those of another labelling are thrown away.

    `done` is what `synth.teacher_labels.label` takes: how many epochs, and the array of all; None at the start.
    """

    def __init__(self, folder: Path, said: dict[str, Any], epochs: int, n: int, classes: int):
        self.folder, self.every, self.epochs, self.stored = folder, max(1, epochs // PIECES), epochs, 0
        shape, dtype = ((epochs, n, 2), np.uint8) if said["kind"] == "distances" else ((epochs, n, classes), np.float16)
        text = json.dumps(said, sort_keys=True)
        place = folder / "labels.json"
        if folder.exists() and not (place.is_file() and place.read_text() == text):
            shutil.rmtree(folder)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            kind, hint = (RunFailed, "make room and run again") if error.errno in FULL else (BadInput, "give a folder that may be written")
            raise kind(f"--out: cannot write {folder} ({error.strerror}); {hint}") from error
        write_bytes(place, text.encode())
        rows = np.zeros(shape, dtype)
        with suppress(BadInput):  # there is no further piece, or it is damaged: its epochs are labelled again
            while self.stored < epochs:
                with opened(folder / f"{self.stored}.npz") as archive:
                    piece = archive.read("rows")
                rows[self.stored : self.stored + len(piece)] = piece
                self.stored += len(piece)
        self.done = (self.stored, rows) if self.stored else None

    def tick(self, done: int, rows: np.ndarray) -> None:
        """Saves what is new, twenty times in all. A disk that takes no more of it is told of, and labelling goes on."""
        if done % self.every or done >= self.epochs:
            return
        try:
            with whole():
                write_npz(self.folder / f"{self.stored}.npz", {"rows": rows[self.stored : done]})
                self.stored = done
        except RunFailed as error:
            note(f"labels so far are not kept: {error}")
            self.every = self.epochs

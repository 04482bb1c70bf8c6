"""Gives a set in a file labels of another kind."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from condense.data.for_set import find_set, take_data
from condense.data.load import Given
from condense.data.modality import check_modality
from condense.runtime.checks import check_seed
from condense.teachers.labelling import label_in_pieces, plan_of
from condense.teachers.store import take_teachers
from evals.protocol import Protocol
from evals.recipes import recipe as find_recipe
from synth.base import Teacher
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.views import within_cells
from synth.labelling import check_options, check_room, label
from synth.labels import find_kind
from synth.set import SyntheticSet


def relabel(
    what: SyntheticSet | str | Path,
    out: str | Path | None,
    teachers: str | Path | Sequence[Teacher],
    kind: str,
    *,
    data: Given | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    temperature: float | None = None,
    members: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    statistics: str = "running",
    seed: int = 0,
    **options: Any,
) -> SyntheticSet:
    """Returns a set with labels of another kind, made by teachers for training under a recipe. The same call again gives the same bits, and
    with `out` goes on where it was stopped.

    A step size that was learned with the set is left out: it is one of plain descent on the labels of before, and recipes that show views
    take steps of Adam.

    Args:
      what: a set, its file, or a run's folder.
      out: the file to write, or None.
      teachers: folder of a committee, or networks in the set's model space.
      kind: a name in `synth.labels.made_kinds()`; `options` are the kind's own, see its `make`.
      data: what teachers and flips are checked on; by default what the set was made from.
      recipe: that networks will be trained with; by default the set's, or `cvdd` where that shows no views. `epochs` replaces its length.
      temperature: of the labels; by default the kind's own, else the recipe's.
      members: which teachers answer, from 1; by default all.
      weights: of their logits; by default equal.
      statistics: of their batch norms: `running`, `batch`, `batch/2`; see `synth.labelling.ask`.
      seed: of the views.

    Raises:
      BadInput: unknown names, an option that the kind has not, a recipe without views, teachers of other data, labels that no file holds.
    """
    synth = load_set(find_set(what)) if isinstance(what, str | Path) else what
    taught = find_kind(kind).taught
    data, seed = check_modality(take_data(synth, data), "images", flag="--data"), check_seed(seed)
    chosen = choose_recipe(synth, recipe, epochs)
    plan = plan_of(chosen, data.image, data.flips).at(kind, temperature=temperature)
    plan = plan._replace(view=within_cells(plan.view, synth.cells))
    if plan.temperature <= 0:
        raise BadInput(f"--temperature {temperature}: give a number above 0")
    own = {"weights": weights, "statistics": statistics, **check_options(kind, options)}
    known = () if not taught else take_teachers(teachers, data) if isinstance(teachers, str | Path) else tuple(teachers)
    picked = pick_members(known, members) if known else known
    x, index, classes = synth.x.decode(), jnp.asarray(synth.y.probs().argmax(-1), jnp.int32), len(data.classes)
    if out:
        fewer = "give --kind online, or fewer --epochs"
        check_room(kind, len(x), classes, plan.epochs, images=synth.x.nbytes(), advice=fewer)
    under_way = Path(out).with_name(f".{Path(out).name}.partial") if out else None
    ask = partial(label_in_pieces, folder=under_way) if out else label
    made = replace(synth, y=ask(jax.random.key(seed), kind, x, index, classes, picked, plan, **own), lr=None)
    if made.info:
        made = replace(made, info=replace(made.info, recipe=chosen.name, represents=False))
    if out:
        save_set(out, made)
        shutil.rmtree(under_way, ignore_errors=True)
    return made


def choose_recipe(synth: SyntheticSet, recipe: str | None, epochs: int | None) -> Protocol:
    """The recipe that the call names; without a name the set's, or `cvdd` where the set names none or one that shows no views. `epochs`, if
    given, replaces its length."""
    if recipe is None:
        own = find_recipe(synth.info.recipe or "cvdd")
        recipe = own.name if getattr(own, "view", "") else "cvdd"
    return find_recipe(recipe, epochs=epochs)


def pick_members(known: Sequence[Teacher], members: Sequence[int] | None) -> tuple[Teacher, ...]:
    """The chosen teachers, which are numbered from 1; all for None. Raises BadInput for a number without a teacher."""
    numbers = range(1, len(known) + 1) if members is None else members
    if wrong := [number for number in numbers if not 1 <= number <= len(known)]:
        names = ", ".join(f"{i + 1} {teacher.name}" for i, teacher in enumerate(known))
        raise BadInput(f"--members {wrong[0]}: there is no such teacher (there are {names})")
    return tuple(known[number - 1] for number in numbers)

"""Labels a set by teachers, epoch by epoch. It can resume. The set is in a file, or a run has just made it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from condense.runtime.log import progress
from condense.runtime.partial import open_partial
from evals.protocol import Protocol
from evals.recipes import RECIPES
from synth.base import Teacher
from synth.errors import BadInput
from synth.labelling import LabelPlan, label, teachers_text
from synth.labels import Labels, find_kind

PARTIAL_LABELS_DIR = ".labels.partial"  # in a run's folder: answers of a labelling that is under way


def plan_of(chosen: Protocol, image: tuple[int, int, int], flips: bool) -> LabelPlan:
    """The `LabelPlan` of a recipe for images of the shape `image`, h w c: its epochs, batch, view and temperature, and a progress bar.
    Raises BadInput for a recipe that draws no views. `flips` says whether a mirrored image keeps its label; if not, the view mirrors
    none."""
    view = chosen.view_for(height=image[0], flips=flips)
    if view is None:
        known = ", ".join(name for name, other in RECIPES.items() if getattr(other, "view", ""))
        raise BadInput(
            f"--recipe {chosen.name}: teachers label the views that a recipe draws, and this one draws none; take one of {known}"
        )
    return LabelPlan(chosen.epochs, chosen.batch, view, chosen.temperature, progress)


def label_in_pieces(
    key: jax.Array,
    kind: str,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    classes: int,
    teachers: Sequence[Teacher],
    plan: LabelPlan,
    *,
    folder: Path,
    **own: Any,
) -> Labels:
    """Labels a set by its teachers as `synth.labelling.label` does, and returns the labels. Answers to the views of every epoch are kept in
    `folder` meanwhile, and the same call resumes from them. The folder may be deleted once the labels are saved. Kinds of labels without
    stored views keep nothing there.

    Args:
      key: of the views, unless `own` has a `seed` for them.
      kind: a name in `synth.labels.made_kinds()`.
      x, index: the examples and their classes in [0, classes).
      plan: how the recipe shows the set that it will be trained with.
      own: `weights` and `statistics` of the teachers, and the kind's own options.

    Raises BadInput as `synth.labelling.label`, and where the folder cannot be written; RunFailed where the disk is full.
    """
    if not find_kind(kind).replays:
        return label(key, kind, x, index, classes, teachers, plan, **own)
    request = {
        "kind": kind,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "temperature": plan.temperature,
        "epochs": plan.epochs,
        **{name: value for name, value in own.items() if name not in find_kind(kind).of_loss},
    }
    content = hashlib.sha256(np.asarray(x).tobytes() + np.asarray(index).tobytes()).hexdigest()[:16]
    request |= {"view": str(plan.view), "batch": plan.batch, "teachers": teachers_text(teachers, [1] * len(teachers)), "content": content}
    partial = open_partial(folder, request, plan.epochs)
    return label(key, kind, x, index, classes, teachers, plan, **own, done=partial.done, tick=partial.tick)

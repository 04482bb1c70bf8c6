"""Labels the finished set of a method from trained networks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax

from matchers.base import Task
from synth.base import Teacher
from synth.labelling import check_options, check_room
from synth.labels import find_kind, made_kinds
from synth.labels.plain import Hard
from synth.set import SyntheticSet

LabelKind = Literal[tuple(made_kinds())]  # the annotation of a method's `labels`


class Labelling(NamedTuple):
    """The choice of labels for a set that is not finished yet.

    Args:
      teachers: who is asked.
      task: the run that is served.
      recipe: the one that the set is to be trained with.
      kind: of the labels.
      epochs: that stored answers cover; the recipe's for None.
      weights: of the teachers' logits; equal for None.
      statistics: of the teachers' batch norms, for kinds that answer to views; see `synth.labelling.ask`.
      options: of the kind, by name; the defaults of another kind's may stand there too.
      temperature: of the labels; by default their kind's (`Plan.at`).
    """

    teachers: Sequence[Teacher]
    task: Task
    recipe: str
    kind: str
    epochs: int | None = None
    weights: Sequence[float] | None = None
    statistics: str = "running"
    options: Mapping[str, Any] = MappingProxyType({})
    temperature: float | None = None

    def checked(self) -> "Labelling":
        """Returns itself. Raises BadInput for an unknown kind, and for an option that is out of range or belongs to another kind."""
        check_options(self.kind, self.options)
        return self

    def check_room(self, synth: SyntheticSet) -> None:
        """Called before the work. Raises BadInput if the set's images with these labels would be larger than its file may be."""
        epochs = self.epochs or self.task.plan(self.recipe).epochs
        advice = "give --labels online, or fewer --label-epochs or images"
        check_room(self.kind, len(synth), synth.y.classes, epochs, images=synth.x.nbytes(), advice=advice)

    def attach(self, key: jax.Array, synth: SyntheticSet) -> SyntheticSet:
        """Labels a stored set whose labels are class indices; a set with labels of another kind is returned unchanged. The teachers see its
        images, at the chosen temperature. The key draws the views that are labelled."""
        if not isinstance(synth.y, Hard):
            return synth
        plan = self.task.plan(self.recipe).at(self.kind, temperature=self.temperature)
        plan = plan._replace(epochs=self.epochs or plan.epochs)
        made = self.task.label(
            key,
            self.kind,
            synth.x.decode(),
            synth.y.index,
            synth.y.classes,
            self.teachers,
            plan,
            weights=self.weights,
            statistics=self.statistics if find_kind(self.kind).sees else "running",
            **check_options(self.kind, self.options),
        )
        return replace(synth, y=made)

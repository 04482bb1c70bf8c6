"""The teachers of a comparison: finds them, and labels real examples as the set is labelled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.evaluation.baselines import BASELINES, Baseline
from condense.evaluation.facts import Facts, own_network, trained_facts
from condense.runtime.log import note, progress
from condense.teachers.store import INDEX, read_index, take_teachers, warn_of_images
from evals.protocol import Protocol
from synth.base import Teacher
from synth.errors import BadInput
from synth.images.views import View
from synth.labelling import LabelPlan, label, label_alike, present
from synth.labels.plain import Target
from synth.set import SyntheticSet


@dataclass(frozen=True, eq=False)
class Committee:
    """The teachers of a comparison. They are loaded when they are first asked for; without a `place` there are none.

    Args:
      place: their folder. data: in whose model space they answer. split: on which sets are scored.
    """

    place: str | Path | None
    data: Data | GraphData
    split: str

    def __bool__(self) -> bool:
        return self.place is not None

    @cached_property
    def members(self) -> tuple[Teacher, ...]:
        """The teachers, in the model space of the data; none without a folder. Prints notes where scores may be of images that they were
        trained on. Raises BadInput where the folder is damaged, or its teachers are not for this data or near chance on it."""
        return () if self.place is None else take_teachers(self.place, self.data, split=self.split)

    def warn(self) -> None:
        """Prints notes where scores may be of images that the teachers were trained on, without loading them."""
        if self.place is not None:
            index = read_index(self.place)
            warn_of_images(f"--teachers {self.place}", index["data_digest"], index.get("split_seed"), self.data, self.split)

    def own(self) -> bool:
        """Whether this project's own source builds all their networks; True without a folder."""
        return self.place is None or all(own_network(member["net"]) for member in read_index(self.place)["members"])


def find_teachers(
    synth: SyntheticSet,
    place: str | Path | None,
    path: Path | None,
    data: Data | GraphData,
    kinds: Sequence[str],
    *,
    baselines: Mapping[str, Baseline] = BASELINES,
    split: str = "test",
) -> Committee:
    """The teachers in `place`; where that is None and teachers labelled the set, those in the folder `teachers` beside its file. Else none.

    Args:
      synth: the set. path: of its file; None for a value.
      data: in whose model space they answer.
      kinds: the names of the rows that are to be scored, keys of `baselines`.
      split: on which sets are scored.

    Raises BadInput if there are none and the labels or the rows of real examples need them, and where the folder holds none.
    """
    taught, place = synth.y.taught, place_of(synth, place, path)
    if place is not None:
        read_index(place)
        return Committee(place, data, split)
    if synth.y.asks:
        raise BadInput("--teachers: the set's labels are asked of its teachers while a network trains; give their folder")
    if taught and any(baselines[kind].real for kind in kinds):
        raise BadInput(
            f"--rows {','.join(kinds)}: real images need {synth.y.kind} labels of the set's own teachers; "
            "give --teachers DIR, or --rows distilled"
        )
    return Committee(None, data, split)


def place_of(synth: SyntheticSet, place: str | Path | None, path: Path | None) -> str | Path | None:
    """The folder of a set's teachers: `place`, if it is given. Else, where teachers labelled the set, the folder `teachers` beside its file
    `path`, if it is there. Else None."""
    beside = path.parent / "teachers" if path else None
    return beside if place is None and synth.y.taught and beside and (beside / INDEX).is_file() else place


def without_teachers(
    synth: SyntheticSet, place: str | Path | None, path: Path | None, kinds: Sequence[str], *, baselines: Mapping[str, Baseline] = BASELINES
) -> list[str]:
    """Those of the rows `kinds` that can be scored. Real examples need labels of the set's teachers; where these are not known, the rows of
    such examples are left out, and a note says what is missing. A set whose labels ask teachers during training keeps all rows.

    Args:
      place: folder of the teachers, where the call names one.
      path: of the set's file.
    """
    if place_of(synth, place, path) is not None or not synth.y.taught or synth.y.asks:
        return list(kinds)
    left = [kind for kind in kinds if baselines[kind].real]
    if left:
        note(f"no rows {', '.join(left)}: they need {synth.y.kind} labels of the set's own teachers; --teachers DIR names their folder")
    return [kind for kind in kinds if kind not in left]


def label_facts(synth: SyntheticSet, committee: Committee, baseline: Baseline) -> Facts:
    """What the labels of the row `baseline` depend on beside its examples and the recipe, as values of JSON: where teachers answer, their
    files and how they answer."""
    y = synth.y
    if baseline.recipe:
        return {}
    if not committee:
        return {"kind": y.kind if type(y) is Target else "hard"} if baseline.real else {}
    if not y.taught:
        return {"kind": "online", "committee": trained_facts(committee.place)}
    if not baseline.real:
        return {"committee": trained_facts(committee.place)} if y.asks else {}
    fields = {name: value for name, value in y._asdict().items() if isinstance(value, str | int | float)}
    epochs = {"epochs": y.epochs} if y.replays else {}
    return {"kind": y.kind, **fields, **epochs, "committee": trained_facts(committee.place)}


def teach(synth: SyntheticSet, known: Sequence[Teacher], protocol: Protocol) -> Callable[[SyntheticSet], SyntheticSet]:
    """Returns a function that gives a set of real images the same kind of labels as `synth`.

    Without teachers it changes nothing. If teachers made the labels of `synth`, the same teachers label the real images. Otherwise all
    known teachers label every mini-batch while networks train, of real images and of `synth`.

    Raises BadInput where there are teachers, none of them made the labels, and the protocol trains nothing.
    """
    if not known:
        return lambda real: real
    if synth.y.taught:
        # a row may hold another number of images than the set, and so be trained on in other batches
        more = {"batch": protocol.batch if protocol.trains else None, "progress": progress}

        def alike(real: SyntheticSet) -> SyntheticSet:
            made = label_alike(synth.y, real.x.decode(), real.y.index, known, cells=real.cells, **more)
            return replace(real, y=present(made, known))

        return alike
    if not protocol.trains:
        raise BadInput(f"--teachers: they answer while networks train, and recipe {protocol.name} trains none; leave --teachers out")
    plan = LabelPlan(1, 0, View(), protocol.temperature)

    def ask(given: SyntheticSet) -> SyntheticSet:
        index = jnp.asarray(given.y.probs().argmax(-1), jnp.int32)
        return replace(given, y=present(label(jax.random.key(0), "online", given.x.decode(), index, given.y.classes, known, plan), known))

    return ask


def shown(synth: SyntheticSet, known: Sequence[Teacher], labels: Callable[[SyntheticSet], SyntheticSet]) -> SyntheticSet:
    """The set that networks are trained on: with its own labels if teachers made them (those that ask teachers get `known`), else with
    labels by the function `labels`."""
    return replace(synth, y=present(synth.y, known)) if synth.y.taught else labels(synth)

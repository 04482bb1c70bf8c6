"""The teachers of a comparison: finds them, and labels real examples as the set is labelled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.evaluation.baselines import BASELINES, Baseline
from condense.runtime.log import note, progress
from condense.teachers.store import INDEX, take_teachers
from evals.protocol import Protocol
from synth.base import Teacher
from synth.errors import BadInput
from synth.images.views import View
from synth.labelling import LabelPlan, label, label_alike, present
from synth.set import SyntheticSet


def find_teachers(
    synth: SyntheticSet,
    place: str | Path | None,
    path: Path | None,
    data: Data | GraphData,
    kinds: Sequence[str],
    *,
    baselines: Mapping[str, Baseline] = BASELINES,
    split: str = "test",
) -> tuple[Teacher, ...]:
    """Loads the teachers from `place`, else from the folder `teachers` beside the set's file. Returns none if the labels need none.

    Raises BadInput if teachers are needed and there are none.
    """
    taught, place = synth.y.taught, place_of(synth, place, path)
    if place is not None:
        return take_teachers(place, data, split=split)
    if synth.y.asks:
        raise BadInput("--teachers: the set's labels are asked of its teachers while a network trains; give their folder")
    if taught and any(baselines[kind].real for kind in kinds):
        raise BadInput(
            f"--rows {','.join(kinds)}: real images need {synth.y.kind} labels of the set's own teachers; "
            "give --teachers DIR, or --rows distilled"
        )
    return ()


def place_of(synth: SyntheticSet, place: str | Path | None, path: Path | None) -> str | Path | None:
    """The folder of a set's teachers: the one that is named, else that in the run's folder beside the set, if there is one."""
    beside = path.parent / "teachers" if path else None
    return beside if place is None and synth.y.taught and beside and (beside / INDEX).is_file() else place


def without_teachers(
    synth: SyntheticSet, place: str | Path | None, path: Path | None, kinds: Sequence[str], *, baselines: Mapping[str, Baseline] = BASELINES
) -> list[str]:
    """The usual rows, as far as they can be scored: real examples need labels of the set's teachers, and where these are not known a line
    says what is missing."""
    if place_of(synth, place, path) is not None or not synth.y.taught or synth.y.asks:
        return list(kinds)
    left = [kind for kind in kinds if baselines[kind].real]
    if left:
        note(f"no rows {', '.join(left)}: they need {synth.y.kind} labels of the set's own teachers; --teachers DIR names their folder")
    return [kind for kind in kinds if kind not in left]


def teach(synth: SyntheticSet, known: Sequence[Teacher], protocol: Protocol) -> Callable[[SyntheticSet], SyntheticSet]:
    """Returns a function that gives a set of real images the same kind of labels as `synth`.

    Without teachers it changes nothing. If teachers made the labels of `synth`, the same teachers label the real images. Otherwise all
    known teachers label every mini-batch while networks train, of real images and of `synth`.
    """
    if not known:
        return lambda real: real
    if synth.y.taught:
        # a row may hold another number of images than the set, and so be trained on in other batches
        more = {"batch": protocol.batch if protocol.trains else None, "progress": progress}
        return lambda real: replace(real, y=present(label_alike(synth.y, real.x.decode(), real.y.index, known, **more), known))
    if not protocol.trains:
        raise BadInput(f"--teachers: they answer while networks train, and recipe {protocol.name} trains none; leave --teachers out")
    plan = LabelPlan(1, 0, View(), protocol.temperature)

    def ask(given: SyntheticSet) -> SyntheticSet:
        index = jnp.asarray(given.y.probs().argmax(-1), jnp.int32)
        return replace(given, y=present(label(jax.random.key(0), "online", given.x.decode(), index, given.y.classes, known, plan), known))

    return ask


def shown(synth: SyntheticSet, known: Sequence[Teacher], labels: Callable[[SyntheticSet], SyntheticSet]) -> SyntheticSet:
    """The set that networks are trained on: with its own labels if teachers made them, else with labels from `labels`."""
    return replace(synth, y=present(synth.y, known)) if synth.y.taught else labels(synth)

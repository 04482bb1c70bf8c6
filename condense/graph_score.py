"""Scoring a set of graphs beside honest baselines: random graphs at equal bytes in the same encoding, and all graphs without loss.

Networks are trained on colour graphs, where that gives what training on the graphs themselves gives; validation graphs, which choose the
epoch, are read the same way. The test graphs are read as they are.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.graph_data import GraphData
from condense.graph_table import GraphEvaluation
from condense.log import note, progress
from condense.nets.graphs import NEEDS_DEGREES
from evals.base import Recipe
from evals.base import recipe as find_recipe
from evals.budget import count_bytes
from evals.graph_retrain import Lesson, retrain, shares
from synth.colours import colour_batch, refine
from synth.errors import BadInput
from synth.graph_content import ColourGraph
from synth.graph_start import choose_within, pack
from synth.graphs import GraphBatch, GraphExamples, batches, common, padded, sizes_of
from synth.labels import Runs
from synth.set import SyntheticSet

INIT, DRAW = 0, 1  # key streams of an evaluation
ROWS = ("distilled", "random", "full")
PIECE = 256  # test graphs that are read at a time


def read_as_colours(examples: GraphExamples, net: str) -> GraphBatch:
    """Graphs as a network sees them on their colour graph; degrees are told apart where the network asks for them."""
    return colour_batch(refine(examples.x, depth_of(net), degrees=nets.parse(net)[0] in NEEDS_DEGREES))


def depth_of(net: str) -> int:
    """Layers of a graph network."""
    return nets.parse(net)[1]["depth"]


def lesson(synth: SyntheticSet, net: str) -> Lesson:
    """What a network learns from a set. Raises BadInput where the set cannot serve the network."""
    if isinstance(synth.x, ColourGraph) and not synth.x.exact and nets.parse(net)[0] in NEEDS_DEGREES:
        raise BadInput(f"--net {net}: reads degrees of leaves, which this set does not tell apart; distil with --leaves exact")
    index, frequency = (
        np.asarray(synth.y.probs()).argmax(1).astype(np.int32),
        synth.x.frequency() if hasattr(synth.x, "frequency") else None,
    )
    frequency = np.ones(len(index)) if frequency is None else frequency
    if len(index) != len(frequency):
        raise BadInput(f"the set has {len(index)} labels for {len(frequency)} examples; it is damaged")
    sizes = np.asarray(synth.y.sizes if isinstance(synth.y, Runs) else np.bincount(index, minlength=synth.y.classes), np.float64)
    return Lesson(synth.x.decode(depth=depth_of(net)), jnp.asarray(index), jnp.asarray(shares(index, frequency, sizes)))


def full_lesson(examples: GraphExamples, net: str) -> Lesson:
    """All graphs, each as often as any other."""
    return Lesson(read_as_colours(examples, net), jnp.asarray(examples.y), jnp.full(len(examples.y), 1 / len(examples.y), jnp.float32))


def same_shapes(lessons: Sequence[Lesson]) -> list[Lesson]:
    """The lessons filled up to one size, so that one compilation serves them all; what is added counts 0."""
    if all(lesson.x is lessons[0].x for lesson in lessons):
        return list(lessons)
    sizes = common([sizes_of(lesson.x) for lesson in lessons])

    def fill(row):
        return jnp.pad(row, (0, sizes.graphs - len(row)))

    return [Lesson(padded(lesson.x, sizes), fill(lesson.y), fill(lesson.p)) for lesson in lessons]


def make_lessons(synth: SyntheticSet, data: GraphData, kind: str, net: str, draws: Sequence[SyntheticSet]) -> Callable[[int], Lesson]:
    """seed -> lesson of one row; `draws` are the random graphs of every seed."""
    if kind == "random":
        rows = same_shapes([lesson(drawn, net) for drawn in draws])
        return lambda seed: rows[seed]
    same = lesson(synth, net) if kind == "distilled" else full_lesson(data.train, net)
    return lambda seed: same


def draw_random(key: jax.Array, synth: SyntheticSet, data: GraphData) -> SyntheticSet:
    """Random training graphs of no more bytes than the set, labels included. Raises BadInput where no graph of a class fits."""
    total = count_bytes(synth)["total"]
    try:
        return pack(synth, data.train, choose_within(key, data.train, ("bytes", total)))
    except BadInput as error:
        raise BadInput(f"--rows random: the set's {total} bytes do not hold a graph of every class; take --rows distilled") from error


def check_rows(rows: Sequence[str] | str, synth: SyntheticSet) -> list[str]:
    """The rows asked for. By default there are no centres of graphs, and a set of all graphs has no random ones beside it."""
    rows = [rows] if isinstance(rows, str) else list(rows)
    if rows == ["distilled", "random", "kmeans"]:
        return ["distilled"] if isinstance(synth.x, ColourGraph) else ["distilled", "random"]
    if not rows or set(rows) - set(ROWS):
        wrong = f"unknown row '{sorted(set(rows) - set(ROWS))[0]}'" if rows else "none given"
        raise BadInput(f"--rows: {wrong} (known for graphs: {', '.join(ROWS)})")
    return rows


def fit_together(synth: SyntheticSet, data: GraphData) -> None:
    """Raises BadInput where classes or alphabet of the set are not the data's."""
    if synth.info.classes != data.classes:
        raise BadInput(f"--data {data.spec}: its classes are not the set's; give the data the set was made for")
    alphabet = getattr(synth.x, "alphabet", None)
    if alphabet is None:
        raise BadInput(f"--data {data.spec}: holds graphs, the set images; give the data the set was made for")
    if alphabet[:2] != data.image[:2]:
        was, now = (f"{a.tags} tags and {a.edges} edge labels" for a in (alphabet, data.image))
        raise BadInput(f"--data {data.spec}: its graphs have {now}, the set's {was}; give the data the set was made for")


def evaluate_graphs(
    synth: SyntheticSet,
    data: GraphData,
    *,
    path: Path | None,
    names: Sequence[str],
    seeds: int,
    chosen: Recipe,
    rows: Sequence[str] | str,
    split: str,
    seed: int,
) -> GraphEvaluation:
    """Reports of every row and network. The arguments are those of `condense.score.evaluate`, checked."""
    key, kinds = jax.random.key(seed), check_rows(rows, synth)
    if not isinstance(chosen, Recipe) or chosen.augment or chosen.view:
        raise BadInput(f"--recipe {chosen.name}: is for images; use graph")
    names, part = [nets.canonical(name) for name in dict.fromkeys(names)], data.test if split == "test" else data.val
    if not len(part.y) or not len(data.val.y):
        raise BadInput(f"{data.spec}: needs validation and {split} graphs; use more data")
    reports, k_draws = [], jax.random.fold_in(key, DRAW)
    draws = [draw_random(jax.random.fold_in(k_draws, seed), synth, data) for seed in range(seeds)] if "random" in kinds else []
    with progress(len(names) * len(kinds) * seeds, "evaluate") as bar:
        for name in names:
            built = nets.build(name, data.image, len(data.classes))
            validation = read_as_colours(data.val, name), jnp.asarray(data.val.y)
            test = [(batch, part.y[index]) for index, batch in batches(part.x, np.arange(len(part.y)), size=PIECE)]
            for kind in kinds:
                under = find_recipe("graph_full") if kind == "full" else chosen
                lessons = make_lessons(synth, data, kind, name, draws)
                named = {"net_name": name, "set_kind": kind, "seeds": seeds, "tick": bar.advance}
                reports.append(retrain(jax.random.fold_in(key, INIT), built, under, lessons, validation, test, **named))
    counts = np.bincount(np.asarray(synth.y.probs()).argmax(1), minlength=len(data.classes))
    ipc = int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None
    majority = float(np.mean(part.y == np.bincount(data.train.y).argmax()))
    if split == "val":
        note("warning: the epoch is chosen on the validation graphs, so scores on them are too high; report the test")
    return GraphEvaluation(str(path or ""), data.spec, data.digest, split, ipc, count_bytes(synth, file=path), tuple(reports), majority)


def validation_score(data: GraphData, net: str, recipe: Recipe, *, seed: int) -> Callable[[SyntheticSet], float]:
    """Accuracy of one fresh network on the validation graphs, at its best epoch: what selection during distillation may see."""
    built, validation = nets.build(net, data.image, len(data.classes)), (read_as_colours(data.val, net), jnp.asarray(data.val.y))
    test = [(batch, data.val.y[index]) for index, batch in batches(data.val.x, np.arange(len(data.val.y)), size=PIECE)]

    def score(synth: SyntheticSet) -> float:
        key = jax.random.fold_in(jax.random.key(seed), INIT)
        return retrain(key, built, recipe, lambda number: lesson(synth, net), validation, test, seeds=1, net_name=net).mean

    return score

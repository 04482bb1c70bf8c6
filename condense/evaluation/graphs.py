"""Scoring a set of graphs beside honest baselines: random graphs at equal bytes in the same encoding, and all graphs without loss.

Networks are trained on colour graphs, where that gives what training on the graphs themselves gives; validation graphs, which choose the
epoch, are read the same way. The test graphs are read as they are.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.graphs import GraphData
from condense.evaluation.report import GraphEvaluation
from condense.nets.graphs import NEEDS_DEGREES
from condense.runtime.log import duration, note, progress
from evals.recipes import EvalRecipe
from evals.recipes import recipe as find_recipe
from evals.retrain_graphs import Trainer, WeightedBatch, make_trainer, retrain, shares
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.graphs.base import RATIO, GraphBatch, GraphExamples, Sizes, batches, common, padded, sizes_of
from synth.graphs.content import ColourGraph
from synth.graphs.refinement import colour_batch, refine
from synth.labels.plain import Runs
from synth.selection.graphs import choose_within, pack
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


def lesson(synth: SyntheticSet, net: str) -> WeightedBatch:
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
    return WeightedBatch(synth.x.decode(depth=depth_of(net)), jnp.asarray(index), jnp.asarray(shares(index, frequency, sizes)))


def full_batch(examples: GraphExamples, net: str) -> WeightedBatch:
    """All graphs, each as often as any other."""
    return WeightedBatch(
        read_as_colours(examples, net), jnp.asarray(examples.y), jnp.full(len(examples.y), 1 / len(examples.y), jnp.float32)
    )


def same_shapes(lessons: Sequence[WeightedBatch]) -> list[WeightedBatch]:
    """The lessons filled up to a few shapes, so that few compilations serve them all: lessons of about one size get the least that holds
    them, if it is at most RATIO times what each has. What is added counts 0."""
    sizes, shared = [sizes_of(lesson.x) for lesson in lessons], []
    for size in sorted(sizes, key=lambda size: (size.entries, size)):
        joined = common([shared[-1][0], size]) if shared else size
        if shared and all(small_enough(joined, held) for held in (*shared[-1][1], size)):
            shared[-1] = joined, [*shared[-1][1], size]
        else:
            shared.append((size, [size]))
    shape = {size: whole for whole, members in shared for size in members}

    def fill(lesson: WeightedBatch, whole: Sizes) -> WeightedBatch:
        short = (0, whole.graphs - len(lesson.y))
        return WeightedBatch(padded(lesson.x, whole), jnp.pad(lesson.y, short), jnp.pad(lesson.p, short))

    return [fill(lesson, shape[size]) for lesson, size in zip(lessons, sizes, strict=True)]


def small_enough(whole: Sizes, held: Sizes) -> bool:
    """Whether no part of a shape is more than RATIO times what is held."""
    return all(a <= RATIO * b for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(held), strict=True))


class Job(NamedTuple):
    """One row of one network: `lessons(seed)` gives what it learns from."""

    net: str
    kind: str
    recipe: EvalRecipe
    lessons: Callable[[int], WeightedBatch]


def make_lessons(
    synth: SyntheticSet, data: GraphData, kind: str, net: str, draws: Sequence[SyntheticSet]
) -> Callable[[int], WeightedBatch]:
    """seed -> lesson of one row; `draws` are the random graphs of every seed."""
    if kind == "random":
        rows = same_shapes([lesson(drawn, net) for drawn in draws])
        return lambda seed: rows[seed]
    same = lesson(synth, net) if kind == "distilled" else full_batch(data.train, net)
    return lambda seed: same


def make_jobs(
    key: jax.Array, synth: SyntheticSet, data: GraphData, names: Sequence[str], kinds: Sequence[str], chosen: EvalRecipe, *, seeds: int
) -> list[Job]:
    """All rows of all networks. Raises BadInput where the set cannot serve one of them, and where its bytes hold no random graphs."""
    full = find_recipe("graph_full")
    jobs = [
        Job(name, kind, full if kind == "full" else chosen, make_lessons(synth, data, kind, name, ()))
        for name in names
        for kind in kinds
        if kind != "random"
    ]
    if "random" in kinds:
        draws = [draw_random(jax.random.fold_in(key, seed), synth, data) for seed in range(seeds)]
        jobs += [Job(name, "random", chosen, make_lessons(synth, data, "random", name, draws)) for name in names]
    return sorted(jobs, key=lambda job: (names.index(job.net), kinds.index(job.kind)))


def seconds_a_seed(trainer: Trainer, job: Job, validation) -> float:
    """Compiles the training of a row and times a few epochs of it, for the estimate that users see before anything long starts."""
    for epochs in (0, 3):  # no epoch at first: that call compiles
        began = time.perf_counter()
        jax.block_until_ready(trainer.train(jax.random.key(0), job.lessons(0), validation, jnp.int32(epochs)).vars.params)
    return (time.perf_counter() - began) / epochs * job.recipe.epochs


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


def evaluate_graphs(
    synth: SyntheticSet,
    data: GraphData,
    *,
    path: Path | None,
    names: Sequence[str],
    seeds: int,
    chosen: EvalRecipe,
    rows: Sequence[str] | str,
    split: str,
    seed: int,
) -> GraphEvaluation:
    """Reports of every row and network. The arguments are those of `condense.workflows.evaluate.evaluate`, checked."""
    key, kinds = jax.random.key(seed), check_rows(rows, synth)
    if not isinstance(chosen, EvalRecipe) or chosen.augment or chosen.view:
        raise BadInput(f"--recipe {chosen.name}: is for images; use graph")
    names, part = [nets.canonical(name) for name in dict.fromkeys(names)], data.test if split == "test" else data.val
    if not len(part.y) or not len(data.val.y):
        raise BadInput(f"{data.spec}: needs validation and {split} graphs; use more data")
    built = {name: nets.build(name, data.image, len(data.classes)) for name in names}
    jobs = make_jobs(jax.random.fold_in(key, DRAW), synth, data, names, kinds, chosen, seeds=seeds)
    validation = {name: (read_as_colours(data.val, name), jnp.asarray(data.val.y)) for name in names}
    trainers = {(name, under): make_trainer(built[name], under) for name, under in {(job.net, job.recipe) for job in jobs}}
    test = [(batch, part.y[index]) for index, batch in batches(part.x, np.arange(len(part.y)), size=PIECE)]
    seconds = sum(seconds_a_seed(trainers[job.net, job.recipe], job, validation[job.net]) for job in jobs)
    note(f"{len(jobs)} rows of {seeds} seeds: about {duration(seeds * seconds)}")
    k_init, reports = jax.random.fold_in(key, INIT), []
    with progress(len(jobs) * seeds, "evaluate") as bar:
        for job in jobs:
            named = {"net_name": job.net, "set_kind": job.kind, "seeds": seeds, "tick": bar.advance}
            reports.append(retrain(k_init, trainers[job.net, job.recipe], job.recipe, job.lessons, validation[job.net], test, **named))
    counts = np.bincount(np.asarray(synth.y.probs()).argmax(1), minlength=len(data.classes))
    ipc = int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None
    majority = float(np.mean(part.y == np.bincount(data.train.y).argmax()))
    if split == "val":
        note("warning: the epoch is chosen on the validation graphs, so scores on them are too high; report the test")
    told = (count_bytes(synth, file=path), tuple(reports), majority, seed)
    return GraphEvaluation(str(path or ""), data.spec, data.digest, split, ipc, *told)


def validation_score(data: GraphData, net: str, recipe: EvalRecipe, *, seed: int, teachers=()) -> Callable[[SyntheticSet], float]:
    """Accuracy of one fresh network on the validation graphs, at its best epoch: what selection during distillation may see."""
    trainer = make_trainer(nets.build(net, data.image, len(data.classes)), recipe)
    validation = read_as_colours(data.val, net), jnp.asarray(data.val.y)
    test = [(batch, data.val.y[index]) for index, batch in batches(data.val.x, np.arange(len(data.val.y)), size=PIECE)]

    def score(synth: SyntheticSet) -> float:
        key = jax.random.fold_in(jax.random.key(seed), INIT)
        return retrain(key, trainer, recipe, lambda number: lesson(synth, net), validation, test, seeds=1, net_name=net).mean

    return score

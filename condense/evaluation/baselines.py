"""The rows of a comparison by name: a set, real examples at the same budget and in the same kind of labels, all training examples.

To add a row for images, write a function (comparison) -> (seed -> set) and add its line to BASELINES.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense.data.graphs import GraphData
from condense.data.images import Data, say_whole
from condense.data.modality import MODALITIES
from condense.data.readers.encoded import LONG
from condense.engine.storage import stored_as
from condense.evaluation.counts import row_counts, too_few
from condense.evaluation.facts import Facts, set_facts
from condense.runtime.log import progress
from evals.protocol import Protocol
from evals.streamed import StreamedSet
from synth.base import Examples, take_all
from synth.errors import BadInput, nearest
from synth.images.content import Pixels
from synth.labels.plain import Hard, Target
from synth.selection.choose import choose_herding, choose_kmeans, choose_random, flat_features
from synth.selection.choose import noise as draw_noise
from synth.selection.collage import whole_collages
from synth.selection.ranks import Ranks
from synth.selection.rules import keep
from synth.selection.scores import name_score, scores
from synth.set import SyntheticSet
from synth.training.ridge import centred
from synth.training.stream import Blocks

DRAW = 1  # key stream of an evaluation
ROW_SCORE = "el2n"  # by which the rows easy and hard choose
Draw = Callable[[int], SyntheticSet]  # seed -> set


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the function of a row may use. A row is what networks are trained on to be compared: the set, or real examples.

    Args:
      key: the random key of the evaluation.
      synth: the set, with labels that networks can be trained on.
      data: the loaded data, where real examples come from.
      labels: a set of drawn examples with plain labels -> the same with the set's kind of labels, see `condense.evaluation.teaching.teach`.
      content: what encodes real examples, by its `encode`; None where the rows make their own, as graphs do.
      ranks: what small networks, called proxies, said of every training example; only rows that choose by a score read it.
      counts: how many examples of every class a row holds, i64[classes]; by default as many as cost as much as the set, see `row_counts`.
    """

    key: jax.Array
    synth: SyntheticSet
    data: Any
    labels: Callable[[SyntheticSet], SyntheticSet]
    content: Any = Pixels
    ranks: Ranks | None = None
    counts: np.ndarray | None = None

    def key_of(self, seed: int) -> jax.Array:
        """The random key by which examples are drawn for network number `seed` (0, 1, ...), the same for every row and architecture."""
        return jax.random.fold_in(jax.random.fold_in(self.key, DRAW), seed)

    def real(self, examples: Examples, *, kind: type | None = None, content: Any = None) -> SyntheticSet:
        """Makes a set of exactly these examples, whose `y` are class indices; nothing is drawn.

        Args:
          kind: of its labels: `Hard` for class indices, `Target` for one-hot rows minus 1 / classes. By default that of the comparison's
            set where that is `Target`, else `Hard`.
          content: what encodes the examples; by default the comparison's.
        """
        hard = Hard(jnp.asarray(examples.y), len(self.data.classes))
        labels = Target(centred(hard.index, hard.classes)) if (kind or type(self.synth.y)) is Target else hard
        return SyntheticSet((content or self.content).encode(jnp.asarray(examples.x)).store(), labels)

    def at_budget(self, kind: str, choose: Callable, *, cells: int = 1) -> Draw:
        """Returns a function (seed -> set) that chooses real training examples, as many of every class as the comparison's counts say, and
        labels them as the set is labelled. They are chosen once for each seed.

        Args:
          kind: name of the row, for messages.
          choose: (key, labels, count) -> indices of `count` training examples of every class. It is called once for all classes of the same
            count: `labels`, one for each training example, number these classes from 0, and are -1 for all other examples.
          cells: above 1, cells**2 times as many examples are chosen, and combined into collages of cells x cells of them.

        Raises BadInput, before anything is drawn, where the data has too few training examples of a class.
        """
        counts, y = (row_counts(self.synth) if self.counts is None else self.counts) * cells**2, self.data.train.y
        if self.counts is None and (c := too_few(self.synth, self.data, cells=cells)) is not None:
            takes = f"the set {counts[c]}" if cells == 1 else f"its collages {counts[c]}"
            held = f"{np.count_nonzero(y == c)} training {self.data.modality} of class {self.data.classes[c]}"
            has = f"has {held}, {takes} (those for validation are held out)"
            raise BadInput(f"--rows {kind}: {self.data.spec} {has}; only distilled and full are possible")

        @cache  # of indices: every network is shown the same draws, which a set would hold as arrays
        def chosen(seed: int) -> np.ndarray:
            index = []
            for count in np.unique(counts[counts > 0]):
                among = counts == count
                rank = np.where(among, np.cumsum(among) - 1, -1)  # no class of its own is -1: these examples are passed over
                index.append(choose(self.key_of(seed), rank[y], int(count)))
            return np.concatenate(index)

        return lambda seed: self.labelled(chosen, seed, cells)

    @cached_property
    def labelled(self) -> Callable[[Callable, int, int], SyntheticSet]:
        """Returns a function of (seed -> indices of training examples, seed, cells) that gives the examples of that seed, or for `cells`
        above 1 collages of cells x cells of them, as a set with the set's kind of labels. It keeps the last set in memory."""

        @lru_cache(1)  # one set in memory, however many seeds: labels are asked for again where another network is shown the draw
        def labelled(chosen: Callable, seed: int, cells: int) -> SyntheticSet:
            train, index = self.data.train, chosen(seed)
            if cells == 1:
                return self.labels(self.real(train.take(index)))
            return self.labels(replace(self.real(Examples(*whole_collages(train, index, factor=cells))), cells=cells))

        return labelled


class Baseline(NamedTuple):
    """One row of a comparison.

    Args:
      make: comparison -> (seed -> set). It may raise BadInput where the data or the set do not allow the row.
      real: whether it is examples at the set's budget, most often real ones, which carry the set's kind of labels.
      recipe: the name of the recipe that trains on it, where it has one of its own, as all training examples do; else empty.
      best: of a row whose examples are stored as suits them best (`condense.evaluation.best`), the name of the plain row; else empty.
      facts: set -> what its examples depend on beside the data and the seeds, as values of JSON. Where nothing says that, its scores are
        kept for no other call.
      protocol: what scores it, where that is not the call's recipe nor one with a name; else None.
      ranked: whether it reads `Comparison.ranks`, on which its facts then depend too.
    """

    make: Callable[[Comparison], Callable[[int], Any]]
    real: bool = False
    recipe: str = ""
    facts: Callable[[SyntheticSet], Facts] | None = None
    protocol: Protocol | None = None
    ranked: bool = False
    best: str = ""


def the_set(comparison: Comparison) -> Draw:
    """Returns a function that gives the comparison's set itself for every seed."""
    return lambda seed: comparison.synth


def random(comparison: Comparison) -> Draw:
    """Returns seed -> a set of random training examples, as many of every class as cost as much as the set, with its kind of labels.
    They differ between seeds. Raises BadInput where a class has fewer."""
    return comparison.at_budget("random", choose_random)


def random_2x2(comparison: Comparison) -> Draw:
    """Returns seed -> a set of collages, each of 2x2 random training images shrunk to a quarter of the area, as many collages of every
    class as cost as much as the set. They differ between seeds. Networks see one of the four at a time, as with method `pca`. Raises
    BadInput where a class has fewer images than that."""
    return comparison.at_budget("random_2x2", choose_random, cells=2)


def kmeans(comparison: Comparison) -> Draw:
    """Returns seed -> a set of the training examples nearest to the k-means centres of their class, in model space: one a centre, as many
    of every class as cost as much as the set. The seed draws the start of k-means. Raises BadInput where a class has fewer."""

    def choose(key: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
        flat = flat_features(comparison.data.train)
        if len(labels) < LONG:  # a bar inside that of the evaluation stays behind as a line
            return choose_kmeans(key, flat, labels, count)
        with progress(int(labels.max()) + 1, f"k-means among {len(labels):,} {comparison.data.modality}") as bar:
            index = choose_kmeans(key, flat, labels, count, done=bar.advance)
            bar.advance()
        return index

    return comparison.at_budget("kmeans", choose)


def herding(comparison: Comparison) -> Draw:
    """Returns seed -> a set of the training examples whose running mean follows that of their class most closely (herding), on the values
    in model space, as many of every class as cost as much as the set: the same for every seed. Raises BadInput where a class has fewer."""

    def choose(key: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
        return choose_herding(flat_features(comparison.data.train), labels, count)

    return comparison.at_budget("herding", choose)


def by_score(rule: str) -> Callable[[Comparison], Draw]:
    """Makes the function of a row: comparison -> (seed -> set). Its training examples are those of every class with the lowest
    (`rule` is `easy`) or highest (`hard`) EL2N score in the comparison's `ranks`, the same for every seed; as many as cost as much as the
    set."""

    def row(comparison: Comparison) -> Draw:
        score = scores(comparison.ranks, ROW_SCORE)

        def choose(key: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
            return keep(key, rule, score, labels, dict.fromkeys(range(int(labels.max()) + 1), count)).index

        return comparison.at_budget(rule, choose)

    return row


def noise(comparison: Comparison) -> Draw:
    """Returns seed -> a set of noise in place of examples, N(0, 1) in model space, drawn anew for every seed, with the set's kind of
    labels and as many of every class as cost as much as the set: what labels alone teach."""
    counts = row_counts(comparison.synth)
    y = np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    def draw(seed: int) -> SyntheticSet:
        x = draw_noise(comparison.key_of(seed), (len(y), *comparison.data.image))
        return comparison.labels(comparison.real(Examples(x, y)))

    return draw


def everything(comparison: Comparison) -> Draw:
    """Returns seed -> a set of all training examples in model space, with their class indices for labels, whatever labels the comparison's
    set has; the same for every seed. Where they do not lie in memory it is a `StreamedSet`, which reads them block by block."""
    usual = MODALITIES[comparison.data.modality].content
    encode = partial(comparison.real, kind=Hard, content=usual and usual(comparison.data))
    say_whole(train := comparison.data.train, "networks of the full row")
    return (lambda seed: encode(take_all(train))) if train.in_memory else lambda seed: StreamedSet(Blocks(train), encode)


def count_facts(synth: SyntheticSet) -> Facts:
    """What a row at the set's budget depends on: under `counts` the list of its numbers of examples of every class, and under `stored`
    the name of what they are stored as, such as `u8x2`; without `stored` where that is single precision."""
    stored = stored_as(synth.x)
    return {"counts": row_counts(synth).tolist(), **({"stored": stored} if stored else {})}


def ranks_facts(ranks: Ranks) -> Facts:
    """What rows chosen by a score depend on: under `ranks` the identity of the log of proxies, under `by` the full name of the score."""
    return {"ranks": ranks.identity(), "by": name_score(ROW_SCORE, ranks)}


def no_facts(synth: SyntheticSet) -> Facts:
    """An empty dict, whatever the set: a row of all training examples depends on nothing else."""
    return {}


OF_EVERYTHING = {
    "distilled": Baseline(the_set, facts=set_facts),
    "random": Baseline(random, real=True, facts=count_facts),
    "random_2x2": Baseline(random_2x2, real=True, facts=count_facts),
    "kmeans": Baseline(kmeans, real=True, facts=count_facts),
    "herding": Baseline(herding, real=True, facts=count_facts),
    "easy": Baseline(by_score("easy"), real=True, facts=count_facts, ranked=True),
    "hard": Baseline(by_score("hard"), real=True, facts=count_facts, ranked=True),
    "noise": Baseline(noise, real=True, facts=count_facts),
    "full": Baseline(everything, recipe="full", facts=no_facts),
}


BASELINES = OF_EVERYTHING | {
    f"{kind}-best": Baseline(OF_EVERYTHING[kind].make, real=True, facts=count_facts, best=kind) for kind in ("random", "kmeans")
}


def check_rows(rows: Sequence[str] | str, known: Mapping[str, Any], modality: str) -> list[str]:
    """The names of the rows that a call asks for, one name or several, each once in the call's order. `known` has all names as keys;
    `modality` is for messages. Raises BadInput for an unknown name, and for none."""
    kinds = [rows] if isinstance(rows, str) else list(rows)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise BadInput(f"--rows: unknown row '{unknown[0]}' (known for {modality}: {', '.join(known)}){nearest(unknown[0], known)}")
    if not kinds:
        raise BadInput(f"--rows: none given (known for {modality}: {', '.join(known)})")
    return list(dict.fromkeys(kinds))


def make_rows(
    key: jax.Array,
    synth: SyntheticSet,
    data: Data | GraphData,
    kinds: Sequence[str],
    *,
    labels: Callable[[SyntheticSet], SyntheticSet] = lambda real: real,
    baselines: Mapping[str, Baseline] = BASELINES,
    content: Any = Pixels,
    ranks: Ranks | None = None,
    counts: np.ndarray | None = None,
) -> dict[str, Callable[[int], Any]]:
    """For every name of a row, the function from a seed to what networks of that row learn from, most often a set.

    Args:
      kinds: the names of the rows, keys of `baselines`.
      key, synth, data, labels, content, ranks, counts: the fields of the `Comparison` that the rows may use.

    Raises BadInput where the data or the set do not allow one of the rows.
    """
    comparison = Comparison(key, synth, data, labels, content, ranks, counts)
    return {kind: baselines[kind].make(comparison) for kind in kinds}

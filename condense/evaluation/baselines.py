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
from condense.data.images import Data
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
    """Everything that the function of a row may use.

    Args:
      key: of the evaluation.
      synth: the set, with labels that networks can be trained on.
      data: where real examples come from.
      labels: gives drawn examples the set's kind of labels, see `condense.evaluation.teaching.teach`.
      content: what encodes real examples; None where the rows make their own, as graphs do.
      ranks: the log of proxies, for the rows that read it.
      counts: how many of every class; by default as many as the set costs.
    """

    key: jax.Array
    synth: SyntheticSet
    data: Any
    labels: Callable[[SyntheticSet], SyntheticSet]
    content: Any = Pixels
    ranks: Ranks | None = None
    counts: np.ndarray | None = None

    def key_of(self, seed: int) -> jax.Array:
        """The random key of a seed, the same for every row and network."""
        return jax.random.fold_in(jax.random.fold_in(self.key, DRAW), seed)

    def real(self, examples: Examples, *, kind: type | None = None, content: Any = None) -> SyntheticSet:
        """Makes a set of real examples, stored as those of the comparison or by another content. Labels are class indices, or centred
        one-hot rows if the set's labels are regression values (or if `kind` is `Target`)."""
        hard = Hard(jnp.asarray(examples.y), len(self.data.classes))
        labels = Target(centred(hard.index, hard.classes)) if (kind or type(self.synth.y)) is Target else hard
        return SyntheticSet((content or self.content).encode(jnp.asarray(examples.x)).store(), labels)

    def at_budget(self, kind: str, choose: Callable, *, cells: int = 1) -> Draw:
        """Chooses as many real training examples as the set's budget allows, drawn anew for every seed. `choose(key, labels, count)` gives
        the indices of `count` examples of every class. With `cells` above 1 these are combined into as many collages of cells x cells.

        Raises BadInput where the data has fewer training examples of a class than the set.
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
        """Returns a function of (seed -> indices of training examples, seed, cells) that gives these examples, or collages of them, as a
        set with labels. It keeps the last set in memory."""

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
      recipe: the name of the recipe that trains on it, where it has one of its own because it is all training examples.
      best: of a row in the content that is best for it (`condense.evaluation.best`), the row that it is otherwise.
      facts: set -> what its examples depend on beside the data and the seeds, as values of JSON. Where nothing says that, its scores are
        kept for no other call.
      protocol: what scores it, where that is not the call's recipe nor one with a name.
      ranked: whether it reads the log of proxies, on which its facts then depend too.
    """

    make: Callable[[Comparison], Callable[[int], Any]]
    real: bool = False
    recipe: str = ""
    facts: Callable[[SyntheticSet], Facts] | None = None
    protocol: Protocol | None = None
    ranked: bool = False
    best: str = ""


def the_set(comparison: Comparison) -> Draw:
    """The set itself, for every seed."""
    return lambda seed: comparison.synth


def random(comparison: Comparison) -> Draw:
    """Random training examples."""
    return comparison.at_budget("random", choose_random)


def random_2x2(comparison: Comparison) -> Draw:
    """Collages of 2x2 random training images, of which networks see one at a time, as those of method `pca`."""
    return comparison.at_budget("random_2x2", choose_random, cells=2)


def kmeans(comparison: Comparison) -> Draw:
    """The training examples nearest to the centres of their class, as many centres as the set has examples of it."""

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
    """The training examples whose running mean follows that of their class, on pixels: the same for every seed."""

    def choose(key: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
        x = take_all(comparison.data.train).x
        return choose_herding(x.reshape(len(x), -1), labels, count)

    return comparison.at_budget("herding", choose)


def by_score(rule: str) -> Callable[[Comparison], Draw]:
    """The row of the training examples of every class that proxies find easiest or hardest: the same for every seed."""

    def row(comparison: Comparison) -> Draw:
        score = scores(comparison.ranks, ROW_SCORE)

        def choose(key: jax.Array, labels: np.ndarray, count: int) -> np.ndarray:
            return keep(key, rule, score, labels, dict.fromkeys(range(int(labels.max()) + 1), count)).index

        return comparison.at_budget(rule, choose)

    return row


def noise(comparison: Comparison) -> Draw:
    """No examples but noise, N(0, 1) in model space, with the set's number of every class: what labels alone teach."""
    counts = row_counts(comparison.synth)
    y = np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    def draw(seed: int) -> SyntheticSet:
        x = draw_noise(comparison.key_of(seed), (len(y), *comparison.data.image))
        return comparison.labels(comparison.real(Examples(x, y)))

    return draw


def everything(comparison: Comparison) -> Draw:
    """All training examples with their class indices."""
    usual = MODALITIES[comparison.data.modality].content
    encode = partial(comparison.real, kind=Hard, content=usual and usual(comparison.data))
    train = comparison.data.train
    return (lambda seed: encode(take_all(train))) if train.in_memory else lambda seed: StreamedSet(Blocks(train), encode)


def count_facts(synth: SyntheticSet) -> Facts:
    """The number of examples of every class, on which a row at the set's budget depends, and what they are stored as."""
    stored = stored_as(synth.x)
    return {"counts": row_counts(synth).tolist(), **({"stored": stored} if stored else {})}


def ranks_facts(ranks: Ranks) -> Facts:
    """The log and the score by which examples are chosen."""
    return {"ranks": ranks.identity(), "by": name_score(ROW_SCORE, ranks)}


def no_facts(synth: SyntheticSet) -> Facts:
    """Nothing, for a row of all training examples."""
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
    """The names of the rows that a call asks for, each once. Raises BadInput for an unknown name, and for none."""
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
    """For every kind of row, the function from a seed to what the row trains on. The arguments are those of `Comparison`; errors are those
    of the rows."""
    comparison = Comparison(key, synth, data, labels, content, ranks, counts)
    return {kind: baselines[kind].make(comparison) for kind in kinds}

"""Data sets of graphs, on which graph methods train and score.

Test graphs are those of a published fold (`?fold=K`) or a tenth drawn by `?split=N` (0), whatever the seed of a run; validation graphs are
cut from the rest by that seed. With `?unique=true` graphs that look like an earlier one are in none of these parts. Degrees are counted on
the whole graph, so no split changes them.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from condense.data.alike import looks_of, repeats
from condense.data.graph_rows import ChangedGraphs, GraphRows, GraphView, digest_of_graphs, pieces
from condense.data.readers.base import Spec
from condense.data.readers.graph_source import GraphSource
from condense.data.readers.source import stratified
from condense.data.spec import absolute
from condense.runtime.log import note
from synth.errors import BadInput
from synth.graphs.base import Alphabet, Graphs
from synth.images.preprocess import Nothing, Preprocess
from synth.set import SyntheticSet

TEST = 0.1  # of the graphs, where no published fold says which
TAGS = 1 << 20  # a tag and a degree together are a number below this


@dataclass(frozen=True, eq=False)
class GraphData:
    """Graphs of a data set, split into training, validation and test graphs.

    Args:
      spec, name: what was asked for, and a short name.
      classes: class names in the order of the labels.
      image: the alphabet, what networks are built for.
      digest: of the contents, before any split. seed: of the validation split.
      source: all graphs, as networks read them. rows: which are for training, for validation and for the test.
      located: `spec` with absolute paths, where it has relative ones. drawn: nothing, as tables of graphs say other things.
    """

    spec: str
    name: str
    classes: tuple[str, ...]
    image: Alphabet
    digest: str
    seed: int
    source: GraphSource = field(repr=False)
    rows: tuple[np.ndarray, np.ndarray, np.ndarray] = field(repr=False)
    preprocess: Preprocess = field(default_factory=Nothing)
    flips: bool = False
    located: str = ""
    modality: ClassVar[str] = "graphs"
    drawn: ClassVar[str] = ""

    def __repr__(self) -> str:
        counts = "{:,} for training, {:,} for validation, {:,} for the test".format(*map(len, self.rows))
        return f"GraphData({self.spec}: graphs, {len(self.classes)} classes; {counts})"

    @cached_property
    def train(self) -> GraphView:
        """Training graphs without the validation split."""
        return self._part(0)

    @cached_property
    def val(self) -> GraphView:
        """The validation graphs, cut from those that are not for the test: options and epochs are chosen by scores on these."""
        return self._part(1)

    @cached_property
    def test(self) -> GraphView:
        """The test graphs, for the final score only."""
        return self._part(2)

    @property
    def trained_on(self) -> str:
        """A text with the number of training graphs after the validation split, and eight hexadecimal digits of a digest of their numbers.
        Different splits give different texts."""
        return f"{len(self.rows[0])} graphs ({hashlib.sha256(np.asarray(self.rows[0], np.int64).tobytes()).hexdigest()[:8]})"

    def under(self, preprocess: Preprocess) -> "GraphData":
        """Returns the data unchanged, because graphs have no preprocessing."""
        return self

    def _part(self, part: int) -> GraphView:
        return GraphView(self.source.rows, self.rows[part], len(self.classes), self.image)


def build(spec: Spec, source: GraphSource, *, seed: int, validation: float) -> GraphData:
    """Tags the graphs of a source and splits them. Where the source names no test graphs, a tenth is drawn, by the option `split` (0).

    Args:
      spec: what was asked for; its options say what tags and edge labels are made of, and which graphs are for the test.
      seed: draws the validation split.
      validation: fraction of the graphs that are not for the test which go to the validation, every class in proportion.

    Raises BadInput where a class is left without training graphs.
    """
    rows, y = source.rows, source.rows.y
    if spec.options.get("degree", not source.tagged):
        rows = with_degrees(spec.text, rows, tagged=source.tagged)
    if not spec.options.get("edges", True):
        rows = ChangedGraphs(rows, lambda graphs: graphs._replace(labels=np.zeros_like(graphs.labels)))
    source = source._replace(rows=rows)
    kept = different(spec.text, rows) if spec.options.get("unique") else np.arange(len(y))
    test = kept[stratified(y[kept], round(TEST * len(kept)), seed=spec.options.get("split", 0))] if source.test is None else source.test
    test, rest = np.intersect1d(test, kept), np.setdiff1d(kept, test)
    val = rest[stratified(y[rest], round(validation * len(rest)), seed=seed)]
    train = np.setdiff1d(rest, val)
    if len(np.unique(y[train])) < len(source.classes):
        raise BadInput(f"{spec.text}: a class is left without training graphs; use another fold or split, or more graphs")
    alphabet = alphabet_of(rows)
    if alphabet.directed:
        note(f"{spec.text}: some edges stand there in one direction only, so the graphs are read as directed")
    return GraphData(
        spec.text,
        spec.name,
        source.classes,
        alphabet,
        digest_of_graphs(rows, source.classes),
        seed,
        source,
        (train, val, test),
        located=absolute(spec),
    )


def different(spec: str, rows: GraphRows) -> Int[np.ndarray, " n"]:
    """The numbers, ascending, of the graphs that do not look like an earlier one (`looks_of`). A note counts the others."""
    found = looks_of(rows)
    repeated, contradicted = repeats(found, rows.y)
    left = f"{repeated:,} of {len(found):,} graphs look like an earlier one and are left out"
    note(f"{spec}: {left}, {contradicted:,} of them with another label")
    return np.sort(np.unique(found, return_index=True)[1])


def with_degrees(spec: str, rows: GraphRows, *, tagged: bool) -> ChangedGraphs:
    """The graphs with the degree of a node as its tag; where `tagged`, every combination of its own tag and degree is a tag. Raises
    BadInput where that gives too many tags."""
    kinds = 1 + max(int(piece.degrees().max(initial=0)) for piece in pieces(rows))
    if tagged and alphabet_of(rows).tags * kinds > TAGS:
        raise BadInput(f"{spec}: degree=true gives more than {TAGS} tags; leave it out")

    def tag(graphs: Graphs) -> Graphs:
        degree = graphs.degrees()
        return graphs._replace(tags=(graphs.tags * kinds + degree if tagged else degree).astype(np.int32))

    return ChangedGraphs(rows, tag)


def alphabet_of(rows: GraphRows) -> Alphabet:
    """The smallest alphabet that holds all tags and edge labels; directed where some edge has no partner in the other direction."""
    found = [Alphabet(int(piece.tags.max()) + 1, int(piece.labels.max(initial=0)) + 1, _directed(piece)) for piece in pieces(rows)]
    return Alphabet(*(max(facts) for facts in zip(*found, strict=True)))


def _directed(graphs: Graphs) -> bool:
    """Whether some edge has no partner in the other direction."""
    there, back = (np.stack([a, b, graphs.labels], 1) for a, b in ((graphs.senders, graphs.receivers), (graphs.receivers, graphs.senders)))
    return not np.array_equal(there[np.lexsort(there.T)], back[np.lexsort(back.T)])


def check_examples(synth: SyntheticSet, data: GraphData) -> str:
    """Says in words how the set's graphs differ from the data's in the numbers of tags and edge labels; an empty text if they do not
    differ."""
    if synth.x.alphabet[:2] == data.image[:2]:
        return ""
    was, now = (f"{a.tags} tags and {a.edges} edge labels" for a in (synth.x.alphabet, data.image))
    return f"its graphs have {now}, the set's {was}"

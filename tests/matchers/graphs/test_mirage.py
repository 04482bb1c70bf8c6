"""Mirage and the colour graph: what they keep, in how many bytes, and that a training draws by frequency."""

import os
import re
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from condense.data.load import load_data
from condense.workflows import distill as api
from evals.retrain_graphs import draw_shares, shares
from matchers.graphs.colour import colour
from matchers.graphs.itemsets import Frequent, mine, mine_top
from matchers.graphs.mirage import Wood, mirage, premise, transactions
from synth.base import take_all
from synth.errors import BadInput
from synth.files.format import save_set
from synth.graphs.base import Alphabet, GraphExamples, Graphs
from synth.graphs.refinement import evaluations, refine, trees
from synth.graphs.trees import Tree, count_nodes
from tests.support.places import ROOT
from tests.support.toy_graphs import empty, renamed, some_examples, to_text

TU = os.environ.get("CONDENSE_TU")  # folder with NCI1.txt and the like
needs_tu = pytest.mark.skipif(not TU, reason="CONDENSE_TU names no folder with graphs of the TU collection")


@pytest.fixture(scope="module")
def toy():
    return load_data("toy_graphs")


def made(method, data, **changes):
    return method.step(jax.random.key(0), (), empty(data), take_all(data.train)._replace(**changes))[0]


def sets_of(content) -> list:
    """Sets as text with their frequencies."""
    tree_sets = content.tree_sets()
    return [(sorted(to_text(tree_sets.trees[item], content.depth) for item in items), frequency) for items, frequency in tree_sets.sets]


def held_texts(examples, depth: int, *, exact: bool) -> list[set[str]]:
    """The trees of every graph, as text."""
    colours = refine(examples.x, depth, degrees=exact)
    texts = [to_text(tree, depth) for tree in trees(colours, np.arange(len(colours.first[-1])))]
    held = [set() for _ in examples.y]
    for graph, kind in zip(examples.x.graph, colours.rounds[-1], strict=True):
        held[graph].add(texts[kind])
    return held


@pytest.mark.parametrize("leaves", ("mean", "exact"))
def test_frequencies_are_those_of_the_training_graphs(toy, leaves):
    synth = made(mirage(None, support=(20,), leaves=leaves), toy)
    found, counts = sets_of(synth.x), np.asarray(synth.y.counts)
    assert len(found) == counts.sum() > 8 and np.array_equal(synth.y.sizes, take_all(toy.train).sizes())
    held = held_texts(take_all(toy.train), 2, exact=leaves == "exact")
    for at, (chosen, frequency) in enumerate(found):
        mine_too = [set(chosen) <= held[g] for g in np.flatnonzero(toy.train.y == int(at >= counts[0]))]
        assert frequency == sum(mine_too) >= 20


def test_names_and_order_of_nodes_do_not_matter(toy):
    other, _ = renamed(take_all(toy.train).x)
    for options in ({"support": (20, 25)}, {"support": (25,), "leaves": "mean"}):
        first, second = made(mirage(None, **options), toy), made(mirage(None, **options), toy, x=other)
        assert np.array_equal(first.x.payload, second.x.payload)
    backward = np.arange(len(toy.train.y))[::-1]
    assert np.array_equal(
        made(mirage(None, support=(20,)), toy, **toy.train.take(backward)._asdict()).x.payload,
        made(mirage(None, support=(20,)), toy).x.payload,
    )


@pytest.mark.parametrize("items", ("set", "multiset"))
def test_the_order_of_all_graphs_and_nodes_does_not_matter_where_sets_are_equally_frequent(toy, items):
    """The whole data set shuffled, graphs and nodes: the same payload, though a budget cuts between sets that equally many graphs hold."""
    held = transactions(refine(take_all(toy.train).x, 2, degrees=True), take_all(toy.train), items=items)
    kinds = len(refine(take_all(toy.train).x, 2, degrees=True).first[-1])
    supports = [[one.support for one in mine_top(graphs, 12, kinds=kinds)] for graphs in held]
    tied = next(at for at in range(1, 12) if any(row[at - 1] == row[at] for row in supports))
    wanted = made(mirage(("ipc", tied), items=items), toy)
    limit = wanted.x.nbytes() + wanted.y.nbytes()
    shuffled = toy.train.take(np.random.default_rng(3).permutation(len(toy.train.y)))
    shuffled = shuffled._replace(x=renamed(shuffled.x, 4)[0])
    for budget, options in ((("ipc", tied), {}), (("bytes", limit), {}), (None, {"support": (supports[0][tied], supports[1][tied])})):
        one, two = (made(mirage(budget, items=items, **options), toy, **changes) for changes in ({}, shuffled._asdict()))
        assert np.array_equal(one.x.payload, two.x.payload) and np.array_equal(one.y.counts, two.y.counts)
        assert budget is None or np.array_equal(one.x.payload, wanted.x.payload)


def test_a_budget_in_bytes_is_kept_and_used(toy):
    for limit in (80, 200, 400):
        synth = made(mirage(("bytes", limit)), toy)
        assert limit - 30 < synth.x.nbytes() + synth.y.nbytes() <= limit
        assert len(set(np.asarray(synth.y.counts).tolist())) == 1
    assert np.asarray(made(mirage(("ipc", 7)), toy).y.counts).tolist() == [7, 7]
    assert np.asarray(made(mirage(("size", 6)), toy).y.counts).tolist() == [3, 3]


def released(examples, support) -> list[dict[frozenset[str], int]]:
    """frigategnn/Mirage, NCI1/graph-nci-finalize-reduce-curr.py: sets of trees by class, mined at thresholds, those that are in both
    classes left out. Mined here by trying all sets of up to five of the frequent trees."""
    held = held_texts(examples, 2, exact=False)
    mined = []
    for c, least in enumerate(support):
        graphs = [held[g] for g in np.flatnonzero(examples.y == c)]
        frequent = [tree for tree in set().union(*graphs) if sum(tree in graph for graph in graphs) >= least]
        sets = {frozenset(one) for size in range(1, 6) for one in combinations(frequent, size)}
        counts = {one: sum(one <= graph for graph in graphs) for one in sets}
        mined.append({one: count for one, count in counts.items() if count >= least})
        assert max(map(len, mined[-1])) < 5
    return [{one: count for one, count in mined[c].items() if one not in mined[1 - c]} for c in range(2)]


def test_shared_sets_are_dropped_as_released(toy):
    """Of thresholds: what the release's loop leaves. Sets of others are kept, with their frequencies."""
    examples, support = take_all(toy.train), (45, 45)
    kept = made(mirage(None, support=support, leaves="mean"), toy)
    dropped = made(mirage(None, support=support, leaves="mean", shared="drop"), toy)
    want = released(examples, support)
    found = [(frozenset(trees), frequency) for trees, frequency in sets_of(dropped.x)]
    first = int(dropped.y.counts[0])
    assert [dict(found[:first]), dict(found[first:])] == want and len(found) == int(dropped.y.counts.sum())
    assert 0 < len(found) < int(kept.y.counts.sum()), "some are shared"


def test_a_set_of_one_class_alone_stays_with_trees_of_both():
    """Of {A}, {B}, {A, B} and {A}, {C}, {A, C} the release's loop leaves out {A}: sets are compared, not their trees."""
    both = [[Frequent(one, 3) for one in ((0,), (other,), (0, other))] for other in (1, 2)]
    kept = Wood.kept(SimpleNamespace(shared="drop"), both)
    assert [[one.items for one in sets] for sets in kept] == [[(1,), (0, 1)], [(2,), (0, 2)]]
    assert Wood.kept(SimpleNamespace(shared=None), both) is both


@pytest.mark.slow
def test_classes_of_the_same_graphs_have_no_set_of_their_own(toy):
    twice = toy.train.take(np.repeat(np.arange(40), 2))._asdict() | {"y": np.tile(np.array([0, 1], np.int32), 40)}
    for budget, support, words in (
        (None, (10,), "--shared drop: every set of class 0 is frequent in another class too; give a smaller --support"),
        (("ipc", 1), None, "--shared drop: every set of class 0 is in another class too; leave --shared out"),
        (("bytes", 200), None, "--bytes 200: does not hold one set of trees a class that is in no other class; give more"),
    ):
        with pytest.raises(BadInput, match=re.escape(words)):
            made(mirage(budget, support=support, leaves="mean", shared="drop"), toy, **twice)


@pytest.mark.parametrize("budget", [("ipc", 4), ("bytes", 200), ("bytes", 90)])
def test_a_budget_holds_sets_of_one_class_alone(toy, budget):
    """As many or as many bytes as with the shared ones, and none of these; the most frequent first."""
    plain, apart = (made(mirage(budget, leaves="mean", shared=shared), toy) for shared in (None, "drop"))
    first = int(apart.y.counts[0])
    ours = [{frozenset(trees) for trees, _ in part} for part in (sets_of(apart.x)[:first], sets_of(apart.x)[first:])]
    assert all(ours) and not ours[0] & ours[1]
    size = apart.x.nbytes() + apart.y.nbytes()
    assert apart.y.counts.tolist() == [4, 4] if budget[0] == "ipc" else size <= budget[1]
    kept = [
        {frozenset(trees) for trees, _ in part}
        for part in (sets_of(plain.x)[: int(plain.y.counts[0])], sets_of(plain.x)[int(plain.y.counts[0]) :])
    ]
    assert kept[0] & kept[1], "without it some are in both"


def test_bytes_that_hold_no_set_of_one_class_alone_are_refused(toy):
    with pytest.raises(BadInput, match="--bytes 24: does not hold one set of trees a class that is in no other class; give more"):
        made(mirage(("bytes", 24), leaves="mean", shared="drop"), toy)


def test_smaller_thresholds_keep_more_and_a_larger_budget_the_more_frequent_first(toy):
    few, many = (sets_of(made(mirage(None, support=(theta,)), toy).x) for theta in (30, 20))
    assert len(few) < len(many) and all(one in many for one in few)
    top = [frequency for _, frequency in sets_of(made(mirage(("ipc", 5)), toy).x)]
    examples = take_all(toy.train)
    every_transaction = transactions(refine(examples.x, 2, degrees=True), examples)
    every = [[one.support for one in mine(held, 20)] for held in every_transaction]
    assert top == [support for supports in every for support in sorted(supports, reverse=True)[:5]]


def test_multisets_count_how_often_a_tree_is_there(toy):
    """Sets are the multisets without repetition; a repetition is as frequent as counting says, and no more than the set without it."""
    plain, multi = (made(mirage(None, support=(30,), leaves="mean", items=items), toy) for items in ("set", "multiset"))
    both = {
        c: [one for one, of in zip(sets_of(synth.x), np.repeat([0, 1], synth.y.counts), strict=True) if of == c]
        for c, synth in ((0, multi), (1, multi))
    }
    once = [one for rows in both.values() for one in rows if len(set(one[0])) == len(one[0])]
    assert sorted(map(str, once)) == sorted(map(str, sets_of(plain.x)))
    repeated = [one for rows in both.values() for one in rows if len(set(one[0])) < len(one[0])]
    assert repeated
    colours = refine(take_all(toy.train).x, 2)
    wood = Wood(take_all(toy.train), colours, "multiset")
    for held in wood.transactions:
        found = {one.items: one.support for one in mine(held, 30, kinds=wood.kinds)}
        for one in mine(held, 30, kinds=wood.kinds):
            again = [item for item in one.items if item >= wood.kinds and item + wood.kinds not in one.items]
            assert all(one.support <= found[tuple(other for other in one.items if other != item)] for item in again)
            times = {colour: sum(item % wood.kinds == colour for item in one.items) for colour in {item % wood.kinds for item in one.items}}
            assert one.support == sum(all(sum(i % wood.kinds == c for i in graph) >= n for c, n in times.items()) for graph in held)


@pytest.mark.parametrize("c", (0, 1))
def test_the_largest_support_that_works_is_named(toy, c):
    """It is that of the commonest tree; one more is refused, although the other class still has sets."""
    held = transactions(refine(take_all(toy.train).x, 2, degrees=True), take_all(toy.train))
    top = [max(Counter(item for graph in graphs for item in graph).values()) for graphs in held]
    asked = [1 + top[c] if at == c else top[at] for at in range(2)]
    with pytest.raises(BadInput, match=rf"--support {asked[c]}: .* class {c}; the largest that works there is {top[c]}$"):
        made(mirage(None, support=tuple(asked)), toy)
    assert (np.asarray(made(mirage(None, support=tuple(top)), toy).y.counts) > 0).all()


def test_a_threshold_for_all_classes_is_a_number(toy):
    one, two = (api.distill("mirage", toy, support=support) for support in (30, (30,)))
    assert np.array_equal(one.x.payload, two.x.payload)
    for support in ("many", (40, 2.5), 0):
        with pytest.raises(BadInput, match=r"--support .*: give a whole number of at least 1"):
            api.distill("mirage", toy, support=support)


def test_many_copies_of_a_tree_are_not_exponentially_many_sets():
    """Paths of 200 nodes with one tag: the multisets of their three trees, where choices among the copies would be 2^200."""
    path, n, g = np.arange(199, dtype=np.int32), 200, 4
    one = np.concatenate([path, path + 1]), np.concatenate([path + 1, path])
    ends = [np.concatenate([side + n * at for at in range(g)]).astype(np.int32) for side in one]
    graphs = Graphs(np.full(g, n, np.int32), np.zeros(n * g, np.int32), *ends, np.zeros(len(ends[0]), np.int32))
    paths = GraphExamples(graphs, np.arange(g, dtype=np.int32) % 2, 2, Alphabet(1))
    found = Wood(paths, refine(graphs, 2), "multiset").choose(None, (2,))
    assert [len(sets) for sets in found] == [3 * 3 * 197 - 1] * 2  # up to 2 ends, 2 next to an end, 196 between them


def test_a_class_without_a_set_is_refused(toy, monkeypatch):
    monkeypatch.setattr(sys.modules["matchers.graphs.mirage"], "mine_top", lambda held, count, **options: [])
    with pytest.raises(BadInput, match="class 0 holds more equally frequent sets of trees than can be mined; try a smaller --depth"):
        made(mirage(("ipc", 1)), toy)


def test_trees_that_grow_beyond_what_can_be_read_back_are_refused(monkeypatch, toy):
    monkeypatch.setattr(sys.modules["matchers.graphs.mirage"], "MOST", 40)
    with pytest.raises(BadInput, match=r"the frequent trees have [0-9]+ nodes, more than 40; try a smaller --depth"):
        made(mirage(None, support=(20,)), toy)
    kept = sets_of(made(mirage(("bytes", 400), leaves="mean"), toy).x)
    assert 0 < sum(len(re.findall("[0-9]+", text)) for text in {text for texts, _ in kept for text in texts}) <= 40


def test_nodes_of_trees_are_counted():
    leaf = Tree(1)
    twice = Tree(2, 2, ((0, leaf), (0, leaf)))
    assert count_nodes([leaf, twice, Tree(3, 2, ((0, twice), (1, twice)))]) == 1 + 3 + 7


def test_sampling_is_by_frequency_within_a_class_and_by_size_between_classes():
    y, frequency, sizes = np.array([0, 0, 0, 1, 1]), np.array([50.0, 30, 20, 9, 1]), np.array([300.0, 100])
    p = shares(y, frequency, sizes)
    np.testing.assert_allclose(p, [0.375, 0.225, 0.15, 0.225, 0.025], atol=1e-6)
    times = np.rint(np.asarray(draw_shares(jax.random.key(3), jnp.asarray(p), 4000), np.float64) * 4000)
    assert chisquare(times, p.astype(np.float64) / p.sum(dtype=np.float64) * times.sum()).pvalue > 0.01
    assert chisquare(times).pvalue < 1e-9  # uniform it is not


def test_the_premise_is_measured_and_a_weak_one_warned_of():
    uniform = some_examples(0, count=80, tags=40, most=12)
    said = premise(uniform, 2)
    assert said[0].startswith("skew: the 10 commonest of ") and said[1].startswith("warning: that is below 20 %")
    assert len(premise(take_all(load_data("toy_graphs").train), 1)) == 1


def test_the_skew_is_that_of_the_trees_that_are_mined():
    """Counted on the trees of all nodes."""
    examples = some_examples(1, count=60, tags=2, most=9)
    shares = {}
    for leaves in ("mean", "exact"):
        colours = refine(examples.x, 2, degrees=leaves == "exact")
        times = Counter(trees(colours, colours.rounds[-1]))
        shares[leaves] = 100 * sum(sorted(times.values())[-10:]) / times.total()
        (said,) = mirage(("ipc", 1), leaves=leaves).remarks(examples)[:1]
        assert said == f"skew: the 10 commonest of {len(times):,} trees of depth 2 are those of {shares[leaves]:.1f} % of all nodes"
    assert shares["exact"] < shares["mean"] - 1


@pytest.mark.parametrize(("tags", "advice"), [(12, "try another method"), (4, "try --depth 1 or another method")])
def test_only_a_depth_at_which_the_premise_holds_is_advised(tags, advice):
    """Two rings of nodes with random tags: few tags give few trees of depth 1, and many of depth 2."""
    n = 400
    ends = (
        np.arange(n, dtype=np.int32),
        np.concatenate([np.roll(np.arange(n // 2), 1), n // 2 + np.roll(np.arange(n // 2), 1)]).astype(np.int32),
    )
    graphs = Graphs(
        np.array([n // 2] * 2, np.int32),
        np.random.default_rng(0).integers(0, tags, n).astype(np.int32),
        *(np.concatenate([a, b]) for a, b in (ends, ends[::-1])),
        np.zeros(2 * n, np.int32),
    )
    rings = GraphExamples(graphs, np.arange(2, dtype=np.int32), 2, Alphabet(tags))
    said = [premise(rings, depth) for depth in (1, 2, 3)]
    assert [len(lines) for lines in said] == ([2, 2, 2] if advice == "try another method" else [1, 2, 2])
    assert all(lines[1].endswith(f"; {advice}") for lines in said[1:])


def test_the_description_of_the_file_reads_it(toy, tmp_path, monkeypatch):
    """The program in docs/graphs.md, which knows numpy alone, finds the sets that this library finds."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "graphs.md").read_text(), re.S)
    for leaves in ("mean", "exact"):
        synth = api.distill("mirage", toy, bytes=300, leaves=leaves)
        save_set("set.npz", synth)
        found, tree_sets = {}, synth.x.tree_sets()
        exec(code, found)
        found["file"].close()  # its functions keep it alive until the garbage collector finds it open

        def same(tree, other):
            tag, degree, below = other
            alike = [label == mine and same(child, its) for (mine, child), (label, its) in zip(tree.children, below, strict=True)]
            return tree.tag == tag and tree.degree == (-1 if degree is None else degree) and all(alike)

        assert all(same(*pair) for pair in zip(tree_sets.trees, found["trees"], strict=True))
        assert [(frequency, list(items)) for items, frequency in tree_sets.sets] == found["sets"]
        assert found["degrees"] == tree_sets.leaves and found["classes"].tolist() == np.asarray(synth.y.index()).tolist()


def test_wrong_calls_say_what_would_be_right(toy):
    for budget, options in ((None, {}), (("ipc", 2), {"support": (3,)})):
        with pytest.raises(BadInput, match=r"give either --support .* or one of --ipc, --size and --bytes"):
            mirage(budget, **options)
    for method, message in (
        (mirage(("bytes", 20)), "--bytes 20: does not hold one set of trees a class"),
        (mirage(None, support=(1, 2, 3)), "--support: 3 thresholds for 2 classes"),
        (mirage(None, support=(10**6,)), "--support 1000000: no set of trees is so frequent"),
        (
            mirage(None, support=(1, 5000)),
            r"--support 5000: no set of trees is so frequent in class 1; the largest that works there is [0-9]+",
        ),
        (mirage(("size", 3)), "--size 3: not a multiple of the 2 classes"),
    ):
        with pytest.raises(BadInput, match=message):
            made(method, toy)
    with pytest.raises(BadInput, match="--ipc 3: colour loses nothing"):
        colour(("ipc", 3))
    with pytest.raises(BadInput, match="--depth 99: at most 16"):
        mirage(("ipc", 1), depth=99)


def test_a_colour_graph_holds_every_graph_class_after_class(toy):
    synth = made(colour(None, depth=2), toy)
    synth.x.check()
    assert len(synth) == len(toy.train.y) and np.array_equal(synth.y.counts, take_all(toy.train).sizes())
    for changes in (
        {"senders": synth.x.senders.at[0].set(10**6)},
        {"levels": synth.x.levels.at[0].add(1)},
        {"times": synth.x.times.at[0].set(-1)},
    ):
        with pytest.raises(ValueError):
            synth.x._replace(**changes).check()
    assert replace(synth, info=None).bare() is not None


@needs_tu
def test_nci1_is_as_it_was_measured_elsewhere():
    """Distinct trees, frequent sets and evaluations of all 4,110 graphs; a change means that other trees are told apart, or sets lost."""
    data = load_data(f"tu:{Path(TU) / 'NCI1.txt'}")
    examples = GraphExamples(take_all(data.source.rows), data.source.rows.y, len(data.classes), data.image)
    assert (len(examples.y), data.image.tags) == (4110, 37)
    began = time.process_time()
    three = refine(examples.x, 3)
    assert time.process_time() - began < 1
    two = refine(examples.x, 2)
    assert len(two.first[-1]) == 4058 and len(three.first[-1]) == 22948
    assert evaluations(two) == (368241, 4387) and evaluations(three) == (490988, 27335)
    held = transactions(two, examples)
    began = time.process_time()
    found = [mine(held[c], theta) for c, theta in ((0, 460), (1, 590), (1, 200))]
    assert time.process_time() - began < 0.1
    assert [len(sets) for sets in found] == [14, 15, 356]
    assert [max(len(one.items) for one in sets) for sets in found[:2]] == [3, 2]

"""Scores on graphs: areas under the curve, the epoch that is chosen, rows at equal bytes, and the command line."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import condense
from condense import nets
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.evaluation.graphs import draw_random, full_batch, prepare, read_as_colours, same_shapes, weighted_batch
from evals.graph_size import mean_sizes, size_scores
from evals.recipes import RECIPES
from evals.report import Report
from evals.retrain_graphs import GraphTrainer, WeightedBatch, make_graph_trainer, retrain_graphs, roc_auc, shares
from evals.retraining import EvalRecipe
from evals.storage import count_bytes
from synth.base import Vars, take_all
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set, save_set
from synth.graphs.base import Graphs, batch_of, sizes_of
from synth.labels.plain import Runs
from synth.training.fit import adam

NET = "gin:width=4"
TU = os.environ.get("CONDENSE_TU")  # folder with NCI1.txt and the like
QUICK = EvalRecipe("tiny", 4, lr=0.01, weight_decay=0.0, batch=6, optimizer="adam", schedule="constant")


@pytest.fixture(scope="module")
def data():
    return load_data("toy_graphs")


@pytest.fixture(scope="module")
def synth(data):
    return condense.distill("mirage", data, bytes=90)


@pytest.mark.parametrize("classes", [2, 3])
def test_areas_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, classes, 60), np.round(rng.normal(size=(60, classes)), 1)  # rounded: some are tied
    margins = np.stack([scores[:, c] - np.delete(scores, c, 1).max(1) for c in range(classes)], 1)
    each = [roc_auc_score(y == c, margins[:, c]) for c in range(classes)]
    assert abs(roc_auc(scores, y) - (each[1] if classes == 2 else np.mean(each))) < 1e-12
    assert np.isnan(roc_auc(scores[:, :2], np.zeros(60, int)))


def test_shares_leave_out_classes_without_examples():
    np.testing.assert_allclose(shares(np.array([0, 0, 2]), np.array([1.0, 3, 5]), np.array([2.0, 7, 6])), [0.0625, 0.1875, 0.75])


def test_a_set_is_learned_by_its_frequencies_and_the_sizes_of_classes(synth):
    learned, tree_sets = weighted_batch(synth, NET), synth.x.tree_sets()
    counts, sizes = np.asarray(synth.y.counts), np.asarray(synth.y.sizes, np.float64)
    frequency = np.array([times for _, times in tree_sets.sets], np.float64)
    of = np.repeat([0, 1], counts)
    assert len(set(frequency)) > 1 and learned.y.tolist() == of.tolist()
    wanted = [f / frequency[of == c].sum() * sizes[c] / sizes.sum() for f, c in zip(frequency, of, strict=True)]
    np.testing.assert_allclose(learned.p, wanted, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [6, 64])
def test_the_epoch_is_the_first_best_on_validation_graphs(data, synth, batch):
    """Against the same training, a step at a time on the host, with examples drawn by their shares where the set is smaller than a batch;
    accuracy and area are those of the chosen network on the test graphs."""
    recipe = replace(QUICK, batch=batch)
    net = nets.build(NET, data.image, 2)
    learned, validation = weighted_batch(synth, NET), (read_as_colours(take_all(data.val), NET), jnp.asarray(data.val.y))
    whole = batch_of(take_all(data.test).x)
    test = [(whole, data.test.y)]
    report = retrain_graphs(
        jax.random.key(0), make_graph_trainer(net, recipe), recipe, lambda seed: learned, validation, test, numbers=(0,)
    )
    key = jax.random.fold_in(jax.random.key(0), 0)
    params, tx = net.init(jax.random.fold_in(key, 0)).params, adam(jnp.float32(0.01))
    opt, scores, kept = tx.init(params), [], []

    @jax.jit
    def step(params, opt, weight):
        def loss(params):
            logits = net.apply(Vars(params), learned.x).logits
            return -jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(len(learned.y)), learned.y] * weight)

        updates, opt = tx.update(jax.grad(loss)(params), opt, params)
        params = jax.tree.map(jnp.add, params, updates)
        return params, opt, net.apply(Vars(params), batch_of(take_all(data.val).x)).logits

    for number in range(QUICK.epochs):
        k_draw = jax.random.fold_in(jax.random.fold_in(key, 1), number)
        drawn = np.bincount(jax.random.categorical(k_draw, jnp.log(learned.p), shape=(batch,)), minlength=len(learned.p)) / batch
        weight = jnp.asarray(drawn, jnp.float32) if batch > QUICK.batch else learned.p
        params, opt, logits = step(params, opt, weight)
        kept.append(params)
        scores.append(float((np.asarray(logits)[: len(data.val.y)].argmax(1) == data.val.y).mean()))
    best = int(np.argmax(scores))
    assert report.epochs == (best + 1,)
    logits = np.asarray(jax.jit(net.apply)(Vars(kept[best]), whole).logits)[: len(data.test.y)]
    assert abs(report.accuracy[0] - (logits.argmax(1) == data.test.y).mean()) < 1e-9
    assert abs(report.auc[0] - roc_auc_score(data.test.y, logits[:, 1] - logits[:, 0])) < 1e-9


@pytest.mark.slow
def test_all_graphs_at_once_are_all_graphs_however_few(data):
    """A step under `graph_full` on forty graphs follows the gradient of their mean loss, taken on the graphs themselves."""
    recipe = replace(RECIPES["graph_full"], epochs=1, lr=1.0, optimizer="sgd", momentum=0.0, schedule="constant")
    few, net = data.train.take(np.arange(40)), nets.build(NET, data.image, 2)
    learned, key = full_batch(few, NET), jax.random.key(0)
    trained = make_graph_trainer(net, recipe).train(key, learned, (learned.x, learned.y), jnp.int32(1))
    start = net.init(jax.random.fold_in(key, 0)).params

    def loss(params):
        logits = net.apply(Vars(params), batch_of(few.x)).logits[: len(few.y)]
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(few.y)), few.y])

    slope = jax.jit(jax.grad(loss))(start)
    for before, after, wanted in zip(*map(jax.tree.leaves, (start, trained.vars.params, slope)), strict=True):
        np.testing.assert_allclose(before - after, wanted, atol=1e-5)


@pytest.mark.slow
def test_a_training_that_diverges_fails(data, synth):
    net, learned = nets.build(NET, data.image, 2), weighted_batch(synth, NET)
    broken = WeightedBatch(learned.x, learned.y, learned.p * jnp.nan)
    wild = replace(QUICK, batch=1)
    with pytest.raises(RunFailed, match="gin trained on the random set under recipe tiny diverged"):
        call = (
            jax.random.key(0),
            make_graph_trainer(net, wild),
            wild,
            lambda seed: broken,
            (learned.x, learned.y),
            [(learned.x, np.asarray(learned.y))],
        )
        retrain_graphs(*call, numbers=(0,), net_name="gin", set_kind="random")


@pytest.mark.slow
def test_random_graphs_are_real_and_cost_what_the_set_costs(data):
    synth = condense.distill("mirage", data, bytes=300)
    total = count_bytes(synth)["total"]
    drawn = [draw_random(jax.random.key(seed), synth, data) for seed in range(3)]
    assert len({bytes(np.asarray(one.x.payload)) for one in drawn}) == 3
    for one in drawn:
        assert total - 40 < count_bytes(one)["total"] <= total
        counts, graphs = np.asarray(one.y.counts), one.x.graphs()
        assert abs(int(counts[0] - counts[1])) <= 20 and counts.min() > 0 and len(graphs.nodes) == counts.sum()
        sizes = {int(n) for n in take_all(data.train).x.nodes}
        assert {int(n) for n in graphs.nodes} <= sizes
    rows = prepare(lambda seed: drawn[seed], NET, 3)
    shapes = [[leaf.shape for leaf in jax.tree.leaves(rows(seed))] for seed in range(3)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert all(abs(float(rows(seed).p.sum()) - 1) < 1e-5 for seed in range(3))
    plain = [weighted_batch(one, NET).x for one in drawn]
    for at in range(len(jax.tree.leaves(sizes_of(plain[0])))):  # as much as the largest draw takes, and no more
        assert jax.tree.leaves(sizes_of(rows(0).x))[at] == max(jax.tree.leaves(sizes_of(one))[at] for one in plain)


def test_random_graphs_that_no_budget_holds_are_refused_before_anything_is_trained(data, monkeypatch):
    small = condense.distill("mirage", data, bytes=32)
    monkeypatch.setattr("evals.retrain_graphs.retrain_graphs", None)  # a training would fail
    with pytest.raises(BadInput, match=r"--rows random: the set's [0-9]+ bytes do not hold a graph of every class; take --rows distilled"):
        condense.evaluate(small, seeds=1, epochs=1)


@pytest.mark.parametrize(
    ("method", "options", "second", "wrong"),
    [
        ("colour", {"leaves": "mean"}, "gcn", "--net gcn.*: reads degrees of leaves"),
        ("colour", {}, "gin:depth=3", "3 layers look further than the set's 2 rounds of colours"),
        ("mirage", {"bytes": 90}, "gin:depth=3", "3 layers look further than the set's trees of depth 2"),
        ("mirage", {"bytes": 90}, "mlp", "the data are graphs, and mlp does not take them"),
    ],
)
def test_every_network_is_checked_before_the_first_is_trained(data, monkeypatch, method, options, second, wrong):
    made = condense.distill(method, data, **options)
    monkeypatch.setattr("condense.evaluation.graphs.make_graph_trainer", lambda *args: GraphTrainer(None, None))
    monkeypatch.setattr("condense.evaluation.graphs.draw_random", None)
    with pytest.raises(BadInput, match=wrong):
        condense.evaluate(made, net=["gin", second], seeds=1, epochs=1)


@pytest.mark.slow
def test_the_estimate_compiles_what_the_evaluation_trains(data, synth, monkeypatch):
    made = []
    monkeypatch.setattr("condense.evaluation.graphs.make_graph_trainer", lambda *args: made.append(make_graph_trainer(*args)) or made[-1])
    condense.evaluate(synth, data=data, net=NET, seeds=2, epochs=2)
    assert [trainer.train._cache_size() for trainer in made] == [2]  # of the set, and of random graphs


@pytest.mark.slow
@pytest.mark.parametrize("split", ("test", "val"))
def test_validation_graphs_that_served_the_maker_are_warned_of(synth, split, capsys, monkeypatch):
    """Whatever is scored, because they choose the epoch."""
    monkeypatch.setattr("condense.evaluation.scoring.run_rows", lambda *args, **options: ())
    for seed, warned in ((3, True), (0, False)):
        condense.evaluate(synth, data=load_data("toy_graphs", seed=seed), split=split)
        said = f"validation graphs cut by seed {seed} may have served a maker that cut by seed 0"
        assert (said in " ".join(capsys.readouterr().err.split())) == warned


def test_an_area_that_is_not_defined_is_null():
    nan = float("nan")
    row = Report("gin", "graph", "full", (0.5, 0.5), 1.0, (0.75, nan), (1, 1)).as_json()
    assert row["auc"] == [0.75, None] and row["auc_mean"] is row["auc_std"] is None
    json.dumps(row, allow_nan=False)


def test_the_full_row_is_all_graphs(data):
    colour = condense.distill("colour", data, leaves="exact")
    one, two = weighted_batch(colour, NET), full_batch(take_all(data.train), NET)
    net = nets.build(NET, data.image, 2)
    vars, apply = net.init(jax.random.key(0)), jax.jit(net.apply)
    ours, theirs = (np.sort(np.asarray(apply(vars, row.x).logits), 0) for row in (one, two))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(one.p, two.p, rtol=1e-5)


def test_sets_are_refused_where_they_cannot_serve(data, synth, tmp_path):
    plain = condense.distill("colour", data)
    digits = condense.distill("random", "digits", ipc=1)
    for call, options, wrong in (
        (plain, {"net": "gcn"}, "--net gcn.*: reads degrees of leaves, which this set does not tell apart; distil with --leaves exact"),
        (synth, {"net": "gin:depth=3"}, "3 layers look further than the set's trees of depth 2; use depth=2"),
        (plain, {"net": "gin:depth=3"}, "3 layers look further than the set's 2 rounds of colours; use depth=2"),
        (synth, {"rows": "kmeans"}, r"--rows: unknown row 'kmeans' \(known for graphs: distilled, random, size, full\)"),
        (synth, {"recipe": "dsa"}, "--recipe dsa:epochs=1: is for images; use graph"),
        (synth, {"teachers": "x"}, "--teachers x: trained networks see images, and the set holds graphs; leave it out"),
        (synth, {"frozen": "x"}, "--frozen x: trained networks see images, and the set holds graphs; leave it out"),
        (synth, {"data": "digits"}, "--data digits: holds images, the set graphs"),
        (synth, {"data": "toy_graphs?degree=true"}, "its graphs have .* tags .*, the set's 3 tags and 2 edge labels"),
        (digits, {"data": "toy_graphs"}, "--data toy_graphs: holds graphs, the set images"),
        (synth, {"best_on_test": True}, "--best-on-test: scores on graphs choose the epoch on validation graphs; leave it out"),
        (synth, {"recipe": "krr", "epochs": None}, "--recipe krr: is for images and vectors; use graph"),
        (synth, {"net": "mlp"}, "the data are graphs, and mlp does not take them"),
    ):
        with pytest.raises(BadInput, match=wrong):
            condense.evaluate(call, **{"seeds": 1, "epochs": 1, **options})
    wrong = replace(synth, y=Runs(synth.y.counts + 1, synth.y.sizes))
    with pytest.raises(BadInput, match=r"labels for .* examples; it is damaged"):
        weighted_batch(wrong, NET)
    cut = replace(synth, x=synth.x._replace(payload=synth.x.payload[:-4]))
    with pytest.raises(RunFailed, match=r"the set is not written: .*payload"):
        save_set(tmp_path / "set.npz", cut)


@pytest.mark.parametrize(("method", "options"), [("mirage", {"bytes": 90}), ("random", {"ipc": 2}), ("colour", {})])
def test_a_file_whose_labels_count_other_examples_is_refused(method, options, data, tmp_path, capsys):
    """Before anything of their number is allocated."""
    made, place = condense.distill(method, data, **options), tmp_path / "set.npz"
    save_set(place, made)
    with np.load(place, allow_pickle=False) as file:
        arrays = dict(file)
    for counts in (np.array([0, 2**31 - 1]), arrays["y/counts"] + 1, np.ones(2, np.int64)):
        np.savez(place, **{**arrays, "y/counts": np.asarray(counts, np.int32)})
        with pytest.raises(BadInput, match=rf"set\.npz: array 'y/counts' counts {counts.sum()} examples; there are {len(made)}"):
            load_set(place)
    assert command(["evaluate", str(place), "--data", "toy_graphs"]) == 2 and "y/counts" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_line_scores_graphs(tmp_path, capsys):
    flags = f"--data toy_graphs --bytes 90 --out {tmp_path / 'a'}"
    assert command(["distill", "mirage", *flags.split()]) == 0
    said = capsys.readouterr()
    assert "skew: the 10 commonest of" in said.err and "set.npz" in said.out
    flags = f"--net {NET},depth=1 --seeds 2 --epochs 3 --json {tmp_path / 'a.json'}"
    assert command(["evaluate", str(tmp_path / "a"), *flags.split()]) == 0
    said = capsys.readouterr()
    out = " ".join(said.out.split())
    assert re.search(r"2 rows of 2 seeds: about [0-9]+ s", said.err)
    assert "epoch chosen on validation graphs" in out and "random" in out
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["bytes"]["total"] <= 90 and found["bytes"]["labels"] == 16 and found["selection"].startswith("epoch with the best")
    assert [row["set_kind"] for row in found["results"]] == ["distilled", "random"] and found["seed"] == 0
    for row in found["results"]:
        assert len(row["accuracy"]) == len(row["auc"]) == len(row["epochs"]) == 2 and all(1 <= epoch <= 3 for epoch in row["epochs"])
        assert abs(row["mean"] - np.mean(row["accuracy"])) < 1e-12 and abs(row["auc_std"] - np.std(row["auc"])) < 1e-12


def test_random_draws_share_shapes_that_are_no_more_than_a_quarter_too_large():
    """Draws of 3 to 40 nodes: each gets a shape that holds it, few shapes serve all, and what is added counts nothing."""
    rng, rows = np.random.default_rng(0), []
    for size in (3, 40, 10, 11, 12, 33, 38, 10):
        line = np.arange(size - 1, dtype=np.int32)
        ends = np.concatenate([line, line + 1]), np.concatenate([line + 1, line])
        tags = rng.integers(0, 2, size).astype(np.int32)
        graphs = Graphs(np.array([size], np.int32), tags, *ends, np.zeros(2 * size - 2, np.int32))
        exact = batch_of(graphs, nodes=size, edges=2 * size - 2)
        rows.append(WeightedBatch(exact, jnp.zeros(1, jnp.int32), jnp.ones(1, jnp.float32)))
    filled = same_shapes(rows)
    for before, after in zip(rows, filled, strict=True):
        for a, b in zip(jax.tree.leaves(sizes_of(after.x)), jax.tree.leaves(sizes_of(before.x)), strict=True):
            assert b <= a <= 1.25 * b
        assert float(after.x.times.sum()) == float(before.x.times.sum()) and float(after.p.sum()) == 1
    assert len({sizes_of(row.x) for row in filled}) == 3


def test_the_row_size_tells_what_numbers_of_nodes_alone_say(data, synth, tmp_path):
    """Its area is scikit-learn's of the number of nodes, whatever the set, the network and the seed."""
    found = condense.evaluate(synth, data=data, rows="size", net=NET, seeds=2, cache=tmp_path / "cells").reports
    test, train = take_all(data.test), take_all(data.train)
    means = [train.x.nodes[train.y == c].mean() for c in range(2)]
    sign = 1 if means[1] > means[0] else -1
    area, nearest = roc_auc_score(test.y, sign * test.x.nodes), np.abs(test.x.nodes[:, None] - np.array(means)).argmin(1)
    assert [(report.set_kind, report.recipe) for report in found] == [("size", "size")]
    np.testing.assert_allclose(found[0].auc, [area] * 2)
    np.testing.assert_allclose(found[0].accuracy, [(nearest == test.y).mean()] * 2)
    assert list((tmp_path / "cells").glob("*.json")), "its scores are kept as those of other rows"


@pytest.mark.skipif(not TU, reason="CONDENSE_TU names no folder with graphs of the TU collection")
def test_the_size_of_the_graphs_of_nci1_tells_what_is_stated():
    """In docs/graph_methods.md; a change means other graphs, another fold, or that scores there stand beside a wrong figure."""
    data = load_data(f"tu:{Path(TU) / 'NCI1.txt'}?fold=1")
    train, test, whole = (take_all(part) for part in (data.train, data.test, data.source.rows))
    found = size_scores(mean_sizes(train.x.nodes, train.y, 2), test.x.nodes)
    assert round(roc_auc(found, test.y), 4) == 0.6728 and round(float((found.argmax(1) == test.y).mean()), 3) == 0.601
    assert round(roc_auc_score(data.source.rows.y, whole.nodes), 4) == 0.6842

"""Closed-form scores against numpy, on the command line, and never beside retrained ones; what a set of representations may not do."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import distill, evaluate
from condense.__main__ import run as command
from condense.data.for_set import find_set
from condense.data.load import load_data
from condense.evaluation.baselines import make_rows
from condense.plots.images import draw_grid
from condense.teachers.self_supervised import load_ssl_teacher, train_ssl_teacher
from condense.teachers.store import take_teachers
from condense.teachers.train import train_teachers
from evals.krr import RidgeHead, closed_form, make_scorer
from evals.recipes import recipe
from synth.base import take_all
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.labels.plain import Hard, Soft, Target
from synth.training.ridge import centred
from synth.training.ridge import ntk as kernel
from tests.support.three_classes import clouds, make_set, rows_of, three_classes, without
from tests.support.toy_data import as_set, blobs, smooth_net

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def regression(data, **more):
    """A set with learned labels."""
    synth = make_set(data, **more)
    return replace(synth, y=Target(centred(synth.y.index, 3)))


@pytest.mark.parametrize("name", ["net", "ntk"])
def test_a_score_is_that_of_the_ridge_regression_in_numpy(name):
    net, synth, test = smooth_net(), as_set(blobs(3, seed=1)), blobs(20, seed=0)
    recipe = RidgeHead("a", name, reg=1e-3)
    report = closed_form(KEY, make_scorer(net, recipe), recipe, lambda seed: synth, test, numbers=range(3), net_name="n")
    assert (report.recipe, report.net, report.set_kind) == ("a", "n", "distilled")
    y = np.asarray(centred(synth.y.index, 3), np.float64)
    for seed, accuracy in enumerate(report.accuracy):
        p = jax.device_get(net.init(jax.random.fold_in(KEY, seed)).params)
        s, t = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (synth.x.pixels, test.x))
        if name == "net":
            s, t = (np.tanh(x @ p["w"] + p["b"]) for x in (s, t))
        within, between = (x @ s.T if name == "net" else np.asarray(kernel(*map(jnp.float32, (x, s))), np.float64) for x in (s, t))
        right = between @ np.linalg.solve(within + 1e-3 * np.trace(within) / 9 * np.eye(9), y)
        assert abs(accuracy - (right.argmax(1) == test.y).mean()) <= 1.01 / 60  # a tie may fall either way
    assert len(set(report.accuracy)) == (1 if name == "ntk" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["two", "own"])
def test_the_head_is_fitted_to_the_features_of_given_networks(place, tmp_path):
    """Of a committee's members, against the ridge regression in numpy; of a self-supervised teacher, by its representations."""
    arrays, rng = clouds(), np.random.default_rng(0)
    for name in ("x_test", "y_test"):  # more, and so noisy that not all of them are right
        arrays[name] = np.repeat(arrays[name], 8, 0)
    arrays["x_test"] = np.clip(arrays["x_test"] + rng.normal(0, 0.5, arrays["x_test"].shape), 0, 1).astype(np.float32)
    np.savez(tmp_path / "clouds.npz", **arrays)
    data = load_data(f"npz:{tmp_path / 'clouds.npz'}")
    synth = regression(data)
    save_set(tmp_path / "set.npz", synth)
    flags = f"evaluate {tmp_path / 'set.npz'} --recipe krr --seeds 2 --rows distilled,random --json {tmp_path / 'a.json'} --frozen"
    if place == "two":
        train_teachers(data, tmp_path / place, net=("mlp:norm=batch,width=16", "mlp:norm=batch,width=12"), epochs=2, batch=16, lr=0.1)
        known = take_teachers(tmp_path / place, data)
    else:
        train_ssl_teacher(data, tmp_path / place, net="convnet:width=4,depth=1,norm=batch", epochs=1, batch=32)
        known = [load_ssl_teacher(tmp_path / place)]
    assert command([*flags.split(), str(tmp_path / place)]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["results"]
    assert [row["set_kind"] for row in rows] == ["distilled", "random"] * len(known)
    for number, (member, row) in enumerate(zip(known, rows[::2], strict=True), 1):  # rows of the set, the same for every seed
        s, t = (
            np.asarray(member.net.apply(member.vars, jnp.asarray(x)).embed, np.float64) for x in (synth.x.pixels, take_all(data.test).x)
        )
        within = s @ s.T
        solved = np.linalg.solve(within + 1e-6 * np.trace(within) / len(s) * np.eye(len(s)), np.asarray(synth.y.values, np.float64))
        right = (t @ s.T @ solved).argmax(1) == data.test.y
        assert row["accuracy"][0] == row["accuracy"][1] == pytest.approx(right.mean(), abs=1.01 / 120) and row["mean"] < 1
        assert row["net"].endswith(f"(frozen {number})") and row["recipe"] == "krr"


def test_labels_of_every_kind_are_regressed():
    np.testing.assert_allclose(Hard(jnp.array([1, 0]), 2).regressed(), [[-0.5, 0.5], [0.5, -0.5]])
    np.testing.assert_allclose(Soft(jnp.zeros((1, 4))).regressed(), np.zeros((1, 4)))
    np.testing.assert_array_equal(Target(jnp.array([[3.0, -7.0]])).regressed(), [[3, -7]])


def test_real_rows_carry_the_kind_of_labels_that_the_set_has(data):
    draws = make_rows(KEY, regression(data), data, ["random", "kmeans", "full"])
    for kind in ("random", "kmeans"):
        y = draws[kind](0).y
        assert isinstance(y, Target)
        np.testing.assert_allclose(np.sort(y.values, 1), np.tile(np.array([-1, -1, 2], np.float32) / 3, (6, 1)), atol=1e-6)
        np.testing.assert_array_equal(np.bincount(y.values.argmax(1)), [2, 2, 2])
    assert isinstance(draws["full"](0).y, Hard)


@pytest.mark.slow
def test_kip_from_the_command_line_to_its_score(data, tmp_path, capsys):
    """Its sets are scored by the kernel that made them; the table and the document name it, and the validation score is of its kind."""
    flags = f"--data {data.spec} --ipc 2 --steps 6 --batch 60 --lr 0.1 --eval-every 3 --net mlp:width=4 --out {tmp_path / 'run'}"
    assert command(["distill", "kip", *flags.split()]) == 0
    assert command(["evaluate", str(tmp_path / "run"), "--seeds", "2", "--json", str(tmp_path / "a.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "recipe krr-ntk" in said and "mlp" not in said.split("recipe krr-ntk")[1]
    found = json.loads((tmp_path / "a.json").read_text())
    assert [(row["net"], row["recipe"], row["set_kind"]) for row in found["results"]] == [
        ("ntk", "krr-ntk", kind) for kind in ("distilled", "random", "kmeans")
    ]
    assert found["bytes"]["labels"] == 6 * 3 * 4
    scored = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    values = [row["val_ridge_accuracy"] for row in scored if "val_ridge_accuracy" in row]
    assert not any("val_accuracy" in row for row in scored)  # which a trained network has
    synth = load_set(find_set(tmp_path / "run"))
    assert len(values) == 2 and values[-1] == evaluate(synth, data=data, split="val", rows="distilled", seeds=1).reports[0].accuracy[0]
    solved = distill("kip", data, ipc=2, labels="solved", net="mlp:width=4")
    assert set(rows_of(solved.x.pixels)) <= set(rows_of(take_all(data.train).x))
    assert isinstance(solved.y, Target) and solved.info.recipe == "krr-ntk"


def test_kip_has_no_kernel_that_its_recipe_does_not_score_with(data):
    with pytest.raises(BadInput, match="kip has no option --hidden"):
        distill("kip", data, ipc=2, hidden=2)


@pytest.mark.slow
def test_kip_is_scored_at_its_own_regularisation(data, tmp_path):
    out = tmp_path / "run"
    distill("kip", data, ipc=2, labels="solved", net="mlp:width=4", reg=0.5, out=out)
    synth = load_set(find_set(out))
    assert synth.info.recipe == "krr-ntk:reg=0.5"
    own, usual = (evaluate(synth, data=data, recipe=name, rows="distilled", seeds=1).reports[0] for name in (None, "krr-ntk"))
    x, y = (np.asarray(part, np.float64) for part in (synth.x.pixels.reshape(6, -1), synth.y.values))
    test = take_all(data.test).x.reshape(len(take_all(data.test).x), -1).astype(np.float64)
    within, between = (np.asarray(kernel(jnp.asarray(a, jnp.float32), jnp.asarray(x, jnp.float32)), np.float64) for a in (x, test))
    guess = (between @ np.linalg.solve(within + 0.5 * np.trace(within) / 6 * np.eye(6), y)).argmax(-1)
    assert own.accuracy[0] == pytest.approx(np.mean(guess == data.test.y), abs=1 / len(guess)) and own.recipe == synth.info.recipe
    assert usual.recipe == "krr-ntk" and recipe("krr-ntk:reg=0.5").reg == 0.5
    for wrong in ("krr-ntk:reg=0", "krr-ntk:reg=-1", "krr-ntk:reg=nan", "krr-ntk:reg=x"):
        with pytest.raises(BadInput, match="give a regularisation above 0"):
            recipe(wrong)
    with pytest.raises(BadInput, match="--reg 0: give a number above 0"):
        distill("kip", data, ipc=2, reg=0)


def test_a_head_without_finite_values_has_no_score(data):
    """Pixels that are finite themselves, and whose kernel is not."""
    huge = replace(regression(data), x=Pixels(jnp.full((6, *data.image), 1e25)))
    with pytest.raises(RunFailed, match=r"the ridge head of the distilled set under recipe krr-ntk has no finite value for \d+ of"):
        evaluate(huge, data=data, recipe="krr-ntk", rows="distilled", seeds=1)


def test_wrong_calls(data, tmp_path):
    synth = regression(data)
    representation = replace(synth, y=Target(jnp.ones((6, 5))))
    for said, call in {
        "--rows full: it is retrained, and recipe krr scores by a ridge head": (synth, {"recipe": "krr", "rows": "full"}),
        "--net mlp: recipe krr-ntk needs no network; leave --net out": (synth, {"recipe": "krr-ntk", "net": "mlp"}),
        "--epochs 3: recipe krr trains nothing": (synth, {"recipe": "krr", "epochs": 3}),
        "the set's labels are representations of 5 numbers, not scores of 3 classes": (representation, {}),
        "the set's labels are representations of 3 numbers, not scores of 3 classes": (without(synth, represents=True), {}),
    }.items():
        with pytest.raises(BadInput, match=said):
            evaluate(call[0], data=data, **call[1])


def test_a_budget_in_bytes_counts_learned_labels(data):
    """A 4x4 image is 64 bytes; three class scores are 12 more, where a class index is 4."""
    synth = distill("kip", data, bytes=2 * 3 * (64 + 12) + 3 * (64 + 4), steps=1, batch=8, net="mlp:width=4")
    assert len(synth) == 6
    with pytest.raises(BadInput, match=f"--bytes 210: one image a class with this method's labels needs at least {3 * 76}"):
        distill("kip", data, bytes=210, steps=1, batch=8, net="mlp:width=4")


def test_images_with_representations_are_drawn_in_order_without_names(data):
    """By their width, or, where they are as wide as there are classes, by what the set says; class scores keep their names."""
    named = draw_grid(make_set(data), per_class=4)
    assert draw_grid(regression(data), per_class=4) == named
    for synth in (replace(make_set(data), y=Target(jnp.ones((6, 5)))), without(regression(data), represents=True)):
        bare = draw_grid(synth, per_class=4)
        assert bare.height == 2 + 2 * 34 < named.height
        assert (np.asarray(bare)[36:, -34:] == 255).all(), "six images leave two cells of the second row of four"


@pytest.mark.slow
def test_kip_beats_random_images_on_digits(tmp_path):
    """Ten a class under the neural tangent kernel, 500 steps: at least five points above the same kernel on random images."""
    synth = distill("kip", "digits", ipc=10, steps=500)
    distilled, random = (report.mean for report in evaluate(synth, rows=("distilled", "random"), seeds=5).reports)
    assert distilled >= random + 0.05, (distilled, random)

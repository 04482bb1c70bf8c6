"""Scoring: honest baselines, no look at the test split, the set's own model space, and the contract of the JSON."""

import io
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from condense import distill
from condense.__main__ import run as command
from condense.data.images import Data
from condense.data.load import load_data
from condense.data.rows import InMemory
from condense.evaluation import images as score
from condense.evaluation import rows as work
from condense.evaluation.baselines import make_rows
from condense.evaluation.choices import build_network
from condense.evaluation.report import Evaluation
from condense.evaluation.validation import validation_score
from condense.workflows.evaluate import evaluate
from evals import retrain as training
from evals.recipes import recipe
from evals.report import Report
from evals.retrain import Trainer, retrain, retrain_group, retraining_worker, seconds_a_group
from synth.base import take_all
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.images.preprocess import Standard, unit
from synth.labels.plain import Hard, Soft
from tests.support.three_classes import IMAGE, NET, make_set, rows_of, three_classes, without
from tests.support.toy_data import smooth_net

OTHER = "mlp:width=4"
ROW = ["net", "recipe", "set_kind", "accuracy", "mean", "std", "seconds"]
build = score.build_trainer


@pytest.fixture(autouse=True)
def built_once(monkeypatch):
    """Trainings of one network, recipe and shape are compiled once for all tests."""
    monkeypatch.setattr(score, "build_trainer", lambda network, chosen, data: _built(network.name, chosen, data))


def _built(net, chosen, data, cache={}):  # noqa: B006
    at = (net, chosen, data.image, data.classes, data.flips)
    if at not in cache:
        cache[at] = build(build_network(net, chosen, data), chosen, data)
    return cache[at]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def quickly(synth, data=None, **more):
    return evaluate(synth, data=data, **{"epochs": 3, "seeds": 2, "rows": ("distilled",), **more})


def accuracies(evaluation) -> list[tuple[float, ...]]:
    return [report.accuracy for report in evaluation.reports]


# --- the document and its numbers


def test_the_json_is_the_contract(data, tmp_path, capsys):
    """The command line's document: names, order and bytes, by hand: 6 images of 16 float32, 6 int32 labels, mean and std of one channel."""
    place, out = tmp_path / "set.npz", tmp_path / "scores.json"
    save_set(place, make_set(data))
    args = ["--data", data.spec, "--net", NET, OTHER, "--seeds", "3", "--epochs", "3", "--json", str(out)]
    assert command(["evaluate", str(place), *args]) == 0
    document = json.loads(out.read_text())
    assert list(document) == ["set", "data", "seed", "ipc", "bytes", "results"] and document["seed"] == 0
    assert document["set"] == str(place) and document["data"] == {"spec": data.spec, "digest": data.digest} and document["ipc"] == 2
    size = place.stat().st_size
    assert document["bytes"] == {"content": 6 * 16 * 4, "labels": 24, "total": 408, "preprocessing": 8, "file": size} and size > 416
    assert all(list(row) == ROW for row in document["results"])
    full = [f"mlp:width={width},norm=none,act=relu" for width in (8, 4)]
    kinds = ("distilled", "random", "kmeans")
    assert [(row["net"], row["set_kind"]) for row in document["results"]] == [(net, kind) for net in full for kind in kinds]
    for row in document["results"]:
        values = np.array(row["accuracy"])
        assert values.shape == (3,) and np.allclose(values * 60, np.round(values * 60), atol=1e-9) and ((values >= 0) & (values <= 1)).all()
        assert row["mean"] == pytest.approx(values.mean()) and row["std"] == pytest.approx(np.sqrt(np.mean((values - values.mean()) ** 2)))
        assert row["recipe"] == "quick:epochs=3" and row["seconds"] >= 0
    said = capsys.readouterr()
    assert command(["evaluate", str(place), *args[:-1], str(tmp_path / "more.json"), "--per-class"]) == 0
    more = json.loads((tmp_path / "more.json").read_text())
    assert more.pop("classes") == ["ant", "bee", "cow"]
    for row in more["results"]:
        taken = np.array(row.pop("confusion"))
        assert taken.shape == (3, 3, 3) and np.allclose(np.trace(taken, axis1=1, axis2=2) / 60, row["accuracy"])
        assert np.allclose(row.pop("per_class"), (np.diagonal(taken, axis1=1, axis2=2) / taken.sum(2)).mean(0))
    assert more == document, "the rest is the same"
    assert "6 rows of 3 seeds: about" in said.err and "about" not in said.out
    assert all(word in said.out for word in ("distilled", "random", "kmeans", "mlp:width=8", "mlp:width=4", "408 bytes", "test accuracy"))


@pytest.mark.slow
def test_the_best_of_many_scorings_on_the_test_images_stands_beside_the_last(data, tmp_path, capsys):
    save_set(tmp_path / "set.npz", make_set(data))
    asked = ["evaluate", str(tmp_path), "--net", NET, "--seeds", "2", "--epochs", "3", "--rows", "distilled,random", "--json"]
    assert command([*asked, str(tmp_path / "a.json")]) == command([*asked, str(tmp_path / "b.json"), "--best-on-test"]) == 0
    plain, watched = (json.loads((tmp_path / name).read_text())["results"] for name in ("a.json", "b.json"))
    for before, after in zip(plain, watched, strict=True):
        assert list(after) == [*ROW, "best_on_test", "curve"] and after["accuracy"] == before["accuracy"]
        assert after["curve"]["steps"] == [1, 2, 3] and [one[-1] for one in after["curve"]["accuracy"]] == after["accuracy"]
        assert [max(one) for one in after["curve"]["accuracy"]] == after["best_on_test"]
        assert all(best >= last for best, last in zip(after["best_on_test"], after["accuracy"], strict=True))
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("(best ") == 2 and "best: the highest of all scorings on the test images, chosen on them" in said


def test_the_table_shows_networks_side_by_side():
    reports = [
        Report(net, "full" if kind == "full" else "dsa", kind, values, 1.0)
        for net, kind, values in (
            ("mlp", "distilled", (0.5, 0.6)),
            ("mlp", "full", (0.9, 0.9)),
            ("convnet", "distilled", (0.7, 0.8)),
            ("convnet", "full", (1.0, 1.0)),
        )
    ]
    heard = io.StringIO()
    Console(file=heard, width=120).print(Evaluation("", "digits", "", "val", 10, {"total": 26000}, tuple(reports)).table())
    lines = heard.getvalue().splitlines()
    assert " ".join(heard.getvalue().split()).startswith("digits, val accuracy in %, 2 seeds, recipe dsa, 10 a class, 26,000 bytes")
    cells = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines]
    assert ["images", "mlp", "convnet"] in cells
    assert ["distilled", "55.0 ± 5.0", "75.0 ± 5.0"] in cells and ["full (recipe full)", "90.0 ± 0.0", "100.0 ± 0.0"] in cells


def test_a_path_is_shown_as_it_is():
    """What a terminal library takes for markup: a name in brackets vanished, and a closing one lost the table after all the work."""
    heard, spec = io.StringIO(), "npz:data/[v2]/[/old]/set.npz"
    report = Report("mlp", "dc", "distilled", (0.5,), 1.0)
    Console(file=heard, width=120).print(Evaluation("", spec, "", "test", 1, {"total": 3}, (report,)).table())
    assert spec in "".join(heard.getvalue().split())  # the title is as wide as the table


@pytest.mark.slow
def test_the_full_row_trains_on_everything_under_its_own_recipe(data):
    (full,) = quickly(make_set(data), data, rows=("full",), seeds=1).reports
    chosen = recipe("full")
    whole = make_set(data, np.bincount(data.train.y))
    key, trainer = jax.random.fold_in(jax.random.key(0), work.INIT), _built(full.net, chosen, data)
    assert (full.recipe, full.set_kind) == ("full", "full") and len(whole) == 108
    index = np.argsort(data.train.y, kind="stable")
    same = replace(whole, x=Pixels(whole.x.pixels[np.argsort(index)]), y=Hard(whole.y.index[np.argsort(index)], 3))
    assert full.accuracy == retrain(key, trainer, chosen, lambda seed: same, take_all(data.test), seeds=1).accuracy


def test_a_validation_score_says_so_and_a_set_in_memory_has_no_file(data):
    result = quickly(make_set(data, (1, 2, 3)), data, split="val", seed=5).as_json()
    assert result["split"] == "val" and result["ipc"] is None and result["set"] == "" and result["bytes"]["file"] is None
    assert result["seed"] == 5


@pytest.mark.slow
def test_a_saved_set_scores_as_the_one_in_memory(data, tmp_path):
    """Hard, soft, weighted, with a step size of its own; from the file, from the run's folder, with the data by name."""
    hard = make_set(data)
    soft = replace(hard, y=Soft(jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)))
    rich = replace(soft, weight=jnp.asarray([1, 2, 0, 1, 1, 3], jnp.float32), lr=jnp.float32(0.2))
    scores = []
    for name, synth in (("hard", hard), ("rich", rich)):
        place = tmp_path / name / "set.npz"
        place.parent.mkdir()
        save_set(place, synth)
        before = accuracies(quickly(synth, data, epochs=20, seeds=3))
        assert before == accuracies(quickly(place, epochs=20, seeds=3)) == accuracies(quickly(place.parent, data.spec, epochs=20, seeds=3))
        scores.append(before)
    assert scores[0] != scores[1]
    other = replace(load_set(tmp_path / "rich" / "set.npz"), lr=jnp.float32(1e-6))
    assert accuracies(quickly(other, data, epochs=20, seeds=3)) != scores[1]  # the set's step size is the one that trains


def test_every_network_is_shown_the_same_draws(data, monkeypatch):
    shown = {}

    def watch(key, trainer, chosen, draw, part, *, numbers, net_name, set_kind, **more):
        shown[net_name[:11], set_kind] = [rows_of(draw(seed).x.pixels) for seed in numbers]
        return retrain_group(key, trainer, chosen, draw, part, numbers=numbers, net_name=net_name, set_kind=set_kind, **more)

    monkeypatch.setattr(training, "retrain_group", watch)
    quickly(make_set(data), data, net=(NET, OTHER), rows=("random", "kmeans"))
    assert shown[NET, "random"] == shown[OTHER, "random"] and shown[NET, "kmeans"] == shown[OTHER, "kmeans"]
    assert shown[NET, "random"][0] != shown[NET, "random"][1]


# --- the test split and validation


class Blind(Data):
    """Data whose test split must not be looked at."""

    @property
    def test(self):
        raise AssertionError("somebody looked at the test split")


def blind(data) -> Data:
    poisoned = replace(data.source)
    object.__setattr__(poisoned, "test", InMemory(np.full_like(data.source.test.x, np.nan), data.source.test.y))
    fields = {name: getattr(data, name) for name in ("spec", "name", "classes", "image", "flips", "digest", "seed", "preprocess", "rows")}
    return Blind(**fields, source=poisoned)


def test_selection_never_looks_at_the_test_split(data):
    synth, unseen = make_set(data), blind(data)
    with pytest.raises(AssertionError, match="looked at"):
        quickly(synth, unseen)
    every = ("distilled", "random", "kmeans")
    assert accuracies(quickly(synth, unseen, split="val", rows=every)) == accuracies(quickly(synth, data, split="val", rows=every))


@pytest.mark.slow
def test_distilling_with_scores_on_the_way_never_looks_at_the_test_split(data, tmp_path, monkeypatch):
    monkeypatch.setattr("condense.workflows.distill.recipe", lambda name, **more: recipe("quick", epochs=3))
    made = distill("dm", blind(data), ipc=1, net=NET, steps=2, eval_every=1, out=tmp_path, batch=4)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seen = {line["step"]: line["val_accuracy"] for line in lines if "val_accuracy" in line}
    assert seen.keys() == {1, 2}
    best = load_set(tmp_path / "best.npz")
    check = validation_score(data, made.info.net, recipe("quick", epochs=3), seed=0)
    assert check(made) == pytest.approx(seen[2]) and check(best) == pytest.approx(max(seen.values()))


def test_a_validation_split_that_is_not_the_makers_is_warned_about(data, capsys):
    synth = make_set(data)
    for seed, warned in ((0, False), (5, True)):
        quickly(synth, load_data(data.spec, seed=seed), split="val", seeds=1)
        assert ("cut by seed 5" in capsys.readouterr().err) == warned


def test_the_validation_score_is_that_of_evaluate(data, capsys):
    synth = make_set(data)
    alone = validation_score(data, quickly(synth, data).reports[0].net, recipe("quick", epochs=3), seed=0)(synth.bare())
    assert "score on val 3/3" in capsys.readouterr().err  # it may take minutes
    assert (alone,) == quickly(synth, data, split="val", seeds=1).reports[0].accuracy
    assert alone * 12 == pytest.approx(round(alone * 12))


# --- the set's model space


def test_the_data_is_seen_through_the_sets_own_preprocessing(data):
    """A set in another model space: the scores are those of a training on test images normalised by hand."""
    own = Standard(np.array([0.2], np.float32), np.array([0.05], np.float32))
    raw = data.preprocess.undo(np.asarray(make_set(data).x.pixels))
    synth = without(make_set(data, x=Pixels(jnp.asarray(own.apply(raw)))), preprocess=own)
    result = quickly(synth, data, rows=("distilled", "random"))
    test = take_all(data.test)._replace(x=(unit(data.source.test.x) - np.float32(0.2)) / np.float32(0.05))
    key = jax.random.fold_in(jax.random.key(0), work.INIT)
    trainer = _built(result.reports[0].net, recipe("quick", epochs=3), data)
    by_hand = retrain(key, trainer, recipe("quick", epochs=3), lambda seed: synth, test, seeds=2)
    assert accuracies(result)[0] == by_hand.accuracy != accuracies(quickly(make_set(data), data))[0]
    row = np.asarray(make_rows(key, synth, data.under(own), ("random",))["random"](0).x.pixels)
    distance = np.abs(own.undo(row)[:, None] - data.source.train.x[None]).max((2, 3, 4))
    assert (distance.min(1) < 1e-6).all()  # real images in the set's model space


def test_a_whitened_set_scores_the_same_from_its_file(data, tmp_path):
    """Its whitening goes with it: the data it is scored on may be specified without one."""
    white = load_data(f"{data.spec}?normalise=zca")
    save_set(tmp_path / "set.npz", synth := make_set(white))
    here = accuracies(quickly(synth, white, rows=("distilled", "random")))
    assert here == accuracies(quickly(tmp_path / "set.npz", rows=("distilled", "random")))
    assert here == accuracies(quickly(tmp_path / "set.npz", data, rows=("distilled", "random")))
    assert here != accuracies(quickly(make_set(data), data, rows=("distilled", "random"))), "a number that whitening moves"


# --- defaults and refusals


def rows_made(monkeypatch, synth, data, **more):
    seen = []
    monkeypatch.setattr("condense.evaluation.scoring.run_rows", lambda key, rows, *rest, **kw: seen.extend(rows) or ())
    evaluate(synth, data=data, **more)
    return seen


def test_defaults_are_the_sets_advice_else_convnet_and_dsa(data, monkeypatch):
    synth = make_set(data)
    rows = rows_made(monkeypatch, synth, None, rows=("distilled", "full"))
    assert [(row.net.split(",")[0], row.kind, row.protocol) for row in rows] == [
        (NET, "distilled", recipe("quick")),
        (NET, "full", recipe("full")),
    ]
    monkeypatch.setattr("condense.nets.build", lambda *args: smooth_net())  # images are too small for these
    (row,) = rows_made(monkeypatch, without(synth, net="", recipe=""), None, rows="distilled")
    assert row.net.startswith("convnet:") and row.protocol == recipe("dsa")
    (row,) = rows_made(monkeypatch, synth, None, net="lenet", recipe="dc", epochs=7, rows=("distilled",))
    assert row.net == "lenet:norm=none" and row.protocol == recipe("dc", epochs=7)


def test_groups_fill_the_devices_and_whole_sets_go_one_a_device(data, monkeypatch):
    synth, groups = make_set(data), []

    def grouped(*args, **more):
        def report(key, kind, draw, *, numbers, tick):
            groups.append(len(numbers))
            return Report("n", "r", kind, (0.5,), 0.0)

        return retraining_worker(*args, **more)._replace(report=report)

    monkeypatch.setattr(score, "retraining_worker", grouped)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    for cpu, expected in ((True, 6 * [4]), (False, [10, 4, 4, 4])):  # four devices; 1 or 8 networks on each
        monkeypatch.setattr("synth.numerics.backend.is_cpu", lambda cpu=cpu: cpu)
        evaluate(synth, rows=("distilled", "full"), seeds=10)
        assert groups == expected
        groups.clear()


def test_what_does_not_fit_is_refused_naming_both(data):
    synth = make_set(data)
    with pytest.raises(BadInput, match=r"--data .*three.npz: its classes ant, bee, cow are not the set's bee, ant, cow"):
        evaluate(without(synth, classes=("bee", "ant", "cow")), data=data)
    with pytest.raises(BadInput, match=r"--data .*three.npz: its images are 4x4x1, the set's 5x4x1"):
        evaluate(replace(synth, x=Pixels(jnp.zeros((6, 5, 4, 1)))), data=data)
    three = Standard(np.zeros(3, np.float32), np.ones(3, np.float32))
    with pytest.raises(BadInput, match="4x4x1 images do not fit a standard preprocessing of 3"):
        evaluate(without(synth, preprocess=three), data=data)


def test_other_data_is_warned_about(data, capsys):
    quickly(without(make_set(data), data_digest="0123456789abcdef"), data)
    said = capsys.readouterr()
    warned = f"warning: a set was made from {data.spec} of digest 0123456789ab, and {data.spec} here has digest {data.digest[:12]}: "
    assert warned in said.err
    assert "warning" not in said.out
    quickly(make_set(data), data)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rows": ("distilled", "magic")},
            "--rows: unknown row 'magic' .known for images: distilled, random, .*, noise, full",
        ),
        ({"rows": ()}, "--rows: none given"),
        ({"seeds": 0}, "--seeds 0: give a whole number of at least 1"),
        ({"seed": -1}, "--seed -1: give a whole number from 0"),
        ({"split": "train"}, "--split: unknown split 'train' .known: test, val"),
        ({"recipe": "magic"}, "--recipe: unknown recipe 'magic'"),
        ({"epochs": 0}, "--epochs 0"),
        ({"net": "magic"}, "--net magic: unknown network"),
        ({"best_on_test": True, "split": "val"}, "--best-on-test: --split val reads no test"),
        ({"best_on_test": True, "recipe": "krr"}, "--best-on-test: recipe krr trains nothing"),
        ({"frozen": "x"}, "--frozen x: recipe quick fits no ridge head to features of a network; take --recipe krr"),
        ({"frozen": "x", "recipe": "krr-ntk"}, "--frozen x: recipe krr-ntk fits no ridge head"),
        ({"frozen": "x", "recipe": "krr", "net": "mlp"}, "--net mlp: the networks are those in --frozen x"),
        ({"frozen": "x", "recipe": "krr", "net": ()}, "--frozen x: holds no trained networks"),
    ],
)
def test_wrong_calls_are_refused(data, change, message):
    with pytest.raises(BadInput, match=message):
        evaluate(make_set(data), data=data, **change)


def test_sets_and_data_that_lack_something_are_refused(data, tmp_path):
    synth = make_set(data)
    with pytest.raises(BadInput, match="--data: the set does not say what it was made from"):
        evaluate(without(synth, data=""))
    with pytest.raises(BadInput, match="no `info`"):
        evaluate(synth.bare(), data=data)
    with pytest.raises(BadInput, match=r"no set.npz there"):
        evaluate(tmp_path, data=data)
    with pytest.raises(BadInput, match=r"--split val: .* no image there"):
        evaluate(synth, data=load_data(data.spec, validation=0), split="val")
    many = replace(synth, x=Pixels(jnp.zeros((40, *IMAGE))), y=Hard(jnp.ones(40, jnp.int32), 3))
    with pytest.raises(BadInput, match=r"--rows random: .* has 27 training images of class bee, the set 40"):
        evaluate(many, data=data, rows=("random",))
    assert make_rows(jax.random.key(0), many, data, ("distilled", "full")).keys() == {"distilled", "full"}


def test_divergence_ends_with_one_line_and_exit_one(data, tmp_path, capsys):
    save_set(tmp_path / "set.npz", make_set(data, lr=jnp.float32(1e30)))
    assert command(["evaluate", str(tmp_path), "--epochs", "3", "--seeds", "1", "--rows", "distilled"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "distilled set under recipe quick:epochs=3 diverged" in last and "step size 1e+30" in last and "try another" in last
    with pytest.raises(RunFailed):
        quickly(load_set(tmp_path / "set.npz"), data)


def test_the_estimate_times_epochs_without_compilation(data, monkeypatch):
    """A clock on which compiling takes 100 s and an epoch 0.25 s or 2 s: what counts is the epoch, and a slow one is timed once."""
    for span, calls in ((0.25, 4), (2.0, 2)):
        clock, seen = [0.0], []

        def advance(states, keys, synths, first, stop, scale, span=span, clock=clock, seen=seen):
            clock[0] += 100 if not seen else span * (int(stop) - int(first))
            seen.append((int(first), int(stop)))
            return states

        trainer = _built(NET, recipe("quick", epochs=3), data)
        monkeypatch.setattr(training.time, "perf_counter", lambda clock=clock: clock[0])
        estimate = seconds_a_group(Trainer(trainer.init, advance, trainer.score), recipe("dc"), make_set(data), 2)
        assert estimate == pytest.approx(300 * span) and len(seen) == calls and seen[0] == (0, 0)
    assert [work.duration(s) for s in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]


def test_one_score_has_no_deviation_and_heads_break_between_options():
    """At 80 columns: no option of a network is torn."""
    nets = tuple(f"convnet:width={width},depth=3,norm=instance,act=relu,pool=avg" for width in (32, 64, 128))
    for scores, cell in (((0.5,), "50.0"), ((0.5, 0.6), "55.0 ± 5.0")):
        heard = io.StringIO()
        reports = tuple(Report(net, "dsa", "distilled", scores, 1.0) for net in nets)
        Console(file=heard, width=80).print(Evaluation("", "digits", "", "test", 1, {"total": 3}, reports).table())
        page = heard.getvalue()
        assert page.count(cell) == 3 and ("±" in page) == (len(scores) == 2)
        words = [word for line in page.splitlines() for word in line.replace("┃", " ").split()]
        assert words.count("act=relu,") == words.count("norm=instance,") == words.count("pool=avg") == 3


@pytest.mark.slow
def test_a_learned_step_size_is_for_descent_alone(data):
    """Adam's step sizes are others: a set with one trains under Adam to the bits of the set without."""
    synth = make_set(data)
    learned = replace(synth, lr=jnp.float32(0.0234))
    scores = {
        (name, which): evaluate(one, data=data, net=NET, recipe=name, epochs=2, seeds=2, rows=("distilled",), split="val").reports
        for name in ("dsa", "frepo")
        for which, one in (("plain", synth), ("learned", learned))
    }
    assert recipe("dsa").optimizer == "sgd" and recipe("frepo").optimizer == "adam"
    trained = {}
    for name in ("dsa", "frepo"):
        for which, one in (("plain", synth), ("learned", learned)):
            chosen = recipe(name, epochs=2)
            trainer = build(build_network(NET, chosen, data), chosen, data)
            keys, group = jnp.stack([jax.random.key(0)]), training.stack([one])
            state = training.train_group(trainer, chosen, keys, group)
            trained[name, which] = [np.asarray(leaf) for leaf in jax.tree.leaves(state.vars.params)]
    assert all(np.array_equal(a, b) for a, b in zip(trained["frepo", "plain"], trained["frepo", "learned"], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(trained["dsa", "plain"], trained["dsa", "learned"], strict=True))
    assert scores["frepo", "plain"][0].accuracy == scores["frepo", "learned"][0].accuracy

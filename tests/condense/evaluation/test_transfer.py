"""Transfer: the probe against scikit-learn, fine-tuning against a loop in numpy, draws of labels, and the whole way on small data."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from condense import nets
from condense.__main__ import run
from condense.cli.distill import scoring
from condense.data.load import load_data
from condense.evaluation import pretraining as pretrain
from condense.evaluation.transfer_choices import read_draws, read_protocols
from condense.evaluation.transfer_rows import RowSource, make_transfer_rows
from condense.runtime import devices as mesh
from condense.runtime.run_folder import digest
from condense.teachers.self_supervised import Representer, load_ssl_teacher, recorded_teacher, save_teacher, take_teacher
from condense.workflows.transfer import fitted, take_target, transfer
from evals.recipes import recipe
from evals.retrain import make_trainer, stack, train_group
from evals.transfer import (
    ADAPTATIONS,
    BY_LABELS,
    PRETRAIN,
    WHOLE,
    Finetune,
    accuracy,
    choose,
    draw_balanced,
    draw_order,
    finetune_accuracy,
    fit_probe,
    make_adapter,
    on_mean_squares,
    probe,
)
from synth.base import Examples, Vars, fresh, take_all
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.labels.plain import Hard, Target
from synth.set import Info, SyntheticSet
from tests.support.three_classes import three_classes, without

KEY = jax.random.key(5)
NET = "mlp:width=8"


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Where several devices are tested, `test_retrain` does it."""
    for module in (mesh, pretrain):
        monkeypatch.setattr(module, "devices", lambda: tuple(jax.local_devices()[:1]))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def teacher(source):
    """One that never learned anything: what it says of an image is as good a target as any."""
    net = nets.build("mlp:width=6", source.image, 3)
    return Representer(net, net.init(jax.random.key(8)), "mlp:width=6", source.image, source.preprocess, {})


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A target of other images: larger, with three channels and two classes of unequal size."""
    place, rng = tmp_path_factory.mktemp("other") / "other.npz", np.random.default_rng(2)

    def draw(counts):
        y = np.repeat([0, 1], counts)
        return np.clip(0.5 + 0.2 * rng.normal(size=(len(y), 6, 5, 3)) + 0.1 * y[:, None, None, None], 0, 1).astype(np.float32), y

    (x, y), (x_test, y_test) = draw([60, 40]), draw([20, 20])
    np.savez(place, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return f"npz:{place}"


def made(source, teacher, n: int = 6) -> SyntheticSet:
    """The first training images with the teacher's representations."""
    told = {"data": source.spec, "data_digest": source.digest, "method": "hand", "net": NET}
    x = jnp.asarray(take_all(source.train).x[:n])
    return SyntheticSet(Pixels(x), Target(teacher.represent(x)), info=Info(source.classes, source.preprocess, **told))


def keep(place, teacher) -> None:
    """A teacher's folder."""
    place.mkdir(parents=True)
    about = {"format": 1, "net": teacher.net_name, "image": list(teacher.image), "outputs": 3}
    save_teacher(place, teacher.vars, teacher.preprocess, about)


# The probe


def features(n: int = 60, d: int = 7, *, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return (rng.normal(size=(n, d)) * rng.uniform(0.1, 10, d) + rng.normal(size=(3, d))[y] + 3).astype(np.float32), y.astype(np.int32)


def test_the_probe_is_scikit_learns_logistic_regression():
    """The same optimum, up to what ends the iteration: a gradient of 1e-4 against 1e-10."""
    x, y = features()
    x = (x - x.mean(0)) / x.std(0)
    weights, bias = fit_probe(jnp.asarray(x), jnp.asarray(y), 3)
    model = LogisticRegression(tol=1e-10, max_iter=10_000).fit(x.astype(np.float64), y)
    mine = np.asarray(jax.nn.softmax(x @ np.asarray(weights) + np.asarray(bias)))
    assert np.abs(mine - model.predict_proba(x)).max() < 2e-3
    assert np.abs(np.asarray(weights).T - model.coef_).max() < 1e-2 * np.abs(model.coef_).max()


def test_the_probe_standardises_features_and_ignores_constant_ones():
    drawn, labels = features(120)
    x, held, y, truth = drawn[:60], drawn[60:], labels[:60], labels[60:]
    model = LogisticRegression().fit((x - x.mean(0)) / x.std(0), y)
    expected = model.predict((held - x.mean(0)) / x.std(0))
    for constant, scale, shift in ((0, 1, 0), (1e4, 1, 0), (0.1, 5, 7)):
        train, test = (np.concatenate([part * scale + shift, np.full((60, 1), constant)], 1).astype(np.float32) for part in (x, held))
        found = probe(jnp.asarray(train), jnp.asarray(y), jnp.asarray(test), classes=3)
        assert np.mean(np.asarray(found) == expected) > 0.98
    assert 0.4 < np.mean(expected == truth) < 0.9, "a prediction that can go wrong"


# Labels


def test_a_fraction_draws_as_many_of_every_class():
    y = np.repeat(np.arange(4, dtype=np.int32), [100, 50, 200, 50])
    draws = [draw_balanced(jax.random.key(seed), y, 0.1) for seed in range(40)]
    assert all((np.bincount(y[rows], minlength=4) == 10).all() and len(np.unique(rows)) == 40 for rows in draws)
    assert len({rows.tobytes() for rows in draws}) == 40
    assert (draws[0] == draw_balanced(jax.random.key(0), y, 0.1)).all()
    counts = np.bincount(np.concatenate(draws), minlength=400)
    assert (counts[y == 2] > 0).mean() > 0.75, "every example may be drawn (each is missed by 40 draws with probability 0.95^40 = 0.13)"


def test_small_and_large_fractions():
    y = np.repeat(np.arange(3, dtype=np.int32), [5, 40, 40])
    assert (np.bincount(y[draw_balanced(KEY, y, 1e-4)]) == 1).all()
    assert (np.bincount(y[draw_balanced(KEY, y, 0.5)]) == [5, 14, 14]).all()
    assert (draw_balanced(KEY, y, 1) == np.arange(85)).all()


def test_an_order_is_epoch_after_epoch():
    rows = np.array([3, 8, 9, 11, 20], np.int32)
    order = draw_order(KEY, rows, 7, 2)
    assert order.shape == (7, 2)
    for at in (0, 5):
        assert sorted(order.ravel()[at : at + 5]) == list(rows)
    assert draw_order(KEY, rows, 3, 64).shape == (3, 5)


# Fine-tuning


@pytest.mark.slow
def test_fine_tuning_is_sgd_with_a_cosine():
    """Against a loop written out: whole batches, momentum, decay, and a step size that falls as (1 + cos(pi t / steps)) / 2."""
    how, rng = Finetune(steps=5, lr=0.3, weight_decay=0.05), np.random.default_rng(0)
    train = Examples(jnp.asarray(rng.normal(size=(9, 4, 4, 1)).astype(np.float32)), jnp.asarray(np.arange(9, dtype=np.int32) % 3))
    net = nets.build(NET, (4, 4, 1), 3)
    source = nets.build(NET, (4, 4, 1), 5)
    adapter, vars = make_adapter(source, net, 3, how=how), source.init(KEY)
    rows = np.arange(9, dtype=np.int32)
    _, after = finetune_accuracy(KEY, adapter, vars, train, rows, train, how=how)
    params = adapter.add_head(jax.random.split(KEY)[0], vars).vars.params
    velocity = jax.tree.map(jnp.zeros_like, params)

    def loss(params):
        logits = net.apply(Vars(params), train.x, train=True).logits
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(9), train.y])

    for t in range(5):
        lr = 0.3 * (1 + np.cos(np.pi * t / 5)) / 2
        grads = jax.grad(loss)(params)
        velocity = jax.tree.map(lambda v, g, p: 0.9 * v + g + 0.05 * p, velocity, grads, params)
        params = jax.tree.map(lambda p, v, lr=lr: p - jnp.float32(lr) * v, params, velocity)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params, params)


def test_a_new_head_leaves_the_body_as_it_was():
    source, net = (nets.build("convnet:width=4,depth=1,norm=batch", (4, 4, 1), outputs) for outputs in (7, 3))
    vars = source.init(KEY)
    vars = Vars(vars.params, jax.tree.map(lambda leaf: leaf + 1, vars.stats))
    state = make_adapter(source, net, 3, how=Finetune()).add_head(jax.random.key(1), vars)
    assert jax.tree.leaves(state.vars.params["head"])[0].shape[-1] == 3
    for name in vars.params.keys() - {"head"}:
        jax.tree.map(np.testing.assert_array_equal, state.vars.params[name], vars.params[name])
    jax.tree.map(np.testing.assert_array_equal, state.vars.stats, vars.stats)


# The whole way


def test_images_are_brought_to_the_size_and_channels_of_the_source():
    rng = np.random.default_rng(0)
    colour = Examples(rng.normal(size=(3, 4, 4, 3)).astype(np.float32), np.zeros(3, np.int32))
    np.testing.assert_allclose(fitted(colour, (4, 4, 1)).x[..., 0], colour.x.mean(3), atol=1e-6)
    grey = fitted(colour, (4, 4, 1))
    assert (fitted(grey, (4, 4, 3)).x == np.repeat(grey.x, 3, 3)).all()
    assert (fitted(colour, (4, 4, 3)).x == colour.x).all()
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, None, :, None], (1, 4, 4, 1))
    wide = np.asarray(fitted(Examples(ramp, np.zeros(1, np.int32)), (4, 8, 1)).x)[0, :, :, 0]
    np.testing.assert_allclose(wide, np.tile(np.clip(np.arange(8) / 2 - 0.25, 0, 3), (4, 1)), atol=1e-6)


def test_rows_carry_the_representations_of_distinct_training_images(source, teacher):
    synth = made(source, teacher, 9)
    rows = make_transfer_rows(RowSource(KEY, synth, source, teacher.represent), ["none", "distilled", "random", "kmeans", "full"])
    assert rows["none"] is None
    np.testing.assert_array_equal(rows["distilled"](0).y.values, synth.y.values)
    known = {row.tobytes() for row in take_all(source.train).x}
    for kind in ("random", "kmeans"):
        first, second = rows[kind](0), rows[kind](1)
        for drawn in (first, second):
            x = np.asarray(drawn.x.pixels)
            assert len({row.tobytes() for row in x} & known) == 9
            np.testing.assert_allclose(drawn.y.values, teacher.represent(x), atol=1e-6)
        assert not np.array_equal(first.x.pixels, second.x.pixels), "a draw of its own for every seed"
    real = take_all(source.train).x.reshape(len(source.train.y), -1)
    far = {
        kind: np.square(real[:, None] - np.asarray(rows[kind](0).x.pixels).reshape(9, -1)).sum(-1).min(1).mean()
        for kind in ("random", "kmeans")
    }
    assert far["kmeans"] < far["random"], "nearest to centres, which lie near all images"
    assert len(rows["full"](0)) == len(source.train.y)
    assert rows["full"](0) is rows["full"](1), "as large as the data: kept once"


def test_the_random_row_of_the_paper_reads_class_labels(source, teacher):
    """The images of row `random`, with their own classes, under DSA's recipe (db-Lee/selfsup_dd, test.py and algorithms/pretrain_dc.py)."""
    rows = make_transfer_rows(RowSource(KEY, made(source, teacher, 9), source, teacher.represent), ["random", "random_labels"])
    train = take_all(source.train)
    of = {image.tobytes(): label for image, label in zip(np.asarray(train.x), np.asarray(train.y), strict=True)}
    for seed in (0, 1):
        drawn = rows["random_labels"](seed)
        np.testing.assert_array_equal(drawn.x.pixels, rows["random"](seed).x.pixels)
        assert drawn.y.classes == len(source.classes) and drawn.y.index.tolist() == [
            of[image.tobytes()] for image in np.asarray(drawn.x.pixels)
        ]
    assert replace(BY_LABELS, name="dsa") == recipe("dsa")
    large = SyntheticSet(Pixels(jnp.zeros((999, *source.image))), Target(jnp.zeros((999, 6))))
    with pytest.raises(
        BadInput, match=r"--rows random_labels: .* training images, the set 999; only none, distilled and full are possible"
    ):
        make_transfer_rows(RowSource(KEY, large, source, teacher.represent), "random_labels")


@pytest.mark.slow
def test_class_labels_are_pre_trained_by_cross_entropy_and_augmented(source, teacher, other, monkeypatch):
    """No teacher is asked; the network has as many outputs as there are classes, and the augmentation of the data."""
    seen = []

    def noted(net, recipe, augment, **more):
        seen.append((recipe, augment is not None, jax.eval_shape(net.init, KEY).params["head"]["kernel"].shape[1]))
        return make_trainer(net, recipe, augment, **more)

    monkeypatch.setattr(pretrain, "make_trainer", noted)
    call = {"to": other, "net": NET, "seeds": 1, "epochs": 2, "teacher": None}
    report = transfer(made(source, teacher), rows="random_labels", **call).reports[0]
    assert report.recipe == "classes:epochs=2+probe" and report.set_kind == "random_labels"
    assert seen == [(replace(BY_LABELS, name="classes:epochs=2", epochs=2), True, len(source.classes))]


@pytest.mark.slow
def test_pre_training_is_sgd_on_the_mean_square(teacher, source):
    """Against a loop written out, on whole batches, in the published numbers: step size 0.1, momentum 0.9, decay 0.001."""
    synth, recipe = made(source, teacher), replace(PRETRAIN, epochs=4)
    net = nets.build(NET, source.image, 6)
    trainer = make_trainer(net, on_mean_squares(recipe, 6), None)
    states = train_group(trainer, recipe, KEY[None], stack([synth]))
    params = trainer.init(KEY[None], stack([synth])).vars.params
    params = jax.tree.map(lambda leaf: leaf[0], params)
    velocity = jax.tree.map(jnp.zeros_like, params)

    def loss(params):
        return jnp.mean((net.apply(Vars(params), synth.x.decode(), train=True).logits - synth.y.values) ** 2)

    for _ in range(4):
        grads = jax.grad(loss)(params)
        velocity = jax.tree.map(lambda v, g, p: 0.9 * v + g + 1e-3 * p, velocity, grads, params)
        params = jax.tree.map(lambda p, v: p - 0.1 * v, params, velocity)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, atol=1e-5), states.vars.params, params)
    assert (PRETRAIN.epochs, PRETRAIN.augment, PRETRAIN.view, WHOLE.augment, WHOLE.view) == (1000, "", "", "", "")
    assert (Finetune().lr, Finetune().momentum, Finetune().weight_decay, Finetune().batch, Finetune().steps) == (0.01, 0.9, 5e-4, 256, 500)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "third"), [("probe", "full"), ("finetune", "random")])
def test_a_table_has_a_score_for_every_seed_and_draw(protocol, third, source, teacher, other):
    how = {"steps": 3} if protocol == "finetune" else {}
    call = {"to": other, "fraction": 0.1, "protocol": protocol, "seeds": 2, "draws": 2, "epochs": 2, "teacher": teacher, **how}
    result = transfer(made(source, teacher), rows=["none", "distilled", third], net=[NET], **call)
    document = result.as_json()
    assert len(document["results"]) == 3 and all(len(row["accuracy"]) == 4 for row in document["results"])
    end = "probe" if protocol == "probe" else "finetune:steps=3"
    assert all(score * 40 == round(score * 40) for row in document["results"] for score in row["accuracy"]), "of 40 test images"
    names = [end, f"mse:epochs=2+{end}", f"mse-full+{end}" if third == "full" else f"mse:epochs=2+{end}"]
    assert [row["recipe"] for row in document["results"]] == names
    assert document["bytes"]["labels"] == 6 * 6 * 4, "targets count"
    assert "pre-trained on" in [column.header for column in result.table().columns] and result.table().row_count == 3
    if protocol == "finetune":
        again = transfer(made(source, teacher), rows=[third], net=NET, **call)
        assert again.reports[0].accuracy == result.reports[2].accuracy, "a row does not depend on those beside it"


@pytest.mark.slow
def test_several_targets_and_protocols_share_the_pre_training(source, teacher, other, monkeypatch):
    """Every result has the scores that it has alone, and every network is pre-trained once."""
    calls, clock = [], SimpleNamespace(now=0)
    monkeypatch.setattr(pretrain, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def trained(*args, **more):
        calls.append(1)
        clock.now += 100
        return train_group(*args, **more)

    monkeypatch.setattr(pretrain, "train_group", trained)
    call = {"rows": ["none", "distilled"], "net": NET, "seeds": 2, "draws": 2, "epochs": 2, "steps": 3, "teacher": teacher}
    both = transfer(made(source, teacher), to=[other, source, other], protocol=["probe", "finetune:0.2", "probe:1"], **call)
    together = len(calls)
    assert [(one.target, one.protocol, one.fraction) for one in both.results_by_target] == [
        (spec, name, part) for spec in (other, source.spec) for name, part in (("probe", 1.0), ("finetune", 0.2))
    ]
    assert [sum(report.seconds for report in one.reports) for one in both.results_by_target] == [100 * together, 0, 0, 0], "counted once"
    assert [len(report.accuracy) for report in both.reports] == [2, 2, 4, 4] * 2, "all labels are one draw"
    alone = transfer(made(source, teacher), to=source, protocol="finetune", fraction=0.2, **call)
    assert len(calls) == 2 * together, "as often for one result as for four"
    assert [report.accuracy for report in alone.reports] == [report.accuracy for report in both.results_by_target[3].reports]
    documents = both.as_json()
    assert [document["fraction"] for document in documents] == [1.0, 0.2, 1.0, 0.2] and documents[3]["results"][0]["set_kind"] == "none"
    assert len(both.table().columns) == 5 and both.table().row_count == 2


def test_scores_that_are_not_finite_choose_no_class():
    scores = jnp.array([[0.0, 2, 1], [jnp.nan, 0, 0], [0, jnp.inf, 0]])
    np.testing.assert_array_equal(choose(scores), [1, -1, -1])
    assert accuracy(jnp.array([1, 0, 2]), jnp.array([1, 1, 1])) == 1 / 3, "a count, in double precision"
    assert np.isnan(accuracy(jnp.array([1, -1]), jnp.array([1, 1])))


@dataclass(frozen=True)
class Wild(Finetune):
    """A step size that no network survives."""

    lr: float = 1e30


@pytest.mark.parametrize("protocol", ["probe", "finetune"])
def test_an_adaptation_that_diverges_is_no_score(protocol, source, teacher, other, tmp_path, monkeypatch, capsys):
    if protocol == "probe":
        monkeypatch.setattr(pretrain, "fresh", lambda key, net: jax.tree.map(lambda leaf: leaf * jnp.nan, fresh(key, net)))
    else:
        monkeypatch.setitem(ADAPTATIONS, "finetune", Wild)
    save_set(tmp_path / "set.npz", made(source, teacher))
    flags = f"--to {other} --rows none --seeds 1 --protocol {protocol}" + " --steps 3" * (protocol == "finetune")
    assert run(["transfer", str(tmp_path / "set.npz"), *flags.split()]) == 1
    said = capsys.readouterr()
    assert f"{nets.canonical(NET)} as drawn diverged when {protocol}" in said.err.replace("fine-tuned", "finetuned") and not said.out


@pytest.mark.slow
def test_pre_training_on_a_good_set_beats_none(tmp_path):
    """One pixel tells the classes apart, among fifteen louder ones; targets that name it make a narrow body find it."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.integers(0, 2, n)
        x = rng.uniform(size=(n, 4, 4, 1))
        x[:, 1, 2, 0] = 0.5 + 0.15 * (2 * y - 1)
        return x.astype(np.float32), y

    (x, y), (x_test, y_test) = draw(400), draw(200)
    np.savez(tmp_path / "pixel.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    data = load_data(f"npz:{tmp_path / 'pixel.npz'}")
    images = jnp.asarray(take_all(data.train).x[:100])
    values = jnp.stack([images[:, 1, 2, 0] * scale for scale in (2, -4, 6)], 1)
    synth = SyntheticSet(Pixels(images), Target(values), info=Info(data.classes, data.preprocess, data=data.spec))
    result = transfer(synth, to=data, rows=["none", "distilled"], net="mlp:width=4", seeds=1, epochs=100)
    none, distilled = (report.mean for report in result.reports)
    assert distilled > 0.95 and none < 0.85


def test_transfer_on_the_command_line(source, teacher, other, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    place, out = tmp_path / "run" / "set.npz", tmp_path / "t.json"
    place.parent.mkdir()
    save_set(place, made(source, teacher))
    argv = ["transfer", str(place.parent), "--to", other, "--fraction", "0.5", "--seeds", "1", "--epochs", "1", "--json", str(out)]
    assert run([*argv, "--rows", "none,distilled"]) == 0
    assert "pre-trained on" in capsys.readouterr().out
    document = json.loads(out.read_text())
    keys = ["set", "data", "target", "seed", "fraction", "protocol", "ipc", "size", "bytes", "results"]
    assert list(document) == keys and document["target"]["spec"] == other and document["ipc"] is None and document["size"] == 6
    assert [row["set_kind"] for row in document["results"]] == ["none", "distilled"]
    assert list(document["results"][0]) == ["net", "recipe", "set_kind", "accuracy", "mean", "std", "seconds"]


@pytest.mark.slow
def test_several_results_on_the_command_line(source, teacher, other, tmp_path, monkeypatch, capsys):
    """A list of documents, targets in order and the protocols of each; rows by network, and of each by what it was pre-trained on."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(pretrain, "_adapt", lambda key, adapter, vars, goal, number, tick: [0.5] * goal.draws)  # scores are compared above
    keep(tmp_path / "teacher", teacher)
    save_set(tmp_path / "set.npz", made(source, teacher))
    names = [NET, f"{NET},act=swish"]
    argv = ["transfer", str(tmp_path / "set.npz"), "--to", other, source.spec, "--protocol", "probe", "finetune:0.2", "--net", *names]
    flags = f"--rows distilled,kmeans --seeds 1 --draws 2 3 --seed 4 --epochs 1 --steps 2 --json {tmp_path / 't.json'}"
    assert run([*argv, *flags.split()]) == 0
    said = capsys.readouterr().out
    assert said.index("distilled, mlp") < said.index("kmeans, mlp") < said.rindex("distilled, mlp") < said.rindex("kmeans, mlp")
    documents = json.loads((tmp_path / "t.json").read_text())
    assert [(one["target"]["spec"], one["protocol"], one["fraction"]) for one in documents] == [
        (spec, *way) for spec in (other, source.spec) for way in (("probe", 1.0), ("finetune", 0.2))
    ]
    for document, draws in zip(documents, (1, 2, 1, 3), strict=True):  # all labels are one draw
        assert [(row["net"], row["set_kind"]) for row in document["results"]] == [
            (nets.canonical(name), kind) for name in names for kind in ("distilled", "kmeans")
        ]
        assert document["seed"] == 4 and all(len(row["accuracy"]) == draws for row in document["results"])


def test_the_teacher_beside_a_set_is_taken(source, teacher, tmp_path):
    keep(tmp_path / "teacher", teacher)
    synth = made(source, teacher)
    found = take_teacher(None, tmp_path / "set.npz", synth, source)
    assert found.digest == load_ssl_teacher(tmp_path / "teacher").digest == teacher.digest
    assert take_teacher(teacher, None, synth, source) is teacher


def test_another_teacher_than_the_sets_is_refused(source, teacher, tmp_path):
    """By the record of its run, wherever the other one lies, and without a record by the width of the targets."""
    config, other = {"method": "krrst", "teacher": teacher.digest}, replace(teacher, vars=teacher.net.init(jax.random.key(9)))
    synth, path = without(made(source, teacher), config=digest(config)), tmp_path / "set.npz"
    (tmp_path / "run.json").write_text(json.dumps({"config": config}))
    keep(tmp_path / "teacher", other)
    for given in (other, None):
        with pytest.raises(BadInput) as error:
            take_teacher(given, path, synth, source)
        assert all(word in str(error.value) for word in (other.digest, teacher.digest, "--teacher", "made with")), error.value
    assert take_teacher(teacher, path, synth, source) is teacher
    for place, whose in ((None, synth), (path, without(synth, config="another run's"))):
        assert take_teacher(other, place, whose, source) is other, "nothing says which teacher it was"
    narrow = nets.build("mlp:width=5", source.image, 3)
    with pytest.raises(BadInput, match="--teacher: represents images by 5 numbers, the set's targets have 6"):
        take_teacher(replace(teacher, net=narrow, vars=narrow.init(KEY)), None, synth, source)


@pytest.mark.slow
def test_krrst_on_the_command_line(source, teacher, tmp_path, capsys):
    """It counts images in all, records its teacher, and hands on to what can score its sets; budgets and scores of classes it refuses."""
    keep(tmp_path / "teacher", teacher)
    out = tmp_path / "run"
    argv = f"distill krrst --data {source.spec} --teacher {tmp_path / 'teacher'} --net {NET} --steps 2 --batch 8 --pool 2 --pool-steps 2"
    assert run([*argv.split(), "--size", "5", "--out", str(out)]) == 0
    assert f"condense transfer {out} --to SPEC --teacher {tmp_path / 'teacher'}\n" in capsys.readouterr().out
    record, synth = json.loads((out / "run.json").read_text()), load_set(out / "set.npz")
    assert record["state"] == "done" and record["config"]["teacher"] == teacher.digest and record["config"]["size"] == 5
    assert len(synth) == 5 and synth.y.values.shape == (5, 6) and synth.represents
    moved = [json.loads(line)["moved"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    real = {image.tobytes() for image in np.asarray(take_all(source.train).x)}
    assert len(moved) == 2 and 0 < moved[0] < moved[1] < 3e-3, "Adam at a step size of 1e-3 that falls"
    assert not {image.tobytes() for image in np.asarray(synth.x.decode())} & real
    assert not np.array_equal(synth.y.values, teacher.represent(synth.x.decode())), "targets are learned"
    assert recorded_teacher(out / "set.npz", synth) == teacher.digest
    for flags, words in (("--ipc 2", "--ipc 2: krrst reads no labels; give --size"), ("--size 5 --eval-every 1", "krrst reads no labels")):
        assert run([*argv.split(), *flags.split(), "--out", str(tmp_path / "none")]) == 2
        assert words in capsys.readouterr().err and not (tmp_path / "none" / "set.npz").exists()
    call = SimpleNamespace(out="r", teacher=None, data="digits")
    taught, plain = (SimpleNamespace(represents=False, y=SimpleNamespace(taught=taught)) for taught in (True, False))
    graphs = SimpleNamespace(modality="graphs")
    assert scoring(taught, call, graphs, teachers="t") == ["condense", "evaluate", "r", "--data", "digits", "--teachers", "t"]
    assert scoring(plain, call, graphs, teachers="t") == scoring(taught, call, graphs) == ["condense", "evaluate", "r", "--data", "digits"]
    assert scoring(synth, SimpleNamespace(out="a b", teacher=None), source) == ["condense", "transfer", "a b", "--to", "SPEC"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fraction": 0.0}, ["--fraction 0.0", "above 0 and at most 1"]),
        ({"fraction": 1.5}, ["--fraction 1.5"]),
        ({"fraction": 0.5, "protocol": ["probe:1", "finetune:0.2"]}, ["--fraction 0.5", "every protocol names its own"]),
        ({"protocol": "knn"}, ["--protocol: unknown protocol 'knn'", "probe, finetune"]),
        ({"protocol": ["probe", "finetune:2"]}, ["--protocol finetune:2", "above 0 and at most 1"]),
        ({"protocol": "probe:few"}, ["--protocol probe:few", "no number", "probe:0.01"]),
        ({"protocol": []}, ["--protocol: names none", "probe, finetune"]),
        ({"to": []}, ["--to: names no data"]),
        ({"split": "train"}, ["--split: unknown split 'train'"]),
        ({"rows": "best"}, ["--rows: unknown row 'best'", "none, distilled, random, random_labels, kmeans, full"]),
        ({"draws": 3}, ["--draws 3", "--fraction below 1"]),
        ({"draws": 0}, ["--draws 0", "at least 1"]),
        ({"draws": 2.5}, ["--draws 2.5", "whole number"]),
        ({"draws": [1, 2], "fraction": 0.5}, ["--draws 1 2", "one for each of the 1 targets"]),
        ({"steps": 3}, ["--steps 3", "--protocol finetune"]),
        ({"steps": 0, "protocol": "finetune"}, ["--steps 0", "at least 1"]),
        ({"seeds": 0}, ["--seeds 0"]),
        ({"epochs": 0}, ["--epochs 0"]),
        ({"net": "vgg"}, ["--net vgg"]),
        ({"to": "toy_graphs"}, ["--to toy_graphs: holds graphs, and this takes images"]),
        ({"teacher": None}, ["--teacher", "no teacher lies beside the set"]),
        ({"teacher": "nowhere"}, ["nowhere: holds no teacher.json"]),
    ],
)
def test_a_wrong_call_says_what_would_be_right(changes, words, source, teacher, other):
    call = {"to": other, "teacher": teacher, "rows": ["distilled", "random"], "seeds": 1, "epochs": 1} | changes
    with pytest.raises(BadInput) as error:
        transfer(made(source, teacher), **call)
    assert all(word in str(error.value) for word in words), error.value


def test_draws_are_of_all_targets_or_of_each():
    ways = [("probe", 0.1)]
    assert read_draws([3], 2, ways) == [3, 3] and read_draws([1, 10], 2, ways) == [1, 10] and read_draws([1], 1, [("probe", 1.0)]) == [1]


def test_what_is_named_twice_is_one():
    assert read_protocols(["probe", "probe:1", "finetune:0.1", "probe:0.5", "probe", "finetune:.1"], 1.0) == [
        ("probe", 1.0),
        ("finetune", 0.1),
        ("probe", 0.5),
    ]
    assert read_protocols(["probe", "finetune:0.1"], 0.3) == [("probe", 0.3), ("finetune", 0.1)]


def test_a_target_that_is_the_source_is_cut_as_the_set_was(source, other, capsys):
    """Else its validation images have been distilled, or stand in a row of real ones."""
    theirs = take_target(source.spec, source, 4, seed=0, split="val")
    assert theirs.seed == 4 and not np.array_equal(theirs.rows[1], source.rows[1])
    assert take_target(other, source, 4, seed=0, split="val").seed == 0, "other data is cut by the call's seed"
    assert take_target(source, source, 4, seed=0, split="test") is source and not capsys.readouterr().err
    assert take_target(source, source, 4, seed=4, split="val") is source, "what is handed over stays as it is"
    assert "cut by seed 0 may have served a maker that cut by seed 4" in capsys.readouterr().err


def test_loaded_graphs_are_no_images_either(source, teacher):
    with pytest.raises(BadInput, match="--to toy_graphs: holds graphs, and this takes images"):
        transfer(made(source, teacher), to=load_data("toy_graphs"), rows="none")


def test_hard_labels_are_no_targets(source, teacher, other):
    synth = replace(made(source, teacher), y=Hard(jnp.zeros(6, jnp.int32), 3))
    with pytest.raises(BadInput, match="kind hard: transfer needs target representations"):
        transfer(synth, to=other)

"""Self-supervised teachers: Barlow Twins against numpy and finite differences, views, training that resumes, and files that are checked."""

import json
import shutil
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from condense import nets
from condense.__main__ import run
from condense.data.load import load_data
from condense.inputs.context import Context
from condense.inputs.registry import PROVIDERS, split_seed
from condense.inputs.teacher import find, make
from condense.runtime.log import MetricsLog
from condense.teachers import barlow
from condense.teachers import self_supervised as ssl
from condense.teachers.barlow import Config, barlow_loss, complete, make_training, project
from condense.teachers.self_supervised import load_ssl_teacher, train_ssl_teacher
from matchers import REGISTRY
from synth.base import take_all
from synth.errors import BadInput
from synth.images.distortions import Ranges, resized_crop, sampling, views
from tests.support.three_classes import three_classes
from tests.support.toy_data import central_differences

KEY = jax.random.key(7)
SMALL = Config("mlp:width=6,norm=batch", 3, batch=16, projector=4, lr=0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A teacher's folder; nobody writes there."""
    place = tmp_path_factory.mktemp("teachers") / "a"
    train_ssl_teacher(data, place, **SMALL._asdict())
    return place


# The loss


def pair(n: int = 9, d: int = 4):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(n, d)) * 3 + 1
    return a, a + rng.normal(size=(n, d))


def test_the_loss_is_that_of_its_definition(float64):
    a, b = pair()
    za, zb = ((z - z.mean(0)) / z.std(0) for z in (a, b))
    expected = 0.0
    for i in range(4):
        for j in range(4):
            c = sum(za[k, i] * zb[k, j] for k in range(9)) / 9
            expected += (1 - c) ** 2 if i == j else 0.02 * c**2
    assert abs(float(barlow_loss(jnp.asarray(a), jnp.asarray(b), trade=0.02, epsilon=0.0)) - expected) < 1e-12


def test_identical_decorrelated_features_cost_nothing(float64):
    """Columns of a Hadamard matrix but the constant one have mean 0, variance 1 and no correlation; any scale and shift of them too."""
    hadamard = np.array([[(-1.0) ** bin(i & j).count("1") for j in range(1, 8)] for i in range(8)])
    assert float(barlow_loss(jnp.asarray(hadamard), jnp.asarray(3 * hadamard + 2), epsilon=0.0)) < 1e-24
    doubled = np.repeat(hadamard[:, :1], 2, 1)
    cost = float(barlow_loss(jnp.asarray(doubled), jnp.asarray(doubled), trade=0.5, epsilon=0.0))
    assert abs(cost - 1.0) < 1e-12, "two equal columns are two off-diagonal ones, each of weight 0.5"
    assert abs(float(barlow_loss(jnp.asarray(hadamard), jnp.asarray(-hadamard), epsilon=0.0)) - 4 * 7) < 1e-12


def test_the_order_of_the_batch_does_not_matter(float64):
    a, b = pair()
    order = np.random.default_rng(1).permutation(9)
    value = float(barlow_loss(jnp.asarray(a), jnp.asarray(b)))
    assert abs(float(barlow_loss(jnp.asarray(a[order]), jnp.asarray(b[order]))) - value) < 1e-12
    assert abs(float(barlow_loss(jnp.asarray(a[order]), jnp.asarray(b))) - value) > 1e-2, "but pairs must stay together"


def test_the_gradient_is_that_of_differences(float64):
    a, b = pair()
    loss, grads = jax.jit(barlow_loss), jax.grad(barlow_loss, argnums=(0, 1))(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(grads[0], central_differences(lambda x: loss(jnp.asarray(x), jnp.asarray(b)), a), atol=1e-8)
    np.testing.assert_allclose(grads[1], central_differences(lambda x: loss(jnp.asarray(a), jnp.asarray(x)), b), atol=1e-8)


def test_the_projector_is_three_layers():
    rng = np.random.default_rng(0)
    layers = barlow.init_projector(KEY, 5, 3)
    assert [layer["kernel"].shape for layer in layers] == [(5, 3), (3, 3), (3, 3)]
    assert all(np.abs(layer["kernel"]).max() <= 1 / np.sqrt(len(layer["kernel"])) for layer in layers)
    x = expected = rng.normal(size=(6, 5)).astype(np.float32)
    for number, layer in enumerate(layers):
        expected = expected @ np.asarray(layer["kernel"])
        if number < 2:
            expected = np.maximum(0, (expected - expected.mean(0)) / np.sqrt(expected.var(0) + 1e-5))
    np.testing.assert_allclose(project(layers, jnp.asarray(x)), expected, atol=1e-5)


# Views


def test_the_whole_image_is_the_identity_and_mirrors():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32))
    whole = [(jnp.float32(0), jnp.float32(n)) for n in (5, 4)]
    np.testing.assert_allclose(resized_crop(x, *whole, jnp.asarray(False)), x, atol=1e-6)
    np.testing.assert_allclose(resized_crop(x, *whole, jnp.asarray(True)), x[:, ::-1], atol=1e-6)


def test_a_crop_is_what_interpolation_reads():
    low, length, n = 1.3, 2.9, 6
    line = np.random.default_rng(0).normal(size=n)
    at = low + (np.arange(n) + 0.5) * length / n - 0.5
    matrix = sampling(n, jnp.float32(low), jnp.float32(length), jnp.asarray(False))
    np.testing.assert_allclose(np.asarray(matrix) @ line, np.interp(at, np.arange(n), line), atol=1e-5)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(sampling(n, jnp.float32(low), jnp.float32(length), jnp.asarray(True)), matrix[::-1], atol=1e-6)


def test_views_are_drawn_for_every_image_within_their_ranges():
    flat = jnp.ones((64, 4, 4, 1)) * 2
    ranges = Ranges(brightness=0.25)
    draw = jax.jit(views, static_argnums=2)
    seen = np.asarray(draw(KEY, flat, ranges))
    assert np.ptp(seen.reshape(64, -1), axis=1).max() < 1e-5, "a flat image stays flat, under contrast too"
    shift = seen[:, 0, 0, 0] - 2
    assert np.abs(shift).max() <= 0.25 + 1e-6 and shift.min() < -0.2 and shift.max() > 0.2 and len(np.unique(shift)) > 60
    np.testing.assert_array_equal(seen, draw(KEY, flat, ranges))
    ramp = jnp.broadcast_to(jnp.arange(4, dtype=jnp.float32)[None, None, :, None], (64, 4, 4, 1))
    for flips, least in ((True, 15), (False, 0)):
        rises = np.asarray(draw(KEY, ramp, Ranges(flips=flips)))
        falling = int((rises[:, 0, -1, 0] < rises[:, 0, 0, 0]).sum())
        assert least <= falling <= 64 - least and (flips or falling == 0)
    spans = np.ptp(np.asarray(draw(KEY, ramp, Ranges(flips=False, contrast=0.0))), axis=(1, 2, 3))
    assert spans.min() < 2 and spans.max() <= 3 + 1e-5, "crops show a part of the ramp"


# Training


def carry_of(training, x, stops) -> np.ndarray:
    carry = training.init(KEY)
    for first, stop in stops:
        carry = training.advance(carry, training.order(KEY, jnp.int32(1)), x, jnp.int32(0), jnp.int32(first), jnp.int32(stop))
    return carry


@pytest.mark.slow
def test_training_is_the_same_in_any_pieces_and_lowers_the_loss(data):
    x = jnp.asarray(take_all(data.train).x)
    net = nets.build(SMALL.net, data.image, 3)
    training = make_training(net, SMALL._replace(epochs=60), x.shape, ranges=Ranges())
    assert training.steps == len(x) // 16
    whole, pieces = (carry_of(training, x, stops) for stops in ([(0, 6)], [(0, 1), (1, 4), (4, 6)]))
    jax.tree.map(np.testing.assert_array_equal, whole, pieces)
    first = float(whole.total) / 6
    carry = whole
    for epoch in range(2, 40):
        carry = training.advance(carry, training.order(KEY, jnp.int32(epoch)), x, jnp.int32(0), jnp.int32(0), jnp.int32(6))
    assert float(carry.total) / 6 < 0.8 * first
    assert training.advance._cache_size() == 1


def test_a_teacher_is_stored_and_loaded(data, trained):
    teacher = load_ssl_teacher(trained)
    assert teacher.net_name == nets.canonical(SMALL.net) and teacher.about["data"] == data.spec
    again = train_ssl_teacher(data, trained, **SMALL._asdict())
    representation = np.asarray(teacher.represent(take_all(data.val).x))
    assert representation.shape == (len(data.val.y), 6) and representation.std() > 0
    np.testing.assert_array_equal(again.represent(take_all(data.val).x), representation)
    plain = teacher.net.apply(teacher.vars, jnp.asarray(take_all(data.val).x)).embed
    np.testing.assert_allclose(jax.jit(teacher.represent)(jnp.asarray(take_all(data.val).x)), plain, atol=1e-6)
    assert again.digest == teacher.digest


def test_the_probe_is_logged_and_stored(data, trained):
    """The last one is of all training images, scored on validation images, as scikit-learn scores the same features."""
    log = MetricsLog(trained / "metrics.jsonl", step=99)
    accuracies = log.column("probe_accuracy")
    assert sorted(log.column("loss")) == [1, 2, 3] and all(0 < accuracy <= 1 for accuracy in accuracies.values())
    about = json.loads((trained / "teacher.json").read_text())
    assert about["probe"]["accuracy"] == accuracies[3] and about["probe"]["split"] == "val"
    teacher = load_ssl_teacher(trained)
    seen, held_out = (np.asarray(teacher.represent(take_all(part).x), np.float64) for part in (data.train, data.val))
    scale = StandardScaler().fit(seen)
    known = LogisticRegression(C=1e4, max_iter=2000).fit(scale.transform(seen), data.train.y)
    assert accuracies[3] == pytest.approx(known.score(scale.transform(held_out), data.val.y), abs=1.01 / len(data.val.y))


def test_labels_are_for_the_log_alone(data, trained, tmp_path):
    """Shuffled labels change nothing but the probe."""
    shuffled = replace(data)
    shuffled.train.y[:] = np.random.default_rng(0).permutation(data.train.y)
    assert not np.array_equal(shuffled.train.y, data.train.y)
    other = train_ssl_teacher(shuffled, tmp_path / "b", **SMALL._asdict())
    assert other.digest == load_ssl_teacher(trained).digest
    assert other.about["probe"]["accuracy"] != load_ssl_teacher(trained).about["probe"]["accuracy"]


def test_an_interrupted_training_goes_on_to_the_same_bits(data, trained, tmp_path, monkeypatch):
    compiled = ssl._compiled

    def stops(*args):
        training, read = compiled(*args)

        def order(key, epoch):
            if int(epoch) == 2:
                raise KeyboardInterrupt
            return training.order(key, epoch)

        return training._replace(order=order), read

    with monkeypatch.context() as patch:
        patch.setattr(ssl, "_compiled", stops)
        with pytest.raises(KeyboardInterrupt):
            train_ssl_teacher(data, tmp_path / "c", **SMALL._asdict())
    assert not (tmp_path / "c" / "teacher.json").exists()
    resumed = train_ssl_teacher(data, tmp_path / "c", **SMALL._asdict())
    assert resumed.digest == load_ssl_teacher(trained).digest
    rows = MetricsLog(trained / "metrics.jsonl", step=99).rows
    assert MetricsLog(tmp_path / "c" / "metrics.jsonl", step=99).rows == rows


def test_defaults_depend_on_the_data():
    config = complete(Config(), (28, 28, 1), 54_000)
    assert config.net.startswith("convnet:width=32,depth=3,norm=batch") and config.epochs == 19
    config = complete(Config(), (8, 8, 1), 1_300)
    assert "depth=2" in config.net and config.epochs == 800


# Being handed over


def test_a_teacher_is_taken_from_a_folder_or_the_run(data, trained, tmp_path, monkeypatch, capsys):
    given = Context(REGISTRY["krrst"], data, None, 0, None, 5, given=str(trained))
    assert make(given).value.digest == find(given).value.digest == load_ssl_teacher(trained).digest
    shutil.copytree(trained, tmp_path / "run" / "teacher")
    monkeypatch.setattr("condense.inputs.teacher.train_ssl_teacher", partial(train_ssl_teacher, **SMALL._asdict()))
    context = Context(REGISTRY["krrst"], data, None, 0, tmp_path / "run", 5)
    teacher = make(context).value
    assert PROVIDERS["teacher"].identity(teacher) == load_ssl_teacher(trained).digest
    assert "no --teacher is given" in capsys.readouterr().err
    monkeypatch.setattr("condense.inputs.teacher.train_ssl_teacher", partial(train_ssl_teacher, **SMALL._replace(epochs=1)._asdict()))
    with pytest.raises(BadInput, match="holds another run"):
        make(context)


def test_a_plan_has_a_teacher_that_is_not_trained_of_the_same_shape(data, tmp_path):
    context = Context(REGISTRY["lgm"], data, None, 0, tmp_path / "run", 5)
    found = find(context)
    assert found.to_make.net == (complete(Config(), data.image, len(data.train.y)).net,)
    net = nets.build(found.to_make.net[0], data.image, len(data.classes))
    assert jax.tree.map(lambda leaf: leaf.shape, found.value.vars) == jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(net.init, KEY))
    shown = np.asarray(found.value.represent(jnp.ones((2, *data.image))))
    assert shown.shape == net.apply(net.init(KEY), jnp.ones((2, *data.image))).embed.shape and not shown.any()


def test_a_run_leaves_out_the_images_that_its_teacher_left_out(trained):
    assert split_seed(REGISTRY["krrst"].load(), {"teacher": str(trained)}, 5) == 0
    assert split_seed(REGISTRY["krrst"].load(), {"teacher": None}, 5) == 5


@pytest.mark.slow
def test_a_teacher_is_made_where_none_fits(data, trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "run" / "teacher")
    monkeypatch.setattr("condense.inputs.teacher.train_ssl_teacher", partial(train_ssl_teacher, **SMALL._replace(epochs=1)._asdict()))
    context = Context(REGISTRY["krrst"], data, None, 0, tmp_path / "run", 5, force=True)
    assert make(context).value.digest != load_ssl_teacher(trained).digest
    assert make(context._replace(out=None)).value.about["epochs"] == 1


@pytest.mark.slow
def test_the_command_line_trains_one(data, tmp_path, capsys):
    out = tmp_path / "t"
    net = SMALL.net
    argv = ["teachers", "--ssl", "barlow", "--data", data.spec, "--out", str(out), "--net", net, "--batch", "10", "--lr", "0.01"]
    argv += ["--epochs", "1"]
    assert run(argv) == 0
    said = capsys.readouterr().out
    assert f"{out} holds the teacher; a linear probe on it: " in said and "validation images" in said
    record = json.loads((out / "run.json").read_text())
    assert (
        record["state"] == "done"
        and record["config"]["ssl"] == "barlow"
        and record["command"].startswith("condense teachers --data")
        and "--ssl barlow --epochs 1 --lr 0.01 --batch 10" in record["command"]
        and (record["config"]["batch"], record["config"]["lr"]) == (10, 0.01)
    )
    assert run(argv) == 0 and run([*argv[:-1], "2"]) == 2
    assert "epochs was 1, now 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--ssl", "simclr"], "--ssl: unknown way to learn 'simclr' (known: barlow)"),
        (["--epochs", "0"], "--epochs 0"),
        (["--net", "nope"], "--net nope"),
        (["--seed", "-1"], "--seed -1"),
        (["--ssl", "barlow", "--batch", "1"], "--batch 1"),
        (["--ssl", "barlow", "--lr", "0"], "--lr 0.0: give a number above 0"),
        (["--ssl", "barlow", "--decay", "0.1"], "--decay: is for a committee; leave it out with --ssl"),
        (["--ssl", "barlow", "--data", "toy_graphs"], "--data toy_graphs: holds graphs, and this takes images"),
        (["--data", "toy_graphs"], "--data toy_graphs: holds graphs, and this takes images"),
    ],
)
def test_a_wrong_call_leaves_nothing(flags, words, tmp_path, capsys):
    out = tmp_path / "t"
    assert run(["teachers", "--data", "digits", "--out", str(out), *flags]) == 2
    assert words in capsys.readouterr().err and not out.exists()


# Files from strangers


def test_a_teacher_of_other_images_is_refused(data, trained, tmp_path):
    teacher = load_ssl_teacher(trained)
    with pytest.raises(BadInput, match="takes 4x4x1 images, digits has 8x8x1"):
        teacher.check_fit(load_data("digits"), "--teacher")
    with pytest.raises(BadInput, match="normalised otherwise"):
        teacher.check_fit(load_data(data.spec + "?normalise=zca"), "--teacher")
    teacher.check_fit(load_data(data.spec, seed=3), "--teacher")


@pytest.mark.parametrize("damage", ["missing", "no json", "no net", "shape", "nan", "cut"])
def test_a_damaged_teacher_is_refused(damage, trained, tmp_path):
    place = tmp_path / "t"
    shutil.copytree(trained, place)
    about = json.loads((place / "teacher.json").read_text())
    arrays = dict(np.load(place / "teacher.npz"))
    if damage == "missing":
        (place / "teacher.json").unlink()
    elif damage == "no json":
        (place / "teacher.json").write_text("{")
    elif damage == "no net":
        (place / "teacher.json").write_text(json.dumps({name: value for name, value in about.items() if name != "net"}))
    elif damage == "shape":
        np.savez(place / "teacher.npz", **{**arrays, "params/head/bias": np.zeros(9, np.float32)})
    elif damage == "nan":
        np.savez(place / "teacher.npz", **{**arrays, "params/head/bias": np.full(3, np.nan, np.float32)})
    elif damage == "cut":
        (place / "teacher.npz").write_bytes((place / "teacher.npz").read_bytes()[:500])
    with pytest.raises(BadInput) as error:
        load_ssl_teacher(place)
    assert str(place) in str(error.value) and "\n" not in str(error.value)


SPOILS = {
    "no json": (lambda place: place.write_text("{"), "is not a teacher's description"),
    "deep": (lambda place: place.write_text("[" * 100_000), "nested more than 32 deep"),
    "infinite": (lambda place: place.write_text('{"image": [1e400]}'), "no finite number"),
    "image": (lambda place: edit(place, image=[8, 8]), "image must be a list of 3 values"),
    "outputs": (lambda place: edit(place, outputs=0), "outputs must be a whole number of at least 1"),
    "split": (lambda place: edit(place, split_seed="x"), "split_seed must be a whole number"),
    "network": (lambda place: edit(place, net="mlp:width=60000,norm=batch"), "would take .* use a smaller width"),
    "format": (lambda place: edit(place, format=7), "is of format 7, and this version reads 1"),
    "parameters": (lambda place: edit(place, digest="0" * 16), "holds the parameters [0-9a-f]{16}, and teacher.json names 0{16}"),
}


def edit(place, **changes):
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


@pytest.mark.parametrize("how", SPOILS)
def test_a_damaged_description_is_refused_in_one_line(how, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "a")
    spoil, words = SPOILS[how]
    spoil(tmp_path / "a" / "teacher.json")
    with pytest.raises(BadInput, match=words) as error:
        load_ssl_teacher(tmp_path / "a")
    assert "\n" not in str(error.value)


def test_a_teacher_of_before_has_no_checksum(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "a")
    place = tmp_path / "a" / "teacher.json"
    held = json.loads(place.read_text())
    assert held.pop("digest") == load_ssl_teacher(trained).digest
    place.write_text(json.dumps(held))
    assert load_ssl_teacher(tmp_path / "a").digest == load_ssl_teacher(trained).digest

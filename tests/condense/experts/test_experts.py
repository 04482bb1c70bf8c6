"""Experts: what the recipes compute, what is recorded, that a stopped training goes on to the same bits, and what is refused."""

import json
import logging
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense import experts, nets
from condense.__main__ import run as command
from condense.api import distill
from condense.data.load import load_data
from condense.experts import EXPERTS, RECIPES, Experts, complete_recipe, load_experts, store, train, train_experts
from condense.experts.flat import ascent, dot, gsam, surrogate
from condense.experts.smooth import gradient_penalty, loss_weight
from condense.inputs import experts as provide
from condense.inputs.context import Context
from condense.runtime import devices as mesh
from matchers import REGISTRY
from matchers.base import Matcher, Segment, once
from synth.base import Net, Out, Vars
from synth.errors import BadInput, RunFailed
from synth.images import augment
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.training.fit import Item, epoch_items, on_examples, slope
from tests.support.toy_data import blobs, central_differences, smooth_net

NET, EPOCHS, LR = "mlp:width=4,norm=none,act=relu", 4, 0.1
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    """Three classes of 4x4 images, 40 examples each."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, (3, 1, 4, 4, 1))

    def part(n):
        x = np.clip(means + rng.normal(0, 0.15, (3, n, 4, 4, 1)), 0, 1)
        return x.reshape(-1, 4, 4, 1).astype(np.float32), np.repeat(np.arange(3), n)

    (x_train, y_train), (x_test, y_test) = part(40), part(5)
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return f"npz:{path}"


def made(spec, out, *, count=3, epochs=EPOCHS, batch=32, net=NET, lr=LR, **more):
    return train_experts(spec, count=count, epochs=epochs, out=out, net=net, batch=batch, lr=lr, **more)


@pytest.fixture(scope="module")
def trained(spec, tmp_path_factory, compiled_once) -> Path:
    """Three experts of recipe `sgd`."""
    made(spec, out := tmp_path_factory.mktemp("experts") / "sgd")
    return out


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """One compilation for all trainings of a recipe: they are of one network and one data set."""
    kept, make = {}, experts.make_trainer

    def cached(net, recipe, augment, classes, *, epochs):
        at = (recipe, epochs, len(mesh.devices()))
        kept[at] = kept.get(at) or make(net, recipe, augment, classes, epochs=epochs)
        return kept[at]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experts, "make_trainer", cached)
        yield


def arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npy"))}


def test_snapshot_0_is_the_network_as_drawn_and_consecutive_ones_differ(trained):
    found, net = load_experts(trained), nets.build(NET, (4, 4, 1), 3)
    assert (found.count, found.epochs, found.size, found.net) == (3, EPOCHS, nets.count(net), NET)
    for number in range(3):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), number), 0)
        np.testing.assert_array_equal(found.first(number), ravel_pytree(net.init(key).params)[0])
        rows = found.read(number, range(EPOCHS + 1))
        assert (np.abs(np.diff(rows, axis=0)).max(1) > 0).all(), "two snapshots are the same: do they share memory?"
    assert len({found.last(number).tobytes() for number in range(3)}) == 3


def test_a_trajectory_is_that_of_a_plain_loop(spec, trained):
    """ExpertRecipe sgd, written out: theta - lr grad of the mean cross entropy of augmented batches."""
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 1)
    view, flat = augment.dsa(augment.dsa_strategy(data.flips)), load_experts(trained).read(1, range(3))
    params, unravel = ravel_pytree(net.init(jax.random.fold_in(key, 0)).params)

    @jax.jit
    def gradient(params, item):
        x = view(jax.random.split(item.key)[0], jnp.asarray(data.train.x)[item.index], siamese=False)
        chosen = jax.nn.one_hot(jnp.asarray(data.train.y)[item.index], 3)

        def loss(params):
            entropy = -jnp.sum(chosen * jax.nn.log_softmax(net.apply(Vars(unravel(params)), x).logits), 1)
            return jnp.sum(entropy * item.counts) / jnp.sum(item.counts)

        return jax.grad(loss)(params)

    for epoch in range(2):
        items = epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=32)
        for place in range(len(items.index)):
            params = params - jnp.float32(LR) * gradient(params, jax.tree.map(lambda leaf, at=place: leaf[at], items))
        np.testing.assert_allclose(flat[epoch + 1], params, rtol=0, atol=2e-6)


def test_the_accuracies_are_those_of_the_snapshots_on_the_validation_split(spec, trained):
    data, net, found = load_data(spec), nets.build(NET, (4, 4, 1), 3), load_experts(trained)
    unravel = ravel_pytree(net.init(KEY).params)[1]
    for number in range(3):
        for epoch, stated in enumerate(found.header.accuracy[number]):
            guess = net.apply(Vars(unravel(jnp.asarray(found.read(number, [epoch])[0]))), jnp.asarray(data.val.x)).logits.argmax(-1)
            assert stated == pytest.approx(np.mean(np.asarray(guess) == data.val.y))
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * EPOCHS and {(row["expert"], row["epoch"]) for row in rows} == {
        (e, t + 1) for e in range(3) for t in range(EPOCHS)
    }
    assert all(row["val_accuracy"] == pytest.approx(found.header.accuracy[int(row["expert"])][int(row["epoch"])]) for row in rows)


def test_training_again_gives_the_same_bits_and_another_seed_others(spec, trained, tmp_path):
    made(spec, tmp_path / "again")
    assert arrays(tmp_path / "again") == arrays(trained)
    made(load_data(spec), tmp_path / "other", seed=1)
    assert not np.array_equal(load_experts(tmp_path / "other").first(0), load_experts(trained).first(0))


@pytest.mark.slow
def test_more_experts_are_added_to_those_there(spec, trained, tmp_path):
    made(spec, tmp_path, count=1)
    made(spec, tmp_path, count=3)
    assert arrays(tmp_path) == arrays(trained)
    assert asdict(load_experts(tmp_path).header) == asdict(load_experts(trained).header)


def test_the_same_call_again_changes_nothing(spec, tmp_path, capsys):
    made(spec, tmp_path, count=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    found = made(spec, tmp_path, count=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before and found.count == 1
    assert "is done: 1 experts; nothing to do" in capsys.readouterr().err
    with pytest.raises(BadInput, match="epochs was 4, now 2"):
        made(spec, tmp_path, count=1, epochs=2)


@pytest.mark.parametrize("moment", ["in the third epoch", "before its row", "before its checkpoint", "before the files have names"])
def test_a_stopped_training_goes_on_to_the_same_bits(spec, trained, tmp_path, monkeypatch, moment):
    """Stopped at a point of the third epoch, or after the last; what was done before is not done again."""

    def stop(*args, **named):
        raise KeyboardInterrupt

    once, calls = experts.make_trainer, []

    def counting(*args, **named):
        trainer = once(*args, **named)

        def advance(states, keys, examples, epoch):
            calls.append(int(epoch))
            if moment == "in the third epoch" and len(calls) == 3:
                stop()
            return trainer.advance(states, keys, examples, epoch)

        return trainer._replace(advance=advance)

    monkeypatch.setattr(experts, "make_trainer", counting)
    with monkeypatch.context() as patch:
        write, save = store.Recorder.write, train.Checkpoints.save
        if moment == "before its row":
            patch.setattr(train.Recorder, "write", lambda self, epoch, row: stop() if epoch == 3 else write(self, epoch, row))
        if moment == "before its checkpoint":
            patch.setattr(train.Checkpoints, "save", lambda self, step, tree: stop() if step == 3 else save(self, step, tree))
        if moment == "before the files have names":
            patch.setattr(train.Recorder, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            made(spec, tmp_path)
    with pytest.raises(BadInput, match=r"cannot read .*experts.json"):
        load_experts(tmp_path)
    calls.clear()
    calls += [-1] * 3  # so that nothing stops it this time
    made(spec, tmp_path)
    assert calls[3:] == ([3] if moment == "before the files have names" else [2, 3])
    assert arrays(tmp_path) == arrays(trained)
    assert (tmp_path / "experts.json").read_bytes() == (trained / "experts.json").read_bytes()
    assert (tmp_path / "metrics.jsonl").read_bytes() == (trained / "metrics.jsonl").read_bytes()
    assert not list(tmp_path.glob(".expert*")) and not (tmp_path / "checkpoints").exists()


def test_rows_that_were_touched_meanwhile_are_trained_anew(spec, trained, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(train.Recorder, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made(spec, tmp_path)
    partial = tmp_path / ".expert_0001.npy.partial"
    partial.write_bytes(partial.read_bytes()[:-4])
    made(spec, tmp_path)
    assert arrays(tmp_path) == arrays(trained)
    assert "is not as it was left; its training starts anew" in capsys.readouterr().err


def test_a_training_that_stopped_goes_on_with_more_experts_beside_those_it_had(spec, trained, tmp_path, monkeypatch, capsys):
    """Four at once are another group than three: their checkpoint is of no use, and the training of the first three starts anew."""
    with monkeypatch.context() as patch:
        save = train.Checkpoints.save
        patch.setattr(train.Checkpoints, "save", lambda self, step, tree: save(self, step, tree) if step < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made(spec, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0000"]
    found = made(spec, tmp_path, count=4)
    assert "holds a group of another size, of before --count was changed; its training starts anew" in capsys.readouterr().err
    kept = arrays(tmp_path)
    assert found.count == 4 and {name: kept[name] for name in arrays(trained)} == arrays(trained)


def test_one_device_gives_what_four_give_and_compiles_an_epoch_once(spec, trained, tmp_path, monkeypatch):
    class Counter(logging.Handler):
        seen = 0

        def emit(self, record):
            self.seen += "Finished XLA compilation of jit(advance_all)" in record.getMessage()

    assert len(mesh.devices()) == 4
    for module in (mesh, train):
        monkeypatch.setattr(module, "devices", lambda: tuple(jax.local_devices()[:1]))
    with jax.log_compiles():
        logging.getLogger("jax").addHandler(counter := Counter())
        made(spec, tmp_path)  # three groups of one
        logging.getLogger("jax").removeHandler(counter)
    assert counter.seen == 1
    for number in range(3):
        rows, expected = (load_experts(folder).read(number, range(EPOCHS + 1)) for folder in (tmp_path, trained))
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)


# What the recipes compute


def toy_objective(dtype=jnp.float32):
    """Cross entropy of a smooth network on noisy views of blobs, and one item of it."""
    net, data = smooth_net(dtype=dtype), blobs(dtype=np.dtype(dtype))

    def noisy(key, x, *, siamese):
        return x + jax.random.normal(key, x.shape, x.dtype)

    objective = on_examples(net, jnp.asarray(data.x), Hard(jnp.asarray(data.y), 3), augment=noisy)
    item = jax.tree.map(lambda leaf: leaf[1], epoch_items(KEY, 0, len(data.y), batch=10))
    params = net.init(jax.random.key(5)).params
    return objective, jax.tree.map(lambda p: p.astype(dtype) + jnp.asarray(0.01, dtype), params), item


def test_flat_experts_are_trained_as_a_plain_loop_of_gsam_does(spec, tmp_path):
    """Two epochs: w - lr (g_p - alpha g_perp), both gradients on one augmented batch, the second at w + rho w^2 g / || |w| g ||."""
    found = made(spec, tmp_path, count=1, epochs=2, recipe="flat", rho=0.5, alpha=0.4).read(0, range(3))
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 0)
    view, unravel = augment.dsa(augment.dsa_strategy(data.flips)), ravel_pytree(net.init(KEY).params)[1]
    labels = jax.nn.one_hot(jnp.asarray(data.train.y), 3)

    @jax.jit
    @jax.grad
    def gradient(w, item):
        x = view(jax.random.split(item.key)[0], jnp.asarray(data.train.x)[item.index], siamese=False)
        entropy = -jnp.sum(labels[item.index] * jax.nn.log_softmax(net.apply(Vars(unravel(w)), x).logits), 1)
        return jnp.sum(entropy * item.counts) / jnp.sum(item.counts)

    w, gsam_moved = found[0].astype(np.float64), 0.0
    for epoch in range(2):
        items = epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=32)
        for place in range(len(items.index)):
            item = jax.tree.map(lambda leaf, at=place: leaf[at], items)
            g = np.asarray(gradient(jnp.asarray(w, jnp.float32), item), np.float64)
            e = 0.5 * w**2 * g / np.linalg.norm(np.abs(w) * g)
            g_p = np.asarray(gradient(jnp.asarray(w + e, jnp.float32), item), np.float64)
            step = g_p - 0.4 * (g - (g @ g_p) / (g_p @ g_p) * g_p)
            w, gsam_moved = w - LR * step, gsam_moved + np.linalg.norm(step - g)
        np.testing.assert_allclose(found[epoch + 1], w, rtol=0, atol=1e-5)
    assert LR * gsam_moved > 1e-2, "plain gradients would do as well"


def test_gsam_without_radius_and_alpha_is_the_gradient():
    objective, params, item = toy_objective()
    (loss, _), plain = jax.jit(slope(objective))(params, (), item)
    (value, _), direction = jax.jit(gsam(objective, rho=0.0, alpha=0.0, adaptive=True))(params, (), item)
    assert value == loss
    jax.tree.map(np.testing.assert_array_equal, direction, plain)
    _, tiny = jax.jit(gsam(objective, rho=1e-7, alpha=0.3, adaptive=True))(params, (), item)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), tiny, plain)


@pytest.mark.parametrize("adaptive", [True, False])
def test_gsam_is_what_the_formulae_say(float64, adaptive):
    """Against numpy, over flat vectors, with gradients by central differences of the loss."""
    objective, params, item = toy_objective(jnp.float64)
    w, unravel = ravel_pytree(params)
    loss = jax.jit(lambda w: objective(unravel(w), (), item)[0])
    rho, alpha = 0.3, 0.4
    g = central_differences(loss, w)
    e = rho * np.asarray(w) ** 2 * g / np.linalg.norm(np.abs(w) * g) if adaptive else rho * g / np.linalg.norm(g)
    g_p = central_differences(loss, np.asarray(w) + e)
    g_perp = g - (g @ g_p) / (np.linalg.norm(g) * np.linalg.norm(g_p)) * np.linalg.norm(g) * g_p / np.linalg.norm(g_p)
    assert np.linalg.norm(g_p - g) > 1e-2 * np.linalg.norm(g), "the radius is too small for the test to tell anything"

    def run(alpha):
        return ravel_pytree(jax.jit(gsam(objective, rho=rho, alpha=alpha, adaptive=adaptive))(params, (), item)[1])[0]

    np.testing.assert_allclose(run(0.0), g_p, rtol=0, atol=1e-8)
    np.testing.assert_allclose(run(alpha), g_p - alpha * g_perp, rtol=0, atol=1e-8)


def test_what_gsam_takes_away_is_orthogonal_to_the_perturbed_gradient():
    g, p = ({"a": jax.random.normal(key, (3, 4)), "b": jax.random.normal(key, (5,))} for key in jax.random.split(KEY))
    kept = surrogate(g, p, alpha=1.0)
    perp = jax.tree.map(jnp.subtract, p, kept)
    assert abs(float(dot(perp, p))) < 1e-5 < float(dot(perp, perp))
    zero = jax.tree.map(jnp.zeros_like, g)
    assert all(
        np.isfinite(leaf).all()
        for tree in (surrogate(g, zero, alpha=0.3), ascent(g, zero, rho=0.1, adaptive=True))
        for leaf in jax.tree.leaves(tree)
    )


def test_the_loss_starts_light():
    weights = [float(loss_weight(epoch)) for epoch in range(14)]
    np.testing.assert_allclose(weights, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1, 1, 1], atol=1e-6)


def linear_net(slopes) -> Net:
    """Two logits whose sum has the gradient `slopes` f32[c] at each pixel, times the parameter `w`."""

    def apply(vars, x, *, train=False, key=None):
        total = jnp.sum(x * slopes[None, None, None, :], (1, 2, 3)) * vars.params["w"]
        logits = jnp.stack([0.25 * total, 0.75 * total], 1)
        return Out(logits, logits, {})

    return Net(lambda key: Vars({"w": jnp.ones(())}), apply)


def test_the_penalty_is_0_for_unit_slopes_and_1_for_a_constant_and_its_gradient_is_finite():
    x, counts = jax.random.normal(KEY, (4, 3, 3, 3)), jnp.ones(4)
    net = linear_net(jnp.float32([0.6, 0.8, 0]))

    @jax.jit
    def penalty(w):
        return gradient_penalty(net, {"w": w}, x, counts)

    assert abs(float(penalty(jnp.float32(1)))) < 1e-12
    assert float(penalty(jnp.float32(3))) == pytest.approx(4)  # the norm over channels is 3, one less is 2
    assert float(penalty(jnp.float32(0))) == 1
    assert float(jax.grad(penalty)(jnp.float32(0))) == 0


def test_the_penalty_counts_rows_that_count_and_its_gradient_agrees_with_differences(float64):
    net, data = smooth_net((3, 3, 2), dtype=jnp.float64), blobs(2, image=(3, 3, 2), dtype=np.float64)
    x = jnp.asarray(data.x)
    w, unravel = ravel_pytree(net.init(KEY).params)
    counts = jnp.asarray([1, 1, 1, 1, 0, 0], jnp.float32)
    value = jax.jit(lambda w: gradient_penalty(net, unravel(w), x, counts))
    first = jax.jit(lambda w: gradient_penalty(net, unravel(w), x[:4], jnp.ones(4, jnp.float32)))
    assert float(value(w)) == pytest.approx(float(first(w)), rel=1e-12)
    np.testing.assert_allclose(jax.grad(value)(w), central_differences(value, w), rtol=0, atol=1e-7)


def test_smooth_adds_twice_the_penalty_of_images_that_are_not_augmented():
    net, data = smooth_net(), blobs()
    x, y = jnp.asarray(data.x), Hard(jnp.asarray(data.y), 3)
    params, stats = net.init(KEY)
    item = Item(KEY, jnp.arange(4), jnp.ones(4), (jnp.int32(3), jnp.int32(0)))

    def doubled(key, x, *, siamese):
        return 2 * x

    value, _ = RECIPES["smooth"]().objective(net, doubled, x, y)(params, stats, item)
    entropy, _ = on_examples(net, 2 * x, y)(params, stats, item)
    expected = 0.65 * float(entropy) + 2 * float(gradient_penalty(net, params, x[:4], jnp.ones(4)))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    plain, _ = RECIPES["smooth"](penalty=0.0, cold=True).objective(net, doubled, x, y)(params, stats, item)
    assert float(plain) == pytest.approx(float(entropy), rel=1e-6)


def test_the_step_size_of_smooth_falls_late_and_momentum_starts_anew(spec, tmp_path):
    """Seven epochs of one step each, against momentum and decay written out; the drop is before the sixth."""
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    rows = made(spec, tmp_path, count=1, epochs=7, batch=1000, recipe="smooth", lr=0.05, penalty=0.0).read(0, range(8))
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 0)
    view, unravel = augment.dsa(augment.dsa_strategy(data.flips)), ravel_pytree(net.init(KEY).params)[1]
    objective = RECIPES["smooth"](penalty=0.0).objective(net, view, jnp.asarray(data.train.x), Hard(jnp.asarray(data.train.y), 3))
    gradient = jax.jit(jax.grad(lambda w, item: objective(unravel(w), (), item)[0]))
    w, b = rows[0], np.zeros_like(rows[0])
    for epoch in range(7):
        if epoch == 5:
            b = np.zeros_like(b)
        item = jax.tree.map(lambda leaf: leaf[0], epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=1000))
        b = 0.9 * b + np.asarray(gradient(jnp.asarray(w), item)) + 1e-3 * w
        w = (w - (0.03 if epoch >= 5 else 0.05) * b).astype(np.float32)
        np.testing.assert_allclose(rows[epoch + 1], w, rtol=0, atol=1e-5)
    assert RECIPES["smooth"]().drop_epoch(50) == 27 and RECIPES["sgd"]().drop_epoch(50) == 50  # after epoch 26, counted from 0


def test_defaults_are_the_published_ones():
    assert complete_recipe("sgd", {}) == {"lr": 0.01, "batch": 256}
    assert complete_recipe("flat", {}) == {"lr": 0.01, "batch": 256, "rho": 0.01, "alpha": 0.3, "unscaled": False}
    assert complete_recipe("smooth", {}) == {
        "lr": 0.003, "momentum": 0.9, "weight_decay": 0.001, "batch": 256, "penalty": 2.0, "cold": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("steep", {}, "unknown recipe 'steep' of experts .known: sgd, flat, smooth"),
        ("sgd", {"rho": 0.1}, "--recipe sgd: has no option --rho .known: --lr, --batch"),
        ("flat", {"rho": -1.0}, "--rho -1.0: give a number of at least 0"),
        ("flat", {"lr": 0.0}, "--lr 0.0: give a number above 0"),
        ("smooth", {"penalty": -1.0}, "--penalty -1.0"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(recipe, options, words):
    with pytest.raises(BadInput, match=words):
        complete_recipe(recipe, options)


# Provider to methods


def chase(experts: Experts, *, span: int = 2) -> Matcher:
    """Puts the numbers of a piece of trajectory where a test sees them."""

    def solve(key, synth, piece):
        return replace(synth, x=Pixels(synth.x.pixels.at[:, 0, 0, 0].set(piece.targets[0, 0])))

    return once(solve, feed=Segment(span, 0, 2))


@pytest.mark.parametrize(("method", "recipe"), [("mtt", "sgd"), ("ftd", "flat"), ("datm", "flat"), ("ast", "smooth")])
def test_experts_that_are_not_given_are_of_the_methods_own_recipe(method, recipe, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(provide, "train_experts", lambda data, **settings: settings["recipe"])
    assert provide.provide(Context(method, load_data(spec), NET, 0, tmp_path)) == recipe


@pytest.mark.parametrize(("recipe", "method"), [("sgd", "mtt"), ("flat", "ftd"), ("smooth", "ast")])
def test_the_verb_suggests_the_method_that_the_experts_are_for(recipe, method, trained, monkeypatch, capsys):
    monkeypatch.setattr(experts, "train_experts", lambda **settings: load_experts(trained))
    assert command(["experts", "--data", "digits", "--count", "3", "--epochs", "4", "--recipe", recipe, "--out", "e"]) == 0
    assert f"  condense distill {method} --experts e --data digits --ipc 10 --out runs/{method}\n" in capsys.readouterr().out


@pytest.fixture
def chasing(monkeypatch):
    """A method that asks for experts and makes no computation of its own."""
    monkeypatch.setitem(REGISTRY, "chase", chase)


def test_a_method_that_asks_for_experts_gets_them_and_their_net_and_split(spec, trained, tmp_path, chasing):
    synth = distill("chase", spec, ipc=1, seed=7, out=tmp_path, experts=str(trained))
    rows = np.load(trained / "expert_0000.npy"), np.load(trained / "expert_0001.npy"), np.load(trained / "expert_0002.npy")
    assert float(synth.x.pixels[0, 0, 0, 0]) in {float(row[epoch, 0]) for row in rows for epoch in (2, 3)}
    assert (synth.info.net, synth.info.seed, synth.info.split_seed) == (NET, 7, 0)
    config = json.loads((tmp_path / "run.json").read_text())["config"]
    assert config["experts"] == load_experts(trained).identity()
    assert config["experts"].startswith("3 x 4 epochs of sgd(lr=0.1, batch=32), seed 0")


def test_experts_of_another_net_or_other_data_are_refused(spec, trained, tmp_path, chasing):
    given = {"ipc": 1, "experts": str(trained)}
    with pytest.raises(BadInput, match=r"--net mlp:width=5.*: the experts are of mlp:width=4"):
        distill("chase", spec, net="mlp:width=5", **given)
    with pytest.raises(BadInput, match=r"--experts .*: trained on npz.* of digest .*, and digits has .*; give --data npz"):
        distill("chase", "digits", **given)
    with pytest.raises(BadInput, match=r"cut by seed 0, here npz.*, cut by 3: normalisation or validation split are not the same"):
        distill("chase", load_data(spec, seed=3), **given)
    with pytest.raises(BadInput, match=r"cut by seed 0.*normalise=zca, cut by 0"):
        distill("chase", load_data(f"{spec}?normalise=zca"), **given)
    with pytest.raises(BadInput, match=r"--experts .*nowhere: cannot read"):
        distill("chase", spec, ipc=1, experts=str(tmp_path / "nowhere"))


def test_experts_that_are_not_given_are_made_once_in_the_run(spec, tmp_path, chasing, monkeypatch, capsys):
    monkeypatch.setattr(provide, "COUNT", 3)
    monkeypatch.setattr(provide, "EPOCHS", EPOCHS)
    synth = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run")
    said = capsys.readouterr().err
    assert "no --experts: 3 are trained for 4 epochs with recipe sgd" in said
    made = arrays(tmp_path / "run" / "experts")
    assert len(made) == 3 and synth.info.net == NET
    again = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run")
    assert np.array_equal(again.x.pixels, synth.x.pixels) and "experts is done" in capsys.readouterr().err
    forced = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run", force=True, span=1)
    assert arrays(tmp_path / "run" / "experts") == made and not np.array_equal(forced.x.pixels, synth.x.pixels)
    assert np.array_equal(distill("chase", spec, ipc=1, net=NET).x.pixels, synth.x.pixels)  # without a folder


def test_the_verb_trains_says_what_it_reached_and_what_comes_next(spec, trained, tmp_path, capsys):
    flags = f"--data {spec} --count 3 --epochs {EPOCHS} --net {NET} --batch 32 --lr 0.1 --out {tmp_path / 'e'}"
    assert command(["experts", *flags.split()]) == 0
    shown = capsys.readouterr()
    assert arrays(tmp_path / "e") == arrays(trained)
    last = 100 * load_experts(trained).header.accuracy[2][EPOCHS]
    assert f"expert 2: validation accuracy {100 * load_experts(trained).header.accuracy[2][0]:.1f} % after 0" in shown.out
    assert f"{last:.1f} % after {EPOCHS}\n" in shown.out
    assert f"  condense distill mtt --experts {tmp_path / 'e'} --data {spec} --ipc 10 --out runs/mtt" in shown.out
    assert "3 experts of 103 parameters, 5 snapshots each: 0.00618 MB more on disk" in shown.err
    assert f"3 experts at once: networks and optimisers {store.megabytes(3 * 103 * 4)}, images " in shown.err
    assert len(re.findall(r"[\d.e-]+ s an epoch of 3 experts after the first; about \d+ s in all", shown.err)) == 1
    assert json.loads((tmp_path / "e" / "run.json").read_text())["command"] == f"condense experts {flags}"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--recipe flat --penalty 1", "unknown argument '--penalty'"),
        ("--recipe steep", "unknown recipe 'steep' of experts"),
        ("--count 0", "--count 0: give a whole number of at least 1"),
        ("--lr -1", "--lr -1.0: give a number above 0"),
    ],
)
def test_the_verb_refuses_in_one_line(spec, tmp_path, capsys, flags, words):
    whole = f"--data {spec} --out {tmp_path / 'e'} --net {NET} {'' if '--count' in flags else '--count 1'} --epochs 1 {flags}"
    assert command(["experts", *whole.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1


def test_the_help_of_the_verb_lists_the_options_of_the_recipe(capsys):
    assert command(["experts", "--recipe", "flat", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--rho", "--alpha", "--unscaled", "--count", "--out")) and "--penalty" not in shown


# What is refused


def test_batch_statistics_are_refused(spec, tmp_path):
    with pytest.raises(BadInput, match=r"norm=batch.*has batch statistics.*norm=instance, group or none"):
        made(spec, tmp_path / "x", net="convnet:width=4,depth=1,norm=batch")
    assert not (tmp_path / "x").exists()


def test_a_disk_without_room_is_refused_with_the_numbers_before_anything_is_trained(spec, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: usage._replace(free=10_000_000))
    with pytest.raises(RunFailed, match=r"the trajectories need 0.00\d+ MB and the disk has 10 MB free; take fewer --count"):
        made(spec, tmp_path)
    assert "3 experts of 103 parameters, 5 snapshots each" in capsys.readouterr().err


def test_a_training_that_diverges_is_named(spec, tmp_path, monkeypatch):
    make = experts.make_trainer

    def diverging(*args, **named):
        trainer = make(*args, **named)

        def advance(states, keys, examples, epoch):
            states, losses = trainer.advance(states, keys, examples, epoch)
            return (jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), states) if epoch == 2 else states), losses

        return trainer._replace(advance=advance)

    monkeypatch.setattr(experts, "make_trainer", diverging)
    with pytest.raises(RunFailed, match=r"expert 1 diverged in epoch 3: try a smaller --lr"):
        made(spec, tmp_path)


def rewrite(folder: Path, **changes) -> None:
    held = json.loads((folder / "experts.json").read_text()) | changes
    (folder / "experts.json").write_text(json.dumps(held))


def shape_of(folder: Path, shape, dtype=np.float32) -> None:
    np.save(folder / "expert_0001.npy", np.zeros(shape, dtype))


DAMAGES = {
    "no record": (lambda f: (f / "experts.json").unlink(), "cannot read .*experts.json.*condense experts --out"),
    "a folder": (lambda f: ((f / "experts.json").unlink(), (f / "experts.json").mkdir()), "not an ordinary file"),
    "no json": (lambda f: (f / "experts.json").write_text("{"), "is no record of experts"),
    "a list": (lambda f: (f / "experts.json").write_text("[]"), "it must hold net, recipe"),
    "deep": (lambda f: (f / "experts.json").write_text("[" * 100_000), "is no record of experts"),
    "nan": (lambda f: (f / "experts.json").write_text('{"seed": NaN}'), "it holds NaN"),
    "another format": (lambda f: rewrite(f, format=2), "its format is 2"),
    "count": (lambda f: rewrite(f, count=-1), "count must be a whole number"),
    "true": (lambda f: rewrite(f, epochs=True), "epochs must be a whole number"),
    "huge": (lambda f: rewrite(f, size=10**30), "size must be a whole number"),
    "accuracy": (lambda f: rewrite(f, accuracy=[[2.0]]), "accuracy must"),
    "unfinished": (lambda f: rewrite(f, asked=5), "3 of 5 experts are trained; run `condense experts` there to the end"),
    "no file": (lambda f: (f / "expert_0001.npy").unlink(), "cannot read .*expert_0001.npy"),
    "too few rows": (lambda f: shape_of(f, (EPOCHS, 103)), r"holds float32 of shape \(4, 103\), not f32\[5, 103\]"),
    "other parameters": (lambda f: shape_of(f, (EPOCHS + 1, 104)), r"not f32\[5, 103\]"),
    "doubles": (lambda f: shape_of(f, (EPOCHS + 1, 103), np.float64), "holds float64"),
    "objects": (lambda f: np.save(f / "expert_0001.npy", np.array([{}], object), allow_pickle=True), "holds objects"),
    "short": (lambda f: (f / "expert_0001.npy").write_bytes((f / "expert_0001.npy").read_bytes()[:-1]), r"has \d+ bytes, not the \d+"),
    "no npy": (lambda f: (f / "expert_0001.npy").write_bytes(b"hello"), "is no npy array"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_hostile_folder_is_refused_in_one_line(trained, tmp_path, damage):
    shutil.copytree(trained, tmp_path / "e")
    harm, words = DAMAGES[damage]
    harm(tmp_path / "e")
    with pytest.raises(BadInput, match=words) as refused:
        load_experts(tmp_path / "e")
    assert "\n" not in str(refused.value)


def test_numbers_that_are_not_finite_are_refused_when_read(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "e")
    rows = np.load(tmp_path / "e" / "expert_0001.npy")
    rows[2, 3] = np.nan
    np.save(tmp_path / "e" / "expert_0001.npy", rows)
    found = load_experts(tmp_path / "e")
    found.segment(1, 0, [1])
    with pytest.raises(BadInput, match=r"expert_0001.npy: holds numbers that are not finite"):
        found.segment(1, 1, [1])


def test_files_are_mapped_and_a_segment_is_its_rows(trained):
    found, rows = load_experts(trained), np.load(trained / "expert_0002.npy")
    assert all(isinstance(file, np.memmap) and not file.flags.writeable for file in found._files)
    start, targets = found.segment(2, 1, [1, 3])
    np.testing.assert_array_equal(start, rows[1])
    np.testing.assert_array_equal(targets, np.concatenate([rows[2], rows[4]]))
    np.testing.assert_array_equal(found.last(2), rows[-1])

"""Retraining against a training loop written in numpy, and what may not change a score: neighbours, devices, groups."""

import logging
import math
from dataclasses import replace
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.runtime import devices as mesh
from evals.report import Report
from evals.retrain import Trainer, group_size, make_trainer, retrain, rights_of, stack, train_group
from evals.retraining import EvalRecipe
from synth.base import Examples, Net, Out, Vars
from synth.errors import RunFailed
from synth.images.content import Pixels
from synth.labels.plain import Soft
from synth.numerics import backend
from synth.set import SyntheticSet
from tests.support.linear import linear_gradient, linear_net, softmax
from tests.support.toy_data import as_set, blobs

KEY = jax.random.key(11)
PLAIN = EvalRecipe("plain", 6, lr=0.1, weight_decay=0.05, batch=256)
SMALL = replace(PLAIN, batch=8)  # several batches an epoch, so that order matters


def one_device(monkeypatch):
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))


@pytest.fixture(scope="module")
def plain():
    """A linear network under full batches, on one device."""
    return make_trainer(linear_net(), PLAIN, None)


@pytest.fixture(scope="module")
def small():
    return make_trainer(linear_net(), SMALL, None)


@pytest.fixture(scope="module")
def noisy():
    """A set and test examples on which seeds differ in accuracy."""
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(3), 40).astype(np.int32)
    centres = rng.normal(size=(3, 4, 4, 1)) * 0.25
    x = (centres[y] + rng.normal(size=(120, 4, 4, 1))).astype(np.float32)
    return as_set(Examples(x[::6], y[::6])), Examples(x, y)


def epoch_by_epoch(trainer: Trainer, states: list) -> Trainer:
    def advance(*args):
        after = trainer.advance(*args)
        states.append(jax.tree.map(np.array, after.vars.params))
        return after

    return Trainer(trainer.init, advance, trainer.score)


def released_training(w, b, x, p, counts, epochs, lr, momentum, decay):
    """The released evaluation, whole batches: lr falls to a tenth and momentum is lost after epoch `epochs // 2 + 1`, counted from 0."""
    vw, vb, seen = np.zeros_like(w), np.zeros_like(b), []
    for epoch in range(epochs):
        gw, gb = linear_gradient(w, b, x, p, counts)
        vw, vb = momentum * vw + gw + decay * w, momentum * vb + gb + decay * b
        w, b = w - lr * vw, b - lr * vb
        seen.append((w, b))
        if epoch == epochs // 2 + 1:
            lr, vw, vb = 0.1 * lr, np.zeros_like(vw), np.zeros_like(vb)
    return seen


def check_every_epoch(trainer, chosen, synth, p, counts, lr):
    states: list = []
    keys = jax.random.fold_in(KEY, 0)[None]
    train_group(epoch_by_epoch(trainer, states), chosen, keys, stack([synth]))
    start = linear_net().init(jax.random.fold_in(keys[0], 0)).params
    w, b = (np.asarray(start[name], np.float64) for name in ("w", "b"))
    x = np.asarray(synth.x.pixels, np.float64).reshape(len(synth), -1)
    expected = released_training(w, b, x, p, counts, chosen.epochs, lr, chosen.momentum, chosen.weight_decay)
    assert len(states) == chosen.epochs
    for epoch, (params, (w, b)) in enumerate(zip(states, expected, strict=True)):
        np.testing.assert_allclose(params["w"][0], w, atol=2e-6, rtol=2e-5, err_msg=f"epoch {epoch}")
        np.testing.assert_allclose(params["b"][0], b, atol=2e-6, rtol=2e-5, err_msg=f"epoch {epoch}")


@pytest.mark.parametrize("epochs", [1, 2, 3, 9, 10, 21])
def test_every_epoch_is_that_of_the_released_training(plain, epochs):
    examples = blobs(4)
    check_every_epoch(plain, replace(PLAIN, epochs=epochs), as_set(examples), np.eye(3)[examples.y], np.ones(12), PLAIN.lr)


@pytest.mark.slow
def test_the_best_on_test_is_that_of_all_scorings_and_changes_no_score(noisy):
    """Against a replay that scores after every piece; the report says both, and the accuracy is still the last step's."""
    synth, test = noisy
    chosen = replace(SMALL, epochs=40, lr=2.0)  # so large that accuracies jump
    trainer, seen = make_trainer(linear_net(), chosen, None), []
    taken = lambda states: trainer.score(states, jnp.asarray(test.x), jnp.asarray(test.y))  # noqa: E731
    scores = lambda states: [int(right) / len(test.y) for right in rights_of(taken(states))]  # noqa: E731
    keys = jnp.stack([jax.random.fold_in(KEY, number) for number in range(3)])
    train_group(trainer, chosen, keys, stack([synth] * 3), watch=lambda states: seen.append(scores(states)))
    plain, watched = (retrain(KEY, trainer, chosen, lambda seed: synth, test, seeds=3, best_on_test=told) for told in (False, True))
    assert plain.best_on_test is None and "best_on_test" not in plain.as_json()
    assert watched.accuracy == plain.accuracy == tuple(seen[-1]) and len(seen) == 40
    assert watched.best_on_test == tuple(np.max(seen, 0)) and watched.best_on_test != watched.accuracy
    assert watched.as_json()["best_on_test"] == list(watched.best_on_test)
    grouped = retrain(KEY, trainer, chosen, lambda seed: synth, test, seeds=3, together=2, best_on_test=True)
    assert grouped.best_on_test == watched.best_on_test


def test_soft_labels_weights_and_a_learned_step_size_train_as_they_say(plain):
    examples, rng = blobs(4), np.random.default_rng(0)
    logits, weight = rng.normal(size=(12, 3)).astype(np.float32), rng.integers(0, 4, 12).astype(np.float32)
    synth = SyntheticSet(Pixels(jnp.asarray(examples.x)), Soft(jnp.asarray(logits)), jnp.asarray(weight), jnp.float32(0.03))
    check_every_epoch(plain, replace(PLAIN, epochs=8), synth, softmax(logits.astype(np.float64)), weight, 0.03)


def test_a_recipe_may_keep_its_step_size(plain):
    """Without the drop the last epochs are those of a training whose drop lies beyond them."""
    synth, states = as_set(blobs(4)), []
    kept = replace(PLAIN, epochs=6, schedule="constant")
    train_group(epoch_by_epoch(make_trainer(linear_net(), kept, None), states), kept, KEY[None], stack([synth]))
    longer: list = []
    train_group(epoch_by_epoch(plain, longer), replace(PLAIN, epochs=12), KEY[None], stack([synth]))
    np.testing.assert_array_equal(states[-1]["w"], longer[5]["w"])
    assert replace(kept, schedule="drop").drop_epoch() == 5


def test_the_step_size_follows_its_schedule():
    def factors(**settings):
        chosen = replace(PLAIN, epochs=8, **settings)
        return [float(chosen.factor(jnp.int32(epoch), jnp.int32(8))) for epoch in range(9)]

    np.testing.assert_allclose(factors(schedule="cosine"), [(1 + math.cos(math.pi * e / 8)) / 2 for e in range(9)], atol=1e-6)
    stretched = factors(schedule="cosine", stretch=2.0)
    assert stretched[0] == 1 and stretched[8] == pytest.approx(0.5)
    np.testing.assert_allclose(factors(schedule="constant", warmup=4)[:5], [0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_allclose(factors(), [1] * 6 + [0.1] * 3, rtol=1e-6)


def test_adam_trains_as_its_recurrence(plain):
    """Two full-batch epochs of a linear softmax classifier, against Adam in numpy."""
    examples, chosen = blobs(4), replace(PLAIN, epochs=2, optimizer="adamw", schedule="constant", lr=0.01)
    states = train_group(make_trainer(linear_net(), chosen, None), chosen, KEY[None], stack([as_set(examples)]))
    start = linear_net().init(jax.random.fold_in(KEY, 0)).params
    w = np.concatenate([np.asarray(start["w"], np.float64), np.asarray(start["b"], np.float64)[None]])
    x = np.concatenate([examples.x.astype(np.float64).reshape(12, -1), np.ones((12, 1))], 1)
    m = v = 0
    for t in (1, 2):
        g = x.T @ (softmax(x @ w) - np.eye(3)[examples.y]) / 12
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w * (1 - 0.01 * PLAIN.weight_decay) - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(states.vars.params["w"][0], w[:-1], atol=2e-5)
    np.testing.assert_allclose(states.vars.params["b"][0], w[-1], atol=2e-5)


def test_long_trainings_go_in_pieces_that_change_nothing(plain):
    """130 epochs go in pieces of two, cut at the drop after epoch 66; the ticks add up."""
    examples, ticks = blobs(4), []
    chosen = replace(PLAIN, epochs=130)
    states = train_group(plain, chosen, KEY[None], stack([as_set(examples)]), tick=ticks.append)
    start = linear_net().init(jax.random.fold_in(KEY, 0)).params
    w, b = (np.asarray(start[name], np.float64) for name in ("w", "b"))
    x = examples.x.astype(np.float64).reshape(12, -1)
    w, b = released_training(w, b, x, np.eye(3)[examples.y], np.ones(12), 130, PLAIN.lr, PLAIN.momentum, PLAIN.weight_decay)[-1]
    np.testing.assert_allclose(states.vars.params["w"][0], w, atol=1e-5)
    assert sum(ticks) == 130 and 1 < len(ticks) < 70 and max(ticks) == 2


def test_the_score_is_the_last_step_alone(noisy):
    """A network whose every answer is its step count: the count of steps scored is the last, and scoring happens once."""

    def apply(vars, x, *, train=False, key=None):
        steps = vars.stats
        logits = jax.nn.one_hot(jnp.broadcast_to(steps, (len(x),)), 100) + vars.params["w"][None] * jnp.float32(0)
        return Out(logits, x, {}, steps + 1 if train else steps)

    net = Net(lambda key: Vars({"w": jnp.ones(100)}, jnp.int32(0)), apply)
    synth = as_set(Examples(noisy[0].x.pixels, noisy[0].y.index), 100)
    trainer = make_trainer(net, SMALL, None)
    calls = []
    spied = Trainer(trainer.init, trainer.advance, lambda *args: calls.append(1) or trainer.score(*args))
    steps = SMALL.epochs * -(-len(synth) // SMALL.batch)
    test = Examples(np.zeros((10, 4, 4, 1), np.float32), np.array([steps] * 4 + list(range(6)), np.int32))
    report = retrain(KEY, spied, SMALL, lambda seed: synth, test, seeds=2)
    assert report.accuracy == (0.4, 0.4) and len(calls) == 2


@pytest.mark.slow
def test_the_augmentation_belongs_to_the_recipe(noisy, small):
    """Only a recipe that augments lets the augmentation touch a batch; evaluation never sees it."""

    def negate(key, x, *, siamese):
        assert not siamese
        return -x

    synth, test = noisy
    mirrored = Examples(-test.x, test.y)
    with_it = retrain(KEY, make_trainer(linear_net(), replace(SMALL, augment="dsa"), negate), SMALL, lambda seed: synth, mirrored, seeds=2)
    without = retrain(KEY, make_trainer(linear_net(), SMALL, negate), SMALL, lambda seed: synth, test, seeds=2)
    negated = replace(synth, x=Pixels(-synth.x.pixels))
    oracle = retrain(KEY, small, SMALL, lambda seed: negated, mirrored, seeds=2)
    assert with_it.accuracy == oracle.accuracy
    assert without.accuracy == retrain(KEY, small, SMALL, lambda seed: synth, test, seeds=2).accuracy


@pytest.fixture(scope="module")
def five(noisy, small):
    """Five seeds, one after another, on one device: what every other arrangement must repeat."""
    return retrain(KEY, small, SMALL, lambda seed: noisy[0], noisy[1], seeds=5, together=1, net_name="linear", set_kind="random")


def test_a_report_holds_one_accuracy_a_seed_with_mean_and_population_spread(five):
    values = np.array(five.accuracy)
    assert len(set(five.accuracy)) > 1 and ((values > 0.4) & (values < 1)).all()
    assert np.allclose(values * 120, np.round(values * 120), atol=1e-9)
    assert five.mean == pytest.approx(sum(five.accuracy) / 5) and five.std == pytest.approx(sqrt(((values - five.mean) ** 2).sum() / 5))
    row = five.as_json()
    assert list(row) == ["net", "recipe", "set_kind", "accuracy", "mean", "std", "seconds"]
    assert (row["net"], row["recipe"], row["set_kind"], row["accuracy"]) == ("linear", "plain", "random", list(five.accuracy))
    assert Report("n", "r", "k", (0.25, 0.75), 1.0).std == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("together", [2, 9])
def test_groups_change_no_score(noisy, small, five, together):
    again = retrain(KEY, small, SMALL, lambda seed: noisy[0], noisy[1], seeds=5, together=together)
    assert again.accuracy == five.accuracy


def test_a_seed_scores_the_same_however_many_run(noisy, small, five):
    drawn = []
    fewer = retrain(KEY, small, SMALL, lambda seed: drawn.append(seed) or noisy[0], noisy[1], seeds=3, together=2)
    assert fewer.accuracy == five.accuracy[:3] and sorted(drawn) == [0, 1, 2]
    assert [group_size(5, t) for t in (1, 2, 3, 4, 5, 8)] == [1, 2, 3, 3, 5, 5] and group_size(10, 8) == 5
    assert all(group_size(s, group_size(s, t)) == group_size(s, t) <= t for s in range(1, 30) for t in range(1, 12))


def test_seeds_together_are_seeds_one_after_another(monkeypatch, noisy, small, five):
    monkeypatch.setattr(backend, "is_cpu", lambda: False)
    assert backend.runs_together() == 8
    batched = make_trainer(linear_net(), SMALL, None)
    assert retrain(KEY, batched, SMALL, lambda seed: noisy[0], noisy[1], seeds=5).accuracy == five.accuracy
    keys = jnp.stack([jax.random.fold_in(KEY, seed) for seed in range(5)])
    a, b = (train_group(trainer, SMALL, keys, stack([noisy[0]] * 5)).vars.params["w"] for trainer in (batched, small))
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(np.asarray(a[0] - a[1])).max() > 1e-2


@pytest.mark.slow
def test_four_devices_score_as_one(monkeypatch, noisy, five):
    assert len(mesh.devices()) == 4
    used = []

    def over(fn, *xs):
        out = mesh.over_devices(fn, *xs)
        jax.debug.inspect_array_sharding(jax.tree.leaves(out)[0], callback=lambda sharding: used.append(len(sharding.device_set)))
        return out

    spread = make_trainer(linear_net(), SMALL, None, over_devices=over)
    for together in (4, 5):  # 3 and 5 of them: neither divides by 4
        report = retrain(KEY, spread, SMALL, lambda seed: noisy[0], noisy[1], seeds=5, together=together)
        assert report.accuracy == five.accuracy
    assert 4 in used
    one_device(monkeypatch)
    alone = make_trainer(linear_net(), SMALL, None, over_devices=mesh.over_devices)
    assert retrain(KEY, alone, SMALL, lambda seed: noisy[0], noisy[1], seeds=5, together=4).accuracy == five.accuracy


@pytest.mark.slow
def test_rows_seeds_groups_and_pieces_share_one_compilation(caplog, noisy):
    """Sets of equal shapes, a step number anywhere, a last group that is short: nothing compiles or traces twice, on four devices."""
    traced, inner = [], linear_net()
    net = Net(inner.init, lambda vars, x, **kw: traced.append(1) or inner.apply(vars, x, **kw))
    trainer, synth = make_trainer(net, SMALL, None, over_devices=mesh.over_devices), noisy[0]
    chosen, other = replace(SMALL, epochs=7), replace(synth, x=Pixels(synth.x.pixels + 1))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        retrain(KEY, trainer, chosen, lambda seed: synth, noisy[1], seeds=1)  # other shapes, for what JAX compiles besides
        caplog.clear()
        retrain(KEY, trainer, chosen, lambda seed: synth, noisy[1], seeds=5, together=4)
        names = [f"Finished XLA compilation of jit({name})" for name in ("begin_all", "advance_all", "score_all")]
        assert [caplog.text.count(name) for name in names] == [1, 1, 1]
        caplog.clear()
        traced.clear()
        retrain(jax.random.key(1), trainer, replace(chosen, epochs=120), lambda seed: other, noisy[1], seeds=8, together=3)
        assert "Finished XLA compilation" not in caplog.text and not traced


def test_memory_grows_with_neither_seeds_nor_epochs(noisy, small):
    """Bytes of all live arrays, at every piece; the fewest seeds and epochs see the same most."""
    synth, test = noisy

    def most(seeds, epochs):
        seen = []

        def tick(done):
            seen.append(sum(array.nbytes for array in jax.live_arrays()))

        chosen = replace(SMALL, epochs=epochs)
        retrain(KEY, small, chosen, lambda seed: replace(synth, x=Pixels(synth.x.pixels + seed)), test, seeds=seeds, tick=tick)
        return max(seen)

    most(2, 3)
    few = most(2, 3)
    assert most(12, 3) <= few + 64 and most(2, 60) <= few + 64


def test_a_training_that_diverges_says_what_to_try(noisy, small):
    synth, test = noisy
    with pytest.raises(RunFailed, match=r"linear .* random set .* plain diverged: step size 1e\+30 .* --recipe or --net") as caught:
        hot = replace(SMALL, lr=1e30)
        retrain(KEY, make_trainer(linear_net(), hot, None), hot, lambda seed: synth, test, net_name="linear", set_kind="random")
    assert "\n" not in str(caught.value)
    with pytest.raises(RunFailed, match=r"the set's own step size 1e\+30"):
        retrain(KEY, small, SMALL, lambda seed: replace(synth, lr=jnp.float32(1e30)), test, seeds=2)


def test_statistics_that_are_not_finite_are_divergence_too(noisy):
    def apply(vars, x, *, train=False, key=None):
        return Out(jnp.zeros((len(x), 3)) + vars.params["w"][None], x, {}, vars.stats * jnp.float32(1e30))

    net = Net(lambda key: Vars({"w": jnp.ones(3)}, jnp.float32(1)), apply)
    with pytest.raises(RunFailed, match="diverged"):
        retrain(KEY, make_trainer(net, SMALL, None), SMALL, lambda seed: noisy[0], noisy[1], seeds=1)

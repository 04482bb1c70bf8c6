"""Batch norms see their running statistics wherever a network is asked, and the batch's own wherever it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evals.retrain import make_trainer, stack
from evals.retraining import EvalRecipe
from evals.transfer import Finetune, make_adapter, probe
from matchers.kernel.common import embed
from matchers.selection.common import features
from synth.base import Net, Out, Vars
from tests.support.toy_data import as_set, blobs

KEY = jax.random.key(3)
PLAIN = EvalRecipe("plain", 1, lr=0.1, weight_decay=0.0, batch=6)


class Modes:
    """A network with a norm that tells in which mode it was applied."""

    def __init__(self):
        self.train: list[bool] = []
        self.net = Net(self.init, self.apply)

    def init(self, key):
        head = {"kernel": jax.random.normal(key, (16, 3)), "bias": jnp.zeros(3)}
        return Vars({"head": head}, {"mean": jnp.full(16, 0.25), "var": jnp.full(16, 4.0)})

    def apply(self, vars, x, *, train=False, key=None):
        self.train.append(train)
        flat = x.reshape(len(x), -1)
        mean, var = (flat.mean(0), flat.var(0)) if train else (vars.stats["mean"], vars.stats["var"])
        z = (flat - mean[None]) / jnp.sqrt(var + 1e-5)[None]
        stats = {"mean": 0.9 * vars.stats["mean"] + 0.1 * mean, "var": 0.9 * vars.stats["var"] + 0.1 * var} if train else vars.stats
        return Out(z @ vars.params["head"]["kernel"] + vars.params["head"]["bias"][None], z, {}, stats)


@pytest.fixture
def modes():
    return Modes()


def taken(modes) -> set[bool]:
    found = set(modes.train)
    modes.train.clear()
    return found


def by_hand(vars, x):
    """Embedding and logits under the running statistics, in numpy."""
    z = (np.asarray(x).reshape(len(x), -1) - np.asarray(vars.stats["mean"])) / np.sqrt(np.asarray(vars.stats["var"]) + 1e-5)
    return z, z @ np.asarray(vars.params["head"]["kernel"]) + np.asarray(vars.params["head"]["bias"])


def test_retraining_learns_in_one_mode_and_is_scored_in_the_other(modes):
    trainer, examples = make_trainer(modes.net, PLAIN, None), blobs(6)
    sets, keys = stack([as_set(examples)]), jnp.stack([KEY])
    states = trainer.advance(trainer.init(keys, sets), keys, sets, jnp.int32(0), jnp.int32(1), jnp.int32(1))
    assert taken(modes) == {True}
    vars = jax.tree.map(lambda leaf: leaf[0], states.vars)
    right = int((by_hand(vars, examples.x)[1].argmax(1) == examples.y).sum())
    assert int(jnp.trace(trainer.score(states, jnp.asarray(examples.x), jnp.asarray(examples.y))[0])) == right
    assert taken(modes) == {False}


def test_transfer_reads_and_classifies_in_one_mode_and_learns_in_the_other(modes):
    adapter, examples = make_adapter(modes.net, modes.net, 3, how=Finetune()), blobs(6)
    vars = modes.init(KEY)
    np.testing.assert_allclose(adapter.embed(vars, jnp.asarray(examples.x)), by_hand(vars, examples.x)[0], rtol=1e-4, atol=1e-5)
    assert taken(modes) == {False}
    assert np.array_equal(adapter.classify(vars, jnp.asarray(examples.x)), by_hand(vars, examples.x)[1].argmax(1))
    assert taken(modes) == {False}
    x, y = jnp.asarray(examples.x), jnp.asarray(examples.y)
    adapter.advance(adapter.add_head(KEY, vars), x, y, jnp.arange(6)[None], jnp.int32(0), jnp.int32(1))
    assert taken(modes) == {True}


def test_ridge_heads_stand_on_features_of_the_trained_network(modes):
    examples, vars = blobs(4), modes.init(KEY)
    for bias in (False, True):
        found = np.asarray(embed(modes.net, bias=bias)(vars, jnp.asarray(examples.x)))
        np.testing.assert_allclose(found[:, :16], by_hand(vars, examples.x)[0], rtol=1e-4, atol=1e-5)
    assert taken(modes) == {False}


def test_selection_looks_at_features_of_the_trained_network(modes):
    examples = blobs(4)
    features(KEY, modes.net, examples, classes=3, space="embed", epochs=1, done=lambda: modes.train.append("after"))
    assert modes.train[-1] is False and True in modes.train and "after" in modes.train


def test_a_probe_is_fitted_to_training_features_alone():
    """One test example is classified the same whatever stands beside it."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3, dtype=np.int32), 20)
    train = (np.eye(3)[y] @ rng.normal(size=(3, 5)) + rng.normal(size=(60, 5))).astype(np.float32)
    test = rng.normal(size=(30, 5)).astype(np.float32)
    alone = np.asarray(probe(jnp.asarray(train), jnp.asarray(y), jnp.asarray(test), classes=3))
    assert len(set(alone)) == 3
    for shift in (7.0, -300.0):
        beside = np.concatenate([test, test * 50 + np.float32(shift)])
        assert np.array_equal(probe(jnp.asarray(train), jnp.asarray(y), jnp.asarray(beside), classes=3)[:30], alone)

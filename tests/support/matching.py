"""A step of a matching method on toy data, a network with batch statistics, and what dc, dsa and dm have in common."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

import synth.numerics.backend
from matchers import REGISTRY
from synth.base import Net, Out, Vars
from synth.images.augment import dsa as make_augment
from synth.images.augment import none
from synth.labels.plain import Soft
from tests.support.toy_data import as_set, blobs, smooth_net

KEY = jax.random.key(3)


def stepped(matcher, synth, batch, *, key=KEY):
    return jax.jit(lambda key, synth, batch: matcher.step(key, matcher.init(key, synth), synth, batch))(key, synth, batch)


def gradient_of(matcher, synth, batch, *, lr, key=KEY):
    """The image gradient that a first step of plain descent reveals: (before - after) / lr."""
    after, _, metrics = stepped(matcher, synth, batch, key=key)
    return (np.asarray(synth.x.pixels) - np.asarray(after.x.pixels)) / lr, float(metrics["loss"])


def per_class(examples, classes=3):
    return jnp.asarray(examples.x).reshape(classes, -1, *examples.x.shape[1:])


def make(name, net, **options):
    augment = {} if name == "dc" else {"augment": make_augment("color_crop_cutout_scale_rotate")}
    return REGISTRY[name].load()(net, **augment, **options)


def normed_net(inputs: int = 16, hidden: int = 5, classes: int = 3) -> Net:
    """A linear layer, batch normalisation without scale, a head: statistics move by a tenth."""

    def init(key):
        a, b = jax.random.split(key)
        params = {"w": jax.random.normal(a, (inputs, hidden)), "v": jax.random.normal(b, (hidden, classes))}
        return Vars(params, {"mean": jnp.zeros(hidden), "var": jnp.ones(hidden)})

    def apply(vars, x, *, train=False, key=None):
        h = x.reshape(len(x), -1) @ vars.params["w"]
        seen = {"mean": h.mean(0), "var": h.var(0)}
        used = seen if train else vars.stats
        embed = jnp.tanh((h - used["mean"][None]) / jnp.sqrt(used["var"][None] + jnp.float32(1e-5)))
        moved = {name: 0.9 * vars.stats[name] + 0.1 * seen[name] for name in seen} if train else vars.stats
        return Out(embed @ vars.params["v"], embed, {}, moved)

    return Net(init, apply)


def check_nothing_is_learned_from_a_copy_of_the_real_batch(name):
    """Every real image twice, so that only parameters shared by batches of different sizes augment both sides alike."""
    net, examples = smooth_net(), blobs(4)
    real = jnp.repeat(per_class(examples), 2, 1)
    grad, loss = gradient_of(make(name, net, lr=1.0, momentum=0.0), as_set(examples), real, lr=1.0)
    other = gradient_of(make(name, net, lr=1.0, momentum=0.0), as_set(blobs(4, seed=5)), real, lr=1.0)
    assert loss < 1e-2 * other[1]  # not zero: a row of a short gradient counts up to one
    assert np.abs(grad).max() < 1e-2 * np.abs(other[0]).max()


def check_duplicated_and_permuted_synthetic_images_change_no_loss(name):
    net, real, examples = smooth_net(), per_class(blobs(4)), blobs(2, seed=1)
    matcher = REGISTRY[name].load()(net) if name == "dc" else REGISTRY[name].load()(net, none)
    order = np.arange(6).reshape(3, 2)
    twice, swapped = (examples._replace(x=examples.x[i], y=examples.y[i]) for i in (np.repeat(order, 2, 1).ravel(), order[:, ::-1].ravel()))
    losses = [float(stepped(matcher, as_set(e), real)[2]["loss"]) for e in (examples, twice, swapped)]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
    assert losses[0] > 1e-3


def check_classes_do_not_touch_each_other(name):
    net, real, examples = smooth_net(), per_class(blobs(4)), blobs(2, seed=1)
    changed = examples._replace(x=np.where((examples.y == 2)[:, None, None, None], 3 - examples.x, examples.x).astype(np.float32))
    grads = [gradient_of(make(name, net, lr=1.0, momentum=0.0, batch=4), as_set(e), real, lr=1.0)[0] for e in (examples, changed)]
    np.testing.assert_allclose(grads[0][:4], grads[1][:4], atol=1e-6)
    assert np.abs(grads[0][4:] - grads[1][4:]).max() > 1e-4


def check_classes_together_equal_classes_in_turn(name, together, monkeypatch):
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net)
    looped = stepped(matcher, fake, real)[0].x.pixels
    monkeypatch.setattr(synth.numerics.backend, "is_cpu", lambda: False)
    monkeypatch.setattr(synth.numerics.backend, "TOGETHER", together)
    np.testing.assert_allclose(np.asarray(looped), np.asarray(stepped(matcher, fake, real)[0].x.pixels), atol=1e-5)


def check_certain_soft_labels_are_hard_labels(name):
    """Two steps, with the network trained on the set between them: logits of 60 and 0 leave no probability to the other classes."""
    net, real, hard = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net) if name == "dm" else make(name, net, outer=2, inner=2, net_lr=0.5)

    @jax.jit
    def twice(synth):
        state = matcher.init(KEY, synth)
        for number in range(2):
            synth, state, _ = matcher.step(jax.random.fold_in(KEY, number), state, synth, real)
        return synth.x.pixels

    certain, even = (replace(hard, y=Soft(c * jax.nn.one_hot(hard.y.index, 3))) for c in (60.0, 0.0))
    np.testing.assert_allclose(np.asarray(twice(certain)), np.asarray(twice(hard)), atol=1e-5)
    assert name == "dm" or np.abs(np.asarray(twice(even)) - np.asarray(twice(hard))).max() > 1e-4

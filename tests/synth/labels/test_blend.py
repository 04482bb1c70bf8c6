"""Knowledge distillation's loss: against numbers by hand, at its ends, and against ridge regression in closed form."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.base import Teacher, Vars
from synth.images.views import BatchView, Mixed, View
from synth.labelling import LabelPlan, label, present
from synth.labels import Labels
from synth.labels.blend import blend
from synth.labels.plain import Hard
from synth.training.fit import epoch_items, fit, init_fit, on_examples, sgd
from tests.support.linear import linear_net, softmax
from tests.support.toy_data import blobs, smooth_net
from tests.support.toy_teachers import committee

X, Y = (jnp.asarray(part) for part in blobs(3))  # nine images of three classes
Z = np.random.default_rng(0).normal(size=(4, 3))


def answers(kind: str, temperature: float, *, teachers=None) -> Labels:
    known = committee(2) if teachers is None else teachers
    made = label(jax.random.key(0), kind, X, Y, 3, known, LabelPlan(1, 0, View(), temperature))
    return present(made, known)


@pytest.mark.parametrize("kind", ["static", "online"])
def test_the_loss_is_that_of_its_formula_also_of_mixed_images(kind):
    index, lam, partner = np.array([0, 3, 4, 8]), 0.3, np.array([1, 2, 3, 0])
    view = BatchView(jnp.int32(0), jnp.int32(0), X[index], Mixed(jnp.asarray(partner), jnp.float32(lam)))
    labels = {alpha: blend(answers(kind, 4.0), Y, alpha) for alpha in (0.0, 0.3, 1.0)}
    targets = labels[1.0].targets(jnp.asarray(index), view)
    logits = sum(np.asarray(t.net.apply(t.vars, X).logits, np.float64) for t in committee(2)) / 2
    p = softmax(logits[index] / 4)
    p = lam * p + (1 - lam) * p[partner] if kind == "static" else p  # asked online, teachers see the mixed images themselves
    hard = np.eye(3)[np.asarray(Y)[index]]
    hard = lam * hard + (1 - lam) * hard[partner]
    ce = -(hard * np.log(softmax(Z))).sum(1)
    kl = (p * (np.log(p) - np.log(softmax(Z / 4)))).sum(1)
    for alpha, one in labels.items():
        np.testing.assert_allclose(one.loss(jnp.asarray(Z, jnp.float32), targets), (1 - alpha) * ce + alpha * 16 * kl, rtol=2e-3)
    assert labels[1.0].classes == 3 and labels[1.0].nbytes() == {"static": 9 * (4 + 2 * 3), "online": 9 * 4}[kind]


@pytest.mark.slow
def test_without_weight_of_the_teachers_a_network_learns_as_from_the_classes():
    """Under the same views, of the same key, and to the last bits; with weight it learns something else."""
    net, view, tx = smooth_net(), View(flip=True, mix="cutmix"), sgd(0.1)
    items = epoch_items(jax.random.key(1), 0, len(X), batch=4)

    @jax.jit
    def trained(labels):
        return fit(on_examples(net, X, labels, view=view), tx, init_fit(jax.random.key(2), net, tx), items)[0].vars.params["w"]

    plain = trained(Hard(Y, 3))
    for kind in ("static", "online"):
        np.testing.assert_allclose(trained(blend(answers(kind, 4.0), Y, 0.0)), plain, atol=1e-6)
        assert np.abs(trained(blend(answers(kind, 4.0), Y, 0.5)) - plain).max() > 1e-3
    assert trained._cache_size() == 3, "another weight compiles nothing anew"


# --- ridge regression: the student of a teacher that saw a fraction of the data

CLASSES, RIDGE, NOISE = 3, 2.0, 0.3


def ridge(x, targets):
    """argmin_w 1/2 |x w - targets|^2 + RIDGE/2 |w|^2."""
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ targets)


def bias(kept: float, seen: float) -> float:
    """Of a student on examples whose x'x is kept I, from the targets of a teacher on examples whose x'x is seen I, in units of the truth.

    The teacher's mean is seen / (seen + RIDGE) times the truth, because noise has mean 0; the student's is kept / (kept + RIDGE) of that.
    """
    return 1 - kept / (kept + RIDGE) * seen / (seen + RIDGE)


def design(copies: int, inputs: int = 16):
    """Orthogonal examples: every direction `copies` times, so that x'x is copies I. Fewer copies are a subset of more."""
    return np.tile(np.eye(inputs), (copies, 1))


def test_the_bias_of_a_student_falls_with_the_fraction_that_its_teacher_saw():
    """In closed form, and as the mean over draws of the noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(16, CLASSES))
    kept, fractions = 2, (1, 2, 4, 8, 16)
    falls = [bias(kept, seen) for seen in fractions]
    assert all(a > b for a, b in pairwise(falls)) and falls[-1] > 1 - kept / (kept + RIDGE)
    for seen, expected in zip(fractions, falls, strict=True):
        x, mine = design(seen), design(kept)
        teachers = [ridge(x, x @ truth + NOISE * rng.normal(size=(len(x), CLASSES))) for _ in range(400)]
        mean = np.mean([ridge(mine, mine @ teacher) for teacher in teachers], 0)
        np.testing.assert_allclose(truth - mean, expected * truth, atol=0.05)


@pytest.mark.parametrize("seen", [pytest.param(1, marks=pytest.mark.slow), 16])
def test_the_loss_gives_the_student_of_the_closed_form(seen):
    """At a high temperature T^2 KL is 1 / (2 C) of the squared distance of centred logits, so weight decay m is a ridge of n C m."""
    rng = np.random.default_rng(seen)
    truth, kept = rng.normal(size=(16, CLASSES)) / 2, design(2)
    truth -= truth.mean(1, keepdims=True)
    x = design(seen)
    noise = NOISE * rng.normal(size=(len(x), CLASSES))
    weights = ridge(x, x @ truth + noise - noise.mean(1, keepdims=True))
    expected = ridge(kept, kept @ weights)
    np.testing.assert_allclose(expected, weights * 2 / (2 + RIDGE), atol=1e-9)

    net = linear_net(16, CLASSES)
    teacher = Teacher(net, Vars({"w": jnp.asarray(weights, jnp.float32), "b": jnp.zeros(CLASSES)}))
    images = jnp.asarray(kept, jnp.float32).reshape(-1, 4, 4, 1)
    y = jnp.zeros(len(images), jnp.int32)
    made = label(jax.random.key(0), "static", images, y, CLASSES, (teacher,), LabelPlan(1, 0, View(), 50.0))
    tx = sgd(20.0, weight_decay=RIDGE / (len(images) * CLASSES))
    state = init_fit(jax.random.key(0), net, tx)
    state = state._replace(vars=jax.tree.map(jnp.zeros_like, state.vars))
    items = jax.tree.map(lambda leaf: jnp.repeat(leaf, 200, 0), epoch_items(jax.random.key(0), 0, len(images), batch=len(images)))

    def unbiased(params, stats, item):  # the closed form has no intercept
        return on_examples(net, images, blend(made, y, 1.0))({**params, "b": jnp.zeros(CLASSES)}, stats, item)

    found = jax.jit(lambda state: fit(unbiased, tx, state, items)[0].vars.params["w"])(state)
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
    assert np.abs(expected).max() > 0.1

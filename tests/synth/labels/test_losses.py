"""Losses of recipes that are not the labels' own: GIFT's cosine and HALD's phases, in closed form, and what trains by them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evals.recipes import recipe
from evals.retrain import make_trainer, train_group
from evals.retraining import EvalRecipe, trained_on
from synth.errors import BadInput
from synth.images.views import BatchView, Mixed, View, unmixed
from synth.labelling import LabelPlan, label, present
from synth.labels import Labels
from synth.labels.blend import blend
from synth.labels.common import centred
from synth.labels.gift import as_directions
from synth.labels.logits import as_logits
from synth.labels.phases import in_phases
from synth.labels.plain import Hard, Soft
from tests.support.linear import linear_net, softmax
from tests.support.toy_data import as_set, blobs
from tests.support.toy_teachers import committee

X, Y = (jnp.asarray(part) for part in blobs(3))  # nine images of three classes
Z = np.random.default_rng(0).normal(size=(4, 3))
INDEX, PARTNER, LAM = np.array([0, 3, 4, 8]), np.array([1, 2, 3, 0]), 0.3
PLAIN, MIXED = unmixed(X[INDEX]), Mixed(jnp.asarray(PARTNER), jnp.float32(LAM))


def seen(mixed: Mixed, epoch: int = 0) -> BatchView:
    return BatchView(jnp.int32(epoch), jnp.int32(0), X[INDEX], mixed)


def answers(kind: str, temperature: float = 4.0) -> Labels:
    known = committee(2)
    return present(label(jax.random.key(0), kind, X, Y, 3, known, LabelPlan(1, 0, View(), temperature)), known)


def answered(kind: str, *, mixed: bool) -> np.ndarray:
    """The logits that labels of a kind stand for at temperature 4: mixed images mix static labels' probabilities and interpolated ones'
    logits; online ones are asked about the images that are shown."""
    t = logits()
    if mixed and kind == "interpolated":
        return LAM * t + (1 - LAM) * t[PARTNER]
    if mixed and kind == "static":
        p = softmax(t / 4)
        return 4 * np.log(LAM * p + (1 - LAM) * p[PARTNER])
    return t


def logits() -> np.ndarray:
    return sum(np.asarray(t.net.apply(t.vars, X).logits, np.float64) for t in committee(2))[INDEX] / 2


def rows(mixed: bool) -> np.ndarray:
    own = np.eye(3)[np.asarray(Y)[INDEX]]
    return LAM * own + (1 - LAM) * own[PARTNER] if mixed else own


def cosine_loss(z: np.ndarray, t: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """By the release's formula (LINs-lab/GIFT, validate/losses_benchmark.py), row by row."""
    found = []
    for row, answer, y in zip(z, t, classes, strict=True):
        s = 0.9 * y + 0.1 / 2 * (1 - y)
        aim = answer / np.linalg.norm(answer) + 0.1 * s / np.linalg.norm(s)
        found.append(1 - row @ aim / np.linalg.norm(row) / np.linalg.norm(aim))
    return np.array(found)


@pytest.mark.parametrize("kind", ["static", "interpolated", "online"])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_of_gift_is_that_of_its_formula(kind, mixed):
    """Of teachers' logits without their mean. Where images are mixed, static labels mix probabilities and interpolated ones logits."""
    labels = as_directions(answers(kind))
    targets = labels.targets(jnp.asarray(INDEX), seen(MIXED if mixed else PLAIN))
    t = answered(kind, mixed=mixed)
    expected = cosine_loss(Z, t - t.mean(1, keepdims=True), rows(mixed))
    np.testing.assert_allclose(labels.loss(jnp.asarray(Z, jnp.float32), targets), expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(labels.loss(jnp.asarray(7 * Z, jnp.float32), targets), expected, rtol=2e-3, atol=2e-3)
    assert labels.nbytes() == answers(kind).nbytes() and labels.classes == 3


def test_gift_takes_classes_and_learned_labels_too():
    """Of classes the answer is the one-hot row, as in the release; a class that is learned is the most probable one."""
    classes, z = as_directions(Hard(Y, 3)), jnp.asarray(Z, jnp.float32)
    made = classes.loss(z, classes.targets(jnp.asarray(INDEX), seen(PLAIN)))
    np.testing.assert_allclose(made, cosine_loss(Z, rows(False), rows(False)), rtol=1e-4, atol=1e-5)
    learned = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    soft = as_directions(Soft(jnp.asarray(learned)))
    made = soft.loss(z, soft.targets(jnp.asarray(INDEX), seen(PLAIN)))
    picked = learned[INDEX].astype(np.float64)
    np.testing.assert_allclose(made, cosine_loss(Z, softmax(picked), np.eye(3)[picked.argmax(1)]), rtol=1e-4, atol=1e-5)
    assert float(classes.loss(jnp.zeros((4, 3)), classes.targets(jnp.asarray(INDEX), seen(PLAIN)))[0]) == 1
    slope = jax.grad(lambda z: classes.loss(z, classes.targets(jnp.asarray(INDEX), seen(PLAIN))).sum())(jnp.zeros((4, 3)))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("kind", ["static", "interpolated", "online"])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_on_logits_is_that_of_its_formula(kind, mixed):
    """The squared distance to the mean logits of the teachers, without their mean over classes, and the class's cross entropy, of the
    examples themselves where images are mixed. Labels that no teacher made keep their own loss."""
    labels = as_logits(answers(kind), 0.15)
    targets = labels.targets(jnp.asarray(INDEX), seen(MIXED if mixed else PLAIN))
    t = answered(kind, mixed=mixed)
    hard = -np.log(softmax(Z))[np.arange(4), np.asarray(Y)[INDEX]]
    expected = ((Z - (t - t.mean(1, keepdims=True))) ** 2).mean(1) + 0.15 * hard
    np.testing.assert_allclose(labels.loss(jnp.asarray(Z, jnp.float32), targets), expected, rtol=2e-3, atol=2e-3)
    assert labels.nbytes() == answers(kind).nbytes() and labels.classes == 3
    for other in (Hard(Y, 3), answers("distances")):
        assert as_logits(other, 0.15) is other


def test_logits_are_found_in_probabilities_again():
    z = np.random.default_rng(2).normal(0, 8, (5, 7))
    made = centred(jnp.asarray(softmax(z / 20), jnp.float32), 20.0)
    np.testing.assert_allclose(made, z - z.mean(1, keepdims=True), atol=1e-3)
    assert np.isfinite(centred(jnp.asarray([[1.0, 0.0]]), 1.0)).all()


@pytest.mark.parametrize(("epochs", "soft"), [(8, [0, 1, 6, 7]), (7, [0, 5, 6]), (300, [*range(75), *range(225, 300)])])
def test_phases_are_soft_hard_and_soft(epochs, soft):
    """T_A = n // 2 epochs of n = E // 2 soft ones, then the E - n hard ones; the loss of each by hand."""
    labels = in_phases(answers("static"), jnp.int32(epochs))
    z, p = jnp.asarray(Z, jnp.float32), softmax(logits() / 4)
    p = LAM * p + (1 - LAM) * p[PARTNER]
    kl = (p * (np.log(p) - np.log(softmax(Z / 4)))).sum(1)
    ce = -((0.2 * rows(True) + 0.8 / 3) * np.log(softmax(Z))).sum(1)
    loss = jax.jit(lambda epoch: labels.loss(z, labels.targets(jnp.asarray(INDEX), seen(MIXED)._replace(epoch=epoch))))
    for epoch in {0, epochs // 4 - 1, epochs // 4, epochs // 2, epochs - epochs // 4 - 1, epochs - epochs // 4, epochs - 1, *soft[:4]}:
        np.testing.assert_allclose(loss(jnp.int32(epoch)), kl if epoch in soft else ce, rtol=2e-3, atol=1e-4)


def test_a_recipe_trains_by_its_loss():
    """One step of plain descent of a linear network, for each of the losses against the slope of the labels that it makes."""
    net, examples = linear_net(), blobs(3)
    base = EvalRecipe("one", 1, lr=0.5, momentum=0.0, weight_decay=0.0, schedule="constant")
    synth, ends = as_set(examples), {}
    for loss in ("labels", "gift", "phases", "logits"):
        chosen = replace(base, loss=loss)
        trainer = make_trainer(net, chosen, None)
        keys = jax.random.key(3)[None]
        synths = jax.tree.map(lambda leaf: leaf[None], synth.bare())
        start = trainer.init(keys, synths)
        labels = trained_on(chosen, synth.y, jnp.int32(1))

        def mean(params, labels=labels, vars=start.vars):
            own = jax.tree.map(lambda leaf: leaf[0], vars)._replace(params=params)
            every = jnp.arange(9)
            view = BatchView(jnp.int32(0), jnp.int32(0), X, unmixed(X))
            return labels.loss(net.apply(own, X).logits, labels.targets(every, view)).mean()

        params = jax.tree.map(lambda leaf: leaf[0], start.vars.params)
        expected = jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(mean)(params))
        ends[loss] = train_group(trainer, chosen, keys, synths).vars.params
        jax.tree.map(lambda made, wanted: np.testing.assert_allclose(made[0], wanted, atol=1e-5), ends[loss], expected)
    first = {loss: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(end)]) for loss, end in ends.items()}
    assert min(np.abs(first["labels"] - first[other]).max() for other in ("gift", "phases")) > 1e-3


def test_the_step_size_of_gift_falls_by_fifths():
    chosen = recipe("gift")
    factors = [float(chosen.factor(jnp.int32(e), jnp.int32(1000))) for e in (0, 665, 666, 832, 833, 999)]
    np.testing.assert_allclose(factors, [1, 1, 0.2, 0.2, 0.04, 0.04], rtol=1e-6)
    assert (chosen.lr, chosen.weight_decay, chosen.optimizer, chosen.augment, chosen.epochs) == (1e-3, 1e-4, "adamw", "dsa", 1000)
    hald = recipe("hald")
    assert (hald.epochs, hald.batch, hald.lr, hald.weight_decay, hald.temperature) == (300, 16, 1e-3, 0.01, 20)


def test_labels_with_a_loss_or_views_of_their_own_are_refused():
    with pytest.raises(BadInput, match="--recipe gift: has a loss of its own, and labels of kind blended too"):
        as_directions(blend(answers("static"), Y, 0.5))
    with pytest.raises(BadInput, match="loss of its own on teachers' logits, and labels of kind blended too"):
        as_logits(blend(answers("static"), Y, 1.0), 0.15)

    class Recorded:
        kind, records = "recorded", True

    for wrap in (as_directions, lambda labels: in_phases(labels, jnp.int32(4))):
        with pytest.raises(BadInput, match="labels of kind recorded"):
            wrap(Recorded())

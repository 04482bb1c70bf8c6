"""Oracles of matching in all layers: moments by loops, the spectrum by its formula, a run replayed by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from matchers.decoupled.gvbsm import gap_of, grouped, gvbsm, shape_of_batches, spectrum_gap, ungrouped
from synth.base import Net
from synth.errors import BadInput
from synth.training import statistics
from synth.training.statistics import layer_moments, patch_moments, real_moments
from tests.support.toy_data import central_differences
from tests.support.toy_teachers import KEY, MEAN, PLAIN, STD, bn_net, committee, ran, started, task

HARD = {"labels": "hard", **PLAIN}
EDC = {"category": 0.5, "drop": 0.0, "density": 0.0}


def enlarged(image: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """One channel f64[h w], every pixel looked up between its four neighbours, centres at 1/2, borders repeated."""
    h, w = image.shape
    out = np.zeros((tall, wide))
    for i in range(tall):
        for j in range(wide):
            y, x = (min(max((k + 0.5) * n / m - 0.5, 0), n - 1) for k, n, m in ((i, h, tall), (j, w, wide)))
            top, left = int(y), int(x)
            low, right, a, b = min(top + 1, h - 1), min(left + 1, w - 1), y - top, x - left
            rows = [(1 - b) * image[row, left] + b * image[row, right] for row in (top, low)]
            out[i, j] = (1 - a) * rows[0] + a * rows[1]
    return out


@pytest.mark.parametrize(("h", "w"), [(8, 12), (6, 5), (1, 1), (2, 4)])
def test_patches_are_4x4_pixels_of_an_image_whose_sides_are_multiples_of_4(h, w):
    x = np.random.default_rng(0).normal(size=(3, h, w, 2))
    tall, wide = (-(-side // 4) * 4 for side in (h, w))
    large = np.stack([np.stack([enlarged(image[..., c], tall, wide) for c in range(2)], -1) for image in x])
    cells = [large[:, i : i + 4, j : j + 4] for i in range(0, tall, 4) for j in range(0, wide, 4)]
    mean, var = patch_moments(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(mean, [cell.mean() for cell in cells], atol=1e-5)
    np.testing.assert_allclose(var, [cell.var() for cell in cells], atol=1e-5)


def test_moments_of_real_images_are_those_of_loops(monkeypatch):
    """Of all together for convolutions, the running ones for norms; of a class, means over its images. The last piece is a short one."""
    monkeypatch.setattr(statistics, "MOST", 7)
    (held,), (_, examples) = committee(1), started(2)
    taps = held.net.apply(held.vars, jnp.asarray(examples.x)).taps
    (found,) = real_moments((held,), examples, by_class=True)
    for layer in range(2):
        for kind, at in (("conv_input", layer), ("norm_input", 2 + layer)):
            inputs = np.asarray(taps[f"{kind}{layer}"], np.float64)
            for label in range(3):
                own = [image.reshape(-1, image.shape[-1]) for image in inputs[np.asarray(examples.y) == label]]
                np.testing.assert_allclose(found.classes[at][0][label], np.mean([image.mean(0) for image in own], 0), atol=1e-5)
                np.testing.assert_allclose(found.classes[at][1][label], np.mean([image.var(0) for image in own], 0), atol=1e-5)
        inputs = np.asarray(taps[f"conv_input{layer}"], np.float64)
        np.testing.assert_allclose(found.whole[layer][0], inputs.mean((0, 1, 2)), atol=1e-5)
        np.testing.assert_allclose(found.whole[layer][1], inputs.var((0, 1, 2)), atol=1e-5)
        for mine, right in zip(found.whole[layer][2:], patch_moments(taps[f"conv_input{layer}"]), strict=True):
            np.testing.assert_allclose(mine, right, atol=1e-5)
        np.testing.assert_array_equal(found.whole[2 + layer], taps[f"running{layer}"])
    (plain,) = real_moments((held,), examples, by_class=False)
    assert plain.classes is None
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), plain.whole, found.whole)


def test_moments_of_one_class_are_its_mean_for_a_batch_of_it():
    (held,), (_, examples) = committee(1), started(2)
    found = real_moments((held,), examples, by_class=True)[0].classes
    one = jax.tree.map(lambda leaf: leaf[jnp.array([1, 1, 1])].mean(0), found)
    jax.tree.map(lambda mine, all_: np.testing.assert_allclose(mine, all_[1], rtol=1e-6), one, found)


def test_of_many_images_some_of_every_class_are_looked_at(monkeypatch):
    """At least two of each here, evenly among its own; a class counts among all as it does in the data."""
    monkeypatch.setattr(statistics, "ENOUGH", 6)
    monkeypatch.setattr(statistics, "FEWEST", 2)
    (held,), (_, examples) = committee(1), started(2)
    order = np.argsort(np.asarray(examples.y) == 1, kind="stable")[: 8 + 8 + 3]  # the class in the middle last, and three of it
    x, y = np.asarray(examples.x)[order], np.asarray(examples.y)[order]
    (found,) = real_moments((held,), examples._replace(x=x, y=y), by_class=True)
    whole = np.zeros(4)
    for label in range(3):
        own = np.flatnonzero(y == label)
        few = own[np.linspace(0, len(own) - 1, 2).astype(int)]
        mean = np.asarray(held.net.apply(held.vars, jnp.asarray(x[few])).taps["conv_input0"]).mean((0, 1, 2))
        np.testing.assert_allclose(found.classes[0][0][label], mean, atol=1e-6)
        whole += mean * len(own) / len(y)
    np.testing.assert_allclose(found.whole[0][0], whole, atol=1e-6)


def spectrum_by_hand(x: np.ndarray) -> float:
    total = 0.0
    for images in x.reshape(*x.shape[:2], -1):
        values = np.linalg.eigvalsh(images @ images.T)
        target = softmax(values / 4)
        total += np.sum(target * (log_softmax(values / 4) - log_softmax(values)))
    return total


def test_the_spectrum_is_that_of_its_formula(float64):
    """Values and slopes; the target is a constant, whose slope has no part."""
    x = 0.3 * np.random.default_rng(1).normal(size=(2, 3, 4, 4, 1))
    np.testing.assert_allclose(spectrum_gap(jnp.asarray(x)), spectrum_by_hand(x), rtol=1e-10)
    targets = [softmax(np.linalg.eigvalsh(images @ images.T) / 4) for images in x.reshape(2, 3, -1)]

    def fixed(x):
        values = [np.linalg.eigvalsh(images @ images.T) for images in np.asarray(x).reshape(2, 3, -1)]
        return sum(-np.sum(target * log_softmax(value)) for target, value in zip(targets, values, strict=True))

    np.testing.assert_allclose(jax.grad(spectrum_gap)(jnp.asarray(x)), central_differences(fixed, x), atol=1e-7)


def test_the_spectrum_costs_nothing_where_it_is_even(float64):
    even = 2 * np.eye(3, 16).reshape(1, 3, 4, 4, 1)
    assert abs(float(spectrum_gap(jnp.asarray(even)))) < 1e-12
    assert abs(float(spectrum_gap(jnp.asarray(even[:, :1])))) < 1e-12
    assert np.isfinite(jax.grad(spectrum_gap)(jnp.asarray(even))).all()
    alike = np.concatenate([even[:, :1]] * 3, 1)
    assert float(spectrum_gap(jnp.asarray(alike))) > 0.5
    np.testing.assert_allclose(spectrum_gap(jnp.asarray(alike)), spectrum_by_hand(alike), rtol=1e-10)
    large = np.random.default_rng(2).normal(size=(1, 2, 64, 64, 3)) / 30
    np.testing.assert_allclose(
        spectrum_gap(jnp.asarray(large)), spectrum_by_hand(large.reshape(1, 2, 32, 2, 32, 2, 3).mean((3, 5))), rtol=1e-9
    )


@pytest.mark.parametrize(("category", "on"), [(0.0, (1, 1)), (0.5, (1, 1)), (1.0, (1, 1)), (0.5, (0, 1))])
def test_a_gap_has_the_averages_value_and_the_batchs_slope(category, on, float64):
    rng, memory, first = np.random.default_rng(3), 0.8, 10.0
    draw = lambda: tuple(tuple(jnp.asarray(rng.normal(size=d)) for d in (3, 3)) for _ in range(2))  # noqa: E731
    now, seen, whole, own = (draw() for _ in range(4))
    more = {"category": category, "memory": memory, "first": first}

    def gap(now):
        return gap_of(now, seen, whole, own, jnp.asarray(on, float), **more)

    (value, moved), slopes = jax.value_and_grad(gap, has_aux=True)(now)
    expected = 0.0
    for layer, factor in enumerate((first, 1.0)):
        for s in range(2):
            average = memory * seen[layer][s] + (1 - memory) * now[layer][s]
            far, near = average - whole[layer][s], average - own[layer][s]
            expected += on[layer] * factor * ((1 - category) * np.linalg.norm(far) + category * np.linalg.norm(near))
            slope = on[layer] * factor * ((1 - category) * far / np.linalg.norm(far) + category * near / np.linalg.norm(near))
            np.testing.assert_allclose(slopes[layer][s], slope, rtol=1e-10)
            np.testing.assert_allclose(moved[layer][s], average if on[layer] else seen[layer][s], rtol=1e-12)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_batches_hold_neighbouring_classes_with_all_their_images():
    x = jnp.arange(24).reshape(24, 1)  # 6 classes of 4
    np.testing.assert_array_equal(grouped(x, 6, 8)[..., 0], np.arange(24).reshape(3, 8))
    np.testing.assert_array_equal(grouped(x, 6, 2)[..., 0], np.arange(24).reshape(12, 2))
    for size in (1, 2, 4, 8, 12, 24, 100):
        np.testing.assert_array_equal(ungrouped(grouped(x, 6, size), 6, size), x)
    assert shape_of_batches(24, 6, 100) == (6, 4) and shape_of_batches(24, 6, 2) == (1, 2)
    with pytest.raises(BadInput, match=r"--batch 10: 11 images a class do not make equal batches.*give a divisor of 11"):
        shape_of_batches(66, 6, 10)
    with pytest.raises(BadInput, match=r"--batch 100: 43 classes of 10 images do not make.*give 430, or another multiple of 10 that"):
        shape_of_batches(430, 43, 100)
    assert (
        shape_of_batches(430, 43, 430) == (43, 10) and shape_of_batches(430, 43, 40) == (1, 10) and shape_of_batches(430, 43, 10) == (1, 10)
    )


@pytest.mark.parametrize("options", [{"density": 0.3, "drop": 0.0}, EDC], ids=["gvbsm", "edc"])
def test_a_run_is_what_loops_compute(options, float64):
    """Two networks in turn, in double precision by differences: without a memory the averages are the batch's own moments."""
    steps, lr, alpha_bn = 3, 0.05, 0.1
    held, (synth, examples) = committee(2, dtype=jnp.float32), started(2)
    matcher = gvbsm(held, task(steps=steps), lr=lr, alpha_bn=alpha_bn, memory=0.0, **options, **HARD)
    before, after, _, metrics = ran(matcher, synth, examples, steps)
    x, y, net = np.asarray(before.x.pixels, np.float64), np.asarray(before.y.index), bn_net(dtype=jnp.float64)
    vars = [jax.tree.map(lambda leaf: leaf.astype(jnp.float64), one.vars) for one in held]
    real, category = real_moments(held, examples, by_class=True), options.get("category", 0.0)
    real = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), real)

    def loss(k):
        @jax.jit
        def by_hand(x):
            out, total = net.apply(vars[k], x), 0.0
            for layer, own in enumerate(layer_moments(out.taps)):
                for s, seen in enumerate(own):
                    far = jnp.sqrt(((seen - real[k].whole[layer][s]) ** 2).sum())
                    near = jnp.sqrt(((seen - real[k].classes[layer][s][y].mean(0)) ** 2).sum())
                    total += (1 if layer else 10) * ((1 - category) * far + category * near)
            return -jax.nn.log_softmax(out.logits)[jnp.arange(len(y)), y].mean() + alpha_bn * total

        return by_hand

    losses, mean, square = [loss(k) for k in range(2)], np.zeros_like(x), np.zeros_like(x)
    for t in range(1, steps + 1):
        slope = central_differences(losses[(t - 1) % 2], x)
        slope += options["density"] * np.asarray(jax.grad(lambda x: spectrum_gap(x.reshape(3, 2, 4, 4, 1)))(jnp.asarray(x)))
        mean, square = 0.5 * mean + 0.5 * slope, 0.9 * square + 0.1 * slope**2
        rate = lr * (1 + np.cos(np.pi * (t - 1) / steps)) / 2
        x = x - rate * mean / (1 - 0.5**t) / (np.sqrt(square / (1 - 0.9**t)) + 1e-8)
        x = np.clip(x, -MEAN[0] / STD[0], (1 - MEAN[0]) / STD[0])
    np.testing.assert_allclose(after.x.pixels, x, atol=2e-4)
    assert np.abs(np.asarray(after.x.pixels) - np.asarray(before.x.pixels)).max() > 0.05 and np.isfinite(float(metrics["loss"]))


def test_dropped_convolutions_do_not_count():
    """With nearly all of them dropped the statistics are those of the norms alone."""
    synth, examples = started(2)
    told = [
        ran(gvbsm(committee(1), task(), drop=drop, memory=0.0, **HARD), synth, examples, 1)[3]["statistics"] for drop in (0.0, 0.999999)
    ]
    (held,) = committee(1)
    taps = held.net.apply(held.vars, gvbsm((held,), task(), **HARD).prepare(KEY, synth, examples).x.decode()).taps
    norms = sum(np.linalg.norm(a - b) for i in range(2) for a, b in zip(taps[f"norm{i}"], taps[f"running{i}"], strict=True))
    np.testing.assert_allclose(told[1], norms, rtol=1e-5)
    assert told[0] > told[1]


def test_averages_start_at_nothing_and_are_each_networks_own():
    """As released: after t steps of a network its average is 1 - 0.8^t of what it was shown, if that is always the same."""
    held, (synth, examples) = committee(2), started(1)
    matcher = gvbsm(held, task(steps=8), lr=1e-12, drop=0.0, **HARD)
    now = matcher.prepare(KEY, synth, examples).bare()
    state, step, given = matcher.init(KEY, now), jax.jit(matcher.step), matcher.feed.of(examples)
    for number in range(3):
        now, state, _ = step(jax.random.fold_in(KEY, number), state, now, given)
    for k, steps in ((0, 2), (1, 1)):
        shown = layer_moments(held[k].net.apply(held[k].vars, now.x.decode()).taps)
        jax.tree.map(lambda mine, own: np.testing.assert_allclose(mine[0], (1 - 0.8**steps) * own, atol=1e-5), state.seen[k], shown)  # noqa: B023


def test_what_cannot_be_is_said_before_the_work():
    held, (synth, examples) = committee(1), started(2)
    with pytest.raises(BadInput, match=r"--data: a class has no training images"):
        real_moments(held, examples._replace(y=np.where(examples.y == 1, 2, examples.y)), by_class=True)

    def silent(vars, x, **more):
        out = held[0].net.apply(vars, x, **more)
        return out._replace(taps={name: tap for name, tap in out.taps.items() if "input" not in name})

    with pytest.raises(BadInput, match=r"--teachers: toy0 does not tell what enters its layers"):
        gvbsm((held[0]._replace(net=Net(held[0].net.init, silent)),), task(), **HARD).prepare(KEY, synth, examples)

"""Oracles of recovery in stages: a replay by loops and finite differences, a closed form of the mixtures, and another resizing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.decoupled import fadrm as module
from matchers.decoupled.fadrm import fadrm, net_at, resize, stage_sizes, usual_sizes
from synth.errors import BadInput
from tests.support.toy_data import central_differences
from tests.support.toy_teachers import KEY, MEAN, PLAIN, STD, bn_net, committee, ran, started, task

OPTIONS = {"labels": "hard", "patches": "none", **PLAIN}


def sized(count: int = 2, **options):
    """Teachers that take images of any even size."""
    return tuple(one._replace(resized=bn_net) for one in committee(count, **options))


def shrunk(image: np.ndarray, p: int, q: int) -> np.ndarray:
    """One image f64[h w] at p x q pixels: every pixel is looked up between its four neighbours."""
    h, w = image.shape
    out = np.zeros((p, q))
    for i in range(p):
        for j in range(q):
            y, x = (min(max((k + 0.5) * n / m - 0.5, 0), n - 1) for k, n, m in ((i, h, p), (j, w, q)))
            top, left = min(int(y), h - 1), min(int(x), w - 1)
            low, right, a, b = min(top + 1, h - 1), min(left + 1, w - 1), y - top, x - left
            above = (1 - b) * image[top, left] + b * image[top, right]
            out[i, j] = (1 - a) * above + a * ((1 - b) * image[low, left] + b * image[low, right])
    return out


def shrunk_all(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([shrunk(image[..., 0], *size)[..., None] for image in x])


def replayed(held, original, y, *, sizes, steps: int, alpha: float, lr: float, alpha_bn: float) -> np.ndarray:
    """The run by loops in double precision: gradients by differences, Adam and its step size written out, one class a batch row."""
    stages, low, high = len(sizes), -MEAN[0] / STD[0], (1 - MEAN[0]) / STD[0]
    vars = [jax.tree.map(lambda leaf: leaf.astype(jnp.float64), one.vars) for one in held]
    nets = {size: bn_net((*size, 1), dtype=jnp.float64) for size in set(sizes)}

    def loss(k, size):
        @jax.jit
        def by_hand(x):
            out = nets[size].apply(vars[k], x)
            gap = sum(
                weight * jnp.sqrt(((a - b) ** 2).sum())
                for layer, weight in ((0, 10), (1, 1))
                for a, b in zip(out.taps[f"norm{layer}"], out.taps[f"running{layer}"], strict=True)
            )
            return -jax.nn.log_softmax(out.logits)[jnp.arange(len(y)), y].mean() + alpha_bn * gap

        return by_hand

    losses, x, t = {(k, size): loss(k, size) for k in range(len(held)) for size in set(sizes)}, None, 0
    for stage, size in enumerate(sizes):
        own = [step for step in range(steps) if (steps - 1 - step) * stages // steps == stages - 1 - stage]
        if not own:
            continue
        known = shrunk_all(original, size)
        x = known if x is None else alpha * shrunk_all(x, size) + (1 - alpha) * known
        mean, square = np.zeros_like(x), np.zeros_like(x)
        for i, t in enumerate(own, 1):
            slope = central_differences(losses[t % len(held), size], x)
            mean, square = 0.5 * mean + 0.5 * slope, 0.9 * square + 0.1 * slope**2
            rate = lr * (1 + np.cos(np.pi * t / steps)) / 2
            x = np.clip(x - rate * mean / (1 - 0.5**i) / (np.sqrt(square / (1 - 0.9**i)) + 1e-8), low, high)
    return x


@pytest.mark.parametrize(("sizes", "steps"), [((0.5, 1.0, 0.5, 1.0), 7), ((0.5, 0.5, 1.0), 2)])
def test_a_run_is_what_loops_compute(sizes, steps, float64):
    """Two teachers in turn through stages of two sizes, of which the first of the second case has no step."""
    held, (synth, examples) = sized(dtype=jnp.float32), started(1)
    matcher = fadrm(held, task(steps=steps), sizes=sizes, alpha=0.7, lr=0.1, alpha_bn=0.05, **OPTIONS)
    before, after, _, metrics = ran(matcher, synth, examples, steps)
    shapes = [(2, 2) if share == 0.5 else (4, 4) for share in sizes]
    original, y = np.asarray(before.x.pixels, np.float64), np.asarray(before.y.index)
    expected = replayed(held, original, y, sizes=shapes, steps=steps, alpha=0.7, lr=0.1, alpha_bn=0.05)
    np.testing.assert_allclose(after.x.pixels, expected, atol=2e-4)
    assert np.abs(np.asarray(after.x.pixels) - original).max() > 0.1 and np.isfinite(float(metrics["loss"]))


def test_mixtures_have_a_closed_form(monkeypatch):
    """Under a constant slope Adam moves every pixel by the step size. Of constant images, which no resizing changes, the original is then
    left by sum_s alpha^(last - s) times the step sizes of stage s."""
    steps, alpha, stages, lr = 8, 0.6, 4, 0.01
    monkeypatch.setattr(module, "vote", lambda key, held, vars, table, x, y, settings, **more: (jnp.ones_like(x), {"loss": jnp.float32(0)}))
    synth, examples = started(2)
    flat = jnp.linspace(-0.5, 0.5, len(synth))[:, None, None, None] * jnp.ones_like(synth.x.pixels)
    matcher = fadrm(sized(), task(steps=steps), sizes=(0.5, 1.0, 0.5, 1.0), alpha=alpha, lr=lr, **OPTIONS)
    after = ran(matcher, type(synth)(synth.x.encode(flat), synth.y, info=synth.info), examples, steps)[1]
    rates = lr * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
    moved = sum(alpha ** (stages - 1 - s) * rates[2 * s : 2 * s + 2].sum() for s in range(stages))
    np.testing.assert_allclose(after.x.pixels, flat - moved, atol=1e-5)


def test_alpha_of_one_at_full_size_goes_on_and_of_zero_begins_again():
    """With one stage's steps at a time: nothing of the original joins, or nothing of what was recovered stays."""
    (synth, examples), options = started(1), {"sizes": (1.0, 1.0), "lr": 0.05, **OPTIONS}

    def made(alpha, **more):
        return np.asarray(ran(fadrm(sized(1), task(steps=2), alpha=alpha, **options | more), synth, examples, 2)[1].x.pixels)

    again = made(0.0)
    assert np.abs(again - np.asarray(synth.x.pixels)).max() < 0.05 * 0.5 + 1e-5  # one step at half the step size
    assert np.abs(made(1.0) - np.asarray(synth.x.pixels)).max() > 0.05


@pytest.mark.parametrize("new", [(4, 4), (7, 5), (8, 6), (2, 3), (1, 1)])
def test_resizing_is_that_of_jax(new):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 6, 3)), jnp.float32)
    old, full = jnp.asarray([5, 4]), jnp.asarray(new)
    inner = x[:, :5, :4]
    made = np.asarray(resize(x.at[:, 5:].set(9).at[:, :, 4:].set(9), old, full))
    expected = jax.image.resize(inner, (2, *new, 3), "linear", antialias=False)
    np.testing.assert_allclose(made[:, : new[0], : new[1]], expected, atol=1e-6)
    assert not made[:, new[0] :].any() and not made[:, :, new[1] :].any()
    same = jnp.asarray([8, 6])
    np.testing.assert_array_equal(resize(x, same, same), x)


def test_more_steps_go_on_from_where_a_run_ended():
    """The stage is then an earlier one, of another size: its images are made of those at full size, and not of an unused corner."""
    synth, examples = started(1)
    make = lambda steps: fadrm(sized(1), task(steps=steps), sizes=(0.5, 0.5, 1.0), lr=1e-6, alpha=1.0, **OPTIONS)  # noqa: E731
    short, long = make(3), make(6)
    before = short.prepare(KEY, synth, examples)
    now, state = before.bare(), short.init(KEY, before.bare())
    for number in range(3):
        now, state, _ = jax.jit(short.step)(jax.random.fold_in(KEY, number), state, now, short.feed.value)
    assert int(state.stage) == 2
    now, state, _ = jax.jit(long.step)(KEY, state, now, long.feed.value)
    assert int(state.stage) == 1
    coarse = shrunk_all(shrunk_all(np.asarray(before.x.pixels, np.float64), (2, 2)), (4, 4))
    twice = shrunk_all(shrunk_all(coarse, (2, 2)), (4, 4))
    np.testing.assert_allclose(now.x.pixels, twice, atol=1e-4)


def test_the_usual_sizes_are_the_released_ones_where_teachers_take_them():
    image = (224, 224, 3)
    wide = sized(1, image=image)
    assert usual_sizes(wide, image) == ((200, 200), (224, 224), (200, 200), (224, 224))
    assert usual_sizes(committee(1, image=image), image) == ((224, 224),) * 4  # not known at another size
    assert usual_sizes(sized(), (4, 4, 1)) == ((4, 4),) * 4
    assert stage_sizes((0.01, 0.6, 1.0), (8, 6, 1)) == ((1, 1), (5, 4), (8, 6))


def test_wrong_calls_say_what_would_be_right():
    held, whole = sized(1), committee(1, average=False)[0]
    for sizes, said in (
        ((0.5, 0.9), r"--sizes 0.5 0.9: give every stage's share of the images' side, in \(0, 1\]; the last must be 1"),
        ((1.5, 1.0), r"--sizes 1.5 1: give every stage's share"),
        ((0.0, 1.0), r"--sizes 0 1: give every stage's share"),
    ):
        with pytest.raises(BadInput, match=said):
            fadrm(held, task(), sizes=sizes)
    with pytest.raises(BadInput, match=r"toy0 does not take images of 2x2; give --sizes 1 1 1 1, or teachers that average"):
        fadrm(committee(1), task(), sizes=(0.5, 1.0))
    pixels = whole._replace(resized=lambda image: bn_net(image, average=False))
    with pytest.raises(BadInput, match="it has weights for every pixel of its last feature map"):
        net_at(pixels, (4, 4, 1), (2, 2))

    def refused(image):
        raise BadInput("resnet needs more pixels")

    with pytest.raises(BadInput, match=r"toy0 does not take images of 2x2 \(resnet needs more pixels\); give --sizes 1 1 1 1"):
        net_at(held[0]._replace(resized=refused), (4, 4, 1), (2, 2))
    assert net_at(pixels, (4, 4, 1), (4, 4)) is pixels.net

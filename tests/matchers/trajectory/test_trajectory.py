"""Oracles of the trajectory methods: closed forms, plain loops and the published schedules."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense import nets
from condense.engine import loop
from condense.engine.feeds import on_line
from condense.presets import PRESETS
from condense.presets.trajectory import PAPERS
from matchers import REGISTRY
from matchers.base import Matcher, Piece, flat_parameters
from matchers.trajectory.ast import ast, emphasis
from matchers.trajectory.common import Student, distance, inner_items, logits, perturbed
from matchers.trajectory.datm import choose_correct, datm, mean_correct
from matchers.trajectory.ftd import ftd
from matchers.trajectory.mtt import mtt
from synth.base import Vars
from synth.errors import BadInput, RunFailed
from synth.images.augment import dsa, none
from synth.labels.plain import Soft
from tests.support.toy_data import ToyExperts, as_set, blobs, central_differences, smooth_net

KEY = jax.random.key(5)
OFF = {"representative": False, "inner_momentum": 0.0, "balanced": False, "intermediate": "none", "perturb": 0.0}


@cache
def experts() -> ToyExperts:
    return ToyExperts(smooth_net(), count=3, epochs=4)


def piece(*, span: int = 2, every: bool = False, start: int = 1) -> Piece:
    rows = experts().read(0, [start, *(range(start + 1, start + span + 1) if every else (start + span,))])
    return Piece(jnp.asarray(rows[0]), jnp.asarray(rows[1:]), jnp.int32(start))


@cache
def built(method, *, augment=none, **options):
    """The same matcher for the same options, so that its step is compiled once for all tests. Beta itself moves, as published."""
    return method(smooth_net(), augment, experts(), **{"inner_steps": 4, "positive": "none", **options})


def plain(method=mtt, **options):
    """Descent at rate one without momentum: a step shows the gradients."""
    return built(method, lr=1.0, lr_lr=1.0, momentum=0.0, **options)


def started(matcher, *, ipc: int = 2, examples=None, lr: float | None = None):
    synth = matcher.prepare(KEY, as_set(blobs(ipc, seed=1)), examples or blobs(9, seed=1))
    return synth if lr is None else replace(synth, lr=jnp.float32(lr))


def stepped(matcher, synth, at: Piece, *, key=KEY, times: int = 1):
    """(set, state, metrics of each step) of `times` steps on one piece."""
    state, step, seen = jax.jit(matcher.init)(KEY, synth), jax.jit(matcher.step), []
    for number in range(times):
        synth, state, metrics = step(jax.random.fold_in(key, number), state, synth, at)
        seen.append({name: float(value) for name, value in metrics.items()})
    return synth, state, seen


def trained(synth, theta, *, steps: int, beta: float, momentum: float = 0.0, factor: float = 1.0):
    """The student's parameters after each step on the whole set, in a plain loop."""
    net, unravel, b, path = smooth_net(), flat_parameters(smooth_net()), 0.0, [np.asarray(theta)]

    @jax.jit
    def slope(theta):
        def loss(theta):
            out = net.apply(Vars(unravel(theta)), synth.x.decode())
            return factor * synth.y.loss(out.logits, synth.y.probs()).mean()

        return jax.grad(loss)(theta)

    for _ in range(steps):
        b = momentum * b + np.asarray(slope(jnp.asarray(path[-1])))
        path.append(path[-1] - np.float32(beta) * b)
    return path


def gap(a, b, start) -> float:
    return float(((a - b) ** 2).sum() / ((start - b) ** 2).sum())


def test_a_set_that_reproduces_the_expert_has_no_loss():
    """The expert of this piece is the student itself, trained on the very set in the very order."""
    synth = started(plain(), lr=0.5)
    start = jnp.asarray(experts().read(0, [0])[0])
    path = trained(synth, start, steps=4, beta=0.5)
    at = Piece(start, jnp.asarray(path[-1])[None], jnp.int32(0))
    after, _, (first,) = stepped(plain(), synth, at)
    other = stepped(plain(), synth, piece())[0]
    assert first["loss"] < 1e-10
    moved, elsewhere = (np.abs(np.asarray(s.x.pixels - synth.x.pixels)).max() for s in (after, other))
    assert moved < 1e-4 * elsewhere and abs(float(after.lr) - 0.5) < 1e-3 * abs(float(other.lr) - 0.5)


@pytest.mark.parametrize("name", ["mtt", "ftd", "ast", "datm"])
def test_a_student_that_stays_has_loss_one_and_a_known_slope(name):
    """L = 1 at beta = 0 for every piece; dL/dbeta there is - 2 < theta*_t - theta*_{t+M}, N grad l(theta*_t) > / D."""
    matcher = plain(REGISTRY[name].load(), **(OFF if name == "ast" else {"gate": 10.0} if name == "datm" else {}))
    synth = started(matcher, lr=0.0)
    for start in (0, 2):
        at = piece(start=start)
        after, _, (seen,) = stepped(matcher, synth, at)
        np.testing.assert_allclose(seen["loss"], 1, rtol=1e-6)
        theta, target = np.asarray(at.start), np.asarray(at.targets[0])
        g = theta - trained(synth, theta, steps=1, beta=1.0)[-1]
        slope = -2 * ((theta - target) @ (4 * g)) / ((theta - target) ** 2).sum()
        np.testing.assert_allclose(float(after.lr), -slope, rtol=1e-4)
        assert seen["step_size"] == float(after.lr)


def test_the_loss_is_the_distance_left_over_the_distance_to_go():
    matcher = plain()
    synth, at = started(matcher, lr=0.3), piece()
    seen = stepped(matcher, synth, at)[2][0]
    path = trained(synth, at.start, steps=4, beta=0.3)
    np.testing.assert_allclose(seen["loss"], gap(path[-1], np.asarray(at.targets[0]), np.asarray(at.start)), rtol=1e-5)
    assert abs(seen["loss"] - 1) > 0.01


@pytest.mark.slow
def test_ast_with_every_switch_off_is_mtt():
    options = {"augment": dsa("color_crop"), "batch": 4, "step_size": 0.3, "max_start": 3}
    off, bare = built(ast, **options, **OFF), built(mtt, **options)
    assert off.feed == bare.feed
    results = [stepped(matcher, started(matcher), piece(), times=2) for matcher in (off, bare)]
    np.testing.assert_array_equal(*(result[0].x.pixels for result in results))
    assert results[0][2] == results[1][2]


@pytest.mark.parametrize("intermediate, weights", [("none", []), ("agg", [1, 1]), ("adaptive", [1 / 3, 2 / 3])])
def test_asts_student_has_momentum_is_compared_on_the_way_and_weighs_epochs(intermediate, weights):
    """M = 3 and N = 7: compared after 2, 4 and all 7 steps, with the expert's next, second and third epoch."""
    options = {"inner_steps": 7, "span": 3, "max_start": 3, "step_size": 0.2, "perturb": 0.0, "representative": False}
    matcher = built(ast, intermediate=intermediate, **options)
    assert matcher.feed.every == bool(weights)
    synth, at = started(matcher), piece(span=3, every=True, start=0)
    seen = stepped(matcher, synth, at if weights else at._replace(targets=at.targets[-1:]))[2][0]
    start, targets = np.asarray(at.start), np.asarray(at.targets)
    path = trained(synth, start, steps=7, beta=0.2, momentum=0.9, factor=float(emphasis(jnp.int32(0), 3)))
    gaps = [gap(path[s], target, start) for s, target in zip((2, 4, 7), targets, strict=True)]
    np.testing.assert_allclose(seen["loss"], np.dot([*weights, 1], gaps[-len(weights) - 1 :] if weights else gaps[-1:]), rtol=1e-4)


@pytest.mark.parametrize("name", ["mtt", "ftd", "ast", "datm"])
def test_a_straight_path_changes_what_a_method_asks_for_and_nothing_else(name):
    method = REGISTRY[name].load()
    assert built(method, path="straight").feed == built(method).feed._replace(straight=True)


def test_a_step_on_a_straight_path_gives_at_whole_positions_the_numbers_of_one_on_recorded_epochs():
    """Experts that went straight: a stretch that is interpolated between their ends moves images and beta as the recorded one does."""
    gone = experts()
    line = ToyExperts(smooth_net(), count=3, epochs=4)
    line.rows = np.stack([np.linspace(rows[0], rows[-1], 5) for rows in gone.rows]).astype(np.float32)
    synth = started(plain(), lr=0.3)
    for start in (0, 2):
        places = [start, start + 2]
        recorded, between = (
            Piece(rows[0], rows[1:], epoch(start))
            for rows, epoch in ((line.read(0, places), np.int32), (on_line(line, 0, places), np.int32))
        )
        (a, _, seen), (b, _, found) = (stepped(plain(), synth, at) for at in (recorded, between))
        np.testing.assert_allclose(a.x.pixels, b.x.pixels, atol=1e-4 * np.abs(synth.x.pixels - a.x.pixels).max())
        np.testing.assert_allclose(seen[0]["loss"], found[0]["loss"], rtol=1e-5)
    whole = [float(emphasis(epoch(14), 30)) for epoch in (jnp.int32, jnp.float32)]
    assert whole[0] == whole[1] < float(emphasis(jnp.float32(14.5), 30))


def test_one_epoch_has_nothing_on_the_way():
    assert not built(ast, span=1, intermediate="agg").feed.every


@pytest.mark.parametrize(("max_start", "span", "bound"), [(3, 1, 3), (30, 1, 4), (30, 2, 3)])
def test_a_students_loss_is_weighted_by_its_start_and_the_epochs_that_are_recorded(max_start, span, bound):
    """Of four epochs starts below 4 can be served for a span of 1, and below 3 for one of 2: the factor turns at half of that, wherever
    --max-start is."""
    options = {"balanced": True, "max_start": max_start, "span": span, "step_size": 0.2}
    matcher = built(ast, **{**OFF, **options})
    synth = started(matcher)
    for start in (0, 2):
        at, factor = piece(start=start, span=span), float(emphasis(jnp.int32(start), bound))
        path = trained(synth, at.start, steps=4, beta=0.2, factor=factor)
        loss = gap(path[-1], np.asarray(at.targets[-1]), np.asarray(at.start))
        np.testing.assert_allclose(stepped(matcher, synth, at)[2][0]["loss"], loss, rtol=1e-4)


def test_emphasis_is_the_published_factor():
    found = [float(emphasis(jnp.int32(t), 30)) for t in (0, 14, 15, 29)]
    np.testing.assert_allclose(found, [0.513, 0.732, 1.292, 1.921], atol=1e-3)


def test_perturbation_moves_kernels_by_alpha_and_nothing_else():
    net = nets.build("convnet:width=4,depth=2", (8, 8, 1), 3)
    params = net.init(KEY).params
    theta, unravel = ravel_pytree(params)
    moved = unravel(perturbed(KEY, unravel, theta, 0.7))
    for before, after in zip(jax.tree.leaves(params), jax.tree.leaves(moved), strict=True):
        if before.ndim == 4:
            np.testing.assert_allclose(np.linalg.norm((after - before) / before), 0.7, rtol=1e-3)
        else:
            np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_the_perturbed_start_is_in_the_denominator_too():
    """A student that stays where the noise put it has loss 1."""
    net = nets.build("convnet:width=4,depth=1", (4, 4, 1), 3)
    loss = distance(net, none, Student(2, perturb=1.0))
    start = ravel_pytree(net.init(KEY).params)[0]
    synth = replace(as_set(blobs(1)), lr=jnp.float32(0))
    value, _ = jax.jit(loss)(KEY, synth, Piece(start, 0.9 * start[None], jnp.int32(0)))
    np.testing.assert_allclose(value, 1, rtol=1e-6)


@pytest.mark.slow
def test_a_student_is_trained_from_the_perturbed_start():
    """Two steps on a convolutional network at a step size above 0, against a loop from what `perturbed` gives."""
    net = nets.build("convnet:width=4,depth=1", (4, 4, 1), 3)
    start, unravel = ravel_pytree(net.init(KEY).params)[0], flat_parameters(net)
    synth = replace(as_set(blobs(2, seed=1)), lr=jnp.float32(0.1))
    value, _ = jax.jit(distance(net, none, Student(2, perturb=1.0)))(KEY, synth, Piece(start, 0.9 * start[None], jnp.int32(0)))

    @jax.jit
    @jax.grad
    def slope(theta):
        return synth.y.loss(net.apply(Vars(unravel(theta)), synth.x.pixels).logits, synth.y.probs()).mean()

    begun = theta = perturbed(jax.random.split(KEY)[1], unravel, start, 1.0)
    for _ in range(2):
        theta = theta - jnp.float32(0.1) * slope(theta)
    np.testing.assert_allclose(float(value), gap(*map(np.asarray, (theta, 0.9 * start, begun))), rtol=1e-5)
    assert abs(float(value) - 1) > 1e-3 and np.abs(begun - start).max() > 1e-3


@pytest.mark.parametrize("ipc", [1, 7, 10, 13])
def test_representative_images_are_real_ones_of_every_class(ipc):
    matcher, examples = built(ast), blobs(14, seed=3)
    synth = started(matcher, ipc=ipc, examples=examples)
    found = [int(np.flatnonzero((examples.x == image).all((1, 2, 3)))[0]) for image in np.asarray(synth.x.pixels)]
    assert len(set(found)) == 3 * ipc
    np.testing.assert_array_equal(examples.y[found], np.repeat(np.arange(3), ipc))


def test_representative_images_are_nearest_to_centres_of_logits():
    """Ten groups of two in the logits of a linear network: twenty images are all, and ten are one of every group."""
    rng = np.random.default_rng(0)
    groups = np.repeat(10 * rng.normal(size=(3, 10, 16)), 2, axis=1)
    x = (groups + 1e-3 * rng.normal(size=groups.shape)).reshape(60, 4, 4, 1).astype(np.float32)
    examples = blobs(20)._replace(x=x)
    matcher = built(ast)
    chosen = np.asarray(started(matcher, ipc=10, examples=examples).x.pixels)
    found = [int(np.flatnonzero((x == image).all((1, 2, 3)))[0]) for image in chosen]
    theta = experts().last(int(jax.random.randint(jax.random.split(KEY)[0], (), 0, 3)))
    z = logits(smooth_net(), theta, examples)
    assert np.abs(z[::2] - z[1::2]).max() < 0.01 < np.abs(z[0] - z[2]).max()
    assert len({row // 2 for row in found}) == 30


def test_ftd_gives_the_running_mean_of_the_images():
    """Closed form: after k steps the start weighs d^k, and the images after step i weigh (1 - d) d^(k - i)."""
    d, matcher = 0.8, built(ftd, decay=0.8, lr=5.0)
    synth = started(matcher)
    images, state, step = [np.asarray(synth.x.pixels)], matcher.init(KEY, synth), jax.jit(matcher.step)
    for number in range(3):
        synth, state, _ = step(jax.random.fold_in(KEY, number), state, synth, piece())
        images.append(np.asarray(synth.x.pixels))
    mean = d**3 * images[0] + sum((1 - d) * d ** (3 - i) * images[i] for i in (1, 2, 3))
    finished = matcher.result(state, synth)
    np.testing.assert_allclose(finished.x.pixels, mean, atol=1e-6)
    assert finished.lr == synth.lr and np.abs(images[3] - mean).max() > 1e-3


@pytest.mark.slow
def test_ftd_without_a_mean_is_mtt():
    raw, last = built(ftd, decay=0.0), built(mtt)
    synth, state, _ = stepped(raw, started(raw), piece(), times=2)
    expected, _, _ = stepped(last, started(last), piece(), times=2)
    np.testing.assert_array_equal(raw.result(state, synth).x.pixels, expected.x.pixels)


def test_images_and_step_size_have_optimisers_of_their_own():
    """v <- m v + g, x <- x - lr v for each, with the gradients that plain descent of rate one reveals."""
    matcher = built(mtt, lr=0.4, lr_lr=1e-3, momentum=0.5)
    synth, at = started(matcher), piece()
    x, lr, v, w = np.asarray(synth.x.pixels), float(synth.lr), 0.0, 0.0
    for number in range(2):
        here = replace(synth, x=synth.x._replace(pixels=jnp.asarray(x)), lr=jnp.float32(lr))
        after = stepped(plain(), here, at, key=jax.random.fold_in(KEY, 9 + number))[0]
        v, w = 0.5 * v + x - np.asarray(after.x.pixels), 0.5 * w + lr - float(after.lr)
        x, lr = x - 0.4 * v, lr - 1e-3 * w
    found = stepped(matcher, synth, at, times=2)[0]
    np.testing.assert_allclose(found.x.pixels, x, atol=1e-5)
    np.testing.assert_allclose(float(found.lr), lr, rtol=1e-5)


@pytest.mark.parametrize("kind, slope", [("log", lambda b: b), ("softplus", lambda b: 1 - np.exp(-b))])
def test_a_step_size_kept_positive_moves_by_the_chain_rule(kind, slope):
    synth = started(plain(), lr=0.1)
    by_lr = 0.1 - float(stepped(plain(), synth, piece())[0].lr)
    by_raw = -3 * by_lr * slope(0.1)  # how far the optimiser moves what it sees
    assert abs(by_lr * slope(0.1)) < 1  # not cut
    expected = 0.1 * np.exp(by_raw) if kind == "log" else np.log1p(np.expm1(0.1) * np.exp(by_raw))
    found = stepped(built(mtt, positive=kind, lr_lr=3.0), synth, piece(), times=3)[2]
    np.testing.assert_allclose(found[0]["step_size"], expected, rtol=1e-4)
    assert abs(expected - 0.1) > 0.01 and all(metrics["step_size"] > 0 for metrics in found)


@pytest.mark.parametrize("kind, slope", [("log", lambda b: b), ("softplus", lambda b: 1 - np.exp(-b))])
def test_one_step_moves_what_is_positive_by_at_most_its_step_size(kind, slope):
    """At a beta that overshoots, the slope by its logarithm is far above 1: the step is `lr_lr`, and not `lr_lr` times that."""
    synth = started(plain(), lr=20.0)
    by_lr = 20.0 - float(stepped(plain(), synth, piece())[0].lr)
    assert by_lr * slope(20.0) > 1
    found = stepped(built(mtt, positive=kind, lr_lr=0.1), synth, piece())[2]
    expected = 20.0 * np.exp(-0.1) if kind == "log" else np.log1p(np.expm1(20.0) * np.exp(-0.1))
    np.testing.assert_allclose(found[0]["step_size"], expected, rtol=1e-5)


def falling(by: float) -> Matcher:
    """The step size of the set falls by so much a step."""

    def step(key, state, synth, batch):
        return replace(synth, lr=synth.lr - jnp.float32(by)), state, {"loss": synth.lr}

    return Matcher(lambda key, synth: (), step)


@pytest.mark.parametrize("by, step", [(0.4, 3), (0.5, 2)])
def test_a_step_size_that_falls_to_zero_stops_the_run(by, step):
    """1, 0.6, 0.2, -0.2, and 1, 0.5, 0."""
    synth = replace(as_set(blobs(1)), lr=jnp.float32(1))
    with pytest.raises(RunFailed, match=rf"the learned step size is not above 0 at step {step}; .*--lr-lr, or --positive log"):
        loop.run(KEY, falling(by), synth, lambda step: None, loop.Schedule(8, log_every=8))
    assert float(loop.run(KEY, falling(by), synth, lambda step: None, loop.Schedule(step - 1)).lr) > 0


def smooth64():
    """A smooth student of three steps with learned labels in double precision: (loss of images, logits, beta; their values)."""
    synth, at = as_set(blobs(2, seed=1, dtype=np.float64)), piece()
    at = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64) if leaf.dtype == jnp.float32 else leaf, at)
    labels = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))

    def at_point(gradient):
        loss = distance(smooth_net(dtype=jnp.float64), none, Student(3, gradient=gradient, momentum=0.5))
        return jax.jit(lambda x, y, lr: loss(KEY, replace(synth, x=synth.x._replace(pixels=x), y=Soft(y), lr=lr), at)[0])

    return at_point, (synth.x.pixels, labels, jnp.float64(0.3))


def test_the_gradient_is_that_of_differences(float64):
    """By images, label logits and beta, through momentum and all steps."""
    at_point, values = smooth64()
    loss = at_point("exact")
    for place, slope in enumerate(jax.jit(jax.grad(loss, (0, 1, 2)))(*values)):
        differences = central_differences(lambda v, place=place: loss(*values[:place], jnp.asarray(v), *values[place + 1 :]), values[place])
        np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-9)
        assert np.abs(slope).max() > 1e-5


@pytest.mark.parametrize("steps", [1, 4])
def test_teslas_gradient_holds_the_student_still_inside_its_steps(steps):
    """Against the definition, a loop with theta_i stopped inside the gradient of step i: that of MTT for one step, another for four."""
    exact, tesla = (plain(gradient=kind, inner_steps=steps) for kind in ("exact", "tesla"))
    synth, at, net, unravel = started(exact, lr=0.3), piece(), smooth_net(), flat_parameters(smooth_net())

    @jax.jit
    @partial(jax.grad, argnums=(0, 1))
    def surrogate(x, lr):
        def loss(theta):
            return synth.y.loss(net.apply(Vars(unravel(theta)), x).logits, synth.y.probs()).mean()

        theta = at.start
        for _ in range(steps):
            theta = theta - lr * jax.grad(loss)(jax.lax.stop_gradient(theta))
        return jnp.sum((theta - at.targets[0]) ** 2) / jnp.sum((at.start - at.targets[0]) ** 2)

    def moved(matcher):
        after = stepped(matcher, synth, at)[0]
        return np.asarray(synth.x.pixels - after.x.pixels), float(synth.lr - after.lr)

    by_x, by_lr = surrogate(synth.x.pixels, synth.lr)
    (x, lr), (whole, _) = moved(tesla), moved(exact)
    np.testing.assert_allclose(x, by_x, rtol=1e-3, atol=1e-5 * np.abs(x).max())
    np.testing.assert_allclose(lr, float(by_lr), rtol=1e-3)
    assert (np.abs(whole - x).max() > 1e-2 * np.abs(x).max()) == (steps > 1)


@pytest.mark.slow
def test_every_image_serves_once_before_any_serves_again():
    items = inner_items(KEY, 6, batch=4, steps=5)
    index, counts = np.asarray(items.index), np.asarray(items.counts)
    served = [row[count > 0] for row, count in zip(index, counts, strict=True)]
    assert [len(row) for row in served] == [4, 2, 4, 2, 4]
    for turn in (0, 2):
        assert sorted(np.concatenate(served[turn : turn + 2])) == list(range(6))
    assert (np.concatenate(served[:2]) != np.concatenate(served[2:4])).any()
    assert inner_items(KEY, 6, batch=None, steps=3).index.shape == inner_items(KEY, 6, batch=99, steps=3).index.shape == (3, 6)


def test_with_whole_batches_the_order_of_the_images_is_irrelevant():
    matcher = plain()
    synth = started(matcher, lr=0.3)
    order = np.asarray([3, 1, 5, 0, 4, 2])
    turned = replace(synth, x=synth.x._replace(pixels=synth.x.pixels[order]), y=synth.y._replace(index=synth.y.index[order]))
    first, second = (stepped(matcher, s, piece())[2][0]["loss"] for s in (synth, turned))
    np.testing.assert_allclose(first, second, rtol=1e-5)


@pytest.mark.slow
def test_a_short_last_batch_counts_its_own_images_alone():
    """Batches of 4 and 2 images: the rows that fill the second up to 4 add nothing, and its own count a half each."""
    matcher = built(mtt, inner_steps=2, batch=4, step_size=0.3)
    synth, at = started(matcher), piece()
    seen = stepped(matcher, synth, at)[2][0]
    items = inner_items(jax.random.split(jax.random.split(jax.random.fold_in(KEY, 0))[0])[0], 6, batch=4, steps=2)
    theta = np.asarray(at.start)
    for row, count in zip(np.asarray(items.index), np.asarray(items.counts), strict=True):
        rows = row[count > 0]
        part = replace(synth, x=synth.x._replace(pixels=synth.x.pixels[rows]), y=synth.y._replace(index=synth.y.index[rows]))
        theta = trained(part, theta, steps=1, beta=0.3)[-1]
    np.testing.assert_allclose(seen["loss"], gap(theta, np.asarray(at.targets[0]), np.asarray(at.start)), rtol=1e-5)


def test_the_gate_leaves_everything_alone():
    """Images, labels, step size and all momentum stand still above the threshold, and move below it."""
    closed, opened = (built(datm, gate=gate, label_lr=0.5, lr_lr=1e-3) for gate in (1e-3, 10.0))
    synth = started(closed)
    _, warm, _ = stepped(opened, synth, piece())
    for matcher, stays in ((closed, True), (opened, False)):
        after, state, metrics = jax.jit(matcher.step)(KEY, warm, synth, piece())
        same = [np.array_equal(a, b) for a, b in zip(jax.tree.leaves((after, state)), jax.tree.leaves((synth, warm)), strict=True)]
        assert all(same) if stays else not any(same)
        assert float(metrics["loss"]) > 1e-3


@pytest.mark.slow
def test_the_gate_absorbs_a_loss_that_is_no_number():
    """A student that overflows is above any threshold: nothing moves, and the run goes on, which it would not with a loss that is NaN."""
    matcher = built(datm, gate=10.0, label_lr=0.5, lr_lr=1e-3)
    synth, broken = started(matcher, lr=0.3), piece()._replace(targets=jnp.full((1, experts().size), jnp.nan))
    huge = piece()._replace(start=jnp.full(experts().size, 1e30))
    for at in (broken, huge):
        after, _, (seen,) = stepped(matcher, synth, at)
        assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(synth), strict=True))
        assert np.isfinite(seen["loss"]) and seen["loss"] > 10
    made = loop.run(KEY, matcher, synth, lambda step: broken, loop.Schedule(2))
    np.testing.assert_array_equal(made.x.pixels, synth.x.pixels)


def test_datm_learns_labels_with_momentum_of_their_own():
    """v <- 0.9 v + g, y <- y - 0.5 v, over two steps on one set: its second move is that of the first, and 0.9 of it again."""
    matcher = built(datm, gate=10.0, label_lr=0.5, lr_lr=1e-3)
    synth = started(matcher, lr=0.3)
    first, state, _ = stepped(matcher, synth, piece())
    second = jax.jit(matcher.step)(jax.random.fold_in(KEY, 0), state, synth, piece())[0]
    moves = [np.asarray(after.y.logits - synth.y.logits) for after in (first, second)]
    np.testing.assert_allclose(moves[1], 1.9 * moves[0], rtol=0, atol=1e-5 * np.abs(moves[0]).max())

    loss = distance(smooth_net(), none, Student(4))
    k_loss = jax.random.split(jax.random.fold_in(KEY, 0))[0]
    g = jax.jit(jax.grad(lambda logits: loss(k_loss, replace(synth, y=Soft(logits)), piece())[0]))(synth.y.logits)
    np.testing.assert_allclose(moves[0], -0.5 * g, rtol=0, atol=1e-5 * float(np.abs(g).max()))
    assert np.abs(g).max() > 1e-5 and (np.asarray(first.x.pixels) != np.asarray(synth.x.pixels)).any()


def test_certain_soft_labels_give_the_loss_of_hard_ones():
    loss = jax.jit(distance(smooth_net(), none, Student(3)))
    hard = replace(as_set(blobs(2, seed=1)), lr=jnp.float32(0.3))
    certain, even = (replace(hard, y=Soft(c * jax.nn.one_hot(hard.y.index, 3))) for c in (60.0, 0.0))
    values = [float(loss(KEY, synth, piece())[0]) for synth in (hard, certain, even)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    assert abs(values[2] - values[0]) > 1e-3


def test_datm_starts_from_what_experts_get_right():
    matcher, examples = built(datm, grow_from=1, grow_until=10, max_start=3), blobs(9, seed=1)
    assert matcher.feed.grow == (1, 10)
    synth = started(matcher, ipc=4, examples=examples)
    assert isinstance(synth.y, Soft) and float(synth.lr) == pytest.approx(0.01)
    np.testing.assert_array_equal(np.asarray(synth.y.probs()).argmax(1), np.repeat(np.arange(3), 4))
    found = [int(np.flatnonzero((examples.x == image).all((1, 2, 3)))[0]) for image in np.asarray(synth.x.pixels)]
    np.testing.assert_array_equal(examples.y[found], np.repeat(np.arange(3), 4))
    z = np.stack([logits(smooth_net(), experts().last(e), examples.take(np.array(found))) for e in range(3)])
    for i, label in enumerate(examples.y[found]):
        right = z[:, i].argmax(1) == label
        if right.any():
            np.testing.assert_allclose(synth.y.logits[i], z[right, i].mean(0), rtol=1e-5)


def test_correct_samples_come_from_as_many_networks_as_it_takes():
    """Class 0: the first network gets rows 0 and 1 right. Class 1: the first only row 4, the second row 5, none 6 or 7 (7 nearly)."""
    y = np.repeat([0, 1], 4)
    first = np.array([[2, 0], [1, 0], [0, 1], [0, 2], [0, 1], [3, 0], [3, 0], [3, 0]], np.float32)
    second = np.array([[0, 9], [0, 9], [9, 0], [0, 9], [9, 0], [0, 1], [3, 0], [2, 1]], np.float32)
    draws = [choose_correct(jax.random.key(k), [first, second], y, 2 * 3) for k in range(5)]
    for chosen in draws:
        assert set(chosen[:2]) == {0, 1} and chosen[2] == 2  # the second network's, once the first has no more
        assert list(chosen[3:]) == [4, 5, 7]
    np.testing.assert_array_equal(choose_correct(jax.random.key(0), [first, second], y, 6), draws[0])
    assert set(choose_correct(jax.random.key(0), iter([first]), y, 4)[:2]) == {0, 1}
    with pytest.raises(BadInput, match="--ipc 5: class 0 has 4 examples"):
        choose_correct(KEY, [first, second], y, 2 * 5)


def test_labels_average_over_the_networks_that_are_right():
    y = np.array([0, 1])
    outputs = [np.array([[3, 1], [5, 2]], np.float32), np.array([[1, 0], [4, 3]], np.float32), np.array([[0, 7], [6, 1]], np.float32)]
    labels = mean_correct(outputs, y)
    np.testing.assert_allclose(labels, [[2, 0.5], [2, 5]])  # none gets the second right: its mean, exchanged
    assert labels.dtype == np.float32


@pytest.mark.parametrize(
    "method, options, message",
    [
        (mtt, {"step_size": 0.0}, "--step-size 0.0: give a number above 0"),
        (ast, {"inner_momentum": 1.0}, r"--inner-momentum 1.0: give a number in \[0, 1\)"),
        (ast, {"perturb": -1.0}, "--perturb -1.0: give a number of at least 0"),
        (ast, {"inner_steps": 2, "span": 3}, "--inner-steps 2: .* at least --span, 3"),
        (ftd, {"decay": 1.0}, r"--decay 1.0: give a number in \[0, 1\)"),
        (datm, {"grow_from": 2}, "--grow-from and --grow-until belong together"),
        (datm, {"label_momentum": 1.5}, r"--label-momentum 1.5: give a number in \[0, 1\)"),
    ],
)
def test_options_out_of_range_are_refused(method, options, message):
    with pytest.raises(BadInput, match=message):
        built(method, **options)


def test_networks_with_batch_statistics_are_refused():
    with pytest.raises(BadInput, match="no batch statistics; use norm=instance"):
        mtt(nets.build("convnet:width=4,depth=1,norm=batch", (8, 8, 1), 3), none, experts())


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if REGISTRY[preset.method].load() in (mtt, ftd, ast, datm)])
def test_presets_keep_beta_as_published_and_name_the_published_experts(name):
    """Beta itself moves, and the alpha of FTD's table: 0.3 for CIFAR-10 at 1 and 10 a class, 1 elsewhere."""
    preset = PRESETS[name]
    assert preset.settings["positive"] == "none"
    if preset.source == PAPERS["ftd"]:
        assert ("--recipe flat --epochs 50 --alpha 1" in preset.first) == (name not in ("ftd_cifar10_1", "ftd_cifar10_10"))
    if preset.source in PAPERS.values():
        assert f"--net {preset.settings['net']} " in preset.first and f"--data '{preset.data}'" in preset.first

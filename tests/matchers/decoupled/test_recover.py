"""Oracles of recovery from trained networks: the statistics loss, votes and pairs, the step, its bounds and its end."""

import math
from dataclasses import replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.engine.feeds import make_feed
from matchers.decoupled import common as recover
from matchers.decoupled.common import batch_size, batches_of, images_of, on_pixels
from matchers.decoupled.cvdd import committees, cvdd, voting_weights
from matchers.decoupled.fadrm import fadrm
from matchers.decoupled.gvbsm import gvbsm
from matchers.decoupled.infer import infer
from matchers.decoupled.labelling import Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings, batch_loss, mean_norm, total_variation, vote
from matchers.decoupled.nrr import nrr
from matchers.decoupled.rded import rded
from matchers.decoupled.sre2l import sre2l
from synth.errors import BadInput
from synth.images.content import Bounded, Bytes
from synth.images.preprocess import Whiten
from synth.labelling import teacher_digest
from synth.selection.collage import choose_patches, compose
from synth.set import Info
from synth.training.statistics import statistics_gap
from tests.support.toy_data import blobs, central_differences, smooth_net
from tests.support.toy_teachers import KEY, MEAN, PLAIN, PLAN, STD, bn_net, committee, priors, ran, started, task, teacher


def random_taps(rng, widths=(2, 3)) -> dict:
    taps = {}
    for layer, width in enumerate(widths):
        for name in ("norm", "running"):
            taps[f"{name}{layer}"] = tuple(jnp.asarray(rng.uniform(0.5, 2, width), jnp.float32) for _ in range(2))
    return taps


def test_statistics_gap_by_hand():
    taps = {
        "norm0": (jnp.array([1.0, 2.0]), jnp.array([3.0, 3.0])),
        "running0": (jnp.array([1.0, 5.0]), jnp.array([3.0, 7.0])),
        "norm1": (jnp.array([0.0, 3.0]), jnp.array([1.0, 1.0])),
        "running1": (jnp.array([4.0, 0.0]), jnp.array([1.0, 13.0])),
    }
    assert float(statistics_gap(taps)) == 10 * (3 + 4) + 5 + 12
    assert float(statistics_gap(taps, first=1.0)) == 3 + 4 + 5 + 12


def test_statistics_gap_is_zero_with_a_finite_slope_where_statistics_agree():
    taps = random_taps(np.random.default_rng(0))
    same = taps | {"running0": taps["norm0"], "running1": taps["norm1"]}
    assert float(statistics_gap(same)) == 0
    slope = jax.grad(lambda seen: statistics_gap(same | {"norm0": seen}))(same["norm0"])
    assert all(np.isfinite(np.asarray(part)).all() for part in slope)


def test_layers_count_in_call_order_and_not_by_name():
    """Twelve layers: sorted by name, norm10 comes before norm2, and a first layer other than norm0 would count ten times."""
    taps = random_taps(np.random.default_rng(1), (2,) * 12)

    def gap(layer):
        return sum(float(jnp.linalg.norm(a - b)) for a, b in zip(taps[f"norm{layer}"], taps[f"running{layer}"], strict=True))

    expected = 10 * gap(0) + sum(gap(layer) for layer in range(1, 12))
    np.testing.assert_allclose(float(statistics_gap(dict(sorted(taps.items(), reverse=True)))), expected, rtol=1e-6)


def test_statistics_are_of_the_batch_and_its_pixels_and_biased():
    held = teacher()
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 4, 4, 1)), jnp.float32)
    order = np.array([2, 0, 1])
    taps = jax.jit(lambda images: held.net.apply(held.vars, images).taps)
    gaps = [float(statistics_gap(taps(images))) for images in (x, x[order])]
    np.testing.assert_allclose(gaps[1], gaps[0], rtol=1e-5)
    cells = np.asarray(x).reshape(3, 2, 2, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4) @ np.asarray(held.vars.params["a"])
    seen = taps(x)["norm0"]
    np.testing.assert_allclose(seen[0], cells.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen[1], cells.var(0), rtol=1e-5)


def test_the_optimiser_of_pixels_is_optax_adam_on_a_cosine():
    """Its step size starts whole, and is not yet 0 at the last of the four steps."""
    import optax

    rng, tx = np.random.default_rng(3), optax.scale_by_adam(*recover.BETAS, eps=recover.EPSILON)
    ours = on_pixels(RecoverySettings(1.0, 0.1, 10.0, Jitter(1.0, 0.0, False)), task(steps=4))
    x = jnp.zeros((4, 5))
    state, held = ours.init(x), tx.init(x)
    with jax.numpy_dtype_promotion("standard"):
        for size in (1, 0.8535534, 0.5, 0.1464466, 0):
            slope = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
            updates, state = ours.update(slope, state, x)
            expected, held = tx.update(slope, held)
            np.testing.assert_allclose(updates, -size * expected, rtol=1e-5, atol=1e-6)


def test_batches_are_slots_of_one_image_a_class():
    images = jnp.arange(12.0).reshape(12, 1, 1, 1)  # class-major: 4 classes of 3
    batches = batches_of(images, 4, 2)
    assert batches[..., 0, 0, 0].tolist() == [[0, 3], [6, 9], [1, 4], [7, 10], [2, 5], [8, 11]]
    np.testing.assert_array_equal(images_of(batches, 4), images)
    assert [batch_size(*sizes) for sizes in ((10, 100), (1000, 100), (200, 100), (6, 4))] == [10, 100, 100, 3]
    with pytest.raises(BadInput, match=r"--batch 100: 101 classes do not make equal batches"):
        batch_size(101, 100)


def test_recovery_gradient_equals_finite_differences(float64):
    """Of a whole set through a weighted pair, every batch with statistics of its own, against the loss written out."""
    held = committee(2, dtype=jnp.float64)
    synth, _ = started(2, dtype=np.float64)
    settings = RecoverySettings(0.1, 0.3, 10.0, Jitter(1.0, 0.0, False))
    table = np.array([[0.7, 0.3], [0.0, 1.0]])
    x, y = (batches_of(leaf, 3, 100) for leaf in (jnp.asarray(synth.x.pixels, jnp.float64), synth.y.index))
    slopes, metrics = jax.jit(lambda x: vote(KEY, held, [t.vars for t in held], table, x, y, settings))(x)

    @jax.jit
    def by_hand(pixels):
        total = 0.0
        for g in range(2):
            for k, member in enumerate(held):
                out = member.net.apply(member.vars, pixels[g])
                entropy = -jnp.diag(jax.nn.log_softmax(out.logits)).mean()
                gap = sum(
                    weight * jnp.sqrt(((a - b) ** 2).sum())
                    for layer, weight in ((0, 10), (1, 1))
                    for a, b in zip(out.taps[f"norm{layer}"], out.taps[f"running{layer}"], strict=True)
                )
                total += table[g, k] * (entropy + 0.3 * gap)
        return total

    np.testing.assert_allclose(float(metrics["loss"]) * 2, by_hand(x), rtol=1e-9)
    np.testing.assert_allclose(slopes, central_differences(by_hand, x), rtol=1e-5, atol=1e-7)


def test_regularisers_of_images_by_hand():
    """Two 2x2 checkerboards: both differences to the right and both below are 1 in each, diagonals agree. A corner of 3 alone: one of
    every kind but that across it. Norms are over the batch for the one, and of each image for the other."""
    board = jnp.asarray([[0.0, 1.0], [1.0, 0.0]])[None, :, :, None]
    corner = jnp.asarray([[3.0, 0.0], [0.0, 0.0]])[None, :, :, None]
    flat = jnp.full((2, 2, 2, 3), 0.7)
    assert float(total_variation(jnp.concatenate([board, 1 - board]))) == pytest.approx(2 * math.sqrt(4))
    assert float(total_variation(corner)) == pytest.approx(9)
    assert float(total_variation(jnp.flip(corner, 2))) == pytest.approx(9)
    assert float(total_variation(flat)) == 0 and not np.asarray(jax.grad(total_variation)(flat)).any()
    assert float(mean_norm(jnp.concatenate([board, corner]))) == pytest.approx((math.sqrt(2) + 3) / 2)
    assert not np.asarray(jax.grad(mean_norm)(0 * flat)).any()


@pytest.mark.slow
def test_regularisers_join_the_loss_by_their_weights_and_are_off_by_default():
    held, (synth, examples) = teacher(0), started()
    x, y = synth.x.pixels, synth.y.index
    plain, weighed = (RecoverySettings(0.1, 0.3, 10.0, Jitter(1.0, 0.0, False), *more) for more in ((), (0.02, 0.05)))
    (before, terms), (after, same) = (batch_loss(held.net, held.vars, x, y, settings) for settings in (plain, weighed))
    assert float(after - before) == pytest.approx(0.02 * float(total_variation(x)) + 0.05 * float(mean_norm(x)), rel=1e-4)
    assert terms == same

    def made(**more):
        return ran(sre2l(committee(1), task(), labels="hard", **PLAIN, **more), synth, examples, 2)[1].x.pixels

    np.testing.assert_array_equal(made(), made(tv=0.0, l2=0.0))
    first, second = made(tv=1.0), made(l2=1.0)
    assert min(float(jnp.abs(made() - other).max()) for other in (first, second)) > 1e-2
    assert float(total_variation(first)) < float(total_variation(made())) and float(mean_norm(second)) < float(mean_norm(made()))
    for flag in ("tv", "l2"):
        with pytest.raises(BadInput, match=f"--{flag} -1: give a weight of at least 0"):
            made(**{flag: -1})


def test_one_draw_of_the_jitter_serves_a_batch():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 8, 1)), jnp.float32)
    seen = jax.jit(Jitter(0.3, 0.25, True).__call__)(KEY, jnp.repeat(x, 4, 0))
    np.testing.assert_array_equal(seen, jnp.repeat(seen[:1], 4, 0))
    assert np.abs(np.asarray(seen[:1] - x)).max() > 0.1
    rolled = jax.jit(Jitter(1.0, 0.25, False).__call__)(KEY, x)
    np.testing.assert_allclose(np.sort(np.ravel(rolled)), np.sort(np.ravel(x)))
    np.testing.assert_array_equal(Jitter(1.0, 0.0, False)(KEY, x), x)


@pytest.mark.parametrize(("both_ways", "rows"), [(False, {0, 1, 2}), (True, {-2, -1, 0, 1, 2})])
def test_a_roll_goes_down_and_right_or_both_ways(both_ways, rows):
    """Where one bright pixel of an 8x8 image lands under sixty draws."""
    x = jnp.zeros((1, 8, 8, 1)).at[0, 4, 4].set(1)
    seen = jax.jit(jax.vmap(lambda key: Jitter(1.0, 0.25, False, both_ways)(key, x)))(jax.random.split(KEY, 60))
    for axis in (2, 3):
        assert {int(at) - 4 for at in np.argmax(np.asarray(seen).sum(tuple({2, 3} - {axis})), axis=2).ravel()} == rows


def test_images_stay_in_bounds_and_end_as_bytes():
    held, (synth, examples) = committee(1), started()
    before, after, last, metrics = ran(sre2l(held, task(), lr=2.0, labels="hard", **PLAIN), synth, examples, 4)
    assert isinstance(before.x, Bounded) and isinstance(last.x, Bytes)
    low, high = (np.float32(end - MEAN[0]) / STD[0] for end in (0, 1))
    pixels = np.asarray(after.x.pixels)
    assert pixels.min() == low and pixels.max() == high  # a step size of 2 reaches both
    raw = pixels * STD[0] + MEAN[0]
    assert np.abs(np.asarray(last.x.pixels) - np.clip(np.floor(raw * 255 + 1e-3), 0, 255)).max() == 0
    assert set(metrics) == {"loss", "entropy", "statistics"}


def test_the_optimiser_does_not_know_of_the_clip():
    """State of Adam after a clipped step is that of the gradient, as released: only pixels are cut."""
    held = committee(1)
    synth, examples = started()
    matcher = sre2l(held, task(), lr=50.0, labels="hard", **PLAIN)
    before = matcher.prepare(KEY, synth, examples).bare()
    now, state, _ = jax.jit(matcher.step)(KEY, matcher.init(KEY, before), before, matcher.feed.value)
    x, y = (batches_of(leaf, 3, 100) for leaf in (before.x.pixels, before.y.index))
    settings = RecoverySettings(50.0, 0.01, 10.0, Jitter(1.0, 0.0, False))
    slopes, _ = jax.jit(lambda x: vote(KEY, held, matcher.feed.value, np.ones((len(x), 1)), x, y, settings))(x)
    np.testing.assert_allclose(state[1].mean, 0.5 * images_of(slopes, 3), rtol=1e-4, atol=1e-7)
    assert np.abs(np.asarray(now.x.pixels)).max() < 3


@pytest.mark.slow
@pytest.mark.parametrize("method", [sre2l, infer])
def test_mirroring_can_be_left_out(method):
    """As it is for CIFAR, although a mirrored image keeps its label."""
    held, (synth, examples) = committee(1), started(4)

    def made(flips, flip):
        return ran(method(held, task(flips=flips), lr=0.1, labels="hard", flip=flip, **PLAIN), synth, examples, 4)[2].x.decode()

    np.testing.assert_array_equal(made(True, False), made(False, True))
    assert np.abs(np.asarray(made(True, True) - made(True, False))).max() > 1e-2


def test_slots_do_not_touch_each_other():
    """Two slots run together as each runs alone: stacking them must not mix their statistics."""
    held = committee(1)
    synth, examples = started(2)
    matcher = sre2l(held, task(), lr=0.1, labels="hard", **PLAIN)
    both = np.asarray(ran(matcher, synth, examples, 3)[1].x.pixels).reshape(3, 2, 4, 4, 1)
    single, _ = started(1)
    alone = np.asarray(ran(matcher, single, examples, 3)[1].x.pixels).reshape(3, 1, 4, 4, 1)
    np.testing.assert_allclose(both[:, :1], alone, atol=1e-6)
    assert np.abs(both[:, 1] - both[:, 0]).max() > 0.1


def test_a_recovered_set_is_recognised_and_its_statistics_are_close():
    held = committee(1)
    synth, examples = started()
    matcher = sre2l(held, task(steps=60), lr=0.1, alpha_bn=0.1, labels="hard", **PLAIN)
    first = ran(matcher, synth, examples, 1)[3]
    last = ran(matcher, synth, examples, 60)[3]
    assert float(last["entropy"]) < 0.5 * float(first["entropy"])
    assert float(last["statistics"]) < float(first["statistics"])


@pytest.mark.parametrize(
    ("priors", "expected"),
    [([64, 60.6], [0.664, 0.336]), ([46.5, 28.3], [0.974, 0.026]), ([56.4, 42.3], [0.944, 0.056])],
)
def test_voting_weights_are_the_published_ones(priors, expected):
    """Of CIFAR-100 and Tiny ImageNet pairs: a change here means another temperature or another softmax than the released code's."""
    np.testing.assert_allclose(voting_weights(1, priors, size=2, temperature=5.0)[0], expected, atol=5e-4)


def test_label_weights_are_the_published_ones():
    weights = voting_weights(1, [56.4, 42.3, 52.5, 44.2, 40.6], size=5, temperature=10.0)[0]
    np.testing.assert_allclose(weights, [0.413, 0.101, 0.279, 0.122, 0.085], atol=5e-4)


def test_votes_by_temperature_shift_and_number():
    priors = [63.0, 65.3, 68.5, 67.6, 67.4]
    table = voting_weights(10, priors, size=2, temperature=5.0)
    np.testing.assert_allclose(table.sum(1), 1)
    np.testing.assert_allclose(voting_weights(10, [p - 40 for p in priors], size=2, temperature=5.0), table, rtol=1e-9)
    np.testing.assert_allclose(voting_weights(10, priors, size=2, temperature=1e9)[table > 0], 0.5, rtol=1e-6)
    sharp = voting_weights(10, priors, size=2, temperature=1e-3)
    assert ((sharp > 0.999).sum(1) == 1).all()
    assert all(row.argmax() == max(np.flatnonzero(pair), key=lambda k: priors[k]) for row, pair in zip(sharp, table, strict=True))
    np.testing.assert_array_equal(voting_weights(3, priors[:1], size=1, temperature=5.0), np.ones((3, 1)))


def test_pairs_by_slots():
    priors = [63.0, 65.3, 68.5, 67.6, 67.4]
    assert committees(1, priors, 2) == [(2, 3)]  # the two of the highest priors
    ten = committees(10, priors, 2)
    assert sorted(ten) == list(combinations(range(5), 2)) and len(set(ten)) == 10  # every unordered pair once
    fifty = committees(50, priors, 2)
    assert len(fifty) == 50 and len(set(fifty)) > 5 and set(fifty) <= set(ten) and fifty == committees(50, priors, 2)


def test_a_given_pair_votes_on_every_slot():
    """The weights that the recovery takes, not those of the highest priors."""
    held, (synth, examples) = committee(3), started(2)
    worth = lambda **options: (60.0, 62.0, 50.0)  # noqa: E731
    options = {"lr": 0.1, "patches": "none", "labels": "hard", "temperature": 7.0, **PLAIN}
    given = ran(cvdd(held, worth, task(), pair=(3, 1), **options), synth, examples, 2)[1]
    swapped = (held[0], held[2])
    two = ran(cvdd(swapped, lambda **options: (60.0, 50.0), task(), votes=2, **options), synth, examples, 2)[1]
    np.testing.assert_allclose(given.x.pixels, two.x.pixels, atol=1e-5)
    best = ran(cvdd(held, worth, task(), votes=2, **options), synth, examples, 2)[1]
    assert np.abs(np.asarray(best.x.pixels) - np.asarray(given.x.pixels)).max() > 1e-2
    for pair, said in {(1, 4): r"--pair 4: there is no such teacher", (2, 2): r"--pair 2 2: give different teachers"}.items():
        with pytest.raises(BadInput, match=said):
            cvdd(held, worth, task(), pair=pair)
    with pytest.raises(BadInput, match="no --member beside"):
        cvdd(held, worth, task(), pair=(1, 2), member=1)


def test_one_vote_is_sre2l_and_teachers_stay_as_they_are():
    held, (synth, examples) = committee(1), started()
    known = teacher_digest(held[0])
    options = {"lr": 0.1, "labels": "hard", **PLAIN}
    alone = ran(sre2l(held, task(), **options), synth, examples, 3)[1]
    single = ran(cvdd(held, priors(1), task(), votes=1, patches="none", **options), synth, examples, 3)[1]
    np.testing.assert_allclose(single.x.pixels, alone.x.pixels, atol=1e-6)
    assert teacher_digest(held[0]) == known


@pytest.mark.slow
def test_a_lone_member_or_equal_ones_are_sre2l():
    held, (synth, examples) = committee(1), started()
    options = {"lr": 0.1, "patches": "none", "labels": "hard", "crop": 0.5, "roll": 0.25}  # a batch has one jitter, for all who vote
    alone = ran(sre2l(held, task(), **options), synth, examples, 3)[1]
    unasked = lambda **options: pytest.fail("a single member needs no prior")  # noqa: E731
    lone = ran(cvdd((held[0], teacher(1)), unasked, task(), member=1, **options), synth, examples, 3)[1]
    np.testing.assert_allclose(lone.x.pixels, alone.x.pixels, atol=1e-6)
    twins = ran(cvdd((held[0], held[0]), lambda **options: (60.0, 60.0), task(), votes=2, **options), synth, examples, 3)[1]
    np.testing.assert_allclose(twins.x.pixels, alone.x.pixels, atol=1e-5)
    other = ran(cvdd(committee(2), priors(2), task(), votes=2, **options), synth, examples, 3)[1]
    assert np.abs(np.asarray(other.x.pixels) - np.asarray(alone.x.pixels)).max() > 1e-2


def test_labels_are_asked_of_the_bytes():
    """The truncation comes before labelling: a change of the order shows where rounding moved the images."""
    held, (synth, examples) = committee(2), started()
    last = ran(cvdd(held, priors(2), task(), patches="none", labels="static", label_temperature=10.0, **PLAIN), synth, examples, 2)[2]
    weights = voting_weights(1, priors(2)(), size=2, temperature=10.0)[0]
    expected = sum(w * t.net.apply(t.vars, last.x.decode()).logits for w, t in zip(weights.astype(np.float32), held, strict=True))
    np.testing.assert_array_equal(last.y.logits, np.asarray(expected).astype(np.float16))


@pytest.mark.parametrize(("kind", "temperature"), [("distances", 1.0), ("static", PLAN.temperature)])
def test_labels_of_a_run_have_their_kinds_temperature(kind, temperature):
    """That of the recipe, but 1 for distances: a change means codes of 1/20 nat on flattened probabilities."""
    synth, _ = started()
    assert Labelling(committee(1), task(), "cvdd", kind).attach(KEY, synth).y.temperature == temperature


METHODS = {
    "sre2l": lambda held, **more: sre2l(held, task(), **more),
    "cvdd": lambda held, **more: cvdd(held, priors(2), task(), **more),
    "fadrm": lambda held, **more: fadrm(held, task(), **more),
    "gvbsm": lambda held, **more: gvbsm(held, task(), **more),
    "infer": lambda held, **more: infer(held, task(), **more),
    "nrr": lambda held, **more: nrr(held, task(), **more),
    "rded": lambda held, **more: rded(held, task(), **more),
}


@pytest.mark.parametrize("name", METHODS)
def test_labels_that_no_file_holds_are_refused_before_the_work(name, monkeypatch):
    """Four images a class of 16 bytes, of which `infer` stores two a class and two additions twice over, for eighteen examples."""
    held, (synth, examples) = committee(2), started(4)
    n, images = (18, 10) if name == "infer" else (12, 12)
    told = rf"^committee labels of {n} examples take {n * (4 + 2 * 3 * 2)} bytes beside {16 * images} of images, .*give --labels online"
    monkeypatch.setattr("synth.labelling.LIMIT", n * 16 + 16 * images - 1)
    matcher = METHODS[name](held, labels="committee", label_epochs=2)
    monkeypatch.setattr("synth.selection.collage.draw_crops", None)  # whoever looks at crops now fails
    with pytest.raises(BadInput, match=told):
        matcher.prepare(KEY, synth, examples) if matcher.prepare else matcher.step(KEY, None, synth, examples)


def test_collages_are_cut_from_the_drawn_images_alone():
    """So that data may be larger than memory: three of every class here, of eight."""
    held, (synth, examples), taken = committee(1), started(1), []

    class InFiles:
        in_memory, y, shape = False, np.asarray(examples.y), examples.x.shape

        def take(self, index):
            taken.extend(np.asarray(index).tolist())
            return examples.take(index)

    matcher = rded(held, task(), images=3, labels="hard")
    matcher.step(KEY, matcher.init(KEY, synth), synth, make_feed(matcher.feed, InFiles(), 3, seed=0)(0))
    assert 0 < len(taken) <= 9


def test_collages_of_a_rank_replace_the_start():
    held, (synth, examples) = committee(1), started(1)
    for rank in ("easy", "hard"):
        made = sre2l(held, task(), patches=rank).prepare(KEY, synth, examples)
        patches = choose_patches(KEY, held, examples, 1, factor=2, rank=rank)
        np.testing.assert_array_equal(made.x.pixels, compose(patches, 2))
    assert np.abs(np.asarray(made.x.pixels) - np.asarray(synth.x.pixels)).max() > 0.1


def test_wrong_calls_say_what_would_be_right():
    held, (synth, examples) = committee(2), started()
    plain = smooth_net()
    strange = held[0]._replace(net=plain, vars=plain.init(KEY))
    white = replace(synth, info=Info(synth.info.classes, Whiten(np.zeros(16, np.float32), *[np.eye(16, dtype=np.float32)] * 2)))
    for call, message in [
        (lambda: sre2l(held, task(), member=3), r"--member 3: there is no such teacher \(there are 1 toy0, 2 toy1\)"),
        (lambda: sre2l(held, task(), crop=1.5), r"--crop 1.5: give the least share"),
        (lambda: sre2l(held, task(), roll=1.0), r"--roll 1.0: give a share"),
        (lambda: sre2l(held, task(), alpha_bn=-1.0), r"--alpha-bn -1.0: give a weight of at least 0"),
        (lambda: cvdd(held, priors(2), task(), votes=3), r"--votes 3: there are 2 teachers"),
        (lambda: cvdd(held, priors(2), task(), member=3), r"--member 3: there is no such teacher"),
        (lambda: cvdd(held, priors(2), task(), temperature=0.0), r"--temperature 0.0: give a number above 0"),
        (lambda: sre2l((strange,), task()).prepare(KEY, synth, examples), r"--teachers: toy0 has no batch norm"),
        (lambda: sre2l(held, task()).prepare(KEY, white, examples), r"normalise=zca has not; use normalise=standard"),
    ]:
        with pytest.raises(BadInput, match=message):
            call()


def test_the_toy_is_a_network_with_batch_norm():
    """The oracle of the oracles: in training mode the toy normalises by its batch, in evaluation mode by what it keeps."""
    net = bn_net()
    vars, x = net.init(KEY), jnp.asarray(blobs(2).x)
    assert np.abs(np.asarray(net.apply(vars, x).logits - net.apply(vars, x, train=True).logits)).max() > 1e-2
    assert net.apply(vars, x).stats is vars.stats

"""What every content in `synth.content.KINDS` keeps, whoever wrote it, and that a new one costs a file and a line."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.data.images import Data
from condense.data.load import load_data
from condense.engine import loop
from condense.engine.budget import Budget
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set
from synth.base import take_all
from synth.content import KINDS, images_for
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.graphs.base import Alphabet
from synth.graphs.content import PackedGraphs, TreeSummary, colour_graph
from synth.graphs.dense import LearnedGraphs
from synth.graphs.packing import TreeSets, pack_graphs, pack_tree_sets
from synth.graphs.refinement import colour_batch, refine
from synth.graphs.trees import Tree
from synth.images.bases import Bases, shared
from synth.images.coded import Half, Packed, Tiles, coded
from synth.images.content import Bounded, Bytes, Compensated, Pixels, Summed
from synth.images.preprocess import Nothing, Standard, fit_zca
from synth.labels.plain import Hard, Runs
from synth.set import Info, SyntheticSet
from synth.vectors import Vectors, write_columns
from tests.support.factories import build_method
from tests.support.methods import CLASSES, IPC, KEY, handed
from tests.support.toy_content import Coarse
from tests.support.toy_graphs import some_graphs

MEAN, STD = np.array([0.3, 0.5], np.float32), np.array([0.2, 0.25], np.float32)
SHAPE, N = (4, 6, 2), 5
BOUNDS = jnp.asarray(MEAN), jnp.asarray(STD)
UNDER_WORK = {  # first content -> the kind that is stored, and how far a stored image is from one that the content can hold
    "pixels": (Pixels, Pixels, 0),
    "bytes": (Pixels(jnp.zeros((0, *SHAPE))).bounded(*BOUNDS), Bytes, 1.001 / 255 / STD),
    "coarse": (Coarse, Coarse, 2e-3),
    "tiles": (coded("f32", 2), Tiles, 2e-6),
    "half": (coded("f16", 1), Half, 0),
    "packed": (coded("u3", 2), Packed, 2e-6),
    "bases": (shared(3), Bases, 5e-6),
}
LOSSY = ("tiles", "half", "packed", "bases")  # kinds that show what is stored while they are learned
ROUNDED = ("tiles", "packed", "bases")  # kinds that solve for what they hold, so that a second encoding rounds


def images(n: int = N, *, blocks: bool = True) -> jax.Array:
    """Raw images in [0, 1] in model space; where `blocks`, alike in every 2x2 block, so that a coarse content can hold them."""
    raw = np.random.default_rng(n).random((n, 2, 3, 2)).repeat(2, 1).repeat(2, 2)
    raw = raw if blocks else np.random.default_rng(n).random((n, *SHAPE))
    return jnp.asarray((raw - MEAN) / STD, jnp.float32)


def stored(kind: str):
    """A stored content of every kind."""
    graphs = some_graphs(0, count=N, tags=3)
    if kind in UNDER_WORK:
        return UNDER_WORK[kind][0].encode(images()).store()
    if kind == "vectors":
        return Vectors(images().reshape(N, -1)[:, :3], write_columns([["size"], ["colour", "red", "blue"]]))
    if kind == "compensated":
        return Summed(images(4), 0.1 * images(6).reshape(2, 3, *SHAPE), *BOUNDS).store()
    if kind == "trees":
        trees = TreeSets([Tree(0, 2, ((0, Tree(1)), (0, Tree(2))))], [((0,), 9), ((0,), 2)], {tag: 1.0 for tag in range(3)})
        return TreeSummary(jnp.asarray(pack_tree_sets(trees, Alphabet(3), depth=1, exact=False)), 3, 1, 1, False)
    if kind == "graphs":
        return PackedGraphs(jnp.asarray(pack_graphs(graphs, Alphabet(3))), 3, 1, False)
    if kind == "colours":
        return colour_graph(colour_batch(refine(graphs, 2, degrees=True)), Alphabet(3), exact=True)
    assert kind == "dense", f"a new kind, {kind}: add how it comes about to UNDER_WORK or here"
    return LearnedGraphs(jnp.ones((N, 3, 2)), jnp.asarray([[1.0, -1.0, 0.5]] * N)).store()


def as_set(x) -> SyntheticSet:
    """A content with labels, ready to be written."""
    if x.modality == "graphs":
        return SyntheticSet(x, Runs(jnp.asarray([x.n], jnp.int32), jnp.asarray([9], jnp.int32)), info=Info(("a",), Nothing()))
    mean, std = (MEAN, STD) if x.modality == "images" else (np.resize(part, x.decode().shape[1]) for part in (MEAN, STD))
    return SyntheticSet(x, Hard(jnp.zeros(x.n, jnp.int32), 1), info=Info(("a",), Standard(mean, std)))


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """The toy content's line in the registry."""
    monkeypatch.setitem(KINDS, "coarse", Coarse)


@pytest.mark.parametrize("kind", [*KINDS, "coarse"])
def test_a_stored_content_is_itself_counts_its_arrays_and_comes_back_from_a_file(kind, tmp_path):
    x = stored(kind)
    assert type(x) is KINDS[kind] and x.kind == kind and jax.tree.structure(x.store()) == jax.tree.structure(x)
    assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (x.store(), x)), strict=True))
    save_set(tmp_path / "set.npz", as_set(x))
    loaded = load_set(tmp_path / "set.npz").x
    assert jax.tree.structure(loaded) == jax.tree.structure(x)
    for a, b in zip(*map(jax.tree.leaves, ((x, x.decode()), (loaded, loaded.decode()))), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    with np.load(tmp_path / "set.npz") as file:
        payload = [file[name] for name in file.files if name.startswith("x/") and name not in ("x/mean", "x/std")]
    assert x.nbytes() == sum(array.nbytes for array in payload)
    decoded = x.decode()
    if x.modality == "graphs":
        assert x.n == len(x.frequency()) == int(decoded.real.sum())
    else:
        shape = SHAPE if x.modality == "images" else (3,)
        assert x.n == len(decoded) and decoded.dtype == jnp.float32 and decoded.shape[1:] == shape and x.images <= x.n


@pytest.mark.parametrize("kind", UNDER_WORK)
def test_encoded_images_decode_to_themselves_as_far_as_the_kind_can(kind):
    start, kept, error = UNDER_WORK[kind]
    x = start.encode(images())
    assert x.n == N and x.modality == "images" and x.decode().dtype == jnp.float32
    held = x.decode() if kind in LOSSY else images()
    np.testing.assert_allclose(x.decode(), held, atol=2e-7)
    last = x.store()
    assert isinstance(last, kept) and last.decode().shape == images().shape
    assert (np.abs(last.decode() - held) <= np.broadcast_to(np.asarray(error, np.float32), SHAPE)).all()
    again, rounding = x.encode(last.decode()).store().decode(), error if kind in ROUNDED else 0
    np.testing.assert_allclose(again, last.decode(), rtol=0, atol=rounding)  # what was stored is stored again without loss
    assert jax.eval_shape(x.encode, images()) == jax.eval_shape(lambda: x)  # the same content, options and bounds; traceable


def test_an_encoding_is_the_nearest_that_shared_numbers_allow():
    """Least squares: the error of any image is orthogonal to what the content can hold."""
    x = Coarse.encode(images(blocks=False))
    error, other = np.asarray(images(blocks=False) - x.decode()), np.asarray(images(blocks=True))
    assert np.abs(error).max() > 0.1 and abs((error * other).sum()) < 1e-3


@pytest.mark.parametrize("kind", UNDER_WORK)
def test_bytes_are_known_before_there_are_images_and_a_budget_buys_as_many_as_fit(kind):
    start, classes, label = UNDER_WORK[kind][0], 2, 4

    def took(per_class: int) -> int:
        x = start.encode(images(per_class * classes))
        assert x.nbytes() == x.store().nbytes() == start.bytes_for(per_class * classes, SHAPE)
        return x.nbytes() + label * per_class * classes

    for per_class in (1, 2, 7):
        for size, expected in ((took(per_class), per_class), (took(per_class) - 1, per_class - 1), (took(per_class + 1) - 1, per_class)):
            assert images_for(start, size, SHAPE, classes=classes, label_bytes=label) == expected
            if expected:
                assert Budget(bytes=size).per_class(SHAPE, classes, content=start) == expected
    with pytest.raises(BadInput, match=f"--bytes {took(1) - 1}: one image a class needs at least {took(1)}$"):
        Budget(bytes=took(1) - 1).per_class(SHAPE, classes, content=start)


@pytest.mark.parametrize("kind", UNDER_WORK)
def test_what_is_learned_is_picked_of_a_gradient_and_moves_within_bounds(kind):
    x = UNDER_WORK[kind][0].encode(images())
    slope = jax.grad(lambda x: (x.decode() ** 2).sum() / 2)(x).learned()
    assert jax.tree.structure(slope) == jax.tree.structure(x.learned())
    moved = x.moved(jax.tree.map(lambda value, g: value - 9 * g, x.learned(), slope))
    assert jax.eval_shape(lambda: moved) == jax.eval_shape(lambda: x)
    assert (np.abs(moved.decode() - x.decode()).max((1, 2, 3)) > 0.5).all()
    np.testing.assert_array_equal(moved.decode(), x.clip(moved.decode()))
    if isinstance(x, Bounded):
        raw = np.asarray(moved.decode()) * STD + MEAN
        assert raw.min() > -1e-6 and raw.max() < 1 + 1e-6 and (np.abs(x.decode() - 9 * x.decode()) > 3).any()


def test_bounds_are_taken_on_without_a_change_to_the_images():
    wild = 9 * images()
    for x in (Pixels(wild), Pixels(wild).bounded(*BOUNDS)):
        made = x.bounded(jnp.zeros(2), jnp.ones(2))
        np.testing.assert_array_equal(made.decode(), wild)
        np.testing.assert_array_equal(made.clip(wild), np.clip(wild, 0, 1))


def test_axes_that_no_array_has_are_checked_in_the_file(tmp_path):
    """The images of the toy content are 4x6, and so is the whitening beside them."""
    raw = np.random.default_rng(0).random((20, *SHAPE)).astype(np.float32)
    synth = as_set(stored("coarse"))
    save_set(tmp_path / "set.npz", replace(synth, info=Info(("a",), fit_zca(raw))))
    assert load_set(tmp_path / "set.npz").x.decode().shape == (N, *SHAPE)
    with pytest.raises(Exception, match=r"array 'preprocess/mean' has shape \[12\]; it would be right as \[d=48\]"):
        save_set(tmp_path / "set.npz", replace(synth, info=Info(("a",), fit_zca(raw[:, ::2, ::2]))))


STEPS = 2
OPTIONS = {
    "dm": {"batch": 8},
    "mtt": {"inner_steps": 2, "max_start": 2, "lr": 1e4},
    "ftd": {"inner_steps": 2, "max_start": 2, "lr": 1e4, "decay": 0.5},
    "frepo": {"batch": 8, "pool": 2, "pool_steps": 2, "lr": 0.1},
    "sre2l": {},
    "fadrm": {},
    "gvbsm": {},
    "nrr": {"crops": 2, "keep": 2, "epsilon": 2.0},
}


def run(name: str, data: Data, *, folder: Path | None = None, scored=None):
    """A short run of a method from the toy content: the first set and the last."""
    matcher = build_method(name, OPTIONS.get(name, {}), **handed("images"))
    first = initial_set(KEY, matcher, None, data, IPC, Info(data.classes, data.preprocess), content=Coarse)
    feed = make_feed(matcher.feed, data.train, CLASSES, seed=0, experts=handed("images")["experts"])

    def evaluate(synth):
        scored.append(synth)
        return 0.5

    schedule = loop.Schedule(STEPS, log_every=1, checkpoint_every=1, eval_every=1 if scored is not None else 0)
    return first, loop.run(KEY, matcher, first, feed, schedule, folder=folder, evaluate=evaluate)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("dm", "sre2l") else pytest.mark.slow) for name in OPTIONS])
def test_a_new_content_works_under_every_way_to_learn(name, spec, tmp_path):
    """It moves, and what is scored on the way and at the end is what a file gives back."""
    scored = []
    first, last = run(name, load_data(spec), folder=tmp_path, scored=scored)
    assert first.x.blocks.dtype == jnp.float32 and first.x.blocks.shape == (CLASSES * IPC, 4, 4, 1)
    assert isinstance(last.x, Coarse) and last.x.blocks.dtype == jnp.float16
    assert (np.abs(last.x.decode() - first.x.decode()).max((1, 2, 3)) > 1e-3).all()
    save_set(tmp_path / "set.npz", last)
    assert len(scored) == STEPS
    for path, seen in ((tmp_path / "best.npz", scored[0]), (tmp_path / "set.npz", scored[-1]), (tmp_path / "set.npz", last)):
        read = load_set(path)
        np.testing.assert_array_equal(read.x.decode(), seen.x.decode())
        assert jax.tree.structure(read.bare()) == jax.tree.structure(seen.bare())
        assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (read.y, seen.y)), strict=True))


@pytest.mark.parametrize("name", ["random", "rded"])
def test_a_new_content_holds_what_a_method_chooses(name, spec):
    data = load_data(spec)
    _, last = run(name, data)
    assert isinstance(last.x, Coarse) and last.x.blocks.dtype == jnp.float16 and len(last) == CLASSES * IPC
    means = np.asarray(take_all(data.train).x).reshape(-1, 4, 2, 4, 2, 1).mean((2, 4))
    if name == "random":
        gaps = np.abs(means[None] - np.asarray(last.x.blocks, np.float32)[:, None]).max((2, 3, 4))
        np.testing.assert_array_equal(data.train.y[gaps.argmin(1)], np.repeat(np.arange(CLASSES), IPC))
        assert gaps.min(1).max() < 5e-3


@pytest.mark.slow
def test_a_method_may_make_the_one_content_that_is_its_own(spec):
    _, last = run("infer", load_data(spec))
    assert isinstance(last.x, Compensated)

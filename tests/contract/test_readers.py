"""What every reader keeps: its rows are taken in any order and number, alike. And what a new reader costs: one file and one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import condense
from condense import nets
from condense.__main__ import run as command
from condense.data.load import BUILDERS, load_data
from condense.data.named import NAMED
from condense.data.readers import READERS
from condense.data.readers.base import Choice, FileOrShare, Number, Reader, Share, Word
from condense.data.readers.idx import IDX, write_idx
from condense.data.readers.shards import write_tfds
from condense.data.readers.source import arrays
from condense.data.rows import View, pieces
from condense.data.spec import parse_spec
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set
from condense.runtime.devices import batch_shapes, place_batch
from condense.teachers.sanity import classify
from matchers.base import PerClass, Shuffled, Whole
from matchers.trajectory.mtt import mtt
from synth.base import Split, Teacher, take_all
from synth.errors import BadInput
from synth.images.augment import dsa
from synth.images.preprocess import fit_standard
from synth.selection.choose import STARTS
from synth.set import Info
from synth.training.packed import Bytes
from tests.support import toy_reader
from tests.support.toy_data import ToyExperts, smooth_net

X = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 1), np.uint8)
Y = (np.arange(12) % 3).astype(np.int32)
GRAPHS = "4\n2 5\n7 1 1\n3 1 0\n1 0\n3 0\n2 5\n3 1 1\n3 1 0\n2 0\n7 1 1\n7 1 0\n"
NET = "mlp:width=4"


def idx(folder: Path) -> str:
    for name, array in zip(IDX, (X[..., 0], Y, X[:6, ..., 0], Y[:6]), strict=True):
        write_idx(folder / f"{name}.gz", array.astype(np.uint8))
    return f"idx:{folder}"


def npz(folder: Path) -> str:
    np.savez(folder / "a.npz", x_train=X / 255, y_train=Y, x_test=X[:6] / 255, y_test=Y[:6])
    return f"npz:{folder}/a.npz"


def folder(folder: Path) -> str:
    for part, count in (("train", 12), ("test", 6)):
        for at in range(count):
            (folder / part / f"c{Y[at]}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(X[at, ..., 0]).save(folder / part / f"c{Y[at]}" / f"{at:02}.png")
    return f"folder:{folder}"


def tfds(folder: Path) -> str:
    write_tfds(arrays("tiny", "x", X, Y, X[:6], Y[:6], ("a", "b", "c")), folder)
    return f"tfds:{folder}"


def tu(folder: Path) -> str:
    count, _, body = GRAPHS.partition("\n")
    (folder / "G.txt").write_text(f"{int(count) * 5}\n{body * 5}")
    return f"tu:{folder}/G.txt"


def smiles(folder: Path) -> str:
    pytest.importorskip("rdkit")
    (folder / "m.csv").write_text("smiles,label\n" + "CC=O,1\nc1ccccc1O,0\n" * 8)
    return f"smiles:{folder}/m.csv"


def table(folder: Path) -> str:
    rows = [f"{at},{'ab'[at % 2]},{at % 3}\n" for at in range(30)]
    (folder / "t.csv").write_text("size,kind,label\n" + "".join(rows))
    return f"csv:{folder}/t.csv"


def parquet(folder: Path) -> str:
    pq = pytest.importorskip("pyarrow.parquet")
    table = {"x": [float(at % 7) for at in range(30)], "kind": ["ab"[at % 2] for at in range(30)], "label": [at % 3 for at in range(30)]}
    pq.write_table(pytest.importorskip("pyarrow").table(table), folder / "t.parquet")
    return f"parquet:{folder}/t.parquet"


def saved(folder: Path) -> str:
    library = pytest.importorskip("datasets")
    rows = {"image": [Image.fromarray(x[..., 0]) for x in X], "label": Y.tolist()}
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["a", "b", "c"])})
    made = library.Dataset.from_dict(rows, features=features)
    library.DatasetDict({"train": made, "test": made.select(range(6))}).save_to_disk(str(folder / "saved"))
    return f"hf:{folder}/saved"


PLACES: dict[str, Callable[[Path], str]] = {
    "digits": lambda folder: "digits",
    "idx": idx,
    "npz": npz,
    "folder": folder,
    "tfds": tfds,
    "tu": tu,
    "smiles": smiles,
    "toy_graphs": lambda folder: "toy_graphs",
    "csv": table,
    "parquet": parquet,
    "hf": saved,
    "drawn": lambda folder: drawn(folder),
}


def drawn(folder: Path, *, train: int = 40, test: int = 12) -> str:
    """The place of the toy reader."""
    (folder / "counts.txt").write_text(f"{train} {test}\n")
    return f"drawn:{folder}/counts.txt"


@pytest.fixture
def toy(monkeypatch) -> Reader:
    """The toy reader, one line in the registry."""
    monkeypatch.setitem(READERS, "drawn", toy_reader.READER)
    return toy_reader.READER


def test_every_reader_has_a_place_here():
    assert set(PLACES) == {*READERS, "drawn"}, "write a small place for the new reader to read"


def test_the_registry_says_what_there_is():
    for kind, reader in READERS.items():
        assert reader.kind == kind and reader.about and "\n" not in reader.about
        assert all(isinstance(option, Choice | FileOrShare | Number | Share | Word) for option in reader.options.values())
        assert not (reader.embedded and reader.store)
    for name, named in NAMED.items():
        reader = READERS[named.kind]
        assert reader.embedded or reader.store, f"`condense data {name}` has no way to make the set"
        assert "\n" not in named.about


@pytest.mark.parametrize("kind", PLACES)
def test_rows_are_taken_in_any_order_and_number(kind, tmp_path, toy):
    spec = parse_spec(PLACES[kind](tmp_path))
    assert spec.kind == kind
    source = READERS[kind].read(spec)
    assert source.modality in BUILDERS
    if source.modality == "graphs":
        pytest.skip("graphs lie in one table; tests of the data package take them")
    assert source.train.shape[1:] == source.test.shape[1:] == source.shape and source.train.dtype == source.test.dtype == source.dtype
    for rows in (source.train, source.test):
        n, everything = len(rows.y), np.concatenate(list(pieces(rows)))
        assert everything.shape == rows.shape and rows.shape[0] == n > 0 and everything.dtype == rows.dtype
        assert rows.dtype == np.uint8 or (rows.dtype.kind == "f" and np.isfinite(everything).all())
        assert source.modality != "images" or rows.dtype == np.uint8 or (everything.min() >= 0 and everything.max() <= 1)
        assert rows.y.dtype == np.int32 and rows.y.min() >= 0 and rows.y.max() < len(source.classes)
        rng = np.random.default_rng(1)
        for index in (rng.permutation(n), rng.integers(0, n, 7), np.array([n - 1, 0, n - 1, n - 1]), np.arange(n)[::-2]):
            taken = rows.take(index)
            np.testing.assert_array_equal(taken, everything[index])
            assert taken.dtype == rows.dtype
            taken[:] = 0  # what was handed out is the caller's
            np.testing.assert_array_equal(rows.take(index), everything[index])
        assert rows.take(np.zeros(0, np.int64)).shape == (0, *source.shape)


@pytest.mark.parametrize("kind", PLACES)
def test_every_reader_gives_data_whose_splits_are_taken_alike(kind, tmp_path, toy):
    data = load_data(PLACES[kind](tmp_path), validation=0.25)
    assert data.modality == data.source.modality and len(data.train.y) > len(data.val.y) > 0
    for split in (data.train, data.val, data.test):
        whole, index = take_all(split), np.array([1, 0, 1])
        np.testing.assert_array_equal(whole.y, split.y)
        np.testing.assert_array_equal(split.take(index).y, split.y[index])
        if data.modality != "graphs":
            assert isinstance(split, Split) and len(split) == len(split.y) == split.shape[0]
            assert whole.x.dtype == np.float32 and whole.x.shape == split.shape == (len(split), *data.image)
            np.testing.assert_array_equal(split.take(index).x, whole.x[index])


def test_a_reader_is_one_file_and_one_line(toy, tmp_path, capsys):
    """Loaded by its specification and distilled from, by the command line: without a change anywhere else."""
    spec = drawn(tmp_path) + "?size=6"
    data = load_data(spec)
    assert (data.name, data.image, data.classes, data.flips) == ("counts", (6, 6, 1), toy_reader.CLASSES, False)
    real = {row.tobytes() for row in take_all(data.train).x}
    assert command(["distill", "random", "--data", spec, "--ipc", "2", "--net", NET, "--out", str(tmp_path / "a")]) == 0
    synth = condense.load_set(tmp_path / "a" / "set.npz")
    assert (synth.info.data, synth.info.data_digest) == (spec, data.digest)
    assert {row.tobytes() for row in np.asarray(synth.x.decode())} <= real
    capsys.readouterr()


@pytest.mark.slow
def test_what_a_reader_reads_is_matched_and_scored_on(toy, tmp_path):
    spec = drawn(tmp_path) + "?size=6"
    synth = condense.distill("dm", spec, ipc=2, net=NET, steps=2)
    scored = condense.evaluate(synth, net=NET, recipe="quick", epochs=1, seeds=1, rows=("distilled", "random", "kmeans"))
    assert [report.set_kind for report in scored.reports] == ["distilled", "random", "kmeans"] and scored.spec == spec
    assert all(0 <= report.mean <= 1 for report in scored.reports)


def test_its_options_are_checked_and_its_place_is_named(toy, tmp_path):
    spec = drawn(tmp_path)
    for wrong, words in (
        (f"{spec}?size=65", "size=65 is not possible; use size=N with a whole N from 2 to 64"),
        (
            f"{spec}?grey=true",
            r"no option 'grey=true'; use each of normalise=\.\.\., flip=\.\.\., limit=\.\.\., validation=\.\.\., size=\.\.\. at most once",
        ),
        (f"drawn:{tmp_path}/none", "none does not hold two counts; write them there"),
        ("drawn:", "KIND:LOCATION with one of the kinds idx, npz, folder, tfds, tu, smiles, csv, parquet, hf, drawn"),
    ):
        with pytest.raises(BadInput, match=words):
            load_data(wrong)


@pytest.fixture
def large(toy, tmp_path, monkeypatch):
    """Data of more rows than the toy reader hands out at once, of which nothing may ask for all."""
    data = load_data(drawn(tmp_path, train=5000, test=3000))
    taken = View.take

    def take(self, index):
        assert len(index) < len(self), "all rows were asked for"
        return taken(self, index)

    monkeypatch.setattr(View, "take", take)
    with pytest.raises(AssertionError, match="5000 rows are asked for at once"):
        data.source.train.take(np.arange(5000))
    return data


def test_statistics_are_those_of_all_training_rows(large):
    raw = toy_reader.images(large.rows[0], 4)
    assert len(raw) == 4500
    own, told = fit_standard(raw), large.preprocess
    np.testing.assert_array_equal(told.mean, own.mean)
    np.testing.assert_array_equal(told.std, own.std)
    np.testing.assert_allclose(told.mean, (raw / 255).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(told.std, (raw / 255).std((0, 1, 2)), rtol=1e-6)


def test_a_limit_and_a_whitening_take_no_more(toy, tmp_path):
    limited = load_data(f"{drawn(tmp_path, train=5000, test=3000)}?limit=2500&normalise=zca")
    assert limited.source.train.shape == (2500, 4, 4, 1) and np.bincount(limited.source.train.y).tolist() == [834, 833, 833]
    index = np.array([2000, 3, 3, 7])
    whole, some = take_all(limited.train), limited.train.take(index)
    np.testing.assert_array_equal(some.x, whole.x[index])  # bit for bit, although a matrix product stands between
    want = limited.preprocess.apply(toy_reader.images(limited.source.train.index[limited.rows[0]], 4).astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(whole.x, want, atol=1e-4)


def test_feeds_starts_and_a_look_at_a_teacher_take_their_rows_and_no_more(large):
    net, key = smooth_net((4, 4, 1), 3), jax.random.key(0)
    assert place_batch(make_feed(PerClass(256), large.train, 3, seed=0)(2)).shape == (3, 256, 4, 4, 1)
    batch = place_batch(make_feed(Shuffled(64), large.train, 3, seed=0)(5))
    assert batch.x.shape == (64, 4, 4, 1) and batch.y.shape == (64,)
    assert {name: STARTS[name](key, large.train, 4).shape for name in ("noise", "random", "collage")} == dict.fromkeys(
        ("noise", "random", "collage"), (12, 4, 4, 1)
    )
    assert 0 <= classify(Teacher(net, net.init(key)), large.test) <= 1


def test_a_random_choice_takes_its_rows_and_no_more(large, monkeypatch):
    synth = condense.distill("random", large, ipc=2, net=NET)
    chosen = np.asarray(synth.x.decode())
    monkeypatch.undo()
    assert chosen.shape == (6, 4, 4, 1) and {row.tobytes() for row in chosen} <= {row.tobytes() for row in take_all(large.train).x}


@pytest.mark.slow
def test_methods_take_their_batches_and_no_more(large):
    """A method that compares distributions, and one that follows experts."""
    synth = condense.distill("dm", large, ipc=1, net=NET, steps=3)
    assert np.isfinite(synth.x.decode()).all()
    net, key = nets.build(NET, (4, 4, 1), 3), jax.random.key(0)
    experts = ToyExperts(net, spec=nets.canonical(NET))
    matcher = mtt(net, dsa("color_crop"), experts, inner_steps=2, max_start=2)
    first = initial_set(key, matcher, matcher.start, large, 1, Info(large.classes, large.preprocess))
    feed = make_feed(matcher.feed, large.train, 3, seed=0, experts=experts)
    moved = loop.run(key, matcher, first, feed, loop.Schedule(2))
    assert (np.asarray(moved.x.decode()) != np.asarray(first.x.decode())).any()


def test_a_feed_gives_what_arrays_in_memory_give(large, monkeypatch):
    """Bytes on the way to the devices, which normalise them."""
    monkeypatch.undo()
    monkeypatch.setitem(READERS, "drawn", toy_reader.READER)
    whole = take_all(large.train)
    assert whole.x.shape == (4500, 4, 4, 1)
    for request in (PerClass(16), Shuffled(32), Whole()):
        feeds = [make_feed(request, examples, 3, seed=2) for examples in (large.train, whole)]
        for step in (0, 3, 200):
            given = feeds[0](step)
            assert isinstance(request, Whole) or (isinstance(given, Bytes) and given.raw.dtype == np.uint8)
            jax.tree.map(np.testing.assert_array_equal, place_batch(given), feeds[1](step))
            shapes = [batch_shapes(one, 4) for one in (given, feeds[1](step))]
            assert jax.tree.leaves(shapes[0]) == jax.tree.leaves(shapes[1])


def test_a_list_of_data_reads_no_library():
    """The names need no other module than the one that holds them, and the command imports no reader."""
    names = "import sys, condense.data.named as data; print(*data.NAMED, sep='\\n'); print(*sys.modules, file=sys.stderr)"
    listed = "import sys; from condense.__main__ import run; run(['list', 'data']); print(*sys.modules, file=sys.stderr)"
    for code, unread in ((names, {"jax", "numpy", "PIL", "condense.data.readers"}), (listed, {"PIL", "sklearn", "condense.data.readers"})):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert [line.split()[0] for line in done.stdout.splitlines()] == list(NAMED)
        assert not unread & set(done.stderr.split())

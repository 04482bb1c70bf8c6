"""Every reader counts what it will hold before it holds it, so that no small file takes much memory."""

import errno
import gzip
import shutil
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from condense import nets
from condense.data.load import load_data
from condense.data.readers.idx import IDX
from condense.plots.images import draw_grid
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.files.memory import forcing
from synth.images.content import Bytes
from synth.images.preprocess import Standard
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet
from tests.support.data_files import MIB, idx_folder, little_memory, refused

SOME = 4 * MIB  # may be taken in these tests


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setenv("CONDENSE_MEMORY", str(SOME))


def npz(path, *, n=40, side=256, save=np.savez_compressed, **more):
    """Images of zeros, but for one number in each that tells it from others."""
    x = np.zeros((n, side, side, 1), np.uint8)
    x[:, 0, 0, 0] = np.arange(n)
    y = np.arange(n) % 2
    save(path, **({"x_train": x, "y_train": y, "x_test": x[:4], "y_test": y[:4]} | more))
    return f"npz:{path}"


def test_an_npz_is_counted_before_it_is_inflated(tmp_path):
    spec = npz(tmp_path / "a.npz")
    with little_memory(SOME):
        refused(f"{spec}?stream=false", tmp_path / "a.npz", "would take 14.4 MB of memory, and may take at most 4.19 MB")


@pytest.mark.parametrize(("random", "share"), [(True, 2), (False, 16)])
def test_a_packed_npz_is_counted_on_the_disk_that_it_is_unpacked_to(tmp_path, monkeypatch, random, share):
    """Whatever memory may be taken; what is packed a thousandfold may take less."""
    x = np.random.default_rng(0).integers(0, 256, (40, 256, 256, 1), np.uint8)
    spec, usage = npz(tmp_path / "a.npz", **({"x_train": x} if random else {})), shutil.disk_usage("/")
    needed = share * (x.nbytes + 128)  # the header too
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=needed))
    assert not load_data(f"{spec}?stream=true").train.in_memory
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=needed - share))
    refused(f"{spec}?stream=true", "array 'x_train' is packed, and", "save it by numpy.savez, or set TMPDIR")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    monkeypatch.setattr(shutil, "copyfileobj", lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    refused(f"{spec}?stream=true", "array 'x_train' is packed, and there is no room in", "No space left", "or set TMPDIR")


def test_force_reads_what_is_too_large(tmp_path):
    with forcing(True):
        assert load_data(npz(tmp_path / "a.npz")).image == (256, 256, 1)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_limit_reads_no_more_than_its_rows(tmp_path, save, order):
    """The same images as of the whole file."""
    x = np.random.default_rng(0).integers(0, 256, (4000, 64, 64, 1), np.uint8)
    spec = npz(tmp_path / "a.npz", n=4000, side=8, save=save, x_train=np.asarray(x, order=order), x_test=x[:4])
    with little_memory(2 * SOME) if order == "C" else forcing(True):  # rows of the other order lie scattered: all are read
        data = load_data(f"{spec}?limit=20", validation=0.0)
    assert np.array_equal(data.source.train.take(np.arange(20)), x[:20])
    assert data.source.train.y.tolist() == [0, 1] * 10


def test_an_idx_file_is_counted_by_its_header(tmp_path):
    idx_folder(tmp_path / "d", zipped=True)
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 20, 512, 512)
    for name, n in ((IDX[0], 20), (IDX[2], 6)):
        (tmp_path / "d" / f"{name}.gz").write_bytes(gzip.compress(head[:4] + struct.pack(">3I", n, 512, 512) + bytes(n * 512 * 512)))
    with little_memory(SOME):
        refused(f"idx:{tmp_path}/d", "would take", "use fewer or smaller images")


def test_pictures_are_counted_by_their_headers(tmp_path):
    for part in ("train", "test"):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
            for at in range(2):
                Image.new("L", (600, 500)).save(tmp_path / part / name / f"{at}.png")
    with little_memory(SOME):
        refused(f"folder:{tmp_path}?stream=false", "would take 6 MB of memory", "use fewer pictures, ?limit=N, or ?size=N")
    assert load_data(f"folder:{tmp_path}?size=32").image == (32, 32, 1)


def test_tables_of_graphs_are_counted_and_long_lines_are_not_read(tmp_path):
    (tmp_path / "a.txt").write_text("1\n1 0\n3 0\n" + "\n" * (SOME // 8))
    with little_memory(SOME):
        refused(f"tu:{tmp_path}/a.txt", "would take 8.39 MB of memory")
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("A", "graph_indicator", "graph_labels"):
        (folder / f"G_{name}.txt").write_text("1\n")
    (folder / "G_A.txt").write_text("1, 2\n" * (SOME // 50))
    with little_memory(SOME):
        refused(f"tu:{folder}", "would take")


def test_a_line_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_MEMORY", "1e10")
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(200 * MIB)
    with little_memory(16 * MIB):
        refused(f"tu:{tmp_path}/a.txt", "line 1 of", "is longer than 4194304 bytes")


def some_set(n, h, w):
    info = Info(("a", "b"), Standard(np.zeros(1, np.float32), np.ones(1, np.float32)), data="digits")
    content = Bytes(jnp.zeros((n, h, w, 1), jnp.uint8), jnp.zeros(1), jnp.ones(1))
    return SyntheticSet(content, Hard(jnp.arange(n, dtype=jnp.int32) % 2, 2), info=info)


def test_a_set_is_counted_with_what_it_decodes_to(tmp_path):
    save_set(tmp_path / "s.npz", some_set(20, 256, 256))
    with pytest.raises(BadInput, match=r"s\.npz: would take 6\.5\d MB of memory"):
        load_set(tmp_path / "s.npz")


def test_only_images_that_are_drawn_are_enlarged():
    with little_memory(24 * MIB):  # 5,000 images of 8x8 enlarged would be 15 MB, and their float images 60
        assert draw_grid(some_set(5000, 8, 8), per_class=2).size[1] == 2 * (32 + 2) + 2
    flat = draw_grid(some_set(4, 1, 60000), per_class=1)
    assert flat.size[0] < 60100 and flat.size[1] == 2 * 3 + 2


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("mlp:width=60000", r"--net: a network of 3,\d+,\d+,\d+ parameters: would take 5\d\.\d GB of memory"),
        ("mlp:width=100000000", "width must be at most 65536"),
        ("convnet:depth=100000", "depth must be at most 100"),
        ("convnet_doubling:depth=60,pool=none", "has more than 68,719,476,736 parameters"),
    ],
)
def test_a_network_is_counted_before_it_is_built(spec, words):
    with little_memory(), pytest.raises(BadInput, match=words):
        nets.build(spec, (8, 8, 1), 10)


@pytest.mark.slow
def test_a_table_is_counted_with_its_categories(tmp_path):
    """Many texts in one column are as many numbers a row."""
    rows = "".join(f"word{number % 900},{number % 2}\n" for number in range(3000))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    with little_memory(4 * SOME):
        refused(f"csv:{tmp_path}/t.csv", "3000 rows of 897 numbers: would take 21.5 MB of memory")

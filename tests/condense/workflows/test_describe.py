"""What `describe` says is what a count by hand says, of data, sets, runs and presets, in little memory."""

import io
import json
import re
import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

import condense
from condense.__main__ import run as command
from condense.data import facts
from condense.data.facts import facts_of
from condense.data.readers import READERS
from condense.data.readers.source import arrays
from condense.data.readers.tfds import write_tfds
from condense.data.spec import parse_spec
from condense.presets import Preset
from condense.presets.file import write_preset
from synth.errors import BadInput
from tests.support.cli import surroundings
from tests.support.data_files import MIB, little_memory, refused
from tests.support.ways import TEXT, TEXT_TEST, WAYS, XT, X, csv, npz

MOST = 1 << 30  # bytes of a process that describes 200,000 images


def test_facts_are_those_of_a_count_by_hand(tmp_path):
    x, y = X.copy(), np.arange(24) % 3
    x[7], x[8], x[9] = x[1], x[1], x[0]  # 7 is of class 1 as 1 is; 8 is of class 2; 9 of class 0 as 0 is
    xt = XT.copy()
    xt[4] = x[3]
    y[20] = 0
    source = condense.load_data(npz(tmp_path, x_train=x, y_train=y, x_test=xt)).source
    found = facts_of(source)
    assert (found.repeated, found.contradicted, found.shared) == (3, 1, 1)
    assert found.train == tuple(np.bincount(y)) and found.test == (3, 3, 3)
    assert (found.low, found.high) == (min(x.min(), xt.min()), max(x.max(), xt.max()))
    np.testing.assert_allclose(found.mean, (x / 255).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.std, (x / 255).std((0, 1, 2)), rtol=1e-6)
    said = dict(condense.describe(f"npz:{tmp_path}/a.npz").rows)
    assert said["train"] == "24 images of 9x7x3 uint8" and said["classes"] == "3: 0 9, 1 8, 2 7"
    assert said["duplicates"] == "3 training images are there before, 1 of them with another label; 1 test images are in training too"
    assert said["imbalance"].startswith("the largest class has 1.29 times as many")
    each = 3 * (9 * 7 * 3 * 4 + 4) / 1e6
    assert said["sets"] == f"1 a class {each:.3g} MB; 10 a class {10 * each:.3g} MB; 50 a class {50 * each:.3g} MB"


LAZY = (
    "npz",
    "npz, channels first",
    "npz, 16 bits",
    "npz, int64",
    "npz, vectors",
    "npz, no test",
    "npz, compressed",
    "folder",
    "parquet, pictures",
    "parquet, arrays",
    "parquet, vectors",
    "parquet, parts",
    "hf, saved",
    "hf, layout of the Hub",
    "hf, image folder",
    "tfds",
    "tfds, sizes and no test",
    "idx, one level down, from 1",
    "csv",
    "csv, share",
    "csv, gz",
    "parquet, table",
)


@pytest.mark.parametrize("way", LAZY)
def test_what_is_scanned_is_what_is_read(way, tmp_path):
    """Rows that stay in their files are those that a reading holds, in whatever order they are asked for."""
    spec = parse_spec(WAYS[way][0](tmp_path))
    scanned, held = READERS[spec.kind].scan(spec), READERS[spec.kind].read(spec)
    assert scanned.classes == held.classes and scanned.drawn == held.drawn
    for part, whole in ((scanned.train, held.train), (scanned.test, held.test)):
        assert not scanned.train.in_memory
        index = np.array([3, 0, 4, 3])
        assert part.shape == whole.shape and part.dtype == whole.dtype
        np.testing.assert_array_equal(part.y, whole.y)
        np.testing.assert_array_equal(part.take(index), whole.take(index))
    assert facts_of(scanned) == facts_of(held)


def test_vectors_graphs_arrays_sets_runs_and_presets_are_described(tmp_path, capsys):
    assert dict(condense.describe(csv(tmp_path)).rows)["train"] == "19 vectors of 3 float32"
    graphs = dict(condense.describe("toy_graphs").rows)
    assert graphs["classes"] == "2: plain 150, forked 150" and graphs["graphs"].startswith("300: 243 for training, 27 for")
    given = (X, TEXT, XT, TEXT_TEST)
    arrays = condense.describe(given)
    assert arrays.what == "data: arrays:tuple" and dict(arrays.rows)["digest"] == condense.load_data(given).digest
    out = tmp_path / "run"
    synth = condense.distill("random", "digits", ipc=2, net="mlp:width=4", out=out)
    for what in (synth, out / "set.npz", str(out / "set.npz")):
        said = dict(condense.describe(what).rows)
        assert said["examples"] == "20 images as pixels, with labels hard" and said["made by"] == "random, seed 0"
        assert said["bytes"].startswith("5,200: 5,120 of content, 80 of labels") and said["from"].startswith("digits, digest ")
    assert condense.describe(condense.load_run(out)) == condense.describe(out)
    assert dict(condense.describe(out).rows)["state"] == "done, 1 of 1 steps finished"
    capsys.readouterr()
    assert command(["describe", str(out)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"what        a run: {out}" and any(line.startswith("examples    20 images as pixels") for line in told)
    name, line = next(iter(condense.list_presets().items()))
    preset = condense.describe(name)
    assert preset.what == f"a preset: {name}" and dict(preset.rows)["record"] == line
    assert str(preset).splitlines() == preset.lines()
    assert dict(condense.describe("toy_graphs").rows)["a run"].startswith("`condense distill METHOD --data toy_graphs --bytes N --dry-run`")
    with pytest.raises(BadInput, match=f"unknown set.*; did you mean {name}"):
        condense.describe(name + "x")
    with pytest.raises(BadInput, match="did you mean digits"):
        condense.describe("digitz")


def test_the_file_of_a_preset_is_described(tmp_path, capsys):
    place = tmp_path / "my preset.json"
    settings = {"ipc": 1, "lr": 0.05, "store": "u8"}
    write_preset(place, Preset("dm_tuned", "dm", "digits", "61.2 % of validation", "condense tune dm", "400 steps", settings))
    assert command(["describe", str(place)]) == 0
    told = capsys.readouterr().out.splitlines()
    rows = dict(condense.describe(place).rows)
    assert told[0] == f"what        a preset: {place}" and rows["score"] == "61.2 % of validation (as the file says)"
    assert rows["run"] == f"condense distill dm --preset '{place}' --out DIR" and rows["settings"] == "ipc=1, lr=0.05, store=u8"
    assert not {"looks", "ours"} & rows.keys()
    words = shlex.split(rows["run"].replace("DIR", str(tmp_path / "r")))
    assert command([*words[1:], "--net", "mlp:width=4", "--batch", "4", "--dry-run"]) == 0, "the command is one that can be followed"
    place.write_text("{}")
    with pytest.raises(BadInput, match=r"my preset\.json: is no preset"):
        condense.describe(place)


@pytest.mark.slow
def test_the_cost_of_training_is_told_where_it_is_asked_for(capsys):
    assert command(["describe", "digits", "--cost"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    words = r"a convnet:width=32,depth=2\S* trains 20 epochs on all of them in about .+ here, and 1,000 epochs on 10 a class in about .+"
    assert re.fullmatch(words, told["cost"])


@pytest.mark.slow
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_two_hundred_thousand_images_take_little_memory(how, tmp_path):
    """As they lie in an archive, 614 MB of them; whatever is imported counts."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (200_000, 32, 32, 3))
    x[:, 0, 0, 0], x[:, 0, 1, 0], x[:, 0, 2, 0] = (np.arange(200_000) >> shift & 255 for shift in (0, 8, 16))
    x[7] = x[6]
    x.flush()
    y = np.arange(200_000) % 10
    with zipfile.ZipFile(tmp_path / "a.npz", "w", how, compresslevel=1) as file:
        file.write(tmp_path / "x.npy", "x_train.npy")
        for name, array in (("y_train", y), ("x_test", np.ones((100, 32, 32, 3), np.uint8)), ("y_test", y[:100])):
            with file.open(f"{name}.npy", "w") as held:
                np.lib.format.write_array(held, array)
    lines, most = anonymous_memory("import condense; print(condense.describe('npz:a.npz'))", tmp_path)
    assert "train       200,000 images of 32x32x3 uint8" in lines
    assert any("duplicates  1 training images are there before, 1 of them with another label; 0 test" in line for line in lines)
    assert most < MOST, f"{most / 1e6:.0f} MB"


def test_arrays_of_two_number_types_are_refused_whether_they_are_scanned_or_read(tmp_path):
    for part, kind in (("train", pyarrow.uint8()), ("test", pyarrow.int16())):
        x = pyarrow.array(X[:6].tolist(), type=pyarrow.list_(pyarrow.list_(pyarrow.list_(kind))))
        parquet.write_table(pyarrow.table({"image": x, "label": [0, 1] * 3}), tmp_path / f"{part}.parquet")
    spec = parse_spec(f"parquet:{tmp_path}")
    for look in (READERS[spec.kind].scan, READERS[spec.kind].read):
        with pytest.raises(BadInput, match="images are int16 and uint8; needed is uint8"):
            look(spec)


def many_pictures(n=128, side=96):
    """Pictures of one colour each, which take little room in a file and much in memory, and their classes."""
    held = []
    for at in range(n):
        Image.new("RGB", (side, side), (at, at // 7, 255 - at)).save(png := io.BytesIO(), "PNG")
        held.append(png.getvalue())
    return held, [at % 2 for at in range(n)]


def as_parquet(folder):
    held, y = many_pictures()
    table = pyarrow.table({"image": [{"bytes": one, "path": None} for one in held], "label": y})
    parquet.write_table(table, folder / "t.parquet")  # one group of rows
    return f"parquet:{folder}/t.parquet?test=0.25"


def as_parquet_arrays(folder):
    x = np.zeros((128, 96 * 96 * 3), np.uint8)
    x[:, :3] = np.arange(128)[:, None]
    rows = pyarrow.array(x.ravel())
    for size in (3, 96, 96):
        rows = pyarrow.FixedSizeListArray.from_arrays(rows, size)
    parquet.write_table(pyarrow.table({"image": rows, "label": [at % 2 for at in range(128)]}), folder / "t.parquet")
    return f"parquet:{folder}/t.parquet?test=0.25"


def as_saved(folder):
    datasets = pytest.importorskip("datasets")
    held, y = many_pictures()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    table = {"image": [{"bytes": one, "path": None} for one in held], "label": y}
    datasets.Dataset.from_dict(table, features=features).save_to_disk(str(folder / "saved"))
    return f"hf:{folder}/saved?test=0.25"


def as_prepared(folder):
    x = np.zeros((128, 96, 96, 3), np.uint8)
    x[:, 0, 0, 0] = np.arange(128)
    y = (np.arange(128) % 2).astype(np.int32)
    write_tfds(arrays("many", "x", x, y, x[:32], y[:32], ("a", "b")), folder)
    return f"tfds:{folder}"


@pytest.mark.parametrize("make", [as_parquet, as_parquet_arrays, as_saved, as_prepared])
def test_what_may_not_be_read_whole_is_described(make, tmp_path, monkeypatch):
    """Its pictures would take 3.5 MB in bytes and 17.7 MB with what they are normalised to."""
    spec = make(tmp_path)
    monkeypatch.setattr(facts, "PIECE", 1 << 17)
    monkeypatch.setenv("CONDENSE_MEMORY", str(4 * MIB))
    condense.describe(spec)  # what is imported once does not count
    with little_memory((8 if make is as_parquet_arrays else 3) * MIB):
        rows = dict(condense.describe(spec).rows)
    assert rows["train"].endswith("images of 96x96x3 uint8") and "0 training images are there before" in rows["duplicates"]
    held = f"{spec}?stream=false" if make is as_prepared else spec  # what can stay in its files does so
    refused(held, "would take", "of memory, and may take at most 4.19 MB")


def anonymous_memory(code, folder):
    """What a program of Python prints, and the most bytes that it holds and no file could give back, looked at every 10 ms."""
    watched = (
        "import pathlib, threading, time\n"
        "most = 0\n"
        "def watch():\n"
        "    global most\n"
        "    while True:\n"
        "        lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "        most = max(most, *(int(line.split()[1]) << 10 for line in lines if line.startswith('RssAnon')))\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        f"{code}\n"
        "print(most)\n"
    )
    done = subprocess.run([sys.executable, "-c", watched], cwd=folder, capture_output=True, text=True, env=surroundings(), check=True)
    *lines, most = done.stdout.splitlines()
    return lines, int(most)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "hf"])
def test_two_hundred_thousand_pictures_take_little_memory(kind, tmp_path):
    """614 MB where they are decoded, in one group of rows of a parquet file, or as the library datasets saves them."""
    if kind == "hf":
        pytest.importorskip("datasets")
    held = []
    for at in range(1000):
        Image.new("RGB", (32, 32), (at % 256, at // 256, 0)).save(png := io.BytesIO(), "PNG")
        held.append({"bytes": png.getvalue() + bytes(2000), "path": None})
    noted = {"image": {"_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}}
    table = pyarrow.table({"image": held * 200, "label": [at % 10 for at in range(200_000)]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": noted}})})
    parquet.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, row_group_size=1 << 20)
    del table
    if kind == "hf":
        code = "import datasets; datasets.Dataset.from_parquet('a.parquet', cache_dir='cache').save_to_disk('saved')"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=surroundings(), check=True, capture_output=True)
    spec = {"parquet": "parquet:a.parquet", "hf": "hf:saved"}[kind]
    lines, most = anonymous_memory(f"import condense; print(condense.describe('{spec}?test=0.1'))", tmp_path)
    assert "train       180,000 images of 32x32x3 uint8" in lines
    assert most < MOST, f"{most / 1e6:.0f} MB"

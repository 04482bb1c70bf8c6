"""The file of a set: exact round trips, files of other programs, and wrong ones, which end in one line that names them."""

import json
import os
import re
import zipfile
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float, UInt8

from synth import content, labels
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set, save_set
from synth.images.bases import shared
from synth.images.coded import coded
from synth.images.content import Bytes, Compensated, Pixels
from synth.images.preprocess import Standard, Whiten, fit_standard, fit_zca
from synth.labels.plain import Hard, Soft, Target
from synth.set import Info, SyntheticSet
from synth.vectors import Vectors, write_columns
from tests.support.places import FIXTURES, ROOT

HEADER = {"format": 1, "content": "pixels", "labels": "hard", "classes": ["a", "b", "c"], "preprocess": "standard"}


def a_set(*, preprocess="standard", labels="hard", full=True, n=6):
    """A small set, 3x2x2 images of three classes, with every optional array and piece of information or with none."""
    draw = np.random.default_rng(0)
    raw = draw.random((n, 3, 2, 2)).astype(np.float32)
    fitted = {"standard": fit_standard, "zca": fit_zca}[preprocess](raw)
    index = jnp.arange(n, dtype=jnp.int32) % 3
    numbers = jnp.asarray(draw.normal(size=(n, 3)).astype(np.float32))
    y = {"hard": Hard(index, 3), "soft": Soft(numbers), "target": Target(numbers)}[labels]
    about = dict(data="digits", data_digest="d1", method="dm", config="c1", seed=7, net="mlp", recipe="dsa") if full else {}
    extra = {"weight": jnp.arange(n, dtype=jnp.float32), "lr": jnp.float32(0.02)} if full else {}
    return SyntheticSet(Pixels(jnp.asarray(fitted.apply(raw))), y, **extra, info=Info(("a", "é", "c"), fitted, **about))


def same(a, b):
    """Whether two sets agree in every bit and every piece of information."""
    leaves, others = (jax.tree.leaves((s.bare(), s.info.preprocess)) for s in (a, b))
    told, tells = ({name: value for name, value in vars(s.info).items() if name != "preprocess"} for s in (a, b))
    return (
        [type(part) for part in (a.x, a.y, a.info.preprocess)] == [type(part) for part in (b.x, b.y, b.info.preprocess)]
        and told == tells
        and jax.tree.structure(a.bare()) == jax.tree.structure(b.bare())
        and all(np.asarray(u).dtype == np.asarray(v).dtype and np.array_equal(u, v) for u, v in zip(leaves, others, strict=True))
    )


def plain(**changes):
    """What another program would write: the required keys and arrays, in numpy's own dtypes. None leaves an array out."""
    arrays = {"x/pixels": np.zeros((4, 3, 2, 2)), "y/index": np.arange(4) % 3, "preprocess/mean": np.zeros(2), "preprocess/std": np.ones(2)}
    arrays |= {"header": np.array(json.dumps(HEADER))}
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def header(**changes):
    """A header array with keys changed, or left out where None is given."""
    return np.array(json.dumps({key: value for key, value in (HEADER | changes).items() if value is not None}))


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("labels", ["hard", "soft"])
@pytest.mark.parametrize("preprocess", ["standard", "zca"])
def test_round_trip_is_exact(tmp_path, preprocess, labels, full):
    before = a_set(preprocess=preprocess, labels=labels, full=full)
    save_set(tmp_path / "set.npz", before)
    after = load_set(tmp_path / "set.npz")
    assert same(before, after)
    assert isinstance(after.x.pixels, jax.Array) and isinstance(after.info.preprocess.mean, np.ndarray)
    assert not same(before, a_set(preprocess=preprocess, labels=labels, full=full, n=7))


def test_same_set_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_set(tmp_path / name, a_set())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert {info.date_time for info in zipfile.ZipFile(tmp_path / "a.npz").infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert list(file) == sorted(file)


def test_a_set_of_collages_says_so_in_a_format_that_others_refuse(tmp_path):
    """So that an older version does not train on whole collages. All other sets are of format 1, as ever."""
    pixels = Pixels(jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 8, 2)), jnp.float32))
    for cells, format in ((1, 1), (4, 2)):
        before = replace(a_set(), x=pixels, cells=cells)
        save_set(tmp_path / "set.npz", before)
        header = json.loads(str(np.load(tmp_path / "set.npz")["header"]))
        assert (header["format"], header.get("cells", "missing")) == (format, "missing" if cells == 1 else cells)
        after = load_set(tmp_path / "set.npz")
        assert same(before, after) and after.cells == cells
    with pytest.raises(RunFailed, match=r'the set is not written: .*"cells" is 3 .*the sides \(4x8\)'):
        save_set(tmp_path / "set.npz", replace(a_set(), x=pixels, cells=3))


def test_golden_file():
    """fixtures/set_v1.npz was committed once; its values follow from a formula that is repeated here."""
    golden = load_set(FIXTURES / "set_v1.npz")
    pixels = (np.arange(5 * 2 * 3 * 1, dtype=np.float32).reshape(5, 2, 3, 1) - 15) / 8
    info = Info(
        ("cat", "dog"), Standard(np.float32([0.25]), np.float32([0.5])),
        data="npz:pets.npz", data_digest="0a1b", method="dm", config="2c3d", seed=11, net="convnet", recipe="dsa",
    )  # fmt: skip
    y = Hard(jnp.asarray(np.int32([0, 1, 1, 0, 1])), 2)
    expected = SyntheticSet(Pixels(jnp.asarray(pixels)), y, jnp.asarray(np.float32([1, 2, 0.5, 1, 3])), jnp.float32(0.0625), info)
    assert same(golden, expected), "the format changed: stored files read differently now; raise FORMAT and keep reading format 1"


def documented() -> list[str]:
    """The programs of the description, in order."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/format.md").read_text(), re.S)


def test_docs_examples_read_bytes(tmp_path, monkeypatch):
    """Both kinds decode without this library to what it decodes, in model space and raw."""
    monkeypatch.chdir(tmp_path)
    _, _, stored, summed, *_ = documented()
    rng, before = np.random.default_rng(1), a_set()
    mean, std = (jnp.asarray(rng.uniform(0.2, 0.6, 2), jnp.float32) for _ in range(2))
    pixels = jnp.asarray(rng.integers(0, 256, (6, 3, 2, 2)), jnp.uint8)
    contents = Bytes(pixels, mean, std), Compensated(pixels[:2], jnp.asarray(rng.integers(1, 256, (1, 2, 3, 2, 2)), jnp.uint8), mean, std)
    for made, code in zip(contents, (stored, summed), strict=True):
        save_set(f"{made.kind}.npz", replace(before, x=made))
        found = {}
        exec(code, found)
        np.testing.assert_allclose(found["x"], made.decode(), atol=1e-6)
        np.testing.assert_allclose(found["raw"], np.asarray(made.decode()) * np.asarray(std) + np.asarray(mean), atol=1e-6)
        assert found["raw"].shape == (6, 3, 2, 2) and found["x"].dtype == np.float32
        loaded = load_set(f"{made.kind}.npz")
        np.testing.assert_array_equal(loaded.x.decode(), made.decode())
        assert len(loaded) == 6 and type(loaded.x) is type(made)


@pytest.mark.parametrize("made", [coded("f32", 2), coded("f16", 1), coded("u3", 2), coded("u8", 1), shared(3)])
def test_docs_examples_read_images_in_fewer_bytes(made, tmp_path, monkeypatch):
    """By numpy alone they decode to what this library decodes."""
    monkeypatch.chdir(tmp_path)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5, 4, 2)), jnp.float32)
    x = made.encode(images).store()
    synth = a_set()
    info = replace(synth.info, preprocess=Standard(np.zeros(2, np.float32), np.ones(2, np.float32)))
    name, code = ("bases.npz", documented()[6]) if x.kind == "bases" else ("fewer.npz", documented()[5])
    save_set(name, replace(synth, x=x, info=info))
    found = {}
    exec(code, found)
    np.testing.assert_allclose(found["x"], x.decode(), atol=2e-6)
    np.testing.assert_array_equal(load_set(name).x.decode(), x.decode())


def test_docs_examples_read_vectors(tmp_path, monkeypatch):
    """In the units of the table, with the names of its columns."""
    monkeypatch.chdir(tmp_path)
    mean, std = np.float32([5, 0, 0]), np.float32([2, 1, 1])
    x = Vectors(jnp.asarray([[1.0, 0.0, 1.0], [-1.0, 1.0, 0.0]]), write_columns([["size"], ["colour", "blue", "red"]]))
    for made, names in ((x, [["size"], ["colour", "blue", "red"]]), (Vectors(x.numbers), [])):
        info = Info(("a", "b"), Standard(mean, std))
        save_set("vectors.npz", SyntheticSet(made, Hard(jnp.asarray(np.int32([0, 1])), 2), info=info))
        found = {}
        exec(documented()[4], found)
        np.testing.assert_array_equal(found["raw"], [[7, 0, 1], [3, 1, 0]])
        assert found["columns"] == names


def test_bytes_that_do_not_fit_are_refused(tmp_path):
    before, pixels = a_set(), jnp.zeros((6, 3, 2, 2), jnp.uint8)
    ones = jnp.ones(2, jnp.float32)
    for made, message in [
        (Bytes(pixels, ones, 0 * ones), "std is 0.0 in a channel"),
        (Compensated(pixels[:2], pixels[None, :1], ones, ones), r"array 'y/index' has shape \[6\]; it would be right as \[n=4\]"),
        (Compensated(pixels[:3], pixels[:2, None], ones, ones), "3 images are not 2 of every class"),
    ]:
        with pytest.raises(RunFailed, match=message):
            save_set(tmp_path / "set.npz", replace(before, x=made))


def test_docs_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    standard, zca, *_, write, _ = documented()
    raw = np.random.default_rng(0).random((6, 3, 2, 2)).astype(np.float32)  # what `a_set` draws first
    for kind, code in (("standard", standard), ("zca", zca)):
        for label in ("hard", "soft", "target"):
            before = a_set(preprocess=kind, labels=label)
            save_set(f"{kind}.npz", before)
            found = {}
            exec(code, found)
            np.testing.assert_allclose(found["raw"], raw, atol=2e-6)
            assert found["raw"].dtype == np.float32
            np.testing.assert_array_equal(found["label"], before.y[0])
        assert sum(map(bool, code.splitlines())) == 6
    found = {}
    exec(write, found)
    other = load_set("other.npz")
    assert other.info.classes == ("cat", "dog") and other.weight is None and other.info.method == ""
    np.testing.assert_array_equal(other.y.index, found["index"])
    np.testing.assert_allclose(other.info.preprocess.undo(np.asarray(other.x.pixels)), found["images"], atol=1e-6)


def test_files_of_other_programs_load(tmp_path):
    path = tmp_path / "other.npz"
    zeros = {"x/pixels": np.asfortranarray(np.random.default_rng(1).random((4, 3, 2, 2))).astype(">f8"), "y/index": np.uint8([0, 1, 2, 0])}
    odd = header(info={"seed": 3, "mood": "good"}, future={"a": [1]})
    for write in (np.savez, np.savez_compressed):
        write(path, **plain(**zeros, header=odd, weight=np.ones(4, np.float16)))
        loaded = load_set(path)
        np.testing.assert_array_equal(loaded.x.pixels, zeros["x/pixels"].astype(np.float32))
        assert loaded.y.index.dtype == jnp.int32 and loaded.weight.dtype == jnp.float32 and loaded.info.seed == 3


class Scaled(NamedTuple):
    """A kind that the file knows nothing of: u8 pixels and a plain number."""

    bytes: UInt8[Array, "n h w c"]
    scale: float
    kind = "scaled"

    def check(self):
        if self.scale <= 0:
            raise ValueError("scale must be positive")


class Pairs(NamedTuple):
    """Labels with axes of their own, among them one called as the channels are, and one of fixed size."""

    pairs: Float[Array, "n c 2"]
    kind = "pairs"


def test_axes_of_labels_are_their_own(tmp_path, monkeypatch):
    monkeypatch.setitem(labels.KINDS, "pairs", Pairs)
    path, pairs = tmp_path / "set.npz", np.arange(60, dtype=np.float32).reshape(6, 5, 2)
    save_set(path, SyntheticSet(a_set().x, Pairs(jnp.asarray(pairs)), info=a_set().info))
    np.testing.assert_array_equal(load_set(path).y.pairs, pairs)
    np.savez(path, **plain(header=header(labels="pairs"), **{"y/index": None, "y/pairs": np.zeros((4, 5, 3))}))
    with pytest.raises(BadInput, match=r"'y/pairs' has shape \[4, 5, 3\]; it would be right as \[n=4 c 2\]"):
        load_set(path)


def test_new_kind_needs_no_change(tmp_path, monkeypatch):
    monkeypatch.setitem(content.KINDS, "scaled", Scaled)
    path, pixels = tmp_path / "set.npz", np.arange(72, dtype=np.uint8).reshape(6, 3, 2, 2)
    save_set(path, SyntheticSet(Scaled(jnp.asarray(pixels), 2.5), a_set().y, info=a_set().info))
    loaded = load_set(path).x
    assert isinstance(loaded, Scaled) and loaded.scale == 2.5 and loaded.bytes.dtype == jnp.uint8
    np.testing.assert_array_equal(loaded.bytes, pixels)
    for changes, message in (
        ({"fields": {"x": {"scale": -1}}}, "scale must be positive"),
        ({"fields": {"x": {"scale": "2"}}}, '"fields" x scale'),
        ({}, '"fields" x scale'),
    ):
        arrays = plain(header=header(content="scaled", **changes), **{"x/pixels": None, "x/bytes": pixels[:4]})
        np.savez(path, **arrays)
        with pytest.raises(BadInput, match=message):
            load_set(path)
    np.savez(path, **(arrays | {"x/bytes": pixels[:4].astype(np.int64), "header": header(content="scaled", fields={"x": {"scale": 1}})}))
    with pytest.raises(BadInput, match="dtype int64"):
        load_set(path)


@pytest.mark.parametrize(
    ("method", "kind", "width", "said", "expected"),
    [
        ("krrst", "target", 3, None, True),  # as wide as there are classes: the method alone tells
        ("krrst", "target", 3, False, False),
        ("krrst", "hard", 3, None, False),
        ("kip", "target", 3, None, False),
        ("kip", "target", 3, True, True),
        ("kip", "target", 5, None, True),
        ("", "target", 3, None, False),
    ],
)
def test_a_set_says_whether_its_labels_are_representations(tmp_path, method, kind, width, said, expected):
    """And older ones, which do not say so, are read as what they were."""
    y = {"y/index": None, "y/values": np.zeros((4, width))} if kind == "target" else {}
    info = {"method": method} | ({} if said is None else {"represents": said})
    np.savez(tmp_path / "old.npz", **plain(header=header(labels=kind, info=info), **y))
    old = load_set(tmp_path / "old.npz")
    assert old.represents == expected
    save_set(tmp_path / "new.npz", old)
    assert load_set(tmp_path / "new.npz").represents == expected and same(load_set(tmp_path / "new.npz"), old)
    written = json.loads(str(np.load(tmp_path / "new.npz")["header"]))["info"]
    assert written.get("represents", "missing") == (old.info.represents if old.info.represents or said is False else "missing")


def test_a_field_that_came_later_may_be_missing(tmp_path):
    """Distances of before say nothing of their cross entropy: it is the mixed one. A field without a default must be there."""
    own = {"temperature": 1.0, "teachers": "0" * 12 + "*1", "statistics": "running", "seed": 0, "batch": 2, "view": "plain", "alpha": 1.0}
    arrays = {"y/codes": np.zeros((2, 4, 2), np.uint8)}
    for fields, expected in ((own | {"norm": "l1"}, "mixed"), (own | {"norm": "l1", "sce": "soft"}, "soft")):
        np.savez(tmp_path / "set.npz", **plain(header=header(labels="distances", fields={"y": fields}), **arrays))
        assert load_set(tmp_path / "set.npz").y.sce == expected
    for fields, says in ((own, '"fields" y norm'), (own | {"norm": "l1", "sce": "hard"}, "sce hard: give one of mixed, smoothed, soft")):
        np.savez(tmp_path / "set.npz", **plain(header=header(labels="distances", fields={"y": fields}), **arrays))
        with pytest.raises(BadInput, match=says):
            load_set(tmp_path / "set.npz")


def pixels(value):
    """Four images with one odd value."""
    array = np.zeros((4, 3, 2, 2))
    array[1, 0, 0, 0] = value
    return array


WRONG = {
    "newer": (dict(header=header(format=3)), "format 3 is newer.*upgrade condense"),
    "cells that cut images": (dict(header=header(format=2, cells=2)), r'"cells" is 2 .*what divides the sides \(3x2\)'),
    "cells none": (dict(header=header(format=2, cells=0)), '"cells" is 0'),
    "cells text": (dict(header=header(format=2, cells="2")), '"cells" in the header must be a int'),
    "format missing": (dict(header=header(format=None)), "no format"),
    "format a bool": (dict(header=header(format=True)), "no format"),
    "content unknown": (dict(header=header(content="film")), '"content" is "film".*known: pixels'),
    "preprocess missing": (dict(header=header(preprocess=None)), '"preprocess" is null.*known: standard, zca'),
    "classes empty": (dict(header=header(classes=[])), '"classes"'),
    "classes escape": (dict(header=header(classes=["a", "b", "\x1b[31m"])), '"classes".*printable'),
    "classes surrogate": (dict(header=header(classes=["a", "b", "\ud800"])), '"classes".*printable'),
    "info type": (dict(header=header(info={"seed": "3"})), '"info" seed.*int'),
    "header list": (dict(header=np.array("[1]")), "no format"),
    "header no json": (dict(header=np.array("{")), "no JSON"),
    "header deep": (dict(header=np.array("[" * 100_000)), "no JSON"),
    "header number": (dict(header=np.array(1)), "no synthetic set"),
    "header missing": (dict(header=None), "no synthetic set"),
    "header long": (dict(header=np.array(["{}"])), "no synthetic set"),
    "array missing": ({"y/index": None}, "'y/index' is missing"),
    "array extra": ({"y/logits": np.zeros((4, 3))}, "'y/logits' does not belong"),
    "rank": ({"x/pixels": np.zeros((4, 3, 2))}, r"'x/pixels' has shape \[4, 3, 2\].*n h w c"),
    "no examples": ({"x/pixels": np.zeros((0, 3, 2, 2)), "y/index": np.zeros(0, int)}, "none of them 0"),
    "labels fewer": ({"y/index": np.arange(3)}, r"'y/index' has shape \[3\].*n=4"),
    "weights more": ({"weight": np.ones(5)}, r"'weight' has shape \[5\].*n=4"),
    "lr a vector": ({"lr": np.ones(1)}, r"'lr' has shape \[1\]"),
    "channels": ({"preprocess/mean": np.zeros(3), "preprocess/std": np.ones(3)}, "'preprocess/mean' has shape.*c=2"),
    "float labels": ({"y/index": np.zeros(4)}, "'y/index' has dtype float64.*int32"),
    "integer pixels": ({"x/pixels": np.zeros((4, 3, 2, 2), int)}, "'x/pixels' has dtype int64.*float32"),
    "text pixels": ({"x/pixels": np.full((4, 3, 2, 2), "a")}, "'x/pixels.npy' has dtype U1"),
    "complex": ({"x/pixels": np.zeros((4, 3, 2, 2), complex)}, "plain numbers"),
    "records": ({"x/pixels": np.zeros(4, [("a", "f4")])}, "plain numbers"),
    "nan": ({"x/pixels": pixels(np.nan)}, "'x/pixels' is not finite"),
    "overflow": ({"x/pixels": pixels(1e39)}, "'x/pixels' is not finite"),
    "label high": ({"y/index": np.int64([0, 1, 2, 3])}, "labels run from 0 to 3; 0 to 2"),
    "label low": ({"y/index": np.int64([0, 1, 2, -1])}, "labels run from -1"),
    "label wraps": ({"y/index": np.int64([0, 1, 2, 2**32])}, "'y/index' holds values out of range"),
    "weight negative": ({"weight": np.float32([1, 1, 1, -1])}, "'weight' holds negative"),
    "std zero": ({"preprocess/std": np.float32([1, 0])}, "std is 0"),
    "logits width": (
        {"header": header(labels="soft"), "y/index": None, "y/logits": np.zeros((4, 2))},
        r"'y/logits' has shape \[4, 2\].*n=4 classes=3",
    ),
    "zca size": (
        {"header": header(preprocess="zca"), "preprocess/std": None, "preprocess/mean": np.zeros(12)}
        | {"preprocess/matrix": np.eye(12), "preprocess/inverse": np.eye(11)},
        r"'preprocess/inverse' has shape \[11, 11\].*d=12 d=12",
    ),
    "zca pair": (
        {"header": header(preprocess="zca"), "preprocess/std": None, "preprocess/mean": np.zeros(12)}
        | {"preprocess/matrix": np.eye(12), "preprocess/inverse": 2 * np.eye(12)},
        "arrays of 'preprocess': inverse does not undo matrix",
    ),
    "listed shape": (dict(header=header(arrays={"x/pixels": {"dtype": "float64", "shape": [4, 3, 2, 1]}})), "in the header"),
    "listed too few": (dict(header=header(arrays={})), "'preprocess/mean' is .* in the file and None in the header"),
    "listed number": (dict(header=header(arrays={"x/pixels": 1})), "in the header"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_contents_are_refused(tmp_path, case):
    changes, message = WRONG[case]
    path = tmp_path / "wrong.npz"
    np.savez(path, **plain())
    assert len(load_set(path)) == 4, "the file loads without the change"
    np.savez(path, **plain(**changes))
    with pytest.raises(BadInput, match=message) as caught:
        load_set(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_data_and_truncation(tmp_path):
    path = tmp_path / "set.npz"
    save_set(path, a_set())
    data = path.read_bytes()
    at = data.index(np.asarray(a_set().x.pixels).tobytes())
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(BadInput, match=r"set\.npz: array 'x/pixels' is damaged"):
        load_set(path)
    for length in range(0, len(data), 61):
        path.write_bytes(data[:length])
        with pytest.raises(BadInput, match=r"set\.npz"):
            load_set(path)


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3), packed=st.booleans())
def test_flipped_bytes_load_equal_or_are_refused(tmp_path, flips, packed):
    path, before = tmp_path / f"flipped{packed}.npz", a_set(labels="soft")
    save_set(path, before)
    if packed:
        np.savez_compressed(path, **dict(np.load(path)))
    data = bytearray(path.read_bytes())
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    path.write_bytes(data)
    try:
        after = load_set(path)
    except BadInput as error:
        assert str(path) in str(error)
    else:
        assert same(before, after)


def test_sets_that_would_not_load_are_not_written_and_odd_names_are_mended(tmp_path):
    good = a_set()
    sick = SyntheticSet(Pixels(good.x.pixels.at[0, 0, 0, 0].set(jnp.nan)), good.y, info=good.info)
    stray = SyntheticSet(good.x, Hard(good.y.index + 1, 3), info=good.info)
    wide = SyntheticSet(good.x, good.y, info=Info(good.info.classes, Whiten(*(np.zeros(s, np.float32) for s in (3, (3, 3), (3, 3))))))
    for wrong, message in ((sick, "'x/pixels' is not finite"), (stray, "labels run from 1 to 3"), (wide, "'preprocess/mean' has shape")):
        with pytest.raises(RunFailed, match=message):
            save_set(tmp_path / "set.npz", wrong)
    with pytest.raises(ValueError, match="without info"):
        save_set(tmp_path / "set.npz", good.bare())
    assert os.listdir(tmp_path) == []
    odd = SyntheticSet(good.x, good.y, info=Info(("a\n", "b\ud800", "c"), good.info.preprocess))
    save_set(tmp_path / "set.npz", odd)
    assert load_set(tmp_path / "set.npz").info.classes == ("a\ufffd", "b\ufffd", "c")

"""Releases that are hurt, or that declare more than they hold, are refused in one line and before memory is spent."""

import io
import os
import zipfile

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from condense.data.load import load_data
from condense.workflows.export import export
from condense.workflows.import_set import import_set
from synth.errors import BadInput, RunFailed
from synth.set import SyntheticSet
from tests.support.data_files import MIB, little_memory
from tests.support.exports import learned
from tests.support.fuzz import mutate_bytes, mutate_npz

SIDE, N = 8, 6
INDEX = np.array([0, 0, 1, 1, 2, 2])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three classes of colour images 8x8, in bytes."""
    path, rng = tmp_path_factory.mktemp("data") / "three.npz", np.random.default_rng(0)
    x, y = rng.integers(0, 256, (30, SIDE, SIDE, 3), np.uint8), np.arange(30) % 3
    np.savez(path, x_train=x, y_train=y, x_test=x[:6], y_test=y[:6])
    return load_data(f"npz:{path}")


def refused(paths, words, **asked):
    """Imports what is refused in one line, in little memory."""
    with little_memory(8 * MIB), pytest.raises(BadInput, match=words) as caught:
        import_set(paths, **asked)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def archive(path, *, save=np.savez, **other):
    arrays = {"images": np.zeros((N, SIDE, SIDE, 3), np.float32), "labels": np.eye(3, dtype=np.float32)[INDEX]} | other
    save(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"images": np.zeros((N, SIDE, SIDE, 3), np.int64)}, r"dtype int64; \[n h w c\] of floats is right"),
        ({"images": np.zeros((N, SIDE, SIDE), np.float32)}, r"have the shape \[6, 8, 8\]"),
        ({"images": np.zeros((0, SIDE, SIDE, 3), np.float32)}, "holds no images"),
        ({"images": np.zeros((N, 9, 9, 3), np.float32)}, "its images are 9x9x3, those of --data .* 8x8x3"),
        ({"images": np.full((N, SIDE, SIDE, 3), np.nan, np.float32)}, "holds pixels that are not finite"),
        ({"images": np.full((N, SIDE, SIDE, 3), 1e300)}, "holds pixels that are not finite"),
        ({"labels": INDEX + 1}, "labels run from 1 to 3, --data .* has 3 classes"),
        ({"labels": INDEX - 1}, "labels run from -1 to 1"),
        ({"labels": INDEX[:4]}, "has labels of 3 classes for 4 of 6 images"),
        ({"labels": np.where(INDEX == 1, np.nan, INDEX)}, "labels hold NaN or infinite numbers"),
        ({"labels": np.full((N, 3), np.inf)}, "labels hold NaN or infinite numbers"),
        ({"labels": np.full((N, 3), 1e300)}, "labels hold NaN or infinite numbers"),
        ({"labels": np.zeros((N, 4))}, r"labels have the shape \[6, 4\]; \[n\] or \[n 3\] would be right"),
        ({"labels": np.zeros((0,))}, r"labels are float64 of shape \[0\]"),
    ],
)
def test_numbers_that_are_no_set(other, words, data, tmp_path):
    refused(archive(tmp_path / "a.npz", **other), words, data=data)


def test_a_header_that_claims_more_than_there_is(data, tmp_path):
    """10^12 numbers in a few bytes, and 60 MB of zeros in 60 kB."""
    path = archive(tmp_path / "a.npz")
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    claimed = members["images.npy"].replace(b"(6, 8, 8, 3)", b"(99999999999, 8, 8, 3)".ljust(12))
    with zipfile.ZipFile(path, "w") as file:
        for name, held in (members | {"images.npy": claimed}).items():
            file.writestr(name, held)
    refused(path, "declares shape|unreadable header", data=data)


def test_a_bomb(data, tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_MEMORY", str(4 * MIB))
    path = archive(tmp_path / "a.npz", save=np.savez_compressed, images=np.zeros((20_000, SIDE, SIDE, 3), np.float32))
    refused(path, "would take .* MB of memory, and may take at most 4.19 MB", data=data)


def test_pictures_are_counted(data, tmp_path, monkeypatch):
    """Class folders, a table that repeats one picture, and an export that names one picture often."""
    monkeypatch.setenv("CONDENSE_MEMORY", str(4 * MIB))
    Image.new("RGB", (600, 600)).save(png := io.BytesIO(), "PNG")
    for name in "abc":
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "0.png").write_bytes(png.getvalue())
    refused(tmp_path / "set", "would take .* of memory", data=data)
    noted = '{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["0", "1", "2"], "_type": "ClassLabel"}}}}'
    table = pyarrow.table({"image": [{"bytes": png.getvalue(), "path": None}] * 300, "label": list(range(3)) * 100})
    parquet.write_table(table.replace_schema_metadata({"huggingface": noted}), tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "would take .* of memory", data=data)


def test_a_pipe_is_not_waited_for(data, tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    os.mkfifo(tmp_path / "set" / "a" / "0.png")
    for name in "bc":
        (tmp_path / "set" / name).mkdir()
        Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "set" / name / "0.png")
    refused(tmp_path / "set", "0.png is not an ordinary file; remove it", data=data)


@pytest.mark.parametrize("kind", ["archive", "folder", "parquet", "webdataset"])
def test_flipped_bytes(kind, data, tmp_path, capsys):
    """Some of what `tests/contract/test_fuzz.py` tries at length: a set, or one line."""
    if kind == "archive":
        path, place = archive(tmp_path / "a.npz"), tmp_path / "a.npz"
    else:
        export(learned(), place := tmp_path / "out", to=kind)
        path = {"folder": "labels.npz", "parquet": "data/train-00000-of-00001.parquet", "webdataset": "data/train-000000.tar"}[kind]
        path = place / path
    kept = path.read_bytes()
    for seed in range(12):
        mutate = mutate_npz if path.suffix == ".npz" and seed % 2 else mutate_bytes
        path.write_bytes(mutate(np.random.default_rng(seed), kept))
        try:
            assert isinstance(import_set(place, data=data if kind == "archive" else None), SyntheticSet)
        except (BadInput, RunFailed) as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, seed


# --- files of PyTorch


def tensors(torch, folder, **other):
    """A release of the trajectory family."""
    images = torch.zeros(N, 3, SIDE, SIDE)
    for name, value in ({"images_best": images, "labels_best": torch.tensor(INDEX), "lr_best": torch.tensor(0.01)} | other).items():
        torch.save(value, folder / f"{name}.pt")
    return folder


def test_tensors_that_are_no_set(data, tmp_path):
    torch = pytest.importorskip("torch")
    for other, words in (
        ({"images_best": torch.zeros(N, 3, SIDE, SIDE, dtype=torch.int64)}, "dtype int64"),
        ({"images_best": torch.zeros(N, 3, SIDE, SIDE, dtype=torch.complex64)}, "dtype complex64"),
        ({"images_best": torch.full((N, 3, SIDE, SIDE), torch.nan)}, "not finite"),
        ({"images_best": torch.zeros(N, 3, SIDE, SIDE, dtype=torch.bfloat16)}, "is no tensor of plain numbers"),
        ({"images_best": torch.zeros(N, 3, SIDE, SIDE).to_sparse()}, "is no tensor of plain numbers"),
        ({"labels_best": torch.tensor(INDEX + 1)}, "labels run from 1 to 3"),
        ({"labels_best": torch.zeros(N, dtype=torch.complex64)}, "labels are complex64"),
        ({"labels_best": torch.full((N, 3), torch.nan)}, "labels hold NaN"),
        ({"lr_best": torch.tensor(torch.nan)}, "learned step size nan, which is no number above 0"),
        ({"lr_best": -0.01}, "learned step size -0.01"),
        ({"labels_best": {"a": 1}}, "is neither a tensor nor a file of DC, DSA or DM"),
    ):
        refused(tensors(torch, tmp_path, **other), words, data=data)


def test_files_of_pytorch_that_declare_more_than_they_hold(data, tmp_path, monkeypatch):
    """A view that shows one number 10^12 times, a deflated archive, an old file with a number of 10^12, and a cut one."""
    torch = pytest.importorskip("torch")
    refused(tensors(torch, tmp_path, images_best=torch.zeros(1).expand(10**9, 3, SIDE, SIDE)), "would take 768 GB", data=data)
    tensors(torch, tmp_path)
    whole = (tmp_path / "images_best.pt").read_bytes()
    (tmp_path / "images_best.pt").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, "is no file of PyTorch, or a damaged one", data=data)
    torch.save(torch.zeros(N, 3, SIDE, SIDE), tmp_path / "images_best.pt", _use_new_zipfile_serialization=False)
    old = (tmp_path / "images_best.pt").read_bytes()
    short = b"M" + (N * 3 * SIDE * SIDE).to_bytes(2, "little")
    assert short in old
    (tmp_path / "images_best.pt").write_bytes(old.replace(short, b"\x8a\x06" + (10**12).to_bytes(6, "little")))
    refused(tmp_path, "is no file of PyTorch, or a damaged one", data=data)
    monkeypatch.setenv("CONDENSE_MEMORY", str(4 * MIB))
    torch.save(torch.zeros(10_000, 3, SIDE, SIDE), tmp_path / "images_best.pt")
    with zipfile.ZipFile(tmp_path / "images_best.pt") as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(tmp_path / "images_best.pt", "w", zipfile.ZIP_DEFLATED) as file:
        for name, held in members.items():
            file.writestr(name, held)
    refused(tmp_path, "would take 7.68 MB of memory", data=data)


def test_views_that_are_none(data, tmp_path):
    torch = pytest.importorskip("torch")
    for row, label in enumerate(INDEX):
        (tmp_path / "set" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (row, 0, 0)).save(tmp_path / "set" / str(label) / f"{row}.png")
    (tmp_path / "views" / "epoch_0").mkdir(parents=True)
    crop, logits = torch.tensor([[0.0, 0.0, 0.5, 0.5]] * N), torch.zeros(N, 3, dtype=torch.float16)
    good = [crop, torch.zeros(N, dtype=torch.bool), torch.arange(N), 0.5, [1, 2, 5, 8], logits]
    for at, value, words in (
        (3, float("nan"), "keeps the share nan of itself, and 0 to 1 is possible"),
        (3, "half", "holds other things than that layout has"),
        (4, [1, 2], "holds other things than that layout has"),
        (5, torch.full((N, 3), 1e30), "logits that are not finite"),
        (2, torch.arange(N) + 1, "partner must be a place in the mini-batch"),
        (2, torch.rand(N), "float32 partners"),
        (0, crop.to(torch.complex64), "complex64 crops"),
        (0, crop * torch.nan, "holds boxes outside images of 8x8"),
    ):
        torch.save([*good[:at], value, *good[at + 1 :]], tmp_path / "views" / "epoch_0" / "batch_0.tar")
        refused([tmp_path / "set", tmp_path / "views"], words, data=data)

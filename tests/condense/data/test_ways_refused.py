"""What the ways in refuse, each with a way out, and what they read otherwise than it stands, each with a line that says so."""

import numpy as np
import pytest

from condense.data.load import load_data
from tests.support.data_files import refused
from tests.support.ways import (
    WAYS,
    XT,
    YT,
    X,
    Y,
    folders,
    npz,
    save,
)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            {"x_train": np.zeros((24, 5, 32, 32), np.uint8)},
            "images have shape 5x32x32, of which no axis is surely that of the channels; add ?layout=nchw if the 5",
        ),
        ({"x_train": X.astype(np.int16) - 5}, "train images are 9x7x3 int16 but test images 9x7x3 uint8; they must be alike"),
        (
            {"x_train": X.astype(int) * 9, "x_test": XT.astype(int)},
            "images are int64 with values from 0 to 2295; needed is uint8 0..255 or float in [0, 1]",
        ),
        (
            {"x_train": X.astype(np.float32), "x_test": XT.astype(np.float32)},
            "values from 0 to 255; float images must lie in [0, 1], or store bytes",
        ),
        ({"y_train": np.where(Y == 1, np.nan, Y)}, "8 of the 24 train labels are missing (NaN); drop those examples"),
        ({"y_train": Y / 2}, "train labels are no whole numbers"),
        (
            {"y_train": np.eye(3)[Y] * 0.5},
            "train labels are float64 of shape (24, 3); they must be whole numbers or text of shape [n], or one-hot rows",
        ),
        (
            {"y_train": np.array(["", "a", "b"])[Y], "y_test": np.array(["", "a", "b"])[YT]},
            "8 of the 24 train labels are empty; drop those examples",
        ),
        ({"y_train": np.array(["ape", "bee", "cow"])[Y]}, "some labels are text and others numbers; make them alike"),
        ({"y_train": Y * 2}, "test holds label 1, which no training image has; those have 0, 2, 4"),
        ({"class_names": np.array(["a", "b"])}, "train labels run from 0 to 2; 2 classes have 0..1"),
        (
            {
                "y_train": np.array(["ape", "bee", "bea"])[Y],
                "y_test": np.array(["ape", "bee", "bea"])[YT],
                "class_names": np.array(["ape", "bee", "bear"]),
            },
            "label 'bea' is none of the classes ape, bee, bear; did you mean bear?; correct it",
        ),
        ({"y_test": np.arange(4)}, "9 test images but 4 test labels"),
    ],
)
def test_suspicious_arrays_are_refused(tmp_path, other, words):
    refused(npz(tmp_path, **other), words)


def test_a_layout_that_is_named_is_taken(tmp_path):
    x, xt = np.zeros((24, 5, 8, 6), np.uint8), np.zeros((9, 5, 8, 6), np.uint8)
    x[0, 2, 1, 3] = 7
    spec = npz(tmp_path, x_train=x, x_test=xt)
    first, last = load_data(f"{spec}?layout=nchw", validation=0), load_data(f"{spec}?layout=nhwc", validation=0)
    assert (first.image, last.image) == ((8, 6, 5), (5, 8, 6))
    assert first.source.train.take(np.array([0]))[0, 1, 3, 2] == last.source.train.take(np.array([0]))[0, 2, 1, 3] == 7
    small = npz(tmp_path, x_train=x[:, :1, :, :], x_test=xt[:, :1, :, :])
    assert load_data(small).image == (8, 6, 1), "one channel first"
    refused(f"{spec}?layout=chw", "layout=chw is not known; use layout=nhwc or layout=nchw")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digitz", "unknown set; use one of digits, mnist"),
        ("digitz", "did you mean digits?"),
        ("nzp:a.npz", "with one of the kinds idx, npz, folder, tfds, tu, smiles, csv, parquet, hf; did you mean npz?"),
        (
            "digits?normalize=zca",
            "no option 'normalize=zca'; use each of normalise=..., flip=..., limit=..., validation=... at most once; "
            "did you mean normalise?",
        ),
        ("arrays:mine", "these were arrays, which no file holds; give them again in Python, as in data=condense.from_arrays(...)"),
        ("npz:{}?test=0.2", "test=0.2 is for data without a test split, and these have one; leave it out"),
        ("npz:{}?test=2", "test=2 is not possible; use test=F with a fraction such as 0.2"),
        ("npz:{}?split=3", "split=3 is for data without a test split"),
        ("{}/set.pt", "cannot tell what set.pt holds; it is a PyTorch file; load it in Python and hand its arrays to condense.from_arrays"),
        ("{}/a.zip", "cannot tell what a.zip holds; unpack it and name the folder"),
        ("{}/notes.md", "cannot tell what notes.md holds; files are .npz, .csv"),
    ],
)
def test_specifications_are_refused_with_a_way_out(tmp_path, spec, words):
    path = npz(tmp_path).removeprefix("npz:")
    for name in ("set.pt", "a.zip", "notes.md"):
        (tmp_path / name).touch()
    refused(spec.format(path if spec.startswith("npz") else tmp_path), words)


def test_a_test_split_is_drawn_in_proportion_and_by_its_seed(tmp_path):
    spec = folders(tmp_path, parts={"train": ""})
    refused(spec, "there is no test split; add ?test=0.2 to draw one, a fifth of every class")
    refused(f"{spec}?test=0.001", "24 rows are too few to draw test rows from")
    one, again, other = (load_data(f"{spec}?test=0.25{more}", seed=seed) for more, seed in (("", 0), ("", 5), ("&split=1", 0)))
    assert one.digest == again.digest != other.digest
    assert np.bincount(one.test.y).tolist() == [2, 2, 2] and one.drawn == "25 % of the rows, drawn by split=0"
    rows = [{x.tobytes() for x in data.source.test.take(np.arange(6))} for data in (one, other)]
    train = {x.tobytes() for x in one.source.train.take(np.arange(18))}
    assert rows[0] != rows[1] and not rows[0] & train and len(rows[0] | train) == 24


def test_wrong_folders_are_refused(tmp_path):
    for at in range(4):
        save(X[at], tmp_path / "flat" / f"{at}.png")
    refused(f"folder:{tmp_path}/flat", "holds 4 pictures and nothing that says their classes")
    table = tmp_path / "flat" / "labels.csv"
    for text, words in (
        ("file_name,label\n0.png,a\n9.png,b\n", "line 3 of labels.csv names 9.png, which is not in"),
        ("file_name,label\n0.png,a\n0.png,b\n", "line 3 of labels.csv: 0.png is named twice; correct it"),
        ("file_name,label\n0.png,a\n../secret.png,b\n", "names ../secret.png, which is not in"),
        ("file_name,label\n0.png,\n", "line 2 of labels.csv: 0.png has no label; correct it"),
        ("file,name\n0.png,a\n", "labels.csv has the columns file, name; needed is label=COLUMN, or call one label, labels, class"),
        ("first,label\n0.png,a\n", "needed is a column file_name with the pictures' names"),
    ):
        table.write_text(text)
        save(X[5], tmp_path / "secret.png")
        refused(f"folder:{tmp_path}/flat?test=0.5", words)


def test_strays_are_counted(tmp_path, capsys):
    load_data(WAYS["folder, stray files"][0](tmp_path))
    assert "4 files that are no pictures are left out, such as " in capsys.readouterr().err


def test_what_is_read_otherwise_is_said(tmp_path, capsys):
    for way, words in (
        ("npz, channels first", "images of shape 3x9x7 are read as channels, height and width"),
        ("npz, from 1", "labels run from 1 to 3 for 3 classes, so label 1 is the first of them"),
        ("npz, gaps", "labels run from 3 to 23, 3 of them; classes are numbered from 0 and called by their labels"),
        ("npz, unused names", "no images are of dog; this class is left out"),
        ("npz, 16 bits", "images of 16 bits, up to 65535, are divided by 65535"),
        ("folder, Tiny ImageNet", "test is left out: nothing says the classes of its pictures; the test is val"),
        ("npz, MedMNIST", "val_images, val_labels are left out: validation rows are cut from those of training"),
    ):
        load_data(WAYS[way][0](tmp_path))
        assert words in capsys.readouterr().err, way

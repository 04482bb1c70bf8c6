"""Tables of labels beside pictures: which one tells of which part."""

import numpy as np
import pytest
from PIL import Image

from condense.data.load import load_data
from condense.data.readers.folder import weigh
from condense.data.spec import parse_spec


def pictures(folder, count=6, first=0):
    folder.mkdir(parents=True)
    for at in range(first, first + count):
        Image.new("L", (4, 4), 9 * at).save(folder / f"{at}.png")


def table(path, count=6, first=0, *, names="file,label", prefix=""):
    path.write_text(f"{names}\n" + "".join(f"{prefix}{at}.png,{'ab'[at % 2]}\n" for at in range(first, first + count)))


@pytest.mark.parametrize(
    ("parts", "tables"),
    [
        (("train", "val"), ("train.csv", "val.csv")),
        (("training", "testing"), ("train.csv", "test.csv")),
        (("train", "test"), ("train/labels.csv", "labels.csv")),
        (("train", "test"), ("train/metadata.csv", "labels.csv")),
        (("Train", "Test"), ("Train.csv", "TEST.CSV")),
    ],
)
def test_tables_of_every_place_and_name_tell_of_their_part(tmp_path, parts, tables):
    for part, name in zip(parts, tables, strict=True):
        pictures(tmp_path / part)
        table(tmp_path / name)
    read = load_data(f"folder:{tmp_path}", validation=0.0).source
    assert read.classes == ("a", "b") and read.train.y.tolist() == read.test.y.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_table_of_something_else_hides_none_that_tells_of_a_part(tmp_path, capsys):
    """Also one that class folders make needless, though its rows name pictures of both parts."""
    for first, part in ((0, "train"), (6, "test")):
        pictures(tmp_path / "a" / part, first=first)
    table(tmp_path / "a" / "labels.csv", 12)
    table(tmp_path / "a" / "train.csv", names="fold,weight")
    assert load_data(f"folder:{tmp_path}/a", validation=0.0).source.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    for part in ("train", "test"):
        for name in "ab":
            pictures(tmp_path / "b" / part / name, 3)
    table(tmp_path / "b" / "labels.csv", 3, prefix="a/")
    capsys.readouterr()
    assert load_data(f"folder:{tmp_path}/b", validation=0.0).source.test.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert "labels.csv is not read: class folders a, b say the classes" in capsys.readouterr().err


def test_pictures_of_a_table_may_be_links_to_a_pool(tmp_path):
    pictures(tmp_path / "pool", 12)
    for first, part in ((0, "train"), (6, "test")):
        (tmp_path / part).mkdir()
        for at in range(first, first + 6):
            (tmp_path / part / f"{at}.png").symlink_to(tmp_path / "pool" / f"{at}.png")
        table(tmp_path / f"{part}.csv", first=first)
    read = load_data(f"folder:{tmp_path}", validation=0.0).source
    assert read.test.take(np.arange(6))[:, 0, 0, 0].tolist() == [90, 54, 72, 99, 63, 81]  # 10.png stands before 6.png


def test_the_test_of_a_folder_with_a_limit_counts_apart(tmp_path):
    """What memory has to hold, by which it is decided whether pictures stay in their files."""
    for part, count in (("train", 10), ("test", 4)):
        for name in "ab":
            pictures(tmp_path / part / name, count)
    whole, some, drawn = (weigh(parse_spec(f"folder:{tmp_path}{more}")) for more in ("", "?limit=6", "/train?limit=6&test=0.5"))
    assert whole == 28 * 16 * 5 and some == (6 + 8) * 16 * 5 and drawn == (6 + 10) * 16 * 5

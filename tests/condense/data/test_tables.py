"""Tables: what a CSV file becomes, by hand, and every fault in it as one line that names the line of the file."""

import re
from pathlib import Path

import numpy as np
import pytest

from condense.data.load import load_data
from condense.data.readers import columns, table
from condense.data.readers.source import stratified
from synth.base import take_all
from synth.errors import BadInput
from synth.vectors import read_columns

HEAD = "age,colour,pay,y\n"


def written(place: Path, text: str | bytes, *, name: str = "t.csv") -> str:
    """The file, and the specification of it."""
    (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"csv:{place / name}?label=y"


def many(count: int = 20) -> list[str]:
    return [f"{at},{['red', 'blue'][at % 2]},{1000 * at + 0.5},{['no', 'yes'][at // 2 % 2]}\n" for at in range(count)]


def test_numbers_are_standardised_by_the_training_rows_and_text_is_one_hot(tmp_path):
    data = load_data(written(tmp_path, HEAD + "".join(many())), validation=0.25)
    y = np.arange(20) // 2 % 2
    test = stratified(y, 4, seed=0)
    rest = np.setdiff1d(np.arange(20), test)
    training = rest[data.rows[0]]
    assert (data.modality, data.name, data.classes, data.image, data.flips) == ("vectors", "t", ("no", "yes"), (4,), False)
    assert [len(part) for part in (data.train, data.val, data.test)] == [12, 4, 4]
    assert read_columns(data.source.columns) == [["age"], ["colour", "blue", "red"], ["pay"]]
    raw = np.stack([np.arange(20), np.arange(20) % 2 == 1, np.arange(20) % 2 == 0, 1000 * np.arange(20) + 0.5], 1).astype(float)
    mean, std = raw[training].mean(0), raw[training].std(0)
    mean[1:3], std[1:3] = 0, 1
    for part, rows in ((data.train, training), (data.val, rest[data.rows[1]]), (data.test, test)):
        np.testing.assert_allclose(take_all(part).x, (raw[rows] - mean) / std, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(part.y, y[rows])
        np.testing.assert_allclose(data.preprocess.undo(take_all(part).x), raw[rows], rtol=1e-5, atol=1e-4)
    assert take_all(data.under(data.preprocess).test).x.shape == (4, 4)


def test_the_test_split_is_drawn_by_its_own_seed_or_stands_in_a_file(tmp_path):
    spec = written(tmp_path, HEAD + "".join(many()))
    first, again, other = load_data(spec), load_data(spec, seed=3), load_data(f"{spec}&split=1")
    np.testing.assert_array_equal(first.source.test.x, again.source.test.x)
    assert first.digest == again.digest != other.digest and (first.source.test.x != other.source.test.x).any()
    written(tmp_path, "y,pay,colour,age\nyes,1,red,5\nno,2,red,6\n", name="other.csv")
    data = load_data(f"{spec}&test={tmp_path / 'other.csv'}")
    assert data.source.train.shape == (20, 4) and data.test.y.tolist() == [1, 0]
    np.testing.assert_array_equal(data.source.test.x, np.array([[5, 0, 1, 1], [6, 0, 1, 2]], np.float32))
    with pytest.raises(BadInput, match="test=FILE names the test rows and split=N draws them; leave one out"):
        load_data(f"{spec}&test={tmp_path / 'other.csv'}&split=1")


def test_a_category_that_no_training_row_holds_is_zero_in_all(tmp_path, capsys):
    spec = written(tmp_path, HEAD + "".join(many()))
    written(tmp_path, HEAD + "1,green,2,no\n2,red,2,yes\n", name="other.csv")
    data = load_data(f"{spec}&test={tmp_path / 'other.csv'}")
    np.testing.assert_array_equal(data.source.test.x[:, 1:3], [[0, 0], [0, 1]])
    assert "1 cells of the test rows hold categories that no training row does; they are 0 in all of them" in capsys.readouterr().err
    drawn = load_data(written(tmp_path, HEAD + "".join(many()).replace("19,blue", "19,green"), name="u.csv"))
    assert len(read_columns(drawn.source.columns)[1]) == 1 + len(
        {row.split(",")[1] for at, row in enumerate(many()) if at not in set(stratified(np.arange(20) // 2 % 2, 4, seed=0))} | {"green"}
    ) - (19 in stratified(np.arange(20) // 2 % 2, 4, seed=0))


def test_labels_are_whole_numbers_by_size_or_text(tmp_path):
    rows = [f"{at},{label}\n" for at, label in enumerate(["10", "9", "10.0", "-1", "9", "-1", "10", "9", "-1", "10"])]
    assert load_data(written(tmp_path, "x,y\n" + "".join(rows)), validation=0).classes == ("-1", "9", "10")
    rows[0] = "0,ten\n"
    with pytest.raises(BadInput, match=r"class 2 \('10.0'\) of 5 has 1 training vectors"):
        load_data(written(tmp_path, "x,y\n" + "".join(rows)), validation=0)


def test_what_programs_write_is_read(tmp_path):
    """A byte order mark, quoted commas and line ends, carriage returns, empty lines, spaces around cells, scientific notation."""
    body = "".join(f'{at}e0, "re""d, {at % 2}\n",+.{at},no\r\n\r\n {at + 1:.3E},blue,-{at}.,yes\r\n' for at in range(1, 9))
    data = load_data(written(tmp_path, b"\xef\xbb\xbf" + HEAD.encode() + body.encode()), validation=0)
    assert read_columns(data.source.columns)[1] == ["colour", "blue", 're"d, 0', 're"d, 1'] and data.image == (5,)
    np.testing.assert_array_equal(np.sort(np.concatenate([data.source.train.x, data.source.test.x])[:, 4])[-1], np.float32(0.8))


ROWS = "".join(many(6))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROWS + "1,red,2,\n", "line 8 of t.csv: column 'y' is empty; give every cell a value, or remove the row"),
        (ROWS + "1,,2,no\n", "line 8 of t.csv: column 'colour' is empty"),
        (ROWS + "\n1,red,NaN,no\n", "line 9 of t.csv: column 'pay' holds NaN"),
        (ROWS + "1,red,-inf,no\n", "line 8 of t.csv: column 'pay' holds -inf"),
        (ROWS + "1,red,no\n", "line 8 of t.csv: has 3 cells where 4 columns are named; quote cells that hold separators"),
        (ROWS + "1,red,2,no,\n", "line 8 of t.csv: has 5 cells where 4 columns are named"),
        (ROWS + '1,"red,2,no\n', "line 8 of t.csv: is no row of a table (unexpected end of data)"),
        (ROWS + '1,"red"x,2,no\n', "line 8 of t.csv: is no row of a table"),
        (ROWS + f"1,{'r' * 200_000},2,no\n", "line 8 of t.csv: is no row of a table (field larger than field limit (131072))"),
        (ROWS + "1,red,1e39,no\n" * 9, "holds '1e39'; the training rows hold numbers there, within float32"),
        (ROWS.encode() + b"1,\xff,2,no\n", "is no text in UTF-8; convert it"),
        ("", "holds no rows below the names of its columns; add some"),
    ],
)
def test_a_fault_is_one_line_that_names_the_line(tmp_path, text, words):
    with pytest.raises(BadInput) as refused:
        load_data(written(tmp_path, HEAD.encode() + (text if isinstance(text, bytes) else text.encode())))
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line of t.csv must name every column, each by another name; it is ''"),
        ("a,,y\n", "must name every column, each by another name; it is 'a,,y'"),
        ("a,a,y\n", "must name every column"),
        ("a;y\n" + "1,5;p\n2,5;q\n" * 9, "line 2 of t.csv: holds 1,5, a decimal comma; write 1.5"),
        ("a\tb\tz\n", "t.csv has no column 'y' (there: a, b, z)"),
        ("a,b,label\n", "t.csv has no column 'y' (there: a, b, label); use label=COLUMN"),
        ("y\n1\n", "t.csv has no column beside 'y'; a row needs one or more"),
        ("a,y\n1,0.5\n", "line 2 of t.csv: column 'y' holds 0.5, which is no whole number; labels are text or whole numbers"),
        ("a,y\n1,p\n2,p\n", "2 rows are too few to draw test rows from; give test rows of their own, or more rows"),
        ("a,y\n" + "1,p\n" * 9, "there must be two or more classes"),
    ],
)
def test_names_and_labels_are_checked(tmp_path, text, words):
    with pytest.raises(BadInput) as refused:
        load_data(written(tmp_path, text))
    assert words in str(refused.value)


def test_faults_of_a_test_file_are_told(tmp_path):
    spec = written(tmp_path, HEAD + "".join(many()))
    for text, words in (
        (HEAD + "1,red,2,maybe\n", "line 2 of o.csv: label 'maybe' is none of the training rows' (no, yes); correct it"),
        (HEAD + "one,red,2,no\n", "line 2 of o.csv: column 'age' holds 'one'; the training rows hold numbers there, within float32"),
        ("age,y\n1,no\n", "column 'colour' is in one of t.csv and o.csv alone; give both the same"),
    ):
        written(tmp_path, text, name="o.csv")
        with pytest.raises(BadInput) as refused:
            load_data(f"{spec}&test={tmp_path / 'o.csv'}")
        assert words in str(refused.value)
    with pytest.raises(BadInput, match=r"cannot read .*none.csv .*; name a CSV file that is there"):
        load_data(f"{spec}&test={tmp_path / 'none.csv'}")


def test_a_column_of_texts_that_differ_in_most_rows_is_warned_of(tmp_path, capsys):
    """Numbers with a decimal comma are texts, and so are names of rows; a few categories raise no doubt."""
    rows = [f'"{row},5",row {row},{("red", "green", "blue")[row % 3]},{row % 2}' for row in range(40)]
    data = load_data(written(tmp_path, "\n".join(["width,name,colour,y", *rows]) + "\n"))
    assert data.image == (32 + 32 + 3,)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [line.partition("column ")[2].partition(" is read")[0] for line in told] == ["'width'", "'name'"]
    said = r"is read as text of 32 categories, such as '\d+,5', in 32 training rows; remove it if it only names rows, and write numbers"
    assert re.search(said, told[0])


def test_a_column_of_numbers_with_a_stray_text_is_told(tmp_path, capsys, monkeypatch):
    text = HEAD + "".join(many()).replace("\n7,", "\nseven,")
    drawn = stratified(np.arange(20) // 2 % 2, 4, seed=0)
    data = load_data(written(tmp_path, text))
    assert 7 not in drawn and data.image == (3 + 16,)
    assert "column 'age' is read as text of 16 categories, because line 9 holds 'seven'" in capsys.readouterr().err
    monkeypatch.setattr(columns, "MOST_CATEGORIES", 10)
    with pytest.raises(BadInput, match=r"line 9 of t\.csv: column 'age' holds 'seven', which is no number, and more than 10 different"):
        load_data(written(tmp_path, text))
    monkeypatch.setattr(columns, "MOST_CLASSES", 1)
    with pytest.raises(BadInput, match=r"line 4 of t\.csv: column 'y' holds more than 1 different labels"):
        load_data(written(tmp_path, text))


def test_memory_is_bounded_before_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "LARGEST", 20 * 4 * 4 - 1)
    with pytest.raises(BadInput, match="20 rows of 4 numbers take more than 319 bytes; take fewer rows or columns"):
        load_data(written(tmp_path, HEAD + "".join(many())))
    monkeypatch.setattr(table, "LONGEST", 20)
    with pytest.raises(BadInput, match=r"line 2 of t\.csv: is longer than 20 letters; split the table"):
        load_data(written(tmp_path, HEAD + f"1,{'r' * 30},2,no\n"))


def embeddings(place: Path, **other) -> str:
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.normal(5, 3, (30, 4)), "x_test": rng.normal(5, 3, (6, 4))}
    np.savez(place / "e.npz", **(arrays | {"y_train": np.arange(30) % 3, "y_test": np.arange(6) % 3} | other))
    return f"npz:{place / 'e.npz'}"


def test_vectors_of_an_archive_are_numbers_in_their_own_units(tmp_path):
    data = load_data(embeddings(tmp_path, class_names=np.array(["a", "b", "c"])), validation=0)
    raw = np.load(tmp_path / "e.npz")["x_train"]
    np.testing.assert_allclose(take_all(data.train).x, (raw - raw.mean(0)) / raw.std(0), rtol=1e-5, atol=1e-5)
    assert data.classes == ("a", "b", "c") and data.image == (4,) and data.source.columns == ""
    counts = np.arange(120).reshape(30, 4)
    for dtype in (np.uint8, np.int64, bool, np.float16):
        whole = load_data(embeddings(tmp_path, x_train=counts.astype(dtype), x_test=counts[:6].astype(dtype)))
        np.testing.assert_array_equal(whole.source.train.x, counts.astype(dtype).astype(np.float32))


def test_a_number_that_never_changes_and_one_far_from_zero_are_standardised(tmp_path):
    x = np.stack([np.full(30, 7e8), 1e6 + np.arange(30.0), 1e-12 * np.arange(30), np.zeros(30)], 1)
    train = take_all(load_data(embeddings(tmp_path, x_train=x, x_test=x[:6]), validation=0).train).x
    np.testing.assert_array_equal(train[:, [0, 3]], 0)
    for at in (1, 2):
        np.testing.assert_allclose(train[:, at], (np.arange(30) - 14.5) / np.arange(30).std(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("other", "query", "words"),
    [
        ({"x_train": np.full((30, 4), np.nan)}, "", "train vectors hold NaN or infinite numbers; every number must be finite in float32"),
        ({"x_test": np.full((6, 4), 1e300)}, "", "test vectors hold NaN or infinite numbers"),
        ({"x_test": np.zeros((6, 5))}, "", "train vectors are 4 float32 but test vectors 5 float32; they must be alike"),
        ({"x_train": np.zeros((29, 4))}, "", "29 train vectors but 30 train labels"),
        ({"x_train": np.zeros((30, 0)), "x_test": np.zeros((6, 0))}, "", "one or more of [n d]"),
        ({"y_train": np.arange(30)}, "", "training vectors"),
        ({}, "?normalise=zca", "normalise=zca is for images, and there are vectors; leave it out"),
        ({}, "?flip=true", "flip=true is for images"),
    ],
)
def test_wrong_vectors_are_refused(tmp_path, other, query, words):
    with pytest.raises(BadInput) as refused:
        load_data(embeddings(tmp_path, **other) + query)
    assert words in str(refused.value)
    assert load_data(embeddings(tmp_path) + "?normalise=standard&flip=false&limit=9").source.train.shape == (9, 4)

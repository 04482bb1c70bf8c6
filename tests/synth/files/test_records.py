"""The strict reader of the project's own JSON, and the opener of files in a run's folder."""

import json
import os

import pytest

from synth.errors import BadInput
from synth.files.owned import check_owned, open_owned, read_owned
from synth.files.records import ANY, Either, Flag, ListOf, Maybe, Real, Table, Text, Whole, parse_record, read_record

KIND = Table({"n": Whole(1, 9)}, {"r": Real(0, 1), "t": Text(("a", "b")), "l": ListOf(Flag(), least=1), "m": Maybe(Real())}, rest=None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff", "it is not UTF-8"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"n": ' * 40, "nested more than 32 deep"),
        ("[1e400]", "1e400, which is no finite number"),
        ("[NaN]", "it holds NaN"),
        ("[-Infinity]", "it holds -Infinity"),
        (f"[{'9' * 400}]", "a number of more than 64 bits"),
        (f"[{'9' * 10_000}]", "a number of more than 64 bits"),
        ("[" + "1, " * 100 + "1]", "more than 100"),
    ],
)
def test_what_is_no_record_is_refused_in_words(text, words):
    with pytest.raises(ValueError, match=words):
        parse_record(text, ANY, most=100 if "100" in words else 1 << 20)


def test_brackets_in_text_are_no_depth():
    assert parse_record(json.dumps({"a": "[" * 100 + '"' + "{" * 100}), ANY) == {"a": "[" * 100 + '"' + "{" * 100}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "it must hold n, in an object"),
        ({}, "n is missing"),
        ({"n": 1, "x": 2}, "it has a field 'x', which is not known"),
        ({"n": True}, "n must be a whole number of at least 1 and at most 9"),
        ({"n": 1.0}, "n must be a whole number"),
        ({"n": 10}, "n must be a whole number"),
        ({"n": 1, "r": "0.5"}, "r must be a number from 0 to 1"),
        ({"n": 1, "r": 2}, "r must be a number from 0 to 1"),
        ({"n": 1, "t": "c"}, "t must be one of a, b"),
        ({"n": 1, "l": []}, "l must be a list of 1 or more values"),
        ({"n": 1, "l": [1]}, r"l\[0\] must be true or false"),
        ({"n": 1, "m": "x"}, "m must be a number"),
    ],
)
def test_another_kind_is_refused_by_name(value, words):
    with pytest.raises(ValueError, match=words):
        parse_record(json.dumps(value), KIND)


def test_a_record_of_its_kind_is_read():
    value = {"n": 9, "r": 0, "t": "b", "l": [True], "m": None}
    assert parse_record(json.dumps(value), KIND) == value
    assert parse_record("[NaN, 1]", ListOf(Maybe(Real())), nan_is_null=True) == [None, 1]
    assert parse_record('[true, 2, "x"]', ListOf(Either((Flag(), Whole(), Text())))) == [True, 2, "x"]
    assert parse_record(str(2**63), ANY) == 2**63


def test_only_ordinary_files_are_opened(tmp_path):
    """A pipe would block for ever, and a link lead elsewhere."""
    (tmp_path / "real").write_text("[1]")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("link", "a link"), ("pipe", "a pipe"), ("folder", "a folder")):
        for append in (False, True):
            with pytest.raises(BadInput, match=f"{name}: is {what}, no ordinary file; remove it"):
                open_owned(tmp_path / name, append=append)
        with pytest.raises(BadInput, match=f"is {what}"):
            read_record(tmp_path / name, ANY, what="is wrong", remedy="go")
    for name in ("link", "pipe"):
        with pytest.raises(BadInput, match="no ordinary file"):
            check_owned(tmp_path / name)
    for name in ("real", "folder", "none"):
        check_owned(tmp_path / name)
    assert (tmp_path / "real").read_text() == "[1]" and read_record(tmp_path / "real", ANY, what="", remedy="") == [1]
    with pytest.raises(BadInput, match="has more than 2 bytes"):
        read_owned(tmp_path / "real", most=2)
    with pytest.raises(BadInput, match=r"none: is wrong \(No such file or directory\); go"):
        read_record(tmp_path / "none", ANY, what="is wrong", remedy="go")

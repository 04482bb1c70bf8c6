"""Files that appear whole: what a killed writer left is removed, and what a living one writes is not."""

import os

from synth.files.atomic import replacing, write_bytes


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    left, others = tmp_path / ".a[1].json.0123abcd.tmp", (".b.json.0123abcd.tmp", ".a[1].json.mine.tmp", ".a1.json.0123abcd.tmp")
    for name in (left.name, *others):
        (tmp_path / name).write_text("{")
    write_bytes(tmp_path / "a[1].json", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(("a[1].json", *others))
    assert (tmp_path / "a[1].json").read_bytes() == b"whole"


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    with replacing(tmp_path / "a") as slow:
        slow.write(b"slow")
        write_bytes(tmp_path / "a", b"quick")
        assert (tmp_path / "a").read_bytes() == b"quick"
    assert (tmp_path / "a").read_bytes() == b"slow" and os.listdir(tmp_path) == ["a"]


def test_a_pipe_in_the_place_of_what_was_left_blocks_nothing(tmp_path):
    os.mkfifo(tmp_path / ".a.0123abcd.tmp")
    write_bytes(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"

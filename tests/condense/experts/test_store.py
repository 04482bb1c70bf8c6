"""Files of trajectories: they are mapped, and damaged or hostile ones are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from condense.experts import load_experts
from synth.errors import BadInput
from tests.support.toy_experts import EPOCHS


def rewrite(folder: Path, **changes) -> None:
    held = json.loads((folder / "experts.json").read_text()) | changes
    (folder / "experts.json").write_text(json.dumps(held))


def shape_of(folder: Path, shape, dtype=np.float32) -> None:
    np.save(folder / "expert_0001.npy", np.zeros(shape, dtype))


DAMAGES = {
    "no record": (lambda f: (f / "experts.json").unlink(), "cannot read .*experts.json.*condense experts --out"),
    "a folder": (lambda f: ((f / "experts.json").unlink(), (f / "experts.json").mkdir()), "not an ordinary file"),
    "no json": (lambda f: (f / "experts.json").write_text("{"), "is no record of experts"),
    "a list": (lambda f: (f / "experts.json").write_text("[]"), "it must hold net, recipe"),
    "deep": (lambda f: (f / "experts.json").write_text("[" * 100_000), "is no record of experts"),
    "nan": (lambda f: (f / "experts.json").write_text('{"seed": NaN}'), "it holds NaN"),
    "another format": (lambda f: rewrite(f, format=2), "its format is 2"),
    "count": (lambda f: rewrite(f, count=-1), "count must be a whole number"),
    "true": (lambda f: rewrite(f, epochs=True), "epochs must be a whole number"),
    "huge": (lambda f: rewrite(f, size=10**30), "a number of more than 64 bits"),
    "large": (lambda f: rewrite(f, size=1 << 50), "size must be a whole number"),
    "accuracy": (lambda f: rewrite(f, accuracy=[[2.0]]), r"accuracy\[0\]\[0\] must be a number from 0 to 1"),
    "few accuracies": (lambda f: rewrite(f, accuracy=[[0.5]]), "accuracy must hold epochs"),
    "flat images": (lambda f: rewrite(f, image=[8, 8]), "image must be height, width and channels"),
    "unfinished": (lambda f: rewrite(f, asked=5), "3 of 5 experts are trained; run `condense experts` there to the end"),
    "no file": (lambda f: (f / "expert_0001.npy").unlink(), "cannot read .*expert_0001.npy"),
    "too few rows": (lambda f: shape_of(f, (EPOCHS, 103)), r"holds float32 of shape \(4, 103\), not f32\[5, 103\]"),
    "other parameters": (lambda f: shape_of(f, (EPOCHS + 1, 104)), r"not f32\[5, 103\]"),
    "doubles": (lambda f: shape_of(f, (EPOCHS + 1, 103), np.float64), "holds float64"),
    "objects": (lambda f: np.save(f / "expert_0001.npy", np.array([{}], object), allow_pickle=True), "holds objects"),
    "short": (lambda f: (f / "expert_0001.npy").write_bytes((f / "expert_0001.npy").read_bytes()[:-1]), r"has \d+ bytes, not the \d+"),
    "no npy": (lambda f: (f / "expert_0001.npy").write_bytes(b"hello"), "is no npy array"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_hostile_folder_is_refused_in_one_line(trained, tmp_path, damage):
    shutil.copytree(trained, tmp_path / "e")
    harm, words = DAMAGES[damage]
    harm(tmp_path / "e")
    with pytest.raises(BadInput, match=words) as refused:
        load_experts(tmp_path / "e")
    assert "\n" not in str(refused.value)


def test_numbers_that_are_not_finite_are_refused_when_read(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "e")
    rows = np.load(tmp_path / "e" / "expert_0001.npy")
    rows[2, 3] = np.nan
    np.save(tmp_path / "e" / "expert_0001.npy", rows)
    rewrite(tmp_path / "e", sums=[])  # as an older version wrote it
    found = load_experts(tmp_path / "e")
    found.read(1, [0, 1])
    with pytest.raises(BadInput, match=r"expert_0001.npy: holds numbers that are not finite"):
        found.read(1, [1, 2])


def test_parameters_of_other_experts_are_refused_when_read(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "e")
    shutil.copy(trained / "expert_0002.npy", tmp_path / "e" / "expert_0001.npy")
    found = load_experts(tmp_path / "e")
    assert np.array_equal(found.last(0), load_experts(trained).last(0))
    with pytest.raises(BadInput, match=r"expert_0001\.npy: is not as it was trained \(after epoch 0\); train the experts again"):
        found.first(1)


def test_of_the_ends_alone_the_files_are_smaller_and_hold_the_same_rows(trained, ends):
    whole, short = load_experts(trained), load_experts(ends)
    for number in range(3):
        np.testing.assert_array_equal(short.read(number, [0, EPOCHS]), whole.read(number, [0, EPOCHS]))
        sizes = [(place / f"expert_000{number}.npy").stat().st_size for place in (trained, ends)]
        assert sizes[0] - sizes[1] == (EPOCHS + 1 - 2) * whole.size * 4
    assert short.header.accuracy == whole.header.accuracy and short.header.sums == tuple((row[0], row[-1]) for row in whole.header.sums)
    assert json.loads((ends / "experts.json").read_text())["ends"] is True and "ends" not in json.loads(
        (trained / "experts.json").read_text()
    )
    with pytest.raises(BadInput, match="holds no parameters after epoch 2; train experts without --ends, or read 0 and 4"):
        short.read(0, [0, 2])


def test_a_record_that_says_ends_of_whole_trajectories_is_refused(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "e")
    rewrite(tmp_path / "e", ends=True)
    with pytest.raises(BadInput, match="sums must hold 2 numbers for each expert"):
        load_experts(tmp_path / "e")
    rewrite(tmp_path / "e", sums=[])
    with pytest.raises(BadInput, match=r"holds float32 of shape \(5, 103\), not f32\[2, 103\]"):
        load_experts(tmp_path / "e")


def test_files_are_mapped_and_read_by_rows(trained):
    found, rows = load_experts(trained), np.load(trained / "expert_0002.npy")
    assert all(isinstance(file, np.memmap) and not file.flags.writeable for file in found._files)
    np.testing.assert_array_equal(found.read(2, [1, 4, 2]), rows[[1, 4, 2]])
    np.testing.assert_array_equal(found.last(2), rows[-1])

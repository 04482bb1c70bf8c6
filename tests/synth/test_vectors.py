"""Vectors in a file: names that are not those of their numbers are refused, and nothing is lost."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.files.npz import write_npz
from synth.images.preprocess import Standard
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet
from synth.vectors import Vectors, are_numbers, read_columns, unaugmented, write_columns

COLUMNS = write_columns([["größe"], ["colour", "blue", "red"]])


def stored(place):
    info = Info(("a",), Standard(np.zeros(3, np.float32), np.ones(3, np.float32)))
    save_set(place, SyntheticSet(Vectors(jnp.ones((2, 3)), COLUMNS), Hard(jnp.zeros(2, jnp.int32), 1), info=info))
    with np.load(place) as file:
        return {name: file[name] for name in file.files}


def test_names_come_back_and_say_which_numbers_are_categories(tmp_path):
    stored(tmp_path / "a.npz")
    x = load_set(tmp_path / "a.npz").x
    assert x.columns == COLUMNS and read_columns(x.columns) == [["größe"], ["colour", "blue", "red"]]
    assert are_numbers(COLUMNS, 3).tolist() == [True, False, False] and are_numbers("", 2).tolist() == [True, True]


@pytest.mark.parametrize(
    "columns", ['[["a"]]', '[["a"], ["b"], ["c"], ["d"]]', "{}", '[["a"], [], ["b", "c", "d"]]', '[["a"], [1], ["b"]]', "["]
)
def test_other_names_are_refused(columns, tmp_path):
    arrays = stored(tmp_path / "a.npz")
    header = json.loads(str(arrays["header"]))
    header["fields"]["x"]["columns"] = columns
    write_npz(tmp_path / "b.npz", arrays | {"header": np.array(json.dumps(header))})
    with pytest.raises(BadInput, match="arrays of 'x': columns"):
        load_set(tmp_path / "b.npz")


def test_a_normalisation_of_other_vectors_is_refused(tmp_path):
    arrays = stored(tmp_path / "a.npz")
    header = json.loads(str(arrays["header"]))
    del header["arrays"]
    write_npz(tmp_path / "b.npz", arrays | {"preprocess/mean": np.zeros(2, np.float32), "header": np.array(json.dumps(header))})
    with pytest.raises(BadInput, match=r"array 'preprocess/mean' has shape \[2\]; it would be right as \[c=3\]"):
        load_set(tmp_path / "b.npz")


def test_compiled_code_carries_the_names_and_moves_the_numbers():
    x = Vectors(jnp.ones((2, 3)), COLUMNS)
    doubled = jax.jit(lambda x: x.moved(2 * x.learned()))(x)
    assert doubled.columns == COLUMNS and (doubled.decode() == 2).all() and x.bounded(jnp.zeros(3), jnp.ones(3)) is x
    np.testing.assert_array_equal(unaugmented(jax.random.key(0), x.decode(), siamese=True), x.decode())

"""Pictures and tables of vectors."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from condense import show_table
from condense.__main__ import run as command
from condense.plots.vectors import _colour, draw_grid, principal, table
from synth.errors import BadInput
from synth.files.format import save_set
from synth.images.content import Pixels
from synth.images.preprocess import Nothing, Standard
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet
from synth.vectors import Vectors, write_columns

MEAN, STD = np.array([40, 0, 0, 2e4], np.float32), np.array([10, 1, 1, 5e3], np.float32)
COLUMNS = write_columns([["age"], ["colour", "blue", "red"], ["pay"]])


def a_set(*, columns: str = COLUMNS) -> SyntheticSet:
    numbers = jnp.asarray([[0.0, 0.2, 0.9, 1.0], [1.0, 0.8, 0.4, -1.0], [-1.0, 0.1, 0.3, 0.0]])
    return SyntheticSet(Vectors(numbers, columns), Hard(jnp.int32([1, 0, 1]), 2), info=Info(("no", "yes"), Standard(MEAN, STD)))


def printed(synth: SyntheticSet, **more) -> list[list[str]]:
    shown = table(synth, **more)
    names = [str(column.header) for column in shown.columns]
    return [names, *map(list, zip(*([str(cell) for cell in column.cells] for column in shown.columns), strict=True))]


def test_a_table_is_in_raw_units_by_class():
    assert printed(a_set()) == [
        ["class", "age", "colour", "pay"],
        ["no", "50", "blue", "1.5e+04"],
        ["yes", "40", "red", "2.5e+04"],
        ["yes", "30", "red", "2e+04"],
    ]
    assert printed(a_set(columns=""), per_class=1) == [
        ["class", "0", "1", "2", "3"],
        ["no", "50", "0.8", "0.4", "1.5e+04"],
        ["yes", "40", "0.2", "0.9", "2.5e+04"],
    ]


def test_points_lie_on_the_principal_components():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 5)) * np.array([[1, 9, 1, 4, 0.1]])
    places, shares = principal(x)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    np.testing.assert_allclose(shares, values[[-1, -2]] / values.sum(), rtol=1e-9)
    by_hand = (x - x.mean(0)) @ vectors[:, [-1, -2]]
    for axis in range(2):
        assert abs(np.corrcoef(places[:, axis], by_hand[:, axis])[0, 1]) > 1 - 1e-9
    span = np.ptp(by_hand, axis=0)
    np.testing.assert_allclose(np.ptp(places, axis=0), span / span.max(), rtol=1e-9)  # one scale for both
    assert places.min() > -1e-12 and places.max() < 1 + 1e-12


@pytest.mark.parametrize("shape", [(1, 3), (4, 1), (2, 2)])
def test_few_vectors_and_few_numbers_have_places(shape):
    places, shares = principal(np.random.default_rng(0).normal(size=shape))
    assert places.shape == (shape[0], 2) and np.isfinite(places).all() and np.isfinite(shares).all() and shares.sum() <= 1 + 1e-9


def test_show_prints_a_table_and_draws_every_point(tmp_path, capsys):
    save_set(tmp_path / "set.npz", a_set())
    assert command(["show", str(tmp_path / "set.npz"), "--out", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().out
    assert "3 vectors of 3 columns" in said and "colour" in said and "2.5e+04" in said
    picture = np.asarray(draw_grid(a_set()))
    inside = {tuple(map(int, colour)) for colour in picture[25:424, 25:424].reshape(-1, 3)}
    assert {_colour(0), _colour(1)} <= inside and _colour(2) not in inside
    assert command(["show", str(tmp_path / "set.npz"), "--stretch", "--out", str(tmp_path / "b.png")]) == 2
    assert "--stretch: is for images, and the set holds vectors; leave it out" in capsys.readouterr().err
    assert show_table(tmp_path).row_count == show_table(a_set(), per_class=2).row_count == 3
    with pytest.raises(BadInput, match="per_class is 0"):
        table(a_set(), per_class=0)
    pixels = SyntheticSet(Pixels(jnp.zeros((1, 2, 2, 1))), Hard(jnp.zeros(1, jnp.int32), 1), info=Info(("a",), Nothing()))
    with pytest.raises(BadInput, match="the set holds images, which make no table; `show` draws them"):
        show_table(pixels)


def test_names_from_a_file_are_printed_safely():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(a_set(columns=write_columns([["[red]a\x1b[2J"], ["colour", "b", "r"], ["pay"]]))))
    said = console.export_text()
    assert "\x1b" not in said and "[red]a" in said

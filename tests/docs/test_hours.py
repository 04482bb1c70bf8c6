"""The map of methods by hours as the pages print it: what was measured with its numbers, all else as not measured."""

import importlib

import pytest

from condense.studies.suite_file import read_suite
from tests.support.places import ROOT

pytest.importorskip("jupytext")
FILE = {
    "data": "digits",
    "ipc": [1, 10],
    "scoring": [{"regimes": "hard", "steps": 5}, {"regimes": "online", "steps": 5}],
    "method": [{"name": "dm", "label": "dm 5", "minutes": 5}, {"name": "dm", "label": "dm 20", "minutes": 20}, {"name": "rded"}],
}
ROW = {"data": "digits", "ipc": 10, "label": "dm 5", "labels": "hard", "mean": 61.0, "spread": 1.25, "bytes": 2600, "label_bytes": 40}
ROW |= {"teacher_bytes": 0, "steps": 1200, "sets": 3, "networks": 3}


@pytest.fixture
def hours(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("pages.hours")


def lines(text, title):
    """The rows of the table under a title, as lists of cells."""
    table = text.split(f"**{title}**")[1].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_a_table_holds_what_was_measured_and_says_of_the_rest_that_it_was_not(hours):
    taught = {**ROW, "label": "rded", "labels": "online", "mean": 70.04, "teacher_bytes": 123456, "steps": 1}
    made = hours.parts([read_suite(FILE)], [ROW, taught])
    nothing = ["not measured", "", ""]
    assert lines(made["parts/hours.md"], "digits, 1 image a class") == [
        ["`dm`", "5", "", *nothing, *nothing],
        ["`dm`", "20", "", *nothing, *nothing],
        ["`rded`", "", "", *nothing, *nothing],
    ]
    assert lines(made["parts/hours.md"], "digits, 10 images a class") == [
        ["`dm`", "5", "1,200", "61.0 ± 1.2", "2,600", "40", *nothing],
        ["`dm`", "20", "", *nothing, *nothing],
        ["`rded`", "", "1", *nothing, "70.0 ± 1.2", "2,600", "40 + teachers 123,456"],
    ]
    assert "**digits, 10 images a class**: 2 of 6 cells measured." in made["parts/hours.md"]


def test_a_drawing_is_made_of_what_was_measured_alone(hours):
    pytest.importorskip("vl_convert", reason="the extra `report`")
    made = hours.parts([read_suite(FILE)], [ROW])
    assert set(made) == {"parts/hours.md", "parts/hours_digits_10.svg"} and "<path" in made["parts/hours_digits_10.svg"]
    assert "](/generated/parts/hours_digits_10.svg)" in made["parts/hours.md"] and "hours_digits_1.svg" not in made["parts/hours.md"]
    assert "dm 5" in made["parts/hours_digits_10.svg"] and "dm 20" not in made["parts/hours_digits_10.svg"]


@pytest.mark.parametrize("change", [{"data": "mnist"}, {"ipc": 2}, {"label": "dm 50"}, {"labels": "soft"}])
def test_a_row_that_is_no_cell_of_the_map_is_an_error(hours, change):
    with pytest.raises(ValueError, match=r"map\.json: .* the suites of the map have no such cell; remove the row"):
        hours.parts([read_suite(FILE)], [ROW, {**ROW, **change}])


def test_a_cell_stands_in_the_record_once(hours):
    with pytest.raises(ValueError, match="dm 5 on digits at 10 a class, labels hard: stands there twice"):
        hours.parts([read_suite(FILE)], [ROW, ROW])


def test_the_record_of_this_project_fits_the_suites_that_ship(hours):
    text = hours.pages(ROOT)["parts/hours.md"]
    for title in ("fashion\\_mnist, 1 image a class", "fashion\\_mnist, 10 images a class", "cifar10, 10 images a class"):
        assert len(lines(text, title)) == 19, "seven methods of two lengths, and five that choose"

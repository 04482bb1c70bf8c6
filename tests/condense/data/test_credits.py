"""Whose data are: what readers can state, and nothing where they cannot."""

import json

import pytest

from condense.data.credits import Credits, credits_of
from condense.exchange.card import hub_name

STATED = {
    "citation": " @misc{them} ",
    "location": {"urls": ["https://their.place"]},
    "redistributionInfo": {"license": "CC BY 4.0"},
}


def prepared_set(folder, record) -> str:
    (folder / "1.0.0").mkdir(parents=True)
    (folder / "1.0.0" / "dataset_info.json").write_text(record)
    return f"tfds:{folder}"


def test_a_prepared_set_states_what_its_record_says(tmp_path):
    spec = prepared_set(tmp_path / "theirs", json.dumps(STATED))
    assert credits_of(spec) == Credits("CC BY 4.0", "https://their.place", "@misc{them}")


@pytest.mark.parametrize("record", ["{}", "[]", "no json", '{"citation": 3, "location": [], "redistributionInfo": {"license": ["x"]}}'])
def test_a_record_without_them_states_nothing(tmp_path, record):
    assert credits_of(prepared_set(tmp_path / "theirs", record)) == Credits()


@pytest.mark.parametrize("data", ["npz:nowhere.npz", "arrays:1", "", "no such set", "tfds:nowhere"])
def test_data_that_nobody_speaks_for_have_none(data):
    assert credits_of(data) == Credits()


def test_what_comes_with_libraries_is_stated_as_they_state_it():
    """scikit-learn names the makers of the digits and no licence."""
    digits, toy = credits_of("digits?limit=10"), credits_of("toy_graphs")
    assert digits.licence == "" and "E. Alpaydin" in digits.source and toy.licence == "Apache-2.0"


@pytest.mark.slow
def test_a_set_known_by_name_has_the_citation_of_its_builder(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path))
    found = credits_of("svhn_cropped")
    assert "@article{Netzer2011" in found.citation and found.source.startswith("http")


@pytest.mark.parametrize(("licence", "name"), [("", "unknown"), ("Apache-2.0", "apache-2.0"), ("CC BY 4.0, see the page", "other")])
def test_a_licence_by_its_word_on_the_hub(licence, name):
    assert hub_name(licence) == name

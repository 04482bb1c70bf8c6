"""The suites of the map and its record: what they hold, and that a record's rows are the means of the sets' rows."""

import tomllib

import pytest

from condense.studies.crossing import cross
from condense.studies.shipped import find_suite
from condense.studies.suite_file import read_suite
from tests.bench.hours import merged, record_rows

LENGTHS = ("dm", "dsa", "mtt", "datm", "tgdd", "frepo", "cvdd")
MAPS = ("map_fashion_mnist", "map_cifar10")


def file_of(name):
    """The contents of a shipped suite."""
    return tomllib.loads(find_suite(name).read_text())


def test_the_suites_of_the_map_differ_in_data_and_budget_alone():
    one, other = (file_of(name) for name in MAPS)
    assert {key for key in one if one[key] != other[key]} == {"about", "data", "ipc"} and set(one) == set(other)
    assert (one["data"], one["ipc"], other["data"], other["ipc"]) == ("fashion_mnist", [1, 10], "cifar10", 10)
    assert one["draws"] == 3 and {way["regimes"]: way["steps"] for way in one["scoring"]} == {"hard": 1000, "online": 1000}


@pytest.mark.parametrize("name", MAPS)
def test_all_runs_of_the_map_can_be_planned(name):
    """On digits, which are there on every machine."""
    crossing = cross(read_suite({**file_of(name), "data": "digits", "ipc": 10}))
    lengths = {}
    for run in crossing.runs:
        lengths.setdefault(run.method, set()).add((run.call.get("minutes"), bool(run.length)))
    timed, chosen = {(5, True), (20, True)}, {(None, False)}
    assert lengths == dict.fromkeys(LENGTHS, timed) | dict.fromkeys(("rded", "pca", "select", "random", "kmeans"), chosen)
    assert len(crossing.runs) == 3 * (2 * 7 + 5) and crossing.skipped == ()
    teachers = next(run.inputs["teachers"] for run in crossing.runs if run.label == "rded")
    assert [way.get("teachers") for way in crossing.scorings["digits"]] == [None, teachers]
    easy = next(run for run in crossing.runs if run.label == "easy")
    assert (easy.method, easy.call["by"], easy.call["rule"]) == ("select", "el2n", "easy")


def row(draw, accuracy, **changes):
    """A row of a suite's results, of one set."""
    made = {"method": "dm", "label": "dm 5", "data": "cifar10", "digest": "d", "split": "test", "ipc": 10, "max_bytes": None}
    made |= {"draw": draw, "options": {"minutes": 5}, "steps": 400, "distill_seconds": 290.0 + draw, "net": "n", "recipe": "r"}
    made |= {"set_kind": "distilled", "labels": "hard", "label_bytes": 40, "bytes": {"total": 1000 + draw, "labels": 40}}
    return {**made, "accuracy": accuracy, **changes, "key": ["dm", changes.get("label", "dm 5")]}


def test_a_row_of_the_record_is_the_mean_over_sets_and_the_spread_of_their_means():
    rows = [row(0, [0.40, 0.42]), row(1, [0.44, 0.44]), row(2, [0.47, 0.47])]  # means 41, 44 and 47
    other = [row(0, [0.1], labels="online", teacher_bytes=9), row(0, [0.2], ipc=1), row(0, [0.3], label="dm 20")]
    first, *rest = record_rows(rows + other)
    size = {"bytes": 1002, "label_bytes": 40, "teacher_bytes": 0}
    assert first == {
        **{"data": "cifar10", "ipc": 10, "label": "dm 5", "labels": "hard", "mean": 44.0, "spread": 2.4},
        **size,
        **{"sets": 3, "networks": 2, "steps": 400, "seconds": 291.0},
    }
    found = {(one["label"], one["labels"], one["ipc"]): (one["mean"], one["spread"], one["teacher_bytes"]) for one in rest}
    assert found == {("dm 5", "online", 10): (10.0, 0.0, 9), ("dm 20", "hard", 10): (30.0, 0.0, 0), ("dm 5", "hard", 1): (20.0, 0.0, 0)}


def test_rows_of_other_data_stay_in_the_record():
    record = {"what": "w", "rows": [{"data": "a", "mean": 1}, {"data": "b", "mean": 2}], "measured": {"a": {"device": "d"}}}
    made = merged(record, [{"data": "b", "mean": 3}], ["c0ffee"])
    assert made["rows"] == [{"data": "a", "mean": 1}, {"data": "b", "mean": 3}] and made["what"] == "w"
    assert made["measured"]["a"] == {"device": "d"} and made["measured"]["b"]["commits"] == ["c0ffee"]

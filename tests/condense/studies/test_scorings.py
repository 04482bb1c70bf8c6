"""The scorings of a suite: what a `[[scoring]]` may say, whom it is for, and that its rows are those of `evaluate`."""

import pytest

import condense
from condense.studies.crossing import cross
from condense.studies.suite_file import read_suite
from tests.support.three_classes import three_classes

NET = "mlp:width=4"
HARD = {"regimes": "hard", "recipe": "quick", "steps": 3}
ONLINE = {"regimes": ["online"], "recipe": "quick", "steps": 3, "temperature": 4}
RDED = {"name": "rded", "net": NET, "images": 4, "crops": 1}


def file_of(spec, *methods, **changes):
    """The contents of a small suite that is scored in two ways."""
    held = {"data": spec, "ipc": 1, "nets": NET, "seeds": 2, "rows": ["distilled", "random"], "scoring": [HARD, ONLINE]}
    return held | {"method": list(methods)} | changes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": "dsa"}, r"suite: gives recipe and \[\[scoring\]\]; move the recipe"),
        ({"scoring": []}, r"suite: scoring \[\]: give a \[\[scoring\]\] table"),
        ({"scoring": [{"rows": "full"}]}, r"suite: \[\[scoring\]\] 1: unknown key 'rows' \(known: recipe, epochs, steps, regimes, "),
        ({"scoring": [HARD, {"recipe": "slow"}]}, r"\[\[scoring\]\] 2: --recipe: unknown recipe 'slow'"),
        ({"scoring": [{**HARD, "epochs": 2}]}, "1: gives epochs and steps; give one of them"),
        ({"scoring": [{"steps": 0}]}, "1: --steps 0: give a whole number"),
        ({"scoring": [{"steps": "9"}]}, "1: --steps 9: give a whole number"),
        ({"scoring": [{"regimes": ["hrad"]}]}, "1: --regimes: unknown regime 'hrad'"),
        ({"scoring": [{"regimes": [1]}]}, r"1: regimes \[1\]: give a text or a list of texts"),
        ({"scoring": [{**HARD, "alpha": 0.5}]}, "1: --alpha 0.5: is of labels by teachers"),
        ({"scoring": [{**ONLINE, "alpha": 2}]}, "1: --alpha 2: give a number"),
        ({"scoring": [{"augmentations": "colour"}]}, "1: --augmentations: unknown augmentation 'colour'"),
        ({"scoring": [{"precision": "f64"}]}, "1: --precision f64: give one of"),
        ({}, r"scoring: its labels are answers of teachers, and no method makes any of digits; add a \[\[method\]\] rded"),
    ],
)
def test_a_wrong_scoring_is_refused_in_one_line_before_anything_is_written(change, words, tmp_path):
    with pytest.raises(condense.BadInput, match=words) as refused:
        condense.suite(file_of("digits", {"name": "random"}) | change, tmp_path / "s")
    assert "\n" not in str(refused.value) and not (tmp_path / "s").exists()


def test_recipes_are_scorings_and_each_is_for_the_data_that_it_suits():
    held = {"data": ["digits", "toy_graphs"], "ipc": 1, "rows": "distilled", "method": [{"name": "random"}, {"name": "rded", "net": NET}]}
    crossing = cross(read_suite({**held, "recipe": ["quick", "krr-ntk"]}))
    assert crossing.scorings["toy_graphs"] == ({"recipe": "quick"},) and len(crossing.scorings["digits"]) == 2 and not crossing.teachers
    crossing = cross(read_suite({**held, "scoring": [HARD, {"recipe": "krr-ntk"}, ONLINE]}))
    assert crossing.scorings == {"digits": (HARD, {"recipe": "krr-ntk"}, ONLINE), "toy_graphs": ({},)}
    assert crossing.teachers == {"digits": next(run.inputs["teachers"] for run in crossing.runs if run.method == "rded")}
    assert cross(read_suite(held)).scorings == {"digits": ({},), "toy_graphs": ({},)}


@pytest.mark.slow
def test_rows_of_every_scoring_are_those_of_an_evaluation(spec, tmp_path):
    out = tmp_path / "s"
    found = condense.suite(file_of(spec, RDED, {"name": "random", "label": "once"}), out)
    assert found.failed == () and len(found.results) == 2 * (2 + 1), "two sets and the real row, by two scorings"
    teachers = out / cross(read_suite(file_of(spec, RDED))).teachers[spec]
    for run in found.runs:
        for way, more in ((HARD, {}), (ONLINE, {"teachers": teachers})):
            told = condense.evaluate(out / run["run"], net=NET, seeds=2, rows="distilled", cache="none", **{**way, **more}).reports[0]
            (row,) = [row for row in found.results if row["run"] == run["run"] and row["labels"] == told.labelling.regime]
            assert row["accuracy"] == list(told.accuracy) and row["bytes"]["labels"] == told.labelling.bytes
            assert row["training_steps"] == 3 and row["steps"] == run["steps"] == 1
    real = {row["labels"]: row for row in found.results if row["set_kind"] == "random"}
    assert set(real) == {"hard", "online"} and real["hard"]["method"] is None
    assert len(condense.compare(out).lines) == 6
    assert condense.suite(file_of(spec, RDED, {"name": "random", "label": "once"}), out).results == found.results


@pytest.fixture
def spec(tmp_path):
    """Three classes of 4x4 images."""
    return three_classes(tmp_path).spec

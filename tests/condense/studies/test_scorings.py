"""The scorings of a suite: what a `[[scoring]]` may say, whom it is for, and that its rows are those of `evaluate`."""

import pytest

import condense
from condense.reports.commands import commands_of
from condense.reports.material import gather
from condense.studies.compare import compare_rows
from condense.studies.crossing import cross
from condense.studies.scorings import trainings
from condense.studies.suite import places_of
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
        (
            {"scoring": [{**ONLINE, "recipe": "gvbsm", "alpha": 0.5}]},
            "1: --alpha 0.5: recipe gvbsm has a loss of its own on the teachers' ans",
        ),
        ({"scoring": [{"augmentations": "colour"}]}, "1: --augmentations: unknown augmentation 'colour'"),
        ({"scoring": [{"precision": "f64"}]}, "1: --precision f64: give one of"),
        ({"scoring": [{"recipe": ["quick", "dsa"]}]}, r"1: recipe \['quick', 'dsa'\]: give a text"),
        ({"scoring": [{"tune_lr": "no"}]}, "1: tune_lr 'no': give true or false"),
        ({"scoring": [{"regimes": ["hard", "hard"]}]}, r"1: regimes \['hard', 'hard'\]: names one twice"),
        ({"scoring": [HARD, HARD]}, "two scorings are alike .regimes hard, recipe quick, steps 3.; leave one out"),
        ({"scoring": [{"recipe": "krr-ntk", "steps": 3}]}, "1: steps: is of a training, and recipe krr-ntk "),
        ({"scoring": [{"recipe": "krr-ntk", "epochs": 3}]}, "1: --epochs 3: recipe krr-ntk trains nothing"),
        ({"scoring": [{**HARD, "teachers": "here"}]}, "1: teachers here: no regime asks them"),
        ({}, r"suite: scoring on digits: its labels are answers of teachers; give teachers = 'DIR', or add a \[\[method\]\] rded"),
        ({"scoring": [{**ONLINE, "teachers": "here"}]}, "scoring on digits: teachers here: no such folder, and no method of that label"),
        (
            {"method": [RDED, {"name": "cvdd", "net": NET, "steps": 1}]},
            r"several methods have teachers \(rded, cvdd\); say whose answer by teachers = 'rded'",
        ),
        (
            {"method": [RDED], "rows": ["random_2x2"], "scoring": [{"regimes": "soft"}]},
            "stored answers are to whole images, and random_2x2",
        ),
    ],
)
def test_a_wrong_scoring_is_refused_in_one_line_before_anything_is_written(change, words, tmp_path):
    with pytest.raises(condense.BadInput, match=words) as refused:
        condense.suite(file_of("digits", {"name": "random"}) | change, tmp_path / "s")
    assert "\n" not in str(refused.value) and not (tmp_path / "s").exists()


def test_recipes_are_scorings_and_each_is_for_the_data_that_it_suits():
    held = {"data": ["digits", "toy_graphs"], "ipc": 1, "rows": "distilled", "method": [{"name": "random"}, {"name": "rded", "net": NET}]}
    crossing = cross(read_suite({**held, "recipe": ["quick", "krr-ntk"]}))
    assert crossing.scorings["toy_graphs"] == ({"recipe": "quick"},) and len(crossing.scorings["digits"]) == 2
    crossing = cross(read_suite({**held, "scoring": [HARD, {"recipe": "krr-ntk"}, ONLINE]}))
    place = next(run.inputs["teachers"] for run in crossing.runs if run.method == "rded")
    assert crossing.scorings == {"digits": (HARD, {"recipe": "krr-ntk"}, {**ONLINE, "teachers": place}), "toy_graphs": ({},)}
    assert sum(line.startswith("skipped on toy_graphs: the scoring ") and line.endswith("not for graphs") for line in crossing.skipped) == 3
    crossing = cross(read_suite({**held, "scoring": [{"recipe": "quick", "tune_lr": True}]}))
    assert crossing.scorings["toy_graphs"] == ({},) and len(crossing.scorings["digits"][0]) == 2
    assert cross(read_suite(held)).scorings == {"digits": ({},), "toy_graphs": ({},)}


@pytest.mark.slow
def test_rows_of_every_scoring_are_those_of_an_evaluation(spec, tmp_path):
    out = tmp_path / "s"
    found = condense.suite(file_of(spec, RDED, {"name": "random", "label": "once"}), out)
    assert found.failed == () and len(found.results) == 2 * (2 + 1), "two sets and the real row, by two scorings"
    teachers = out / cross(read_suite(file_of(spec, RDED))).scorings[spec][1]["teachers"]
    for run in found.runs:
        for way, more in ((HARD, {}), (ONLINE, {"teachers": teachers})):
            told = condense.evaluate(out / run["run"], net=NET, seeds=2, rows="distilled", cache="none", **{**way, **more}).reports[0]
            (row,) = [row for row in found.results if row["run"] == run["run"] and row["labels"] == told.labelling.regime]
            assert row["accuracy"] == list(told.accuracy) and row["bytes"]["labels"] == told.labelling.bytes
            assert row["training_steps"] == 3 and row["steps"] == run["steps"] == 1
    real = {row["labels"]: row for row in found.results if row["set_kind"] == "random"}
    assert set(real) == {"hard", "online"} and real["hard"]["method"] is None
    assert out / real["online"]["scoring"]["teachers"] == teachers and real["hard"]["scoring"] == HARD
    commands = [commands_of(one)[1:] for one in gather([out]).subjects]
    assert [[f"--teachers {teachers} " in line for line in each] for each in commands] == [[False, True]] * 2
    tables = condense.compare(out).tables()
    assert [len(lines) for lines in tables] == [3, 3] and {line.variant for line in tables[1]} == {"online labels, temperature 4"}
    assert all(line.teacher_bytes > 0 for line in tables[1]) and not any(line.teacher_bytes for line in tables[0])
    assert condense.suite(file_of(spec, RDED, {"name": "random", "label": "once"}), out).results == found.results


@pytest.mark.slow
def test_teachers_are_those_of_the_method_or_folder_that_a_scoring_names(tmp_path):
    methods, online = [RDED, {"name": "cvdd", "net": NET, "steps": 1}], {**ONLINE, "teachers": "cvdd"}
    crossing = cross(read_suite(file_of("digits", *methods, scoring=[online])))
    places = {run.method: run.inputs["teachers"] for run in crossing.runs}
    assert crossing.scorings["digits"][0]["teachers"] == places["cvdd"] != places["rded"]
    condense.train_teachers("digits?limit=300", tmp_path / "t", net=["mlp:width=32"], epochs=30)
    given = {**RDED, "teachers": str(tmp_path / "t")}
    for method, way in ((given, ONLINE), ({"name": "random"}, {**ONLINE, "teachers": str(tmp_path / "t")})):
        assert cross(read_suite(file_of("digits", method, scoring=[way]))).scorings["digits"][0]["teachers"] == str(tmp_path / "t")


def test_claims_are_made_within_one_label_regime():
    """Hard labels order the methods one way and answers of teachers the other; a method is never better than itself."""
    rows = []
    for regime, order in (("hard", (0.8, 0.6)), ("online", (0.5, 0.7))):
        for name, mean in zip(("dm", "rded"), order, strict=True):
            for draw in range(3):
                row = {"label": name, "set_kind": "distilled", "key": name, "draw": draw, "data": "digits", "digest": "d", "ipc": 1}
                row |= {"net": NET, "recipe": "quick", "labels": regime, "label_bytes": 4, "bytes": {"total": 9, "labels": 4}}
                rows.append({**row, "accuracy": [mean + 0.01 * draw + 0.001 * draw**2 * (name == "dm")]})
    found = compare_rows(rows, [])
    assert [(line.variant, line.name, line.better) for line in found.lines] == [
        ("hard labels", "dm", ("rded",)),
        ("hard labels", "rded", ()),
        ("online labels", "dm", ()),
        ("online labels", "rded", ("dm",)),
    ]
    assert len(found.tests) == 2
    ways = [{"augmentation": "crop"}, {"step_size": 0.1}, {}, {"labels": "hard", "label_bytes": 4, "alpha": 0.5}]
    few = [{**{k: v for k, v in rows[0].items() if k != "label_bytes"}, **way} for way in ways]
    assert [line.variant for line in compare_rows(few, []).lines] == ["augmentation crop", "step size chosen", "", "hard labels, alpha 0.5"]


def test_results_say_whose_answers_and_which_log_a_scoring_read(tmp_path):
    inside, outside = tmp_path / "s" / "inputs" / "t", tmp_path / "log"
    given = {"recipe": "quick", "teachers": str(inside), "ranks": str(outside)}
    assert places_of(given, tmp_path / "s") == {"teachers": "inputs/t", "ranks": str(outside)}
    assert places_of({"recipe": "quick"}, tmp_path / "s") == {}


def test_a_preview_counts_all_that_a_scoring_trains():
    assert trainings({}, 5, whole=False) == 5 and trainings(HARD, 5, whole=False) == 5
    assert trainings({**ONLINE, "temperature": None}, 5, whole=False) == 5 + 3 and trainings(ONLINE, 5, whole=False) == 5
    best = {**ONLINE, "alpha": "best"}
    assert trainings(best, 5, whole=False) == 5 + 4 and trainings({**best, "temperature": None}, 5, whole=False) == 5 + 3 + 3
    own = {"regimes": ["hard", "soft", "online"], "recipe": "gift"}
    assert trainings(own, 5, whole=False) == 3 * 5 + 3, "under a loss on directions the temperature of answers to views does not matter"
    many = {"regimes": ["hard", "online"], "augmentations": ["none", "crop", "dsa"], "tune_lr": True}
    assert trainings(many, 1, whole=False) == 3 * (2 * (1 + 5) + 3) and trainings(many, 1, whole=True) == 6


@pytest.fixture
def spec(tmp_path):
    """Three classes of 4x4 images."""
    return three_classes(tmp_path).spec

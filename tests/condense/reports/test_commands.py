"""The commands that a report prints: they score a run as it was scored, and of a suite's run there is one for each scoring."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

import condense
from condense.__main__ import run
from condense.evaluation.report import Evaluation
from condense.reports.commands import commands_of
from condense.reports.material import Subject, gather
from evals.report import Report
from tests.support.three_classes import three_classes

NET = "mlp:width=4"


def subject(*rows, suite="runs/s", evaluations=()):
    """A run of a suite with these results, as a report has it."""
    held = SimpleNamespace(folder=Path("runs/s/runs/a"), record={"command": "made"}, set=None)
    return Subject("a", held, tuple(evaluations), suite and Path(suite), rows)


def row(kind, scoring, **changes):
    """A row of a suite's results."""
    made = {"set_kind": kind, "data": "digits", "net": NET, "recipe": "quick:epochs=3", "split": "test", "accuracy": [0.5, 0.6]}
    return {**made, **({} if scoring is None else {"scoring": scoring}), **changes}


def test_each_scoring_of_a_suite_has_its_command_and_the_command_gives_its_scores(tmp_path):
    data = three_classes(tmp_path)
    ways = [{"regimes": "hard", "recipe": "quick", "steps": 3}, {"recipe": "quick", "epochs": 2, "augmentations": ["none", "crop"]}]
    file = {"data": data.spec, "ipc": [1, 2], "nets": NET, "seeds": 2, "rows": ["distilled", "random"], "scoring": ways}
    found = condense.suite({**file, "method": [{"name": "kmeans"}]}, tmp_path / "s")
    assert found.failed == ()
    for one in gather([tmp_path / "s"]).subjects:
        _, *commands = commands_of(one)
        assert len(commands) == 2
        for command, way in zip(commands, ways, strict=True):
            verb, *words = shlex.split(command)
            assert verb == "condense" and run([*words, "--cache", "none", "--json", str(tmp_path / "a.json")]) == 0
            scored = json.loads((tmp_path / "a.json").read_text())["results"]
            known = [row for row in one.rows if row["scoring"] == way]
            assert len(scored) == len(known) == 2 * len(way.get("augmentations", "1"))
            for each in scored:
                same = [row for row in known if (row["set_kind"], row.get("augmentation")) == (each["set_kind"], each.get("augmentation"))]
                assert [row["accuracy"] for row in same] == [each["accuracy"]]


def test_teachers_and_logs_are_named_where_they_lie():
    online = {"regimes": ["hard", "online"], "alpha": 0.5, "tune_lr": True, "teachers": "inputs/t", "ranks": "/logs/r"}
    plain = {"recipe": "quick", "tune_lr": False, "ranks": "/logs/r"}
    rows = [row("distilled", online), row("easy", online, score="el2n"), row("distilled", plain), row("random", plain)]
    head, tail = "condense evaluate runs/s/runs/a --data digits --net mlp:width=4 ", "--split test"
    read = "--teachers runs/s/inputs/t --ranks /logs/r"
    assert commands_of(subject(*rows)) == [
        "made",
        f"{head}--regimes hard,online --alpha 0.5 --tune-lr {read} --seeds 2 --rows distilled,easy {tail}",
        f"{head}--recipe quick --seeds 2 --rows distilled,random {tail}",
    ]


def test_suites_of_older_versions_have_a_command_for_each_recipe():
    rows = [row("distilled", None), row("easy", None, score="el2n"), row("distilled", None, recipe="krr-ntk", net="ntk")]
    head = "condense evaluate runs/s/runs/a --data digits"
    assert commands_of(subject(*rows)) == [
        "made",
        f"{head} --net {NET} --recipe quick:epochs=3 --seeds 2 --rows distilled,easy --split test --ranks DIR",
        f"{head} --recipe krr-ntk --seeds 2 --rows distilled --split test",
    ]


@pytest.mark.parametrize(("score", "end"), [(None, ""), ("el2n", " --ranks DIR")])
def test_a_run_of_no_suite_has_a_command_for_each_kept_evaluation(score, end):
    reports = tuple(Report(NET, "quick", kind, (0.5,), 1.0, score=(kind == "easy" and score) or None) for kind in ("distilled", "easy"))
    scored = [Evaluation("a", "digits", "d", split, 1, {}, reports, seed) for split, seed in (("test", 0), ("val", 3))]
    head = f"condense evaluate runs/s/runs/a --data digits --net {NET} --recipe quick --seeds 1 --rows distilled,easy --split"
    assert commands_of(subject(suite=None, evaluations=scored)) == ["made", f"{head} test{end}", f"{head} val{end} --seed 3"]

"""Suites: what a file may say, what is planned and shared, what goes on after a kill, what fails and what that stops."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import condense
from condense.__main__ import run
from condense.engine.measure import Cost
from condense.studies import suite as suites
from condense.studies import work, workers
from condense.studies.crossing import cross
from condense.studies.shipped import FOLDER
from condense.studies.suite_file import read_suite
from condense.workflows import lengths
from matchers import REGISTRY
from synth.errors import RunFailed
from tests.support.cli import program, surroundings
from tests.support.three_classes import three_classes
from tests.support.toy_pull import PULL

NET = "mlp:width=4"


@pytest.fixture
def spec(tmp_path):
    """Three classes of 4x4 images."""
    return three_classes(tmp_path).spec


def file_of(spec, *methods, **changes):
    """The contents of a small suite, scored in closed form."""
    held = {"data": spec, "ipc": [1, 2], "recipe": "krr-ntk", "seeds": 1, "rows": ["distilled", "random"]}
    return held | {"method": list(methods)} | changes


DM = {"name": "dm", "net": NET, "batch": 4, "steps": 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"colour": 1},
            "suite: unknown key 'colour' .known: about, data, ipc, bytes, seeds, draws, nets, recipe, scoring, rows, minutes, method",
        ),
        ({"data": []}, "suite: data \\[\\]: give a text or a list of texts"),
        ({"data": "digit"}, "data 'digit': unknown set"),
        ({"method": []}, "suite: names no method"),
        ({"method": [{"steps": 3}]}, r"suite: \[\[method\]\] 1: has no name"),
        ({"method": [{"name": "dmm"}]}, r"\[\[method\]\] 1: unknown method 'dmm' \(known: random, "),
        ({"method": [DM, DM]}, "two methods are called 'dm'; give each a label"),
        ({"method": [{**DM, "sparsity": 1}]}, r"\[\[method\]\] dm on digits: dm has no option --sparsity \(known: --lr"),
        ({"method": [{**DM, "lr": -1.0}]}, r"dm on digits: --lr -1.0: give a number above 0"),
        ({"method": [{**DM, "steps": "2"}]}, "dm on digits: --steps 2: give a whole number"),
        ({"method": [{**DM, "preset": "mtt"}]}, "--preset: unknown preset 'mtt'"),
        ({"method": [{**DM, "seed": 1}]}, r"\(dm\): seed is not a method's"),
        ({"method": [{**DM, "net": "nope"}]}, "unknown network 'nope'"),
        ({"ipc": 0}, "--ipc 0: give a whole number of at least 1"),
        ({"bytes": 10_000}, "gives ipc and bytes; give one of them"),
        ({"seeds": "2"}, "--seeds 2: give a whole number"),
        ({"draws": 0}, "--draws 0: give a whole number"),
        ({"minutes": 0}, "suite: --minutes 0: give a number above 0"),
        ({"method": [{**DM, "minutes": 1}]}, "dm on digits: --minutes 1: --steps 2 says how long the run is"),
        ({"nets": "gin"}, "nets gin: "),
        ({"recipe": "slow"}, "unknown recipe 'slow'"),
        ({"rows": ["distilled", "best"]}, "rows: unknown row 'best' .known: distilled"),
        ({"rows": ["easy"]}, "rows: easy is chosen by a log of proxies, and no method makes one of digits; add a .*method.* select or pca"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_before_anything_is_written(change, words, tmp_path):
    with pytest.raises(condense.BadInput, match=words) as refused:
        condense.suite(file_of("digits", DM) | change, tmp_path / "s")
    assert "\n" not in str(refused.value) and not (tmp_path / "s").exists()


def test_a_file_is_toml_and_a_shipped_one_has_a_name(tmp_path):
    (tmp_path / "a.toml").write_text('data = "digits"\n[[method]]\nname = "random"\nipc = 3\n')
    found = read_suite(tmp_path / "a.toml")
    assert found.data == ("digits",) and found.methods[0].budgets == (("ipc", 3),) and found.draws == 1 and found.scorings == ({},)
    assert read_suite("digits").name == "digits"
    (tmp_path / "b.toml").write_text("data = ")
    with pytest.raises(condense.BadInput, match=r"b\.toml: is no TOML"):
        read_suite(tmp_path / "b.toml")
    with pytest.raises(condense.BadInput, match=r"digit: no such file, and no suite of that name; give a FILE\.toml, or one of digits, "):
        read_suite("digit")


def test_all_methods_fit_one_file(capsys):
    """Those that do not take the data, and the one whose sets classify nothing, are left out with a line."""
    file = file_of(["digits", "toy_graphs"], DM, {"name": "mirage"}, {"name": "krrst"}, {"name": "random"}, {"name": "colour", "ipc": []})
    crossing = cross(read_suite({**file, "draws": 2, "nets": [NET, "gin:width=8"]}))
    made = [(one.label, one.data, one.budget, one.draw) for one in crossing.runs]
    assert ("dm", "digits", ("ipc", 2), 1) in made and ("mirage", "toy_graphs", ("ipc", 1), 0) in made
    assert [one for one in made if one[0] == "colour"] == [("colour", "toy_graphs", None, 0), ("colour", "toy_graphs", None, 1)]
    assert len(made) == len(set(made)) == len({one.folder for one in crossing.runs}) == 2 * (2 + 2 + 4 + 1)
    assert crossing.skipped == (
        "skipped on digits: it holds images, which these methods do not take: mirage, colour",
        "skipped on digits: sets that are made without labels classify nothing, and `condense transfer` scores them: krrst",
        "skipped on toy_graphs: it holds graphs, which these methods do not take: dm, krrst",
        "skipped on toy_graphs: the scoring recipe krr-ntk is not for graphs",
    )
    assert crossing.nets == {"digits": (NET,), "toy_graphs": ("gin:width=8",)}


def test_methods_share_what_they_work_from_where_it_is_the_same(spec):
    mtt = {"name": "mtt", "net": NET, "steps": 1, "max_start": 1}
    methods = [mtt, {**mtt, "name": "datm"}, {**mtt, "label": "mtt2", "inner_steps": 3}, {**mtt, "label": "wide", "net": "mlp:width=5"}]
    crossing = cross(read_suite(file_of(spec, *methods, draws=3)))
    by_label = {one.label: one.inputs["experts"] for one in crossing.runs}
    assert by_label["mtt"] == by_label["mtt2"] and len(set(by_label.values())) == len(crossing.shared) == 3  # datm's are flat
    assert all(one.bytes > 0 for one in crossing.shared.values())


def test_a_preview_times_what_scores_and_says_what_is_made_once(spec, tmp_path):
    select = {"name": "select", "net": NET}
    lines = condense.preview_suite(file_of(spec, select, {**select, "label": "hard", "rule": "hard"}, ipc=1), out=tmp_path / "s")
    told = {line.split()[0]: line for line in lines}
    assert sum(line.startswith("input ") and "/ranks: " in line for line in lines) == 1, "both choose by one log"
    assert told["runs"].split()[1].startswith("2") and re.search(r"; about [\d.]+ ", told["scorings"]) and not (tmp_path / "s").exists()


@pytest.mark.slow
def test_rows_are_chosen_by_the_log_that_runs_share(spec, tmp_path):
    select = {"name": "select", "net": NET}
    found = condense.suite(file_of(spec, select, ipc=1, rows=["distilled", "easy", "hard"]), tmp_path / "s")
    by_kind = {row["set_kind"]: row["accuracy"] for row in found.results}
    assert found.failed == () and by_kind["distilled"] == by_kind["easy"] and set(by_kind) == {"distilled", "easy", "hard"}
    assert len(list((tmp_path / "s" / "inputs").iterdir())) == 1


@pytest.mark.slow
def test_every_draw_shares_one_split_and_differs_in_its_seed(spec, tmp_path):
    found = condense.suite(file_of(spec, DM, ipc=1, draws=2), tmp_path / "s")
    records = [json.loads((tmp_path / "s" / one["run"] / "run.json").read_text()) for one in found.runs]
    assert [one["seed"] for one in records] == [0, 1]
    sets = [condense.load_set(tmp_path / "s" / one["run"] / "set.npz") for one in found.runs]
    assert [one.info.split_seed for one in sets] == [0, 0] and not np.array_equal(sets[0].x.decode(), sets[1].x.decode())
    assert len([row for row in found.results if row["set_kind"] == "random"]) == 1, "random images are drawn and trained on once"


@pytest.mark.slow
def test_minutes_of_a_suite_are_measured_once_for_all_draws(spec, tmp_path, monkeypatch):
    """A step of 8 s after 4 s of compiling: 6 in a minute, 13 in two; a method with steps keeps them, one that chooses takes one."""
    measured = []
    monkeypatch.setitem(REGISTRY, "pull", PULL)
    monkeypatch.setattr(lengths, "step_cost", lambda made, **how: measured.append(made.method.name) or Cost(4.0, 8.0, 0, 8.0))
    toy = {"name": "pull", "net": NET, "batch": 4}
    methods = [toy, {**toy, "label": "longer", "minutes": 2}, {**toy, "label": "stepped", "steps": 3}, {"name": "random"}]
    file = file_of(spec, *methods, ipc=1, draws=2, minutes=1, rows="distilled")
    found = condense.suite(file, tmp_path / "s")
    assert found.failed == () and measured == ["pull", "pull"] and len(list((tmp_path / "s" / "lengths").iterdir())) == 2
    records = [json.loads((tmp_path / "s" / one["run"] / "run.json").read_text()) for one in found.runs]
    assert [one["finished"] for one in records] == [6, 6, 13, 13, 3, 3, 1, 1]
    assert [one["config"].get("lr") for one in records[:6:2]] == [1 / 6, 1 / 13, 0.5]
    assert condense.suite(file, tmp_path / "s").results == found.results and len(measured) == 2


def without_seconds(found):
    """Rows of scores without what a clock said."""
    return [{name: value for name, value in row.items() if name not in ("seconds", "distill_seconds")} for row in found]


@pytest.mark.slow
def test_results_hold_the_choices_and_a_second_call_changes_nothing(spec, tmp_path, capsys):
    file, out = file_of(spec, DM, {"name": "random"}, {"name": "mirage"}), tmp_path / "s"
    found = condense.suite(file, out)
    row = found.results[0]
    assert {name: row[name] for name in ("method", "label", "data", "ipc", "draw", "set_kind", "recipe", "labels", "steps")} == {
        "method": "dm", "label": "dm", "data": spec, "ipc": 1, "draw": 0, "set_kind": "distilled", "recipe": "krr-ntk", "labels": "hard",
        "steps": 2,
    }  # fmt: skip
    assert row["options"] == {"net": NET, "batch": 4, "steps": 2} and row["bytes"]["total"] == 3 * 16 * 4 + 12
    assert (out / row["run"] / "set.npz").is_file() and "mirage" in found.skipped[0] and found.failed == ()
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(found.as_json()))
    assert json.loads((out / "suite.json").read_text())["budgets"] == [["ipc", 1], ["ipc", 2]]
    alone = condense.evaluate(out / row["run"], recipe="krr-ntk", seeds=1, rows=("distilled", "random"), cache="none")
    assert row["accuracy"] == list(alone.reports[0].accuracy)
    again = condense.suite(file, out)
    assert again.results == found.results and again.runs == found.runs
    assert {line.name for line in condense.compare(out).lines} == {"dm", "random", "random (real)"}
    more = condense.suite({**file, "ipc": [1, 2, 3]}, out)
    assert [one for one in more.results if one["ipc"] < 3] == list(found.results), "a longer file keeps what is there"


@pytest.mark.slow
def test_a_run_that_fails_is_a_row_with_its_reason_and_stops_nothing(spec, tmp_path, capsys):
    """At such a step size pixels are not finite."""
    (tmp_path / "f.toml").write_text(
        f'data = "{spec}"\nipc = 1\nrecipe = "krr-ntk"\nseeds = 1\nrows = "distilled"\n'
        f'[[method]]\nname = "dm"\nnet = "{NET}"\nbatch = 4\nsteps = 3\nlr = 1e38\n[[method]]\nname = "random"\n'
    )
    assert run(["suite", str(tmp_path / "f.toml"), "--out", str(tmp_path / "s")]) == 1
    said = capsys.readouterr()
    assert "condense: suite: 1 of 2 runs failed, such as runs/dm" in said.err and "the same command tries them again" in said.err
    failed, done = json.loads((tmp_path / "s" / "results.json").read_text())["runs"]
    assert failed["state"] == "failed" and failed["reason"] and done["state"] == "done" and "random" in said.out
    assert condense.compare(tmp_path / "s").failed[0].startswith("runs/dm")


def test_inputs_that_fail_fail_the_runs_that_need_them(spec, tmp_path, monkeypatch):
    def refuse(one):
        if one["kind"] == "input":
            raise RunFailed("no room")

    monkeypatch.setattr(work, "carry_out", refuse)
    mtt = {"name": "mtt", "net": NET, "steps": 1, "max_start": 1}
    found = condense.suite(file_of(spec, mtt, ipc=1, rows="distilled"), tmp_path / "s")
    assert len(found.failed) == 1 and "inputs/experts-" in found.failed[0] and found.failed[0].endswith("no room")


@pytest.mark.slow
def test_a_set_that_cannot_be_scored_fails_alone(spec, tmp_path, monkeypatch):
    """The others are scored, though the sets were to be scored in one call."""
    whole = suites.evaluate

    def refuse(sets, **choices):
        if any("dm-" in str(place) for place in sets):
            raise condense.BadInput("--recipe: the set's labels answer to other views")
        return whole(sets, **choices)

    monkeypatch.setattr(suites, "evaluate", refuse)
    found = condense.suite(file_of(spec, DM, {"name": "random"}, ipc=1, rows="distilled"), tmp_path / "s")
    assert [one["state"] for one in found.runs] == ["failed", "done"] and "answer to other views" in found.failed[0]
    assert [row["label"] for row in found.results] == ["random"]


@pytest.mark.slow
def test_a_set_too_small_for_real_examples_is_scored_alone(tmp_path, capsys):
    file = {"data": "toy_graphs", "ipc": 1, "nets": "gin:width=4,depth=1", "recipe": "quick", "seeds": 1, "method": [{"name": "mirage"}]}
    found = condense.suite(file, tmp_path / "s")
    assert found.failed == () and [row["set_kind"] for row in found.results] == ["distilled"]
    assert "scored without real examples beside it: --rows random: the set's" in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(tmp_path, spec):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("x")
    with pytest.raises(condense.BadInput, match=r"holds files but no suite \(such as thesis\.txt"):
        condense.suite(file_of(spec, DM), tmp_path / "s")
    with pytest.raises(condense.BadInput, match="--jobs 0"):
        condense.suite(file_of(spec, DM), tmp_path / "t", jobs=0)


@pytest.mark.slow
def test_a_dry_run_says_what_it_would_take_and_writes_nothing(spec, tmp_path, capsys):
    (tmp_path / "f.toml").write_text(
        f'data = "{spec}"\nipc = [1, 2]\nnets = "{NET}"\nrecipe = "quick"\nseeds = 2\ndraws = 3\n'
        f'[[method]]\nname = "mtt"\nnet = "{NET}"\nsteps = 2\nmax_start = 1\n[[method]]\nname = "mirage"\n'
    )
    assert run(["suite", str(tmp_path / "f.toml"), "--out", str(tmp_path / "s"), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "s").exists()
    assert [line.split()[0] for line in lines] == ["skipped", "input", "run", "run", "folder", "runs", "scorings", "estimate"]
    assert "3 draws, about" in lines[2] and "bytes each" in lines[2] and lines[5].split()[1] == "6,"
    assert lines[6].split()[1] == str(2 * (3 + 2) * 2), "budgets x (sets and two real rows) x seeds"
    assert "hours" in lines[-1]


def test_lists_name_the_shipped_suites(capsys):
    assert run(["list", "suites"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == sorted(path.stem for path in FOLDER.glob("*.toml"))
    assert all(condense.list_suites().values())


@pytest.mark.slow
def test_shipped_suites_hold_no_wrong_call():
    crossing = cross(read_suite("digits"))
    assert {one.method for one in crossing.runs} == set(condense.list_methods()) - {"krrst"}


@pytest.mark.slow
def test_workers_give_the_results_of_one_process(spec, tmp_path):
    """Runs and sets are scored side by side, and what is finished there is not trained again."""
    (tmp_path / "f.toml").write_text(
        f'data = "{spec}"\nipc = 1\nrecipe = "quick"\nnets = "{NET}"\nseeds = 1\n'
        f'[[method]]\nname = "dm"\nnet = "{NET}"\nbatch = 4\nsteps = 2\n[[method]]\nname = "random"\n'
    )
    rows = []
    for jobs in ("1", "2"):
        done = program("suite", str(tmp_path / "f.toml"), "--out", str(tmp_path / jobs), "--jobs", jobs, timeout=400)
        assert done.returncode == 0, done.stderr
        rows.append(without_seconds(json.loads((tmp_path / jobs / "results.json").read_text())["results"]))
    assert rows[0] == rows[1] and "1 of 3 cells are finished" in done.stderr
    assert {path.name for path in (tmp_path / "2" / "logs").iterdir()} == {"worker-0.log", "worker-1.log"}


@pytest.mark.slow
def test_a_worker_says_why_work_failed_and_another_takes_its_place(tmp_path):
    wrong = {"kind": "run", "name": "w", "alone": "", "method": "dm", "data": "digits", "arguments": {}, "place": str(tmp_path / "w")}
    worker = workers.Worker(0, 1, tmp_path)
    assert "give exactly one of --ipc, --size, --bytes and --fraction" in worker.do(wrong)
    first = worker._process
    first.kill()
    first.wait()
    assert "give exactly one of" in worker.do(wrong) and worker._process is not first
    worker._process.stdin.close()  # as where the suite is killed
    assert worker._process.wait(timeout=60) == 0
    worker.stop()
    assert worker.do(wrong) == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_suite_that_is_killed_goes_on_to_the_same_results(jobs, spec, tmp_path):
    """SIGKILL in the middle of the second method; the workers die with their suite."""
    text = f'data = "{spec}"\nipc = [1, 2]\nnets = "{NET}"\nrecipe = "quick"\nseeds = 2\nrows = ["distilled", "random"]\n'
    text += f'[[method]]\nname = "dm"\nnet = "{NET}"\nbatch = 4\nsteps = 300\n'
    text += f'[[method]]\nname = "mtt"\nnet = "{NET}"\nsteps = 200\nmax_start = 1\ninner_steps = 3\nlr = 0.1\ncheckpoint_every = 5\n'
    (tmp_path / "f.toml").write_text(text)

    def argv(out):
        return ["suite", str(tmp_path / "f.toml"), "--out", str(tmp_path / out), "--jobs", jobs]

    done = program(*argv("whole"), timeout=600)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "condense", *argv("killed")]
    process = subprocess.Popen(command, env=surroundings(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: any(place.name.isdigit() for place in tmp_path.glob("killed/runs/mtt*/checkpoints/*")), process)
    process.kill()
    process.wait()
    states = {json.loads(path.read_text())["state"] for path in tmp_path.glob("killed/runs/*/run.json")}
    assert "running" in states and not (tmp_path / "killed" / "results.json").exists()
    done = program(*argv("killed"), timeout=600)
    assert done.returncode == 0, done.stderr
    whole, killed = (json.loads((tmp_path / out / "results.json").read_text()) for out in ("whole", "killed"))
    assert len(whole["results"]) == 6 and without_seconds(killed["results"]) == without_seconds(whole["results"])
    for one in whole["runs"]:
        sets = [condense.load_set(tmp_path / out / one["run"] / "set.npz") for out in ("whole", "killed")]
        np.testing.assert_array_equal(*(synth.x.decode() for synth in sets))


def wait_for(condition, process):
    """Waits until a condition holds while a process lives."""
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def test_suites_of_a_checkout_are_part_of_the_package():
    assert FOLDER.is_relative_to(Path(condense.__file__).parent)

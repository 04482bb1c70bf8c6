"""A search: what it finds and writes, what goes on after a kill, and what is refused."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

import condense
from condense.__main__ import run
from condense.engine.measure import Cost
from condense.engine.storage import stored_as
from condense.plots.trials import draw_trials
from condense.presets import find_preset
from condense.presets.file import write_preset
from condense.studies import trials as climbing
from condense.studies import tune as module
from condense.studies.rungs import Rung, spans_of
from condense.studies.trials import Search
from condense.studies.tune import tune
from condense.studies.tuned import conclude
from condense.workflows.plan import plan
from matchers import REGISTRY
from synth.errors import BadInput, RunFailed
from tests.support.cli import surroundings, wait
from tests.support.data_files import class_folders
from tests.support.three_classes import three_classes
from tests.support.toy_pull import PULL

SMALL = {"ipc": 1, "net": "mlp:width=4", "batch": 4}
RUNGS = [Rung(4, 2), Rung(1, 6)]
ROWS = [{"trial": 0, "steps": 2, "options": {"lr": 0.5}, "accuracy": [0.5], "mean": 0.5, "reason": ""}]  # one trial of two steps


@pytest.fixture
def spec(tmp_path):
    """Three classes of 4x4 images."""
    return three_classes(tmp_path).spec


@pytest.fixture
def fixed(monkeypatch):
    """Four trials of 2 steps, then one of 6; the list grows with every measuring."""
    asked = []
    monkeypatch.setattr(module, "measure_rungs", lambda search, minutes: asked.append(minutes) or RUNGS)
    return asked


def search(spec, out, **more):
    """A small search, whose first trial hardly moves."""
    how = {"minutes": 1, "trials": 4, "seeds": 1, "lr": 3e-3, "vary": ("lr",), "command": "tune", **SMALL}
    return tune(PULL, spec, out=out, **{**how, **more})


def document(out):
    """What a search leaves, without the names of its folder."""
    return [json.loads((out / name).read_text()) for name in ("tune.json", "trials.json", "preset.json")]


@pytest.mark.slow
def test_it_finds_what_is_better_than_the_call_and_writes_a_preset(spec, tmp_path, fixed):
    """Noise that hardly moves, and images that come near the class means at ten times the step size."""
    found = search(spec, tmp_path / "s")
    rows = {(row["trial"], row["steps"]): row for row in found.rows}
    assert [row["options"]["lr"] for row in found.rows[:4]] == [0.003, 0.003, 0.0003, 0.03]
    assert found.best["steps"] == 6 and found.best["mean"] >= rows[0, 2]["mean"]
    preset = find_preset(str(tmp_path / "s" / "preset.json"))
    assert preset == found.preset and preset.settings["lr"] == found.best["options"]["lr"] and preset.settings["steps"] == 6
    assert preset.source == "tune" and preset.claim.endswith("% of validation examples after a short retraining of 1")
    made = plan(PULL, None, preset=str(tmp_path / "s" / "preset.json"))
    assert made.settings.options["lr"] == preset.settings["lr"] and made.settings.sources["lr"] == "preset" and made.schedule.steps == 6
    assert (made.data.spec, made.budget.given(), made.net) == (spec, ("ipc", 1), preset.settings["net"])
    assert json.loads((tmp_path / "s" / "trials.json").read_text()) == json.loads(json.dumps(found.as_json()))
    assert len(found.table().rows) == len(found.rows) == 5
    with Image.open(tmp_path / "s" / "trials.png") as picture:
        assert picture.size == (360, 260)


@pytest.mark.parametrize(("lr", "warned"), [(1e-6, True), (0.5, False)])
def test_a_search_whose_best_trial_is_no_better_than_its_start_says_so(lr, warned, spec, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "measure_rungs", lambda search, minutes: [Rung(1, 3)])
    found = search(spec, tmp_path / "s", trials=1, lr=lr)
    mean, said = 100 * found.best["mean"], capsys.readouterr().err
    line = f"warning: the best trial, 0, scores {mean:.1f} % on validation and its own start {mean:.1f} %: nothing was gained"
    assert (line in said) == ("nothing was gained" in said) == warned
    assert find_preset(str(tmp_path / "s" / "preset.json")) == found.preset


def test_a_start_that_cannot_be_scored_spoils_no_search(spec, tmp_path, monkeypatch, capsys):
    made = plan(PULL, spec, **SMALL)

    def fail(*args, **more):
        raise RunFailed("no memory")

    monkeypatch.setattr(climbing, "score", fail)
    climbing.tell_start(Search(made, SMALL, spans_of(made, ("lr",)), [None], 1, tmp_path), ROWS[0])
    assert "the start of trial 0 has no score: no memory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_that_was_stopped_goes_on_to_the_same_and_measures_nothing(spec, tmp_path, fixed, monkeypatch):
    whole = search(spec, tmp_path / "a")
    begin, begun = climbing.run_trial, []

    def stop(search, number, steps, options):
        begun.append((number, steps))
        if len(begun) == 3:
            raise KeyboardInterrupt
        return begin(search, number, steps, options)

    with monkeypatch.context() as at, pytest.raises(KeyboardInterrupt):
        at.setattr(climbing, "run_trial", stop)
        search(spec, tmp_path / "b")
    assert fixed == [1, 1]
    monkeypatch.setattr(climbing, "run_trial", lambda *args: begun.append(args[1:3]) or begin(*args))
    found = search(spec, tmp_path / "b")
    assert fixed == [1, 1] and begun[3:] == [(2, 2), (3, 2), (found.best["trial"], 6)], "what was done is not done again"
    assert document(tmp_path / "a") == document(tmp_path / "b") and found.rows == whole.rows
    assert search(spec, tmp_path / "b").rows == whole.rows and len(begun) == 6, "a finished one runs nothing"


@pytest.mark.slow
def test_a_trial_that_fails_is_a_row_and_none_that_goes_on(spec, tmp_path, fixed, monkeypatch):
    distil = climbing.distill

    def fail(method, data, *, out, **more):
        if out.name.startswith("03"):
            raise RunFailed("the loss is not finite at step 1")
        return distil(method, data, out=out, **more)

    monkeypatch.setattr(climbing, "distill", fail)
    found = search(spec, tmp_path / "s")
    failed = next(row for row in found.rows if row["trial"] == 3)
    assert failed["mean"] is None and failed["reason"] == "the loss is not finite at step 1" and found.best["trial"] != 3
    monkeypatch.setattr(climbing, "distill", lambda *args, **more: fail(*args, **{**more, "out": more["out"].with_name("03")}))
    with pytest.raises(RunFailed, match="tune: all 4 trials failed, such as the first: the loss is not finite"):
        search(spec, tmp_path / "t")


@pytest.mark.slow
def test_lengths_are_measured_so_that_all_fits(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "step_cost", lambda made, **how: Cost(2.0, 8.0, 0, 8.0))
    found = tune(PULL, spec, out=tmp_path / "s", minutes=4, trials=3, seeds=1, vary=("lr",), **SMALL)
    assert [rung.trials for rung in found.rungs] == [3, 1] and 2 <= found.rungs[0].steps <= 13
    assert found.rungs[1].steps // found.rungs[0].steps in (2, 3)


@pytest.mark.parametrize(
    ("method", "call", "words"),
    [
        ("kmeans", {}, "tune kmeans: it chooses in one step"),
        ("krrst", {"ipc": None, "size": 3}, "tune krrst: its sets classify nothing"),
        (PULL, {"minutes": 0}, "--minutes 0: give a number above 0"),
        (PULL, {"trials": 0}, "--trials 0: give a whole number"),
        (PULL, {"out": ""}, "--out: is empty"),
        (PULL, {}, "--vary: pull does not say what to vary"),
        (PULL, {"vary": ("lr",), "speed": 3}, "pull has no option --speed"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_made(method, call, words, spec, tmp_path):
    with pytest.raises(BadInput, match=words):
        tune(method, spec, **{"out": tmp_path / "s", "minutes": 1, "ipc": 1, **call})
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_another_search_or_something_else_in_the_folder_is_refused(spec, tmp_path, fixed):
    search(spec, tmp_path / "s")
    with pytest.raises(BadInput, match=r"holds another search \(trials was 4, now 5\)"):
        search(spec, tmp_path / "s", trials=5)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "thesis.txt").write_text("x")
    with pytest.raises(BadInput, match=r"holds files but no search \(such as thesis.txt\)"):
        search(spec, tmp_path / "t")


@pytest.mark.parametrize("flags", [{"store": "u8"}, {"store": "u4", "factor": 2}, {"bases": 2}, {}])
def test_the_preset_of_a_search_stores_what_its_trials_stored(flags, spec, tmp_path):
    """Each was refused by the plan before, or lost on the way."""
    made = plan(PULL, spec, **SMALL, **flags)
    found = conclude(Search(made, {}, spans_of(made, ("lr",)), [None], 1, tmp_path), [Rung(1, 2)], ROWS, "tune")
    write_preset(tmp_path / "preset.json", found.preset)
    again = partial(plan, PULL, None, preset=str(tmp_path / "preset.json"))
    assert again().stored == made.stored
    beats = {"f16": {"store": "f16"}, "f32x2": {"factor": 2}, "bases=3": {"bases": 3}, "": {"store": "f32"}}
    assert [again(**call).stored for call in beats.values()] == list(beats)


def test_a_wrong_storage_in_the_file_of_a_preset_is_refused_and_collages_keep_their_own_factor(spec, tmp_path):
    settings = {"store": "u8", "factor": 1, "bases": 2}
    held = {name: "" for name in ("name", "claim", "source", "cost", "first")} | {"format": 1, "method": "dm", "data": spec}
    (tmp_path / "mine.json").write_text(json.dumps({**held, "settings": settings}))
    with pytest.raises(BadInput, match=r"--bases 2: bases and coefficients are stored in .*; leave --store out"):
        plan("dm", None, ipc=1, preset=str(tmp_path / "mine.json"))
    (tmp_path / "mine.json").write_text(json.dumps({**held, "method": "rded", "settings": {"factor": 2}}))
    made = plan("rded", "digits", ipc=1, preset=str(tmp_path / "mine.json"), store="u8")
    assert made.settings.options["factor"] == 2 and made.stored == "u8"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"speed": 1}}, "pull has no option --speed; take it out of the file"),
        ({"settings": {"lr": -1}}, "--lr -1: give a number above 0"),
        ({"method": "dm"}, "it belongs to dm, not to pull"),
        ({"format": 2}, "is no preset"),
        ({"settings": {"lr": {"a": 1}}}, "is no preset"),
        ({"settings": {"store": 8}}, "--store 8: unknown; give f32, f16, or u2 to u8"),
        ({"first": "experts"}, "is no preset .*first 'experts': is no command `condense VERB ...`"),
    ],
)
def test_a_wrong_file_of_a_preset_is_refused(change, words, spec, tmp_path):
    held = {name: "" for name in ("name", "claim", "source", "cost", "first")} | {"format": 1, "method": "pull", "data": spec}
    (tmp_path / "mine.json").write_text(json.dumps({**held, "settings": {}, **change}))
    with pytest.raises(BadInput, match=words):
        plan(PULL, spec, preset=str(tmp_path / "mine.json"), **SMALL)
    with pytest.raises(BadInput, match=r"none\.json: is no preset \(No such file"):
        plan(PULL, spec, preset=str(tmp_path / "none.json"), **SMALL)


def test_a_picture_has_a_dot_for_every_trial_with_a_score():
    rows = [
        {"steps": steps, "mean": mean, "options": {"a": a, "b": 0.5}} for steps, mean, a in ((2, 0.3, 0.1), (2, None, 1.0), (6, 0.9, 10))
    ]
    drawn = np.asarray(draw_trials(rows, ["a", "b"], logs=[True, False]))
    assert drawn.shape == (260, 720, 3)
    red = (drawn == (0x8B, 0, 0)).all(-1)
    assert red[:200, :360].sum() == red[:200, 360:].sum() > 20, "one dot of the longest runs in each panel"
    assert draw_trials([], ["a"], logs=[True]).size == (360, 260)


@pytest.mark.slow
def test_the_command_line_prints_the_table_and_the_next_command(spec, tmp_path, fixed, monkeypatch, capsys):
    monkeypatch.setitem(REGISTRY, "pull", PULL)
    flags = (
        f"--data {spec} --ipc 1 --net mlp:width=4 --batch 4 --store u8 --minutes 1 --trials 4 --seeds 1 --vary lr --out {tmp_path / 's'}"
    )
    assert run(["tune", "pull", *flags.split()]) == 0
    said = capsys.readouterr().out
    assert "trial" in said and "0.05" in said and f"--preset {tmp_path / 's' / 'preset.json'} --out DIR" in said
    assert find_preset(str(tmp_path / "s" / "preset.json")).source == f"condense tune pull {flags}"
    assert run(["distill", "pull", "--data", spec, "--preset", str(tmp_path / "s" / "preset.json"), "--out", str(tmp_path / "r")]) == 0
    runs = [tmp_path / "r", *(tmp_path / "s" / "runs").iterdir()]
    assert {stored_as(condense.load_set(run / "set.npz").x) for run in runs} == {"u8"}


def test_a_folder_of_pictures_is_tuned_and_the_printed_command_is_that_of_the_trials(tmp_path, monkeypatch, capsys):
    """The seed draws the validation split and is in no preset; the folder has a space in it."""
    monkeypatch.setitem(REGISTRY, "pull", PULL)
    monkeypatch.setattr(module, "measure_rungs", lambda search, minutes: [Rung(2, 1)])
    class_folders(tmp_path / "my photos", n=12, size=(8, 8))
    data, out = f"folder:{tmp_path / 'my photos'}?size=8", str(tmp_path / "s")
    flags = ["--ipc", "1", "--net", "mlp:width=4", "--minutes", "1", "--trials", "2", "--seeds", "1", "--vary", "lr"]
    assert run(["tune", "pull", "--data", data, "--seed", "3", *flags, "--out", out]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert words == ["condense", "distill", "pull", "--data", data, "--preset", f"{out}/preset.json", "--seed", "3", "--out", "DIR"]
    assert run([*words[1:-1], str(tmp_path / "r")]) == 0
    best = json.loads((tmp_path / "s" / "trials.json").read_text())["best"]
    trial = condense.load_set(tmp_path / "s" / "runs" / f"{best['trial']:02d}-1" / "set.npz")
    np.testing.assert_array_equal(condense.load_set(tmp_path / "r" / "set.npz").x.decode(), trial.x.decode())


def test_the_next_command_names_the_inputs_of_the_trials(spec, tmp_path):
    """Those that the search made too; a run without them would train others."""
    made = plan(PULL, spec, **SMALL)
    made = replace(made, settings=made.settings._replace(places={"experts": "e x", "teachers": "t"}))
    found = conclude(Search(made, {}, spans_of(made, ("lr",)), [None], 1, tmp_path / "s"), [Rung(1, 2)], ROWS, "tune")
    said = ["--data", "digits", "--preset", str(tmp_path / "s" / "preset.json"), "--experts", "e x", "--teachers", "t", "--out", "DIR"]
    assert found.next_words("digits") == ["condense", "distill", "pull", *said]


def test_help_lists_the_flags_of_a_search_and_of_storage_where_a_method_takes_images(monkeypatch, capsys):
    monkeypatch.setitem(REGISTRY, "pull", PULL)
    assert run(["tune"]) == 2 and run(["tune", "pull", "--help"]) == 0
    said, storage = capsys.readouterr().out, ("--store KIND", "--factor N", "--bases N")
    assert all(flag in said for flag in ("--minutes M", "--vary NAME ...", "--trials N", "--lr X", *storage))
    assert run(["tune", "doscond", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--vary NAME ..." in said and not any(flag in said for flag in (*storage, "--start KIND"))


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_to_the_same_results(tmp_path):
    """SIGKILL while lengths are measured and in the middle of a run of `dm`, against a search of the same lengths that nothing stopped."""
    flags = "--data digits?limit=300 --ipc 1 --net mlp:width=4 --batch 4 --minutes 60 --trials 3 --seeds 1 --lr 0.01"
    command = [sys.executable, "-m", "condense", "tune", "dm", *shlex.split(flags), "--out"]
    killed, whole = tmp_path / "a", tmp_path / "b"
    whole.mkdir()
    for begun in ("tune.json", "runs/00-200/run.json"):
        with subprocess.Popen([*command, str(killed)], env=surroundings(), stderr=subprocess.PIPE, text=True) as process:
            wait((killed / begun).exists, process)
            process.kill()
        held = json.loads((killed / "tune.json").read_text()) | {"rungs": [[3, 200], [1, 400]]}
        for out in (killed, whole):
            (out / "tune.json").write_text(json.dumps(held))
    assert not (killed / "runs" / "00-200" / "set.npz").exists(), "the kill came in the middle"
    for out in (killed, whole):
        done = subprocess.run([*command, str(out)], env=surroundings(), capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
    assert len(document(killed)[1]) and document(killed)[1] == document(whole)[1]
    assert condense.load_set(tmp_path / "a" / "runs" / "00-200" / "set.npz").info.method == "dm"

"""A plan resolves a call once, says what is missing, and writes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import condense
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.experts import train_experts
from condense.inputs.experts import COUNT, StandIns, pace_of
from condense.presets import PRESETS, Preset
from condense.runtime.run_folder import foresee, open_run
from condense.workflows import methods
from condense.workflows import plan as module
from condense.workflows.distill import distill, execute
from condense.workflows.plan import plan
from matchers import REGISTRY
from matchers.base import Matcher
from matchers.method import FEW
from synth.errors import BadInput
from tests.support.toy_data import smooth_net

NET = "mlp:width=4"
SMALL = {"ipc": 1, "net": NET}


def test_a_plan_writes_nothing_and_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = plan("mtt", "digits", **SMALL, out=tmp_path / "run", inner_steps=3)
    assert list(tmp_path.iterdir()) == []
    (missing,) = made.to_make()
    assert (missing.kind, missing.place, missing.begun) == ("experts", tmp_path / "run" / "experts", False)
    assert missing.net == (made.net,) and made.net.startswith(NET)
    batch, epochs = pace_of(len(made.data.train.y))
    assert missing.batches == COUNT * epochs * -(-len(made.data.train.y) // batch)
    assert isinstance(made.matcher, Matcher) and made.per_class == 1 and made.schedule.steps == 300
    assert isinstance(made.resolved.values()["experts"], StandIns)


def test_every_setting_has_its_source():
    made = plan("dm", "digits", ipc=2, preset="dm_cifar10_10", lr=3.0, net=NET)
    assert made.settings.options["lr"] == 3.0 and made.settings.options["batch"] == 256 and made.settings.options["momentum"] == 0.5
    wanted = {"lr": "call", "batch": "preset", "momentum": "preset", "ipc": "call", "steps": "preset", "data": "call", "start": "default"}
    assert {name: made.settings.sources[name] for name in wanted} == wanted
    assert made.budget.given() == ("ipc", 2) and made.schedule.steps == 20_000


def test_a_budget_of_the_call_replaces_that_of_the_preset():
    assert plan("dm", "digits", preset="dm_cifar10_10", size=30, net=NET).budget.given() == ("size", 30)
    assert plan("dm", "digits", preset="dm_cifar10_10", net=NET).budget.given() == ("ipc", 10)


@pytest.mark.parametrize(
    ("method", "call", "words"),
    [
        ("datm", {"start": "noise"}, "--start noise: datm makes the first images itself"),
        ("cvdd", {"votes": 9}, "--votes 9: there are 5 teachers"),
        ("cvdd", {"prior_numbers": (64.0,)}, "--prior-numbers 64.0: there are 5 teachers"),
        ("sre2l", {"bytes": 5000, "ipc": None}, "--bytes 5000: what sre2l stores is not known before it is done"),
        ("krrst", {"eval_every": 2, "ipc": None, "size": 4}, "--eval-every 2: krrst reads no labels"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_made_for_it(method, call, words, tmp_path):
    """The refusals that follow from the method itself: it is built from stand-ins."""
    with pytest.raises(BadInput, match=words):
        distill(method, "digits", out=tmp_path / "run", **{"ipc": 1, **call})
    assert not (tmp_path / "run").exists()


def test_a_method_is_looked_up_once(monkeypatch, tmp_path):
    asked, find = [], methods.find_method
    for place in (methods, module):
        monkeypatch.setattr(place, "find_method", lambda name: asked.append(name) or find(name))
    distill("random", "digits", ipc=1)
    assert asked == ["random"]
    asked.clear()
    monkeypatch.setattr("condense.cli.distill.find_method", lambda name: asked.append(name) or REGISTRY[name])
    assert command(["distill", "random", "--data", "digits", "--ipc", "1", "--out", str(tmp_path / "run")]) == 0
    assert asked == ["random"]


@pytest.mark.slow
def test_what_run_json_records_is_the_plan(tmp_path):
    experts = train_experts("digits", count=1, epochs=3, out=tmp_path / "experts", net=NET)
    made = plan("mtt", "digits", ipc=1, out=tmp_path / "run", experts=tmp_path / "experts", steps=1, inner_steps=1, max_start=1, seed=3)
    assert made.to_make() == [] and made.net == experts.net
    execute(made)
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config == json.loads(json.dumps(made.config())) and config["experts"] == experts.identity()
    assert config["split_seed"] == 0  # of the experts, whatever the run's seed


@pytest.mark.parametrize(
    ("method", "data", "call"),
    [
        ("dm", "digits", {**SMALL, "lr": np.float64(0.5), "steps": np.int64(3), "eval_every": 2, "checkpoint_every": 3, "start": "noise"}),
        ("dm", None, {"preset": "dm_cifar10_10", "data": "digits", "net": NET, "seed": 4, "size": 20, "force": True}),
        ("mtt", "digits", {**SMALL, "inner_steps": 3, "out": Path("run it")}),
        ("mirage", "toy_graphs", {"support": (30, 20), "seed": 1}),
    ],
)
def test_the_recorded_call_repeats_the_plan(method, data, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = plan(method, **{"data": data, **call})
    assert "None" not in made.command and "split_seed" not in made.command
    again = eval(made.command.replace("condense.distill(", "condense.plan("), {"condense": condense})
    for value in ("choices", "net", "schedule", "seed", "out", "force", "settings", "command"):
        there, here = (getattr(one, value) for one in (again, made))
        assert there == here or there() == here(), value


def test_the_recorded_call_names_data_and_networks_that_were_handed_over():
    data, net = load_data("digits?limit=900", seed=3), smooth_net((8, 8, 1), 10)
    made = plan(REGISTRY["dm"], data, ipc=1, net=net)
    assert made.command == (f"condense.distill(method='dm', data=condense.load_data('digits?limit=900', seed=3), ipc=1, net={made.net!r})")
    again = eval(made.command.replace("condense.distill(", "condense.plan("), {"condense": condense})
    assert again.config() == made.config() and again.data.seed == 3 and again.net.startswith("own-")


def test_a_recorded_call_that_is_executed_makes_the_same_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    distill("random", load_data("digits", seed=2), ipc=2, out="a", seed=5)
    record = json.loads(Path("a/run.json").read_text())
    eval(record["command"].replace("'a'", "'b'"), {"condense": condense})
    again = json.loads(Path("b/run.json").read_text())
    assert Path("a/set.npz").read_bytes() == Path("b/set.npz").read_bytes() and record["digest"] == again["digest"]


def test_none_unsets_an_option_of_a_preset(monkeypatch):
    mine = Preset("mine", "dm", "digits", "50.0 %", "this test", "nothing", {"ipc": 2, "net": NET, "steps": 7, "lr": 0.25})
    monkeypatch.setitem(PRESETS, "mine", mine)
    monkeypatch.setitem(PRESETS, "theirs", replace(mine, name="theirs", method="mtt", settings={"ipc": 1, "net": NET, "batch": 5}))
    made = plan("dm", None, preset="mine", steps=None)  # of the arguments that all methods share None says nothing
    assert made.schedule.steps == 7 and made.settings.options["lr"] == 0.25
    with pytest.raises(BadInput, match="--lr None: give a number above 0"):
        plan("dm", None, preset="mine", lr=None)
    assert plan("mtt", None, preset="theirs").settings.options["batch"] == 5
    freed = plan("mtt", None, preset="theirs", batch=None)
    assert freed.settings.options["batch"] is None and freed.settings.sources["batch"] == "call"


@pytest.mark.parametrize(("method", "flag"), [("mtt", "experts"), ("sre2l", "teachers"), ("krrst", "teacher")])
def test_an_input_without_a_name_is_refused(method, flag, capsys):
    words = f"--{flag}: is empty; give the name of a folder"
    with pytest.raises(BadInput, match=words):
        plan(method, "digits", ipc=1, **{flag: ""})
    assert command(["distill", method, "--data", "digits", "--ipc", "1", "--out", "x", f"--{flag}", ""]) == 2
    assert words in capsys.readouterr().err


def folder_row(capsys, *argv: str) -> str:
    """What a dry run of `random` says of its folder."""
    assert command(["distill", "random", "--data", "digits", "--ipc", "1", *argv, "--dry-run"]) == 0
    return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("folder"))


def test_a_dry_run_says_what_is_in_the_folder_and_leaves_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert folder_row(capsys) == "folder    none: nothing is kept"
    assert folder_row(capsys, "--out", "new") == "folder    new, new" and not Path("new").exists()
    distill("random", "digits", ipc=1, out="done")
    Path("file").write_text("")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("")
    Path("torn").mkdir()
    Path("torn/run.json").write_text("{")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert folder_row(capsys, "--out", "done").endswith("done is done: 1 steps; nothing to do")
    assert folder_row(capsys, "--out", "done", "--force").endswith("done is done: 1 steps; --force makes it anew")
    other = "done holds another run (seed was 0, now 1; trained_on was"
    assert other in folder_row(capsys, "--out", "done", "--seed", "1")
    assert folder_row(capsys, "--out", "done", "--seed", "1").endswith("refused; --force would replace it")
    assert folder_row(capsys, "--out", "done", "--seed", "1", "--force").endswith("--force replaces it")
    assert folder_row(capsys, "--out", "file").endswith("file is a file: refused; give a folder that is new or holds a run")
    assert folder_row(capsys, "--out", "full").endswith("full holds files but no run (such as notes.txt): refused; give another folder")
    assert "refused: torn/run.json" in folder_row(capsys, "--out", "torn")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_dry_run_says_where_an_unfinished_run_goes_on(tmp_path):
    config, state = {"a": 1}, {"seed": 0, "data_digest": "d"}
    with pytest.raises(KeyboardInterrupt), open_run(tmp_path / "run", config, steps=9, **state) as held:
        held.begin()
        held.saved(4)
        raise KeyboardInterrupt
    for whole in (True, False):
        assert foresee(tmp_path / "run", config, whole=whole, steps=9, force=True, **state) == f"{tmp_path / 'run'}, goes on at step 4"
    assert "a was 1, now 2" in foresee(tmp_path / "run", {"a": 2}, whole=False, steps=9, force=False, **state)
    assert "another run (a was 1, now None)" in foresee(tmp_path / "run", {}, whole=True, steps=9, force=False, **state)
    assert "goes on" in foresee(tmp_path / "run", {}, whole=False, steps=9, force=False, **state)


def test_stand_ins_look_like_experts():
    stand_ins = StandIns(NET, 2, 3, 7)
    assert stand_ins.read(1, [0, 2]).shape == (2, 7) and stand_ins.last(0).shape == (7,)
    assert not np.array_equal(stand_ins.read(0, [0]), stand_ins.read(1, [0]))


def test_a_method_is_refused_data_of_another_kind():
    with pytest.raises(BadInput, match="mirage: takes graphs, and digits holds images; --data toy_graphs, tu:FILE or smiles:FILE"):
        plan("mirage", load_data("digits"), ipc=1)
    with pytest.raises(BadInput, match="dm: takes images or vectors, and toy_graphs holds graphs"):
        plan("dm", "toy_graphs", ipc=1)


@pytest.mark.slow
def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call = f"distill mtt --data digits --ipc 1 --net {NET} --steps 40 --inner-steps 2 --out run --lr 10 --max-start=20 --dry-run"
    assert command(call.split()) == 0
    out = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    for words in (
        "option    lr = 10.0 (call)",
        "option    span = 2 (default)",
        "option    inner_steps = 2 (call)",
        "option    max_start = 20 (call)",  # its default, and said all the same
        "folder    run, new",
        "budget    ipc 1: 10 images, 2,604 bytes",
        "schedule  40 steps",
    ):
        assert words in out
    assert "input     experts: to make, in run/experts: 4 networks, 13 epochs" in out
    assert "estimate  experts: about " in out and "estimate  mtt: about " in out


@pytest.mark.parametrize("method", ["frepo", "kip"])
def test_the_usual_batch_is_cut_to_the_data_and_one_that_is_asked_for_is_refused(method):
    data = load_data("digits?limit=100")
    call = {"ipc": 1, "net": NET} if method == "frepo" else {"ipc": 1}
    made = plan(method, data, **call)
    count = len(data.train.y)
    assert made.matcher.feed.n == made.settings.options["batch"] == made.config()["batch"] == count < 100
    assert any(f"the data has {count} training examples, fewer than the usual batch of 512" in line for line in made.remarks)
    assert plan(method, "digits", **call).matcher.feed.n == 512 and plan(method, data, batch=50, **call).matcher.feed.n == 50
    for batch in (200, 512):  # the usual one too, where the call says it
        with pytest.raises(BadInput, match=f"--batch {batch}: the data has {count} training examples, fewer than the {batch} of"):
            plan(method, data, batch=batch, **call)


@pytest.mark.slow
def test_a_run_in_which_nothing_was_matched_and_pixels_that_left_are_warned_of(capsys):
    """A step size of a thousand: nothing is learned, and pixels go anywhere."""
    call = {"ipc": 1, "net": NET, "steps": 20, "batch": 8}
    distill("dm", "digits", lr=1e3, **call)
    said = capsys.readouterr().err
    assert "nothing was matched; try another step size" in said and "try a smaller step size" in said
    assert "warning: pixels reach" in said and "in model space, where those of the data reach" in said
    distill("dm", "digits", lr=1.0, **call)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_next_command_can_be_followed(tmp_path, monkeypatch, capsys):
    """Classes of which the data has fewer images than the set, and few images for experts."""
    monkeypatch.chdir(tmp_path)
    rng, y = np.random.default_rng(0), np.repeat([0, 1, 2], [40, 40, 8])
    x = rng.integers(0, 256, (len(y), 8, 8, 1), np.uint8)
    np.savez("few.npz", x_train=x, y_train=y, x_test=x[::4], y_test=y[::4])
    argv = f"distill dm --data npz:few.npz --ipc 20 --start noise --steps 1 --batch 8 --net {NET} --out run"
    assert command(argv.split()) == 0
    printed = capsys.readouterr().out.splitlines()[-1].split()
    assert printed[:3] == ["condense", "evaluate", "run"] and printed[-2:] == ["--rows", "distilled"]
    assert command([*printed[1:], "--seeds", "1", "--epochs", "1"]) == 0
    assert command(f"distill dm --data npz:few.npz --ipc 1 --steps 1 --batch 8 --net {NET} --out one".split()) == 0
    assert "--rows" not in capsys.readouterr().out.splitlines()[-1]
    assert command(f"experts --data npz:few.npz --count 1 --epochs 1 --net {NET} --out experts".split()) == 0
    words = capsys.readouterr().out.splitlines()[-1].split()
    assert words[words.index("--ipc") + 1] == "7", "one of eight is held out"
    with pytest.raises(BadInput, match="--ipc 8: class 2 has 7 examples beside those for validation; take at most 7"):
        distill("random", "npz:few.npz", ipc=8)


def test_a_default_that_does_not_suit_the_modality_is_replaced(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    y = (np.arange(40) % 2).astype(np.int32)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    spec = f"npz:{tmp_path / 'a.npz'}"
    for method in ("mtt", "ftd", "ast", "datm"):
        images, vectors = (plan(method, data, ipc=1, net="mlp:width=4") for data in ("digits?limit=200", spec))
        assert (images.settings.options["lr"], vectors.settings.options["lr"]) == (100.0, 3.0)
        assert vectors.settings.sources["lr"] == "default"
    asked = plan("mtt", spec, ipc=1, net="mlp:width=4", lr=100.0)
    assert asked.settings.options["lr"] == 100.0 and asked.settings.sources["lr"] == "call"


@pytest.mark.parametrize(("method", "steps"), [("frepo", 200), ("dsa", 1000), ("dm", 1000), ("mtt", 300)])
def test_a_run_on_few_examples_is_shorter_where_the_method_says_so(method, steps, tmp_path):
    """Options that suit the length are those of the usual one; steps that a call names count as they are."""
    few, many = (plan(method, f"digits?limit={limit}", ipc=1, net=NET) for limit in (110, 112))
    assert (len(few.data.train.y), len(many.data.train.y)) == (FEW - 1, FEW + 1)
    assert (few.schedule.steps, many.schedule.steps) == (steps, REGISTRY[method].steps)
    assert few.settings.options.get("lr") == many.settings.options.get("lr")
    assert plan(method, "digits?limit=110", ipc=1, net=NET, steps=7).schedule.steps == 7


@pytest.mark.parametrize(("examples", "pace"), [(36, (4, 40)), (400, (8, 20)), (1293, (16, 13)), (54_000, (256, 8))])
def test_experts_of_few_examples_take_small_batches(examples, pace):
    assert pace_of(examples) == pace

"""From experts to methods: which a method gets, what the verb says, and what does not fit together."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from condense import distill, experts
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.experts import Experts, load_experts, store
from condense.inputs import experts as provide
from condense.inputs.context import Context
from matchers import REGISTRY
from matchers.base import Matcher, Segment, once
from synth.errors import BadInput
from synth.images.content import Pixels
from tests.support.factories import record_of
from tests.support.toy_experts import EPOCHS, NET, arrays


def chase(experts: Experts, *, span: int = 2) -> Matcher:
    """Puts the numbers of a piece of trajectory where a test sees them."""

    def solve(key, synth, piece):
        return replace(synth, x=Pixels(synth.x.pixels.at[:, 0, 0, 0].set(piece.targets[0, 0])))

    return once(solve, feed=Segment(span, 0, 2))


@pytest.fixture
def chasing(monkeypatch):
    """A method that asks for experts and makes no computation of its own."""
    monkeypatch.setitem(REGISTRY, "chase", replace(record_of(chase), experts="sgd"))


@pytest.mark.parametrize(("method", "recipe"), [("mtt", "sgd"), ("ftd", "flat"), ("datm", "flat"), ("ast", "smooth")])
def test_experts_that_are_not_given_are_of_the_methods_own_recipe(method, recipe, spec, trained, tmp_path, monkeypatch):
    asked, made = {}, load_experts(trained)
    monkeypatch.setattr(provide, "train_experts", lambda data, **settings: asked.update(settings) or made)
    found = provide.make(Context(REGISTRY[method], load_data(spec), NET, 0, tmp_path, 5))
    assert found.value is made and (asked["recipe"], asked["net"]) == (recipe, NET) and found.net == made.net


@pytest.mark.parametrize(("recipe", "method"), [("sgd", "mtt"), ("flat", "ftd"), ("smooth", "ast")])
def test_the_verb_suggests_the_method_that_the_experts_are_for(recipe, method, trained, monkeypatch, capsys):
    monkeypatch.setattr(experts, "train_experts", lambda **settings: load_experts(trained))
    assert command(["experts", "--data", "digits", "--count", "3", "--epochs", "4", "--recipe", recipe, "--out", "e"]) == 0
    assert f"  condense distill {method} --experts e --data digits --ipc 10 --out runs/{method}\n" in capsys.readouterr().out


def test_the_verb_suggests_the_straight_path_where_the_ends_alone_are_recorded(ends, monkeypatch, capsys):
    asked: dict = {}
    monkeypatch.setattr(experts, "train_experts", lambda **settings: asked.update(settings) or load_experts(ends))
    assert command(["experts", "--data", "digits", "--count", "3", "--epochs", "4", "--ends", "--out", "e"]) == 0
    assert asked["ends"] is True and capsys.readouterr().out.rstrip().endswith("--out runs/mtt --path straight")


def test_a_method_that_asks_for_experts_gets_them_and_their_net_and_split(spec, trained, tmp_path, chasing):
    synth = distill("chase", spec, ipc=1, seed=7, out=tmp_path, experts=str(trained))
    rows = np.load(trained / "expert_0000.npy"), np.load(trained / "expert_0001.npy"), np.load(trained / "expert_0002.npy")
    assert float(synth.x.pixels[0, 0, 0, 0]) in {float(row[epoch, 0]) for row in rows for epoch in (2, 3)}
    assert (synth.info.net, synth.info.seed, synth.info.split_seed) == (NET, 7, 0)
    config = json.loads((tmp_path / "run.json").read_text())["config"]
    assert config["experts"] == load_experts(trained).identity()
    assert config["experts"].startswith("3 x 4 epochs of sgd(lr=0.1, batch=32), seed 0")


@pytest.mark.slow
def test_a_run_on_a_straight_path_reads_the_first_and_the_last_snapshot_alone(spec, trained, tmp_path, monkeypatch):
    read, seen = Experts.read, []
    monkeypatch.setattr(Experts, "read", lambda self, expert, epochs: seen.append(tuple(epochs)) or read(self, expert, epochs))
    call = {"ipc": 1, "experts": str(trained), "steps": 4, "inner_steps": 2, "max_start": 2, "path": "straight"}
    synth = distill("mtt", spec, out=tmp_path / "run", **call)
    assert set(seen) == {(0, EPOCHS)} and np.isfinite(synth.x.pixels).all()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["path"] == "straight"
    with pytest.raises(BadInput, match="--path bent: give one of straight"):
        distill("mtt", spec, **call | {"path": "bent"})


@pytest.mark.slow
def test_a_straight_path_needs_the_ends_of_experts_alone(spec, trained, ends, tmp_path):
    """The same set, bit for bit; on the recorded path these experts are refused, before the run has a record."""
    call = {"ipc": 1, "steps": 3, "inner_steps": 2, "max_start": 2}
    whole, short = (distill("mtt", spec, path="straight", experts=str(place), **call) for place in (trained, ends))
    np.testing.assert_array_equal(whole.x.pixels, short.x.pixels)
    with pytest.raises(BadInput, match=r"--experts: .* add --path straight, or give experts that were trained without --ends"):
        distill("mtt", spec, out=tmp_path / "run", experts=str(ends), **call)
    assert not (tmp_path / "run" / "run.json").exists()


def test_experts_of_another_net_or_other_data_are_refused(spec, trained, tmp_path, chasing):
    given = {"ipc": 1, "experts": str(trained)}
    with pytest.raises(BadInput, match=r"--net mlp:width=5.*: the experts are of mlp:width=4"):
        distill("chase", spec, net="mlp:width=5", **given)
    with pytest.raises(BadInput, match=r"--experts .*: trained on npz.* of digest .*, and digits has .*; give --data npz"):
        distill("chase", "digits", **given)
    with pytest.raises(BadInput, match=r"cut by seed 0, here npz.*, cut by 3: normalisation or validation split are not the same"):
        distill("chase", load_data(spec, seed=3), **given)
    with pytest.raises(BadInput, match=r"cut by seed 0.*normalise=zca, cut by 0"):
        distill("chase", load_data(f"{spec}?normalise=zca"), **given)
    with pytest.raises(BadInput, match=r"--experts .*nowhere: cannot read"):
        distill("chase", spec, ipc=1, experts=str(tmp_path / "nowhere"))


def test_experts_that_are_not_given_are_made_once_in_the_run(spec, tmp_path, chasing, monkeypatch, capsys):
    monkeypatch.setattr(provide, "COUNT", 3)
    monkeypatch.setattr(provide, "pace_of", lambda examples: (32, EPOCHS))
    synth = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run")
    said = capsys.readouterr().err
    assert "no --experts: 3 are trained for 4 epochs with recipe sgd" in said
    made = arrays(tmp_path / "run" / "experts")
    assert len(made) == 3 and synth.info.net == NET
    again = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run")
    assert np.array_equal(again.x.pixels, synth.x.pixels) and "experts is done" in capsys.readouterr().err
    forced = distill("chase", spec, ipc=1, net=NET, out=tmp_path / "run", force=True, span=1)
    assert arrays(tmp_path / "run" / "experts") == made and not np.array_equal(forced.x.pixels, synth.x.pixels)
    assert np.array_equal(distill("chase", spec, ipc=1, net=NET).x.pixels, synth.x.pixels)  # without a folder


def test_the_verb_trains_says_what_it_reached_and_what_comes_next(spec, trained, tmp_path, capsys):
    flags = f"--data {spec} --count 3 --epochs {EPOCHS} --net {NET} --batch 32 --lr 0.1 --out {tmp_path / 'e'}"
    assert command(["experts", *flags.split()]) == 0
    shown = capsys.readouterr()
    assert arrays(tmp_path / "e") == arrays(trained)
    last = 100 * load_experts(trained).header.accuracy[2][EPOCHS]
    assert f"expert 2: validation accuracy {100 * load_experts(trained).header.accuracy[2][0]:.1f} % after 0" in shown.out
    assert f"{last:.1f} % after {EPOCHS}\n" in shown.out
    assert f"  condense distill mtt --experts {tmp_path / 'e'} --data {spec} --ipc 10 --out runs/mtt" in shown.out
    assert "3 experts of 103 parameters, 5 snapshots each: 0.00618 MB more on disk" in shown.err
    assert f"3 experts at once: networks and optimisers {store.megabytes(3 * 103 * 4)}, images " in shown.err
    assert len(re.findall(r"[\d.e-]+ s an epoch of 3 experts after the first; about \d+ s in all", shown.err)) == 1
    assert json.loads((tmp_path / "e" / "run.json").read_text())["command"] == f"condense experts {flags}"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--recipe flat --penalty 1", "unknown argument '--penalty'"),
        ("--recipe steep", "unknown recipe 'steep' of experts"),
        ("--count 0", "--count 0: give a whole number of at least 1"),
        ("--lr -1", "--lr -1.0: give a number above 0"),
    ],
)
def test_the_verb_refuses_in_one_line(spec, tmp_path, capsys, flags, words):
    whole = f"--data {spec} --out {tmp_path / 'e'} --net {NET} {'' if '--count' in flags else '--count 1'} --epochs 1 {flags}"
    assert command(["experts", *whole.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1


def test_the_help_of_the_verb_lists_the_options_of_the_recipe(capsys):
    assert command(["experts", "--recipe", "flat", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(flag in shown for flag in ("--rho", "--alpha", "--unscaled", "--count", "--out")) and "--penalty" not in shown

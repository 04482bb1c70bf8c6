"""Data of which nothing is kept for validation (`validation=0`): what learns from all training images, and what refuses them."""

import math

import numpy as np
import pytest

import condense
from condense.data.load import from_arrays, load_data
from condense.experts import train_experts
from condense.inputs.priors import Unmeasured
from condense.teachers.store import load_teachers, take_teachers
from condense.teachers.train import train_teachers
from synth.errors import BadInput

ALL, NET = "digits?validation=0", "convnet:width=4,depth=1"


def test_all_training_images_are_trained_on_and_the_digest_says_so(tmp_path):
    data, usual = load_data(ALL), load_data("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (1437, 0, 360)
    assert len(usual.train) + len(usual.val) == 1437
    assert data.digest != usual.digest and data.digest == load_data(ALL, seed=3).digest
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(60)))
    held = from_arrays(np.zeros((40, 4, 4)), np.arange(40) % 2, options="validation=0", validation=0.5)
    assert [len(one.val) for one in (held, load_data(f"csv:{tmp_path / 'a.csv'}?validation=0"))] == [0, 0]
    with pytest.raises(BadInput, match=r"validation=0\.2 is not known; use validation=0"):
        load_data("digits?validation=0.2")
    with pytest.raises(BadInput, match="no option 'validation=0'"):
        load_data("toy_graphs?validation=0")  # of graphs the epoch is chosen by validation graphs


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The folder of a set that learned from all images."""
    folder = tmp_path_factory.mktemp("run") / "set"
    condense.distill("random", ALL, ipc=1, net=NET, out=folder)
    return folder


def test_a_run_records_it_and_its_set_is_scored_on_the_same_data(ready):
    found = condense.evaluate(ready, seeds=1, epochs=1, rows=("distilled", "random"))
    assert found.spec == ALL and len(found.reports) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda set_, out: condense.distill("dm", ALL, ipc=1, net=NET, steps=2, eval_every=1, out=out),
            "--eval-every 1: .*keeps no validation",
        ),
        (lambda set_, out: condense.evaluate(set_, split="val"), "--split val: .*has no image there"),
        (lambda set_, out: condense.evaluate(set_, tune_lr=True), "--tune-lr: .*no validation images to choose a step size by"),
        (lambda set_, out: condense.tune("dm", ALL, ipc=1, net=NET, minutes=1, out=out), "tune: .*no validation examples to score on"),
        (lambda set_, out: Unmeasured((), load_data(ALL))(), "--prior distilled: .*give --prior-numbers or --prior equal"),
    ],
)
def test_what_chooses_by_validation_images_refuses(ready, tmp_path, call, message):
    with pytest.raises(BadInput, match=f"{message}.*leave validation=0 out of the data"):
        call(ready, tmp_path / "x")


def test_who_learned_from_all_images_is_not_taken_for_one_who_left_some_out(ready, capsys):
    condense.evaluate(ready, data="digits", split="val", seeds=1, epochs=1, rows="distilled")
    assert "warning: a set was made from digits?validation=0 of digest" in capsys.readouterr().err


def test_experts_learn_from_all_images_and_are_for_these_data(tmp_path):
    experts = train_experts(ALL, count=1, epochs=1, net=NET, batch=512, out=tmp_path / "experts")
    assert experts.count == 1 and experts.header.accuracy == ()
    more = {"ipc": 1, "steps": 1, "inner_steps": 1, "span": 1, "max_start": 1}
    with pytest.raises(BadInput, match=r"--experts .*trained on digits\?validation=0 of digest"):
        condense.distill("mtt", "digits", experts=tmp_path / "experts", out=tmp_path / "a", **more)
    assert condense.distill("mtt", ALL, experts=tmp_path / "experts", out=tmp_path / "b", **more)


def test_teachers_learn_from_all_images_and_are_taken_without_a_known_accuracy(tmp_path, capsys):
    made = train_teachers(ALL, tmp_path / "teachers", net=["convnet:norm=batch,width=4,depth=1"], epochs=2)
    assert all(math.isnan(one) for one in (*made.accuracies, *load_teachers(tmp_path / "teachers").accuracies))
    assert "nan" not in capsys.readouterr().err
    assert len(take_teachers(tmp_path / "teachers", load_data(ALL))) == 1 and "validation" not in capsys.readouterr().err
    condense.train_teachers("digits", tmp_path / "others", net=["convnet:norm=batch,width=4,depth=1"], epochs=2)
    capsys.readouterr()
    assert take_teachers(tmp_path / "others", load_data(ALL)) and "validation" not in capsys.readouterr().err  # there are none
    take_teachers(tmp_path / "teachers", load_data("digits"), split="val")
    assert "validation images may be among theirs" in capsys.readouterr().err

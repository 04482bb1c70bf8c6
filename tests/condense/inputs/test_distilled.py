"""The distilled set that a run adds to: taken from a folder or a file, refused where it does not fit, or made in the run's folder."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from condense.inputs import distilled
from condense.inputs.context import Context
from condense.inputs.distilled import identity_of, make, take_distilled
from condense.inputs.registry import split_seed
from condense.inputs.task import PARTIAL_ROUNDS_DIR
from condense.runtime.partial import Partial
from condense.workflows.distill import distill
from condense.workflows.plan import plan
from matchers import REGISTRY
from synth.base import take_all
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.preprocess import Standard
from synth.labels.plain import Target
from tests.support.three_classes import NET, make_set, three_classes, without
from tests.support.toy_ranks import toy_ranks, write_ranks

CALL = {"ipc": 5, "net": NET, "by": "aum", "epochs": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def ranks(data, tmp_path_factory) -> str:
    """A log of random numbers."""
    place = tmp_path_factory.mktemp("ranks")
    write_ranks(place, toy_ranks(data.train.y, digest=data.digest))
    return str(place)


@pytest.fixture
def small(monkeypatch):
    """Sets of a run's own in two steps."""
    monkeypatch.setattr(distilled, "STEPS", 2)
    monkeypatch.setattr(distilled, "IPC", 2)
    monkeypatch.setattr(distilled, "BATCH", 4)


def test_a_named_set_is_kept_and_real_images_stand_beside_it(data, ranks, tmp_path):
    """Its first image of each class, then real ones that are in the training split and not in the set twice."""
    noise = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    given = replace(make_set(data), x=make_set(data).x._replace(pixels=jnp.asarray(noise)))
    save_set(tmp_path / "given.npz", given)
    synth = distill("ccfs", data, out=tmp_path / "run", distilled=str(tmp_path / "given.npz"), ranks=ranks, **CALL)
    shown = np.asarray(synth.x.decode()).reshape(3, 5, 4, 4, 1)
    np.testing.assert_array_equal(shown[:, 0], noise[::2])
    train = take_all(data.train)
    for c in range(3):
        found = [np.flatnonzero((train.x == image).reshape(len(train.x), -1).all(1)) for image in shown[c, 1:]]
        assert [len(rows) for rows in found] == [1] * 4 and len({int(rows[0]) for rows in found}) == 4
        assert (train.y[np.concatenate(found)] == c).all()
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["distilled"] == identity_of(given) and not (tmp_path / "run" / "distilled").exists()
    relabelled = replace(given, y=given.y._replace(index=given.y.index[::-1]))
    assert len({identity_of(one) for one in (given, make_set(data), relabelled)}) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda synth: without(synth, classes=("a", "b", "c")), "is for other data: .* its classes"),
        (lambda synth: replace(synth, cells=2), "its images are collages"),
        (lambda synth: without(replace(synth, y=Target(jnp.zeros((6, 3)))), represents=True), "its labels are representations"),
        (
            lambda synth: without(synth, preprocess=Standard(np.zeros(1, np.float32), np.ones(1, np.float32))),
            "its images are normalised otherwise",
        ),
    ],
)
def test_a_set_that_does_not_fit_is_refused(change, words, data, tmp_path):
    save_set(tmp_path / "a.npz", change(make_set(data)))
    with pytest.raises(BadInput, match=f"--distilled {tmp_path / 'a.npz'}: {words}"):
        take_distilled(tmp_path / "a.npz", data)


def test_a_run_leaves_out_the_images_that_the_set_left_out(data, tmp_path):
    save_set(tmp_path / "a.npz", without(make_set(data), split_seed=7))
    factory = REGISTRY["ccfs"].load()
    assert split_seed(factory, {"distilled": str(tmp_path / "a.npz")}, 5) == 7 and split_seed(factory, {"distilled": None}, 5) == 5


def test_a_plan_makes_nothing(data, ranks, tmp_path):
    made = plan("ccfs", data, out=tmp_path / "run", ranks=ranks, **CALL)
    (waiting,) = made.to_make()
    assert (waiting.kind, waiting.place) == ("distilled", tmp_path / "run" / "distilled") and not (tmp_path / "run").exists()
    assert waiting.recipe == "dm, 10 images a class, 300 steps" and len(made.resolved.inputs["distilled"].value) == 30


@pytest.mark.slow
def test_a_run_that_dies_between_rounds_goes_on_from_the_last_one(data, ranks, small, tmp_path, monkeypatch):
    """With a set of its own, which is made once; the bits are those of a run that was not stopped."""
    whole = distill("ccfs", data, out=tmp_path / "a", ranks=ranks, **CALL)
    assert load_set(tmp_path / "a" / "distilled" / "set.npz").info.method == "dm"
    assert not (tmp_path / "a" / PARTIAL_ROUNDS_DIR).exists()
    tick, seen = Partial.tick, []

    def cut(self, done, rows):
        tick(self, done, rows)
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "tick", cut)
        with pytest.raises(KeyboardInterrupt):
            distill("ccfs", data, out=tmp_path / "b", ranks=ranks, **CALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "distilled").iterdir()}
    assert (tmp_path / "b" / PARTIAL_ROUNDS_DIR / "1.npz").is_file() and not (tmp_path / "b" / "set.npz").exists()
    with monkeypatch.context() as patch:
        patch.setattr(Partial, "tick", lambda self, done, rows: seen.append(done))
        resumed = distill("ccfs", data, out=tmp_path / "b", ranks=ranks, **CALL)
    assert seen == [] and not (tmp_path / "b" / PARTIAL_ROUNDS_DIR).exists()
    np.testing.assert_array_equal(resumed.x.decode(), whole.x.decode())
    assert (tmp_path / "b" / "set.npz").read_bytes() == (tmp_path / "a" / "set.npz").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b" / "distilled").iterdir()} == before


def test_rounds_of_other_choices_are_not_taken(data, ranks, tmp_path, monkeypatch):
    """Those of a run that died in the same folder before it had a record."""
    save_set(tmp_path / "given.npz", make_set(data))
    call, tick = {**CALL, "ranks": ranks, "distilled": str(tmp_path / "given.npz")}, Partial.tick
    alone = distill("ccfs", data, **call)

    def cut(self, done, rows):
        tick(self, done, rows + 1)  # other examples than were chosen
        raise KeyboardInterrupt

    for other in ({"epochs": 3}, {"rounds": 2}, {"net": "mlp:width=6"}, {"seed": 1}):
        with monkeypatch.context() as patch:
            patch.setattr(Partial, "tick", cut)
            with pytest.raises(KeyboardInterrupt):
                distill("ccfs", data, out=tmp_path / "run", **call | other)
        assert (tmp_path / "run" / PARTIAL_ROUNDS_DIR / "0.npz").is_file()
    np.testing.assert_array_equal(distill("ccfs", data, out=tmp_path / "run", **call).x.decode(), alone.x.decode())


@pytest.mark.slow
def test_a_set_of_other_settings_is_replaced_by_force_alone(data, small, tmp_path, monkeypatch):
    context = Context(REGISTRY["ccfs"], data, NET, 0, tmp_path, 1)
    first = make(context).value
    np.testing.assert_array_equal(make(context).value.x.decode(), first.x.decode())
    monkeypatch.setattr(distilled, "BATCH", 3)
    with pytest.raises(BadInput, match=r"holds another run \(batch was 4, now 3\)"):
        make(context)
    other = make(context._replace(force=True)).value
    assert (np.asarray(other.x.decode()) != np.asarray(first.x.decode())).any()
    assert len(make(context._replace(out=None)).value) == 6

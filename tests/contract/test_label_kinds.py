"""What every kind in `synth.labels.KINDS` keeps, whoever wrote it, and that a new kind costs a file and a line."""

import json
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.__main__ import run as command
from condense.runtime.partial import Partial
from condense.teachers.labelling import label_in_pieces
from condense.workflows.relabel import relabel
from evals.krr import make_scorer
from evals.recipes import recipe
from evals.retrain import make_trainer, stack, train_group
from matchers.decoupled.labelling import Labelling
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.images.preprocess import Standard
from synth.images.views import BatchView, Mixed, View
from synth.labelling import LabelPlan, check_room, label, label_alike, present
from synth.labels import KINDS, Labels, find_kind, label_kind, made_kinds, option_parameters, targets_of
from synth.labels.plain import Runs, Soft, Target
from synth.labels.recorded import Recorded
from synth.set import Info, SyntheticSet
from tests.support.three_classes import make_set, three_classes
from tests.support.toy_data import blobs, smooth_net
from tests.support.toy_labels import Certainty
from tests.support.toy_teachers import committee, task

KEY, CLASSES, TEACHERS = jax.random.key(3), 3, committee(2)
PLAN = LabelPlan(epochs=2, batch=4, view=View(flip=True, mix="cutmix"), temperature=4.0)
X, Y = (jnp.asarray(part) for part in blobs(3))  # nine images, class after class
INFO = Info(("a", "b", "c"), Standard(np.zeros(1, np.float32), np.ones(1, np.float32)))
SCORES = jax.nn.one_hot(Y, CLASSES) + 0.25
AT = jnp.array([[4, 0, 8, 3, 1, 2, 7, 6, 5], [8, 7, 6, 5, 4, 3, 2, 1, 0]], jnp.int32)
VIEWS = {
    "crop": jnp.full((2, 9, 4), 1, jnp.uint16),
    "flip": jnp.zeros((2, 9), jnp.uint8),
    "partner": jnp.zeros((2, 9), jnp.int32),
    "lam": jnp.full((2, 3), 0.5, jnp.float32),
    "box": jnp.zeros((2, 3, 4), jnp.uint16),
}
UNMADE = {  # kinds that no teacher makes
    "soft": Soft(SCORES),
    "target": Target(SCORES),
    "recorded": Recorded(
        Y, AT, SCORES[AT].astype(jnp.float16), **VIEWS, temperature=4.0, teachers="", statistics="running", batch=4, mix="mixup"
    ),
    "runs": Runs(jnp.full(CLASSES, 3, jnp.int32), jnp.array([3, 5, 4], jnp.int32)),
}


@pytest.fixture
def certainty(monkeypatch):
    """The toy kind, registered: the one line that a new kind costs beside its file."""
    monkeypatch.setitem(KINDS, "certainty", Certainty)


@cache
def made(kind: str, **options) -> Labels:
    """Labels of X, as teachers or a method would make them."""
    if kind in UNMADE:
        return UNMADE[kind]
    assert kind in made_kinds(), "a kind that no teacher makes needs an example in UNMADE"
    return label(KEY, kind, X, Y, CLASSES, TEACHERS, PLAN, **options)


def set_of(labels: Labels) -> SyntheticSet:
    return SyntheticSet(Pixels(X), labels, info=INFO)


def batch() -> tuple[jax.Array, BatchView]:
    """Four examples in the first batch of the second epoch, mixed."""
    mixed = Mixed(jnp.array([1, 2, 3, 0], jnp.int32), jnp.float32(0.3))
    return jnp.array([0, 3, 4, 8]), BatchView(jnp.int32(1), jnp.int32(0), X[:4], mixed)


def same(a, b) -> bool:
    """Whether two labels agree in every bit and every field."""
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(u.dtype == v.dtype and np.array_equal(u, v) for u, v in leaves)


@pytest.mark.parametrize("kind", [*KINDS, "certainty"])
def test_a_kind_keeps_the_contract(kind, certainty):
    labels, (index, view) = made(kind), batch()
    assert isinstance(labels, Labels) and type(labels) is KINDS[kind] and labels.kind == kind and labels.classes == CLASSES
    labels.check()
    assert labels.nbytes() == sum(leaf.nbytes for leaf in jax.tree.leaves(labels))
    probs, scores = np.asarray(labels.probs()), np.asarray(labels.regressed())
    np.testing.assert_array_equal(probs.argmax(-1), Y)
    np.testing.assert_allclose(probs.sum(-1), 1, atol=1e-6)
    assert probs.shape == scores.shape == (9, CLASSES) and (scores.argmax(-1) == Y).all()

    @jax.jit
    def step(labels, logits):
        targets = targets_of(labels, index, view, mixes=True)
        return targets, jax.value_and_grad(lambda logits: labels.loss(logits, targets).sum())(logits)

    targets, (loss, slope) = step(present(labels, TEACHERS), jnp.zeros((4, CLASSES)))
    assert all(leaf.shape[:1] in ((4,), ()) for leaf in jax.tree.leaves(targets))
    assert np.isfinite(loss) and np.isfinite(slope).all() and np.abs(slope).max() > 0
    if not labels.sees:
        own = labels.targets(index, view)
        np.testing.assert_allclose(targets, 0.3 * own + 0.7 * own[view.mixed.partner], atol=1e-6)


@pytest.mark.parametrize("kind", [*KINDS, "certainty"])
def test_a_kind_is_stored_and_read(kind, certainty, tmp_path):
    save_set(tmp_path / "set.npz", set_of(made(kind)))
    back = load_set(tmp_path / "set.npz")
    assert type(back.y) is KINDS[kind] and same(back.y, made(kind)) and not back.represents
    with np.load(tmp_path / "set.npz") as file:
        assert back.y.nbytes() == sum(file[name].nbytes for name in file if name.startswith("y/"))
        assert json.loads(str(file["header"]))["labels"] == kind


@pytest.mark.parametrize("kind", [*made_kinds(), "certainty"])
def test_a_kind_that_teachers_make_says_what_it_needs(kind, certainty):
    """Bytes before it is made, its options with their defaults, and other examples in the same labels."""
    labels, own, options = made(kind), find_kind(kind), option_parameters(find_kind(kind))
    assert len(X) * own.bytes_each(CLASSES, PLAN.epochs) == labels.nbytes()
    with pytest.raises(BadInput, match=rf"{kind} labels of 1,000,000,000 examples take .*: fewer"):
        check_room(kind, 10**9, CLASSES, 10, images=32 << 30, advice="fewer")
    assert {name: getattr(labels, name) for name in options} == {name: p.default for name, p in options.items()}
    assert kind == own.kind and own.taught == (kind != "hard")
    if own.taught:
        assert labels.temperature == PLAN.temperature and PLAN.at(kind, temperature=7.0).temperature == 7
        assert PLAN.at(kind).temperature == (own.default_temperature or PLAN.temperature)
        assert same(label_alike(labels, X, Y, TEACHERS), labels)
        with pytest.raises(ValueError, match=r"temperature is 0\.0"):
            labels._replace(temperature=0.0).check()
        with pytest.raises(BadInput, match="one or more teachers"):
            label(KEY, kind, X, Y, CLASSES, (), PLAN)
    if own.replays:
        assert (labels.epochs, labels.batch, labels.view) == (2, 4, str(PLAN.view))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("kind", [*made_kinds(), "certainty"])
def test_a_set_is_relabelled_in_every_kind(kind, certainty, data, tmp_path):
    out = tmp_path / "set.npz"
    told = relabel(make_set(data), out, TEACHERS, kind, data=data, recipe="cvdd", epochs=2)
    assert type(load_set(out).y) is KINDS[kind] and same(load_set(out).y, told.y) and list(tmp_path.iterdir()) == [out]
    assert told.info.recipe == "cvdd:epochs=2"


# --- a new kind: tests.support.toy_labels and the line of the fixture


def test_a_new_kind_is_trained_on(certainty, tmp_path):
    """As stored and loaded: every seed trains on the views that were labelled, and what the labels say moves the network."""
    save_set(tmp_path / "set.npz", set_of(made("certainty")))
    loaded = load_set(tmp_path / "set.npz").y
    inner = smooth_net()
    net = inner._replace(init=lambda key: inner.init(jax.random.key(0)))
    chosen = replace(recipe("cvdd", epochs=2), batch=4, micro=1)
    trainer = make_trainer(net, chosen, None, view=PLAN.view)

    def trained(labels, seed):
        return np.asarray(train_group(trainer, chosen, jax.random.key(seed)[None], stack([set_of(labels)])).vars.params["w"])

    first = trained(loaded, 0)
    assert np.isfinite(first).all() and np.array_equal(first, trained(loaded, 1))
    assert not np.array_equal(first, trained(loaded._replace(codes=255 - loaded.codes), 0))


def test_a_new_kind_answers_as_its_teachers_do(certainty):
    """Whole levels of the probability of a class in a single answer; the option that answers depend on changes them."""
    plan = PLAN._replace(view=View(), temperature=2.0)
    fine, coarse = (label(KEY, "certainty", X, Y, CLASSES, TEACHERS, plan, levels=levels) for levels in (200, 2))
    assert fine.levels == 200 and fine.codes.dtype == jnp.uint8 and set(np.unique(coarse.codes)) <= {0, 1, 2}
    p = jax.nn.softmax(sum(t.net.apply(t.vars, X).logits for t in TEACHERS) / 2 / 2.0)[jnp.arange(9), Y]
    assert sorted(np.asarray(fine.codes)[0, :, 0]) == sorted(np.round(200 * np.asarray(p)).astype(int))


def test_a_new_kind_is_labelled_piece_by_piece(certainty, tmp_path, monkeypatch):
    """It goes on where it was cut off, whatever the loss's own options; an option that answers depend on asks for other answers."""
    tick, seen = Partial.tick, []

    def cut(self, done, rows):
        seen.append(done)
        tick(self, done, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(Partial, "tick", cut)
    for more in ({}, {"scale": 2.0}, {"levels": 9}):
        with pytest.raises(KeyboardInterrupt):
            label_in_pieces(KEY, "certainty", X, Y, CLASSES, TEACHERS, PLAN, folder=tmp_path / "partial", **more)
    assert seen == [1, 2, 1]
    monkeypatch.setattr(Partial, "tick", tick)
    resumed = label_in_pieces(KEY, "certainty", X, Y, CLASSES, TEACHERS, PLAN, folder=tmp_path / "partial", levels=9)
    assert same(resumed, made("certainty", levels=9))


@pytest.mark.slow
def test_a_method_labels_its_set_in_a_new_kind(certainty):
    synth = set_of(made("hard"))
    labelling = Labelling(TEACHERS, task(), "cvdd", "certainty", epochs=3, options={"scale": 0.5}).checked()
    labelling.check_room(synth)
    y = labelling.attach(KEY, synth).y
    assert type(y) is Certainty and (y.epochs, y.scale, y.levels, y.temperature) == (3, 0.5, 255, 2.0)


def test_a_new_kind_has_its_flags(certainty, capsys):
    assert command(["relabel", "--kind", "certainty", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--levels" in said and "steps of a stored probability (>= 1)" in said and "--alpha" not in said and "by default 2" in said


def test_flags_of_a_kind_are_those_that_it_declares(capsys):
    for kind, there in (("distances", True), ("static", False)):
        assert command(["relabel", f"--kind={kind}", "--help"]) == 0
        said = capsys.readouterr().out
        assert ("--alpha" in said and "{l1,l2,huber}" in said and "{mixed,smoothed,soft}" in said) == there
    assert command(["relabel", "--help"]) == 0
    assert ", ".join(made_kinds()) in " ".join(capsys.readouterr().out.split())
    call = ["relabel", "set.npz", "--teachers", "t", "--out", "o.npz", "--kind"]
    for more, words in (
        (["loud"], f"unknown kind of labels 'loud' (known: {', '.join(made_kinds())})"),
        (["static", "--alpha", "2"], "relabel --kind static: unknown argument '--alpha' (known: "),
        (["distances", "--norm", "l3"], "--norm"),
    ):
        assert command([*call, *more]) == 2
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1


# --- refusals


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("loud", {}, f"--kind: unknown kind of labels 'loud' \\(known: {', '.join(made_kinds())}\\)"),
        ("soft", {}, "unknown kind of labels 'soft'"),
        ("certainty", {}, "unknown kind of labels 'certainty'"),
        ("committee", {"sce": "soft"}, "sce: labels of kind committee have no such option \\(it is one of distances\\); leave it out"),
        ("distances", {"beta": 1}, "beta: labels of kind distances have no such option \\(known: alpha, norm, sce\\); leave it out"),
        ("static", {"beta": 1}, "no such option \\(known: none\\)"),
        ("distances", {"alpha": -1.0}, "--alpha -1.0: give a number of at least 0"),
        ("distances", {"alpha": "much"}, "--alpha much: give a number of at least 0"),
        ("distances", {"norm": "l3"}, "--norm l3: give one of l1, l2, huber"),
    ],
)
def test_wrong_calls_are_refused_before_teachers_are_asked(kind, options, says, data):
    with pytest.raises(BadInput, match=says):
        label(KEY, kind, X, Y, CLASSES, (), PLAN, **options)
    with pytest.raises(BadInput, match=says):
        relabel(make_set(data), None, "nowhere", kind, data=data, recipe="cvdd", **options)
    with pytest.raises(BadInput, match=says):
        Labelling((), task(), "cvdd", kind, options=options).checked()


def test_an_option_of_another_kind_at_its_default_asks_for_nothing():
    assert same(made("committee", alpha=1.0, norm="l1", sce="mixed"), made("committee"))


def test_what_lacks_the_contract_is_no_kind():
    class Bare(NamedTuple):
        """Without targets."""

        classes: int
        kind = "bare"

    with pytest.raises(TypeError, match="Bare is no kind of labels: it has no targets"):
        label_kind(Bare)


def test_a_ridge_head_is_fitted_to_what_a_kind_says():
    """One-hot rows less a third, or the values themselves: the heads of soft scores and of their values differ."""
    score = make_scorer(None, recipe("krr-ntk"))
    right, lost = score(KEY, set_of(made("hard")).bare(), X, Y)
    assert (int(right), int(lost)) == (9, 0)
    np.testing.assert_allclose(made("hard").regressed(), np.eye(3)[np.asarray(Y)] - 1 / 3, atol=1e-6)
    np.testing.assert_array_equal(made("target").regressed(), SCORES)

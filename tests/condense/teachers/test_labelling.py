"""From a set to labels of its teachers and to scores beside real images in the same labels: resumed, refused, counted."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import distill
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.evaluation.baselines import make_rows
from condense.evaluation.choices import take_recipe
from condense.evaluation.counts import row_counts
from condense.evaluation.teaching import find_teachers, teach
from condense.runtime.partial import Partial
from condense.teachers import labelling as module
from condense.teachers.labelling import PARTIAL_LABELS_DIR
from condense.teachers.store import take_teachers
from condense.teachers.train import train_teachers
from condense.workflows.evaluate import evaluate
from condense.workflows.relabel import relabel
from evals.recipes import recipe
from synth.base import take_all
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set, save_set
from synth.images.content import Compensated
from synth.labelling import LabelPlan, label, label_alike
from synth.labels.committee import Committee
from synth.labels.distances import Distances
from synth.labels.online import Online, OnlineWithTeachers
from synth.labels.plain import Hard
from synth.labels.static import Static
from synth.training.fit import batch_view, epoch_items
from tests.support.three_classes import clouds, make_set, rows_of

NETS = ("mlp:norm=batch,width=24", "mlp:norm=batch,width=16")
QUICK = {"recipe": "cvdd", "epochs": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("relabel")


@pytest.fixture(scope="module")
def data(folder):
    """Images whose mirror image means something else."""
    np.savez(folder / "clouds.npz", **clouds(), class_names=np.array(["ant", "bee", "cow"]))
    return load_data(f"npz:{folder / 'clouds.npz'}?flip=false")


@pytest.fixture(scope="module")
def teachers(data, folder):
    train_teachers(data, folder / "teachers", net=NETS, epochs=4, batch=16, lr=0.1)
    return folder / "teachers"


@pytest.fixture(scope="module")
def stored(data, folder):
    """A set of hard labels in a file."""
    save_set(folder / "set.npz", make_set(data))
    return folder / "set.npz"


@pytest.fixture(scope="module")
def committee(data, stored, teachers, folder):
    """The same with committee labels, in another folder than the teachers."""
    (folder / "labelled").mkdir()
    relabel(stored, folder / "labelled" / "set.npz", teachers, "committee", data=data, statistics="batch/2", **QUICK)
    return folder / "labelled" / "set.npz"


@pytest.mark.slow
def test_a_relabelled_set_says_how_it_is_trained(committee, stored):
    before, after = load_set(stored), load_set(committee)
    assert isinstance(after.y, Committee) and after.y.logits.shape == (3, 6, 3)
    same = {"preprocess": None}
    assert vars(after.info) | same == vars(before.info) | same | {"recipe": "cvdd:epochs=3"}
    assert (after.y.view, after.y.batch, after.y.temperature, after.y.statistics) == ("crop=0.08-1,cutmix=1", 6, 20.0, "batch/2")
    np.testing.assert_array_equal(after.x.pixels, before.x.pixels)
    np.testing.assert_array_equal(after.y.index, before.y.index)


def cut_after(epochs: int):
    """A `tick` that saves as the real one does, and dies after so many epochs."""
    tick = Partial.tick

    def cut(self, done, rows):
        tick(self, done, rows)
        if done == epochs:
            raise KeyboardInterrupt

    return cut


@pytest.mark.slow
def test_a_labelling_that_was_cut_off_ends_with_the_same_bits(data, committee, stored, teachers, tmp_path, monkeypatch):
    out, cut = tmp_path / "set.npz", cut_after(2)
    monkeypatch.setattr(Partial, "tick", cut)
    with pytest.raises(KeyboardInterrupt):
        relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    assert not out.exists() and (tmp_path / ".set.npz.partial").is_dir()
    request = json.loads((tmp_path / ".set.npz.partial" / "labels.json").read_text())  # by which older ones go on too
    assert request.keys() == {"kind", "key", "temperature", "epochs", "weights", "statistics", "view", "batch", "teachers", "content"}
    seen = []
    monkeypatch.setattr(Partial, "tick", lambda self, done, rows: seen.append(done))
    relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    assert seen == [3] and out.read_bytes() == committee.read_bytes()
    assert not (tmp_path / ".set.npz.partial").exists()
    monkeypatch.setattr(Partial, "tick", cut)
    with pytest.raises(KeyboardInterrupt):
        relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    monkeypatch.setattr(Partial, "tick", lambda self, done, rows: seen.append(done))
    relabel(
        stored, out, teachers, "committee", data=data, statistics="batch/2", seed=1, **QUICK
    )  # another labelling: nothing to go on with
    assert seen == [3, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "own"),
    [
        pytest.param("sre2l", {"steps": 2, "recipe": "cvdd"}, marks=pytest.mark.slow),
        ("rded", {"recipe": "rded_small", "labels": "committee"}),
    ],
)
def test_a_run_that_dies_while_it_labels_goes_on_with_what_is_answered(method, own, data, teachers, tmp_path, monkeypatch):
    """Of a method that descends and of one that selects: the teachers are asked for the last epoch alone, and the bits are the same; what
    is stored of the teachers stays as it was."""
    held = {path.name: path.read_bytes() for path in (teachers / "members").iterdir()}
    options, seen = {"ipc": 2, "teachers": str(teachers), "label_epochs": 3, **own}, []
    distill(method, data, out=tmp_path / "a", **options)

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "tick", cut_after(2))
        with pytest.raises(KeyboardInterrupt):
            distill(method, data, out=tmp_path / "b", **options)
    assert (tmp_path / "b" / PARTIAL_LABELS_DIR).is_dir() and not (tmp_path / "b" / "set.npz").exists()
    monkeypatch.setattr(Partial, "tick", lambda self, done, rows: seen.append(done))
    distill(method, data, out=tmp_path / "b", **options)
    assert seen == [3] and (tmp_path / "b" / "set.npz").read_bytes() == (tmp_path / "a" / "set.npz").read_bytes()
    assert not (tmp_path / "a" / PARTIAL_LABELS_DIR).exists() and not (tmp_path / "b" / PARTIAL_LABELS_DIR).exists()
    assert len(held) == 2 and {path.name: path.read_bytes() for path in (teachers / "members").iterdir()} == held


@pytest.mark.slow
def test_a_labelling_goes_on_only_under_its_own_views_and_classes(data, stored, teachers, tmp_path, monkeypatch):
    """Answers to mirrored images, or distances to other classes, are of another labelling, although images and options are the same."""
    synth, spec, seen, tick = load_set(stored), data.spec.replace("flip=false", "flip=true"), [], Partial.tick

    def cut(self, done, rows):
        seen.append(done)
        tick(self, done, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(Partial, "tick", cut)
    turned = replace(synth, y=Hard(synth.y.index[::-1], 3))
    for what, on in ((synth, data), (synth, load_data(spec)), (turned, load_data(spec)), (turned, load_data(spec))):
        with pytest.raises(KeyboardInterrupt):
            relabel(what, tmp_path / "set.npz", teachers, "distances", data=on, **QUICK)
    assert seen == [1, 1, 1, 2]
    with pytest.raises(KeyboardInterrupt):  # as many epochs as before are of this labelling, fewer are another
        relabel(turned, tmp_path / "set.npz", teachers, "distances", data=load_data(spec), **QUICK | {"epochs": 2})
    assert seen.pop() == 1
    with pytest.raises(KeyboardInterrupt):  # answers do not depend on how a loss weighs them
        relabel(turned, tmp_path / "set.npz", teachers, "distances", data=load_data(spec), alpha=2.0, sce="soft", **QUICK | {"epochs": 2})
    assert seen.pop() == 2
    with pytest.raises(BadInput, match=r"sce: labels of kind committee have no such option \(it is one of distances\); leave it out"):
        relabel(stored, tmp_path / "set.npz", teachers, "committee", data=data, sce="soft", **QUICK)


def test_answers_that_no_disk_takes_are_given_again_and_a_damaged_piece_too(
    data, committee, stored, teachers, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "set.npz"

    def full(*args):
        raise RunFailed("no space")

    with monkeypatch.context() as patch:
        patch.setattr("condense.runtime.partial.write_npz", full)
        relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    assert out.read_bytes() == committee.read_bytes() and capsys.readouterr().err.count("labels so far are not kept: no space") == 1
    out.unlink()

    monkeypatch.setattr(Partial, "tick", cut_after(2))
    with pytest.raises(KeyboardInterrupt):
        relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    (tmp_path / ".set.npz.partial" / "1.npz").write_bytes(b"torn")
    seen = []
    monkeypatch.setattr(Partial, "tick", lambda self, done, rows: seen.append(done))
    relabel(stored, out, teachers, "committee", data=data, statistics="batch/2", **QUICK)
    assert seen == [2, 3] and out.read_bytes() == committee.read_bytes()


def test_labels_of_views_refuse_another_training(data, committee):
    synth = load_set(committee)
    assert take_recipe(synth, data, None, None).name == "cvdd:epochs=3"
    assert take_recipe(synth, data, "cvdd_smooth", 3).name == "cvdd_smooth:epochs=3"  # the same views, epochs and batch
    with pytest.raises(BadInput, match=r"--recipe cvdd: the set's labels answer to epochs 3, this recipe has epochs 300"):
        take_recipe(synth, data, "cvdd", None)
    with pytest.raises(BadInput, match="answer to epochs 3, this recipe has epochs 4"):
        take_recipe(synth, data, None, 4)
    with pytest.raises(BadInput, match=r"answer to views crop=0.08-1,cutmix=1, this recipe has views cutmix=1;"):
        take_recipe(synth, data, "rded_small", 3)
    small = replace(synth, y=synth.y._replace(batch=4))
    with pytest.raises(BadInput, match="answer to batch 4, this recipe has batch 6"):
        take_recipe(small, data, None, None)
    assert take_recipe(make_set(data), data, None, None).name == "quick"


def test_real_images_get_the_sets_labels_from_the_sets_teachers(data, committee, teachers):
    synth = load_set(committee)
    with pytest.raises(BadInput, match=r"--rows random: real images need committee labels of the set's own teachers; give --teachers DIR"):
        find_teachers(synth, None, committee, data, ["random"])
    assert not find_teachers(synth, None, committee, data, ["distilled"])
    known = find_teachers(synth, teachers, committee, data, ["random"]).members
    draws = make_rows(jax.random.key(0), synth, data, ["random", "kmeans", "full"], labels=teach(synth, known, recipe("cvdd")))
    row = draws["random"](1)
    told = ("teachers", "statistics", "seed", "batch", "view", "temperature")
    assert [getattr(row.y, name) for name in told] == [getattr(synth.y, name) for name in told]
    assert row.y.logits.shape == synth.y.logits.shape and (np.asarray(row.y.logits) != np.asarray(synth.y.logits)).any()
    assert draws["random"](1) is row and isinstance(draws["full"](0).y, Hard)
    near = draws["kmeans"](1)
    assert [getattr(near.y, name) for name in told] == [getattr(synth.y, name) for name in told]
    assert near.y.logits.shape == row.y.logits.shape
    assert {*rows_of(near.x.pixels)} <= {*rows_of(take_all(data.train).x)} and {*rows_of(near.x.pixels)} != {*rows_of(row.x.pixels)}
    np.testing.assert_array_equal(near.y.logits, label_alike(synth.y, near.x.pixels, near.y.index, known).logits)
    beside = committee.parent / "teachers"
    beside.symlink_to(teachers)  # as in a run's own folder
    try:
        assert len(find_teachers(synth, None, committee, data, ["random"]).members) == 2
    finally:
        beside.unlink()


def test_a_set_of_hard_labels_is_trained_under_teachers_on_request(data, teachers):
    synth = make_set(data)
    known = find_teachers(synth, teachers, None, data, ["random"]).members
    give = teach(synth, known, recipe("sre2l"))
    for held in (synth, make_rows(jax.random.key(0), synth, data, ["random"], labels=give)["random"](0)):
        y = give(held).y
        assert isinstance(y, OnlineWithTeachers) and y.weights == (0.5, 0.5) and y.online.temperature == 30
        np.testing.assert_array_equal(np.asarray(y.probs()).argmax(-1), np.asarray(held.y.probs()).argmax(-1))


@pytest.mark.slow
def test_other_teachers_than_the_labels_own_are_refused(data, committee, folder):
    train_teachers(data, folder / "others", net=NETS[:1], epochs=4, batch=16, lr=0.1, seed=5)
    with pytest.raises(BadInput, match=r"--teachers: the labels come from teacher .* give the labels' own"):
        evaluate(committee, data=data, teachers=folder / "others", seeds=1, rows="random")


def test_examples_that_share_numbers_stand_beside_as_many_images_as_are_stored(data):
    """Three classes, two images each and one addition for each of two: eight images stored, twelve examples."""
    held = make_set(data, (4, 4, 4))
    x = Compensated(jnp.zeros((6, 8, 8, 1), jnp.uint8), jnp.zeros((2, 1, 8, 8, 1), jnp.uint8), jnp.zeros(1), jnp.ones(1))
    assert row_counts(replace(held, x=x)).tolist() == [3, 3, 3] and row_counts(held).tolist() == [4, 4, 4]


@pytest.mark.parametrize(("name", "batches"), [("nrr", (30, 10)), ("infer", (30, 21))])
@pytest.mark.slow
def test_real_images_are_labelled_in_the_batches_that_they_are_trained_in(data, teachers, name, batches):
    """Thirty examples of twenty stored images beside 21 real ones, which a recipe may show in other batches: the targets of every batch are
    the teachers' answers to its views."""
    chosen, known = recipe(name, epochs=2), take_teachers(teachers, data)
    view = chosen.view_for(height=8, flips=False)
    x = Compensated(jnp.zeros((15, 8, 8, 1), jnp.uint8), jnp.zeros((5, 1, 8, 8, 1), jnp.uint8), jnp.zeros(1), jnp.ones(1))
    y = jnp.repeat(jnp.arange(3), 10)
    plan = LabelPlan(2, chosen.batch, view, 20.0)
    synth = replace(make_set(data), x=x, y=label(jax.random.key(0), "committee", x.decode(), y, 3, known, plan))
    row = make_rows(jax.random.key(0), synth, data, ["random"], labels=teach(synth, known, chosen))["random"](0)
    assert len(row) == 21 and (synth.y.batch, row.y.batch) == batches and chosen.batch_of(21, 3) == batches[1]
    items = epoch_items(jax.random.key(row.y.seed), jnp.int32(1), 21, batch=batches[1])

    @jax.jit
    def both(item):
        shown = batch_view(item, row.x.pixels, view)
        answers = sum(member.net.apply(member.vars, shown.images).logits for member in known) / 2
        return row.y.targets(item.index, shown), jax.nn.softmax(answers / 20.0)

    for number in range(len(items.index)):
        item = jax.tree.map(lambda leaf, number=number: leaf[number], items)
        (targets, answers), counts = both(item), np.asarray(item.counts) > 0
        np.testing.assert_allclose(targets[counts], answers[counts], atol=1e-3)


@pytest.mark.parametrize(("kind", "type_"), [("static", Static), ("distances", Distances), ("online", Online), ("hard", Hard)])
def test_every_kind_can_be_asked_for(data, stored, teachers, kind, type_):
    made = relabel(stored, None, teachers, kind, data=data, members=[2], temperature=3.0, **QUICK)
    assert type(made.y) is type_ and made.info.recipe == "cvdd:epochs=3"
    if kind != "hard":
        assert made.y.temperature == 3.0 and "+" not in made.y.teachers


@pytest.mark.parametrize("kind", ["committee", "hard"])
def test_a_relabelled_set_forgets_the_step_size_that_it_learned(data, teachers, tmp_path, kind):
    synth = make_set(data, lr=jnp.float32(0.02))
    assert relabel(synth, None, teachers, kind, data=data, **QUICK).lr is None
    relabel(synth, tmp_path / "set.npz", teachers, kind, data=data, **QUICK)
    assert load_set(tmp_path / "set.npz").lr is None


def test_labels_that_no_file_holds_are_refused_before_any_is_asked_for(data, stored, teachers, tmp_path, monkeypatch):
    """Six images of 8x8 in single precision, six indices, three logits in half precision of each view."""
    labels, images = 6 * (4 + 3 * 3 * 2), 6 * 64 * 4
    monkeypatch.setattr("synth.labelling.LIMIT", labels + images - 1)
    monkeypatch.setattr(module, "label", None)  # whoever labels now fails
    told = (
        rf"committee labels of 6 examples take {labels} bytes beside 1,536 of images, .* at most 1,667: give --kind online, or fewer --ep"
    )
    with pytest.raises(BadInput, match=told):
        relabel(stored, tmp_path / "set.npz", teachers, "committee", data=data, **QUICK)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr("synth.labelling.LIMIT", labels + images)
    relabel(stored, tmp_path / "set.npz", teachers, "committee", data=data, **QUICK)


def test_distances_are_taken_at_temperature_1_whatever_the_recipes(data, stored, teachers):
    assert recipe("cvdd").temperature == 20 == relabel(stored, None, teachers, "static", data=data, **QUICK).y.temperature
    assert relabel(stored, None, teachers, "distances", data=data, **QUICK).y.temperature == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "loud"}, "unknown kind of labels 'loud'"),
        ({"recipe": "dsa"}, "this one draws none; take one of sre2l, fkd"),
        ({"recipe": "krr"}, "--recipe krr: .* this one draws none"),
        ({"members": [3]}, r"--members 3: there is no such teacher \(there are 1 mlp"),
        ({"temperature": 0.0}, "--temperature 0.0"),
    ],
)
def test_wrong_calls_say_what_is_right(data, stored, teachers, options, says):
    with pytest.raises(BadInput, match=says):
        relabel(stored, None, teachers, **{"kind": "committee", "data": data, **options})


@pytest.mark.slow
def test_the_command_line_from_a_set_to_a_score(data, committee, stored, teachers, tmp_path, capsys):
    out, report = tmp_path / "two.npz", tmp_path / "two.json"
    flags = f"relabel {stored} --data {data.spec} --teachers {teachers} --kind distances --recipe nrr --epochs 3 --out {out}"
    assert command(flags.split()) == 0
    assert "distances labels of 60 bytes beside 1,536 bytes of images" in capsys.readouterr().out  # six indices and 3 x 6 pairs
    flags = f"evaluate {out} --data {data.spec} --teachers {teachers} --net {NETS[0]} --seeds 2 --rows distilled,random --json {report}"
    assert command(flags.split()) == 0
    told = json.loads(report.read_text())
    assert [row["set_kind"] for row in told["results"]] == ["distilled", "random"] and told["bytes"]["labels"] == 60
    assert all(0 <= accuracy <= 1 for row in told["results"] for accuracy in row["accuracy"])
    assert command(f"evaluate {committee} --data {data.spec} --recipe fkd --rows distilled".split()) == 2
    assert "the set's labels answer to" in capsys.readouterr().err


@pytest.mark.slow
def test_a_relabelled_set_elsewhere_is_scored_as_far_as_it_can_be(data, stored, teachers, tmp_path, capsys):
    """Outside the run's folder nobody knows its teachers: the usual rows are those that need none, and a line says what is missing."""
    relabel(stored, tmp_path / "far.npz", teachers, "static", data=data, **QUICK)
    alone = evaluate(tmp_path / "far.npz", data=data, seeds=1)
    assert [report.set_kind for report in alone.reports] == ["distilled"]
    said = capsys.readouterr().err
    assert "no rows random, kmeans: they need static labels of the set's own teachers; --teachers DIR names their folder" in said
    with pytest.raises(BadInput, match="give --teachers DIR, or --rows distilled"):
        evaluate(tmp_path / "far.npz", data=data, seeds=1, rows=("distilled", "random"))
    whole = evaluate(tmp_path / "far.npz", data=data, seeds=1, teachers=teachers)
    assert [report.set_kind for report in whole.reports] == ["distilled", "random", "kmeans"]

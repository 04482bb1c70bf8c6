"""Committees: what is stored, that a training which was cut off ends with the same bits, and teachers that do not know the data."""

import json
import shutil
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import distill, evaluate
from condense.__main__ import run as command
from condense.data.images import Data
from condense.data.load import load_data
from condense.inputs import teachers as inputs
from condense.inputs.context import Context
from condense.inputs.registry import split_seed
from condense.teachers import train as module
from condense.teachers.frozen import load_frozen
from condense.teachers.sanity import check_sense, classify
from condense.teachers.store import between, load_teachers, take_teachers
from condense.teachers.train import TeacherRecipe, default_committee, kept_epochs, train_teachers, usual_epochs
from matchers import REGISTRY
from synth.base import Examples, Net, Out, Teacher, Vars, take_all
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set
from synth.labelling import arrays_by_path, teacher_digest
from tests.support.three_classes import clouds
from tests.support.toy_teachers import committee

NETS, TRAINED = ("mlp:norm=batch,width=16", "mlp:norm=batch,width=12"), {"epochs": 2, "batch": 16, "lr": 0.1}


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **clouds())
    return f"npz:{path}"


@pytest.fixture(scope="module")
def made(spec, tmp_path_factory):
    """A committee of two small networks with batch statistics, made on the command line."""
    folder = tmp_path_factory.mktemp("teachers")
    flags = ["--net", *NETS, *(part for name, value in TRAINED.items() for part in (f"--{name}", str(value)))]
    assert command(["teachers", "--data", spec, "--out", str(folder), *flags]) == 0
    return load_teachers(folder)


@pytest.fixture
def copied(made, tmp_path):
    """The same in a folder that a test may spoil."""
    return shutil.copytree(made.folder, tmp_path / "copy")


def bits(committee) -> list[bytes]:
    return [array.tobytes() for member in committee.members for array in arrays_by_path(member.vars).values()]


@pytest.mark.slow
def test_a_committee_holds_networks_accuracies_and_where_they_come_from(spec, made):
    data = load_data(spec)
    assert [member.name.split(",")[0] for member in made.members] == ["mlp:width=16", "mlp:width=12"]
    assert made.data_digest == data.digest and made.classes == data.classes and made.image == (8, 8, 1)
    assert all(
        classify(member, data.val) == pytest.approx(accuracy) for member, accuracy in zip(made.members, made.accuracies, strict=True)
    )
    assert min(made.accuracies) > 0.6, "two epochs on three clouds are enough"
    rows = [json.loads(line) for line in (made.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(row["member"], row["epoch"]) for row in rows] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [rows[1]["val_accuracy"], rows[3]["val_accuracy"]] == pytest.approx(made.accuracies)
    index = json.loads((made.folder / "teachers.json").read_text())
    assert index["recipe"] == TRAINED and not (made.folder / "checkpoints").exists()
    with np.load(made.folder / "members" / "0.npz", allow_pickle=False) as file:
        assert "params/head/kernel" in file.files and any(name.startswith("stats/") for name in file.files)


def test_the_same_call_again_changes_nothing_and_another_is_refused(spec, made, monkeypatch):
    monkeypatch.setattr(module, "trainer", None)  # whoever trains now fails
    assert bits(train_teachers(spec, made.folder, net=NETS, **TRAINED)) == bits(made)
    with pytest.raises(BadInput, match=r"holds another run .*lr was 0.1, now 0.2"):
        train_teachers(spec, made.folder, net=NETS, **TRAINED | {"lr": 0.2})


def test_few_images_are_seen_for_as_many_epochs_as_make_fifty_steps(spec, made):
    """By batches of 128. A committee that a folder holds keeps its own, so that a call that names none repeats it."""
    assert [usual_epochs(n) for n in (36, 300, 1152, 1153, 50_000)] == [50, 17, 6, 5, 5]
    assert kept_epochs(made.folder) == TRAINED["epochs"] and kept_epochs(made.folder / "members") is None
    unnamed = {name: value for name, value in TRAINED.items() if name != "epochs"}
    assert bits(train_teachers(spec, made.folder, net=NETS, **unnamed)) == bits(made)


@pytest.mark.slow
def test_a_training_that_was_cut_off_ends_with_the_same_bits(spec, made, tmp_path, monkeypatch):
    """Stopped in the last epoch of the second member: the first is done, the second has one epoch behind it."""
    calls, trainer = [], module.trainer

    def breaking(*args):
        train = trainer(*args)

        def once(*more):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return train(*more)

        return once

    monkeypatch.setattr(module, "trainer", breaking)
    with pytest.raises(KeyboardInterrupt):
        train_teachers(spec, tmp_path, net=NETS, **TRAINED)
    with pytest.raises(BadInput, match=r"no teachers.json there"):
        load_teachers(tmp_path)
    again = train_teachers(spec, tmp_path, net=NETS, **TRAINED)
    assert len(calls) == 5, "the epoch that was cut off is trained again, no other"
    assert bits(again) == bits(made) and again.accuracies == made.accuracies
    rows = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_run_leaves_out_the_images_that_its_teachers_left_out(spec, made, copied):
    """Under another seed most of its validation images would be ones that the teachers learned from; folders of before say nothing."""
    assert made.split_seed == 0
    info = distill("rded", spec, ipc=1, seed=7, teachers=str(made.folder), labels="hard").info
    assert (info.seed, info.split_seed) == (7, 0)
    assert split_seed(REGISTRY["rded"].load(), {"teachers": None}, 7) == 7
    edit(copied, split_seed=3)
    assert split_seed(REGISTRY["rded"].load(), {"teachers": str(copied)}, 7) == 3
    index = json.loads((copied / "teachers.json").read_text())
    del index["split_seed"]
    (copied / "teachers.json").write_text(json.dumps(index))
    assert split_seed(REGISTRY["rded"].load(), {"teachers": str(copied)}, 7) == 7


@pytest.mark.parametrize(("method", "count"), [("sre2l", 1), ("infer", 4), ("cvdd", 5)])
def test_a_run_without_teachers_asks_for_as_many_as_its_method_uses(spec, tmp_path, monkeypatch, method, count):
    asked, read, data, made = [], [], load_data(spec), committee(2)
    monkeypatch.setattr(inputs, "train_teachers", lambda data, folder, *, net, seed: asked.append((folder, net, seed)))
    monkeypatch.setattr(inputs, "take_teachers", lambda folder, data: read.append(folder) or made)
    found = inputs.make(Context(REGISTRY[method], data, None, 3, tmp_path, 5))
    assert read == [tmp_path / "teachers"] and found.value is made and found.usual_net == made[0].name
    assert asked == [(tmp_path / "teachers", module.SMALL[:count], 3)] and len(module.SMALL) == 5


def test_no_teachers_are_made_in_the_folder_of_another_run(spec, tmp_path, monkeypatch):
    distill("random", spec, ipc=1, out=tmp_path)
    monkeypatch.setattr(inputs, "train_teachers", lambda *args, **more: pytest.fail("this takes long"))
    with pytest.raises(BadInput, match=r"holds another run \(.*method was 'random', now 'sre2l'.*--force to remove"):
        distill("sre2l", spec, ipc=1, out=tmp_path)
    assert not (tmp_path / "teachers").exists()


@pytest.mark.slow
def test_a_run_without_teachers_makes_its_own_beside_its_set(spec, tmp_path, monkeypatch, capsys):
    """One of the default committee, which is what `sre2l` uses, and the set is labelled by it."""
    monkeypatch.setattr(module, "SMALL", ("mlp:norm=batch,width=12", "mlp:norm=batch,width=16"))
    flags = ["--data", spec, "--ipc", "1", "--steps", "1", "--recipe", "rded_small", "--label-epochs", "2", "--crop", "1", "--roll", "0"]
    assert command(["distill", "sre2l", *flags, "--out", str(tmp_path / "a")]) == 0
    own = tmp_path / "a" / "teachers"
    assert f"sre2l works from teachers and was given none: 1 of 17 epochs in {own}" in " ".join(capsys.readouterr().err.split())
    (member,) = load_teachers(own).members
    assert member.name.startswith("mlp:width=12")
    labels = load_set(tmp_path / "a" / "set.npz").y
    assert labels.kind == "committee" and labels.logits.shape == (2, 3, 3) and labels.teachers == f"{teacher_digest(member)}*1"


def test_a_network_that_learns_nothing_is_no_teacher(spec, tmp_path):
    with pytest.raises(RunFailed, match=r"teacher mlp.* is right on .* where chance is 33.3 %: give more --epochs"):
        train_teachers(spec, tmp_path, net=NETS[:1], epochs=1, batch=16, lr=1e-9)


@pytest.mark.parametrize("few", [True, False])
def test_teachers_are_looked_at_on_images_of_all_classes(few):
    """Images in order of class, as folders give them, and a teacher that is wrong about the first of four classes alone. With few
    validation images training images are looked at too, else some of the validation images."""
    y = np.repeat(np.arange(4), 1500)
    whole = Examples(np.broadcast_to(y[:, None, None, None], (6000, 2, 2, 1)).astype(np.float32), y)
    data = Mock(Data, train=whole, val=Examples(*(part[::100] for part in whole)) if few else whole)
    data.spec = "folders"

    def apply(vars, x, *, train=False, key=None):
        return Out(jax.nn.one_hot(jnp.maximum(x[:, 0, 0, 0], 1).astype(jnp.int32), 4), x[:, 0, 0], {})

    teacher = Teacher(Net(lambda key: Vars({}), apply), Vars({}), "three of four")
    assert classify(teacher, whole) == pytest.approx(0.75, abs=0.03)
    check_sense(teacher, data, advice="give others", known=0.75)


def test_teachers_of_other_classes_order_or_images_are_refused(spec, made, tmp_path):
    def other(name, **changes):
        np.savez(tmp_path / f"{name}.npz", **clouds() | changes)
        return load_data(f"npz:{tmp_path / name}.npz")

    held = clouds()
    turned = {part: (held[part] + 1) % 3 for part in ("y_train", "y_test")}
    with pytest.raises(BadInput, match=r"chance is 33.3 %, and once had .*classes in another order.*train other teachers"):
        take_teachers(made.folder, other("turned", **turned))
    with pytest.raises(BadInput, match="trained on 3 classes"):
        take_teachers(made.folder, other("named", class_names=np.array(["a", "b", "c"])))
    with pytest.raises(BadInput, match="of 8x8x1, which"):
        take_teachers(made.folder, other("small", **{part: held[part][:, :4] for part in ("x_train", "x_test")}))
    with pytest.raises(BadInput, match="normalise=standard, the data has zca"):
        take_teachers(made.folder, load_data(f"{spec}?normalise=zca"))


def test_teachers_of_other_images_are_told_of(spec, made, capsys):
    """Their training images may be among those that the run validates on."""
    take_teachers(made.folder, load_data(spec))
    assert "other images" not in capsys.readouterr().err
    take_teachers(made.folder, load_data(f"{spec}?limit=60"))
    assert f"{made.folder}: trained on other images than those of {spec}?limit=60; validation images may be" in capsys.readouterr().err


def test_teachers_of_another_split_are_told_of_where_sets_are_scored_on_validation_images(spec, made, capsys):
    here, other = load_data(spec), load_data(spec, seed=1)
    for data, split, told in ((here, "val", False), (other, "test", False), (other, "val", True)):
        take_teachers(made.folder, data, split=split)
        assert ("split of seed 0, and the data is cut by seed 1" in capsys.readouterr().err) == told
        assert load_frozen(made.folder, data, split=split)
        assert ("--frozen" in capsys.readouterr().err) == told


def test_a_call_on_validation_images_says_so_to_whoever_loads_teachers(spec, made, monkeypatch):
    """`evaluate --split val` hands its split to both ways of naming trained networks."""
    seen = []

    def stop(*args, split, **more):
        seen.append(split)
        raise KeyboardInterrupt

    data = load_data(spec)
    synth = distill("random", data, ipc=1)
    for name, flags in (
        ("teaching.take_teachers", {"teachers": made.folder}),
        ("choices.load_frozen", {"frozen": made.folder, "recipe": "krr"}),
    ):
        monkeypatch.setattr(f"condense.evaluation.{name}", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(synth, data=data, split="val", **flags)
    assert seen == ["val", "val"]


def test_teachers_see_other_normalisations_through_their_own(spec, made):
    data = load_data(spec)
    shifted = data.under(data.preprocess._replace(mean=data.preprocess.mean + np.float32(0.3), std=data.preprocess.std * 2))
    (moved, *_), same = take_teachers(made.folder, shifted), take_teachers(made.folder, data)[0]
    for train in (False, True):
        a, b = (t.net.apply(t.vars, jax.numpy.asarray(take_all(d.val).x), train=train).logits for t, d in ((moved, shifted), (same, data)))
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_teacher_sees_images_of_another_size_by_the_same_weights(spec, tmp_path):
    """Its last feature map shrinks with the images, and a change of normalisation is made before, at every size."""
    data = load_data(spec)
    train_teachers(spec, tmp_path, net=["resnet:depth=8,width=4"], epochs=1, batch=16, lr=0.1)
    member = load_teachers(tmp_path).members[0]
    small, x = member.resized((4, 6, 1)), jax.numpy.ones((2, 4, 6, 1))
    taps = small.apply(member.vars, x).taps
    assert taps["conv"].shape[1:3] == (1, 2)  # two halvings, each rounded up
    np.testing.assert_allclose(small.apply(member.vars, x).embed, taps["conv"].mean((1, 2)), atol=1e-6)
    shifted = data.under(data.preprocess._replace(mean=data.preprocess.mean + np.float32(0.3), std=data.preprocess.std * 2))
    ours, theirs = shifted.preprocess, data.preprocess
    moved = between(member, theirs, ours, "")
    for image in ((4, 6, 1), (8, 8, 1)):
        x = jax.numpy.ones((1, *image))
        other = x * float(ours.std[0] / theirs.std[0]) + float((ours.mean[0] - theirs.mean[0]) / theirs.std[0])
        a, b = moved.resized(image).apply(member.vars, x).logits, member.resized(image).apply(member.vars, other).logits
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_committee_whose_normalisation_is_not_its_own_is_refused(spec, copied):
    """The file says other numbers than the networks learned under, as where one was taken for another: they see images that are none."""
    with np.load(copied / "normalisation.npz") as file:
        wrong = {"mean": file["mean"] - 40 * file["std"], "std": file["std"]}
    np.savez(copied / "normalisation.npz", **wrong)
    with pytest.raises(BadInput, match=r"chance is 33.3 %, and once had .*another normalisation"):
        take_teachers(copied, load_data(spec))


@pytest.mark.slow
def test_a_member_with_a_recipe_of_its_own_is_trained_by_it_and_the_others_are_not(spec, made, tmp_path):
    """The second keeps its key and its shared recipe, so its bits are those of the committee without the change."""
    own = train_teachers(spec, tmp_path, net=[f"{NETS[0]}@epochs=3,lr=0.2,optimizer=sgd", NETS[1]], **TRAINED)
    assert bits(own)[-1] == bits(made)[-1] and bits(own)[0] != bits(made)[0]
    index = json.loads((tmp_path / "teachers.json").read_text())
    told = [member.get("recipe") for member in index["members"]]
    assert index["recipe"] == TRAINED and told == [{**TRAINED, "epochs": 3, "lr": 0.2}, None]
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["member"], row["epoch"]) for row in rows] == [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 1, 1), (5, 1, 2)]
    alone = train_teachers(spec, tmp_path / "alone", net=NETS[:1], **TRAINED | {"epochs": 3, "lr": 0.2})
    assert bits(alone)[0] == bits(own)[0]
    with pytest.raises(BadInput, match=r"holds another run .*nets was .*@epochs=3,lr=0.2.* now "):
        train_teachers(spec, tmp_path, net=NETS, **TRAINED)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mlp@rate=1", "got 'rate=1'"),
        ("mlp@lr=1,lr=2", "at most once behind the @, as in @lr=0.1,epochs=9; got 'lr=2'"),
        ("mlp@epochs=1.5", "epochs must be a number, got '1.5'"),
        ("mlp@lr=0", "--net mlp@lr=0: --lr 0.0: give a number above 0"),
        ("mlp@optimizer=lion", "give sgd or adam"),
        ("mpl@lr=1", "unknown network 'mpl'"),
    ],
)
def test_a_wrong_recipe_of_a_member_is_refused_in_one_line(text, says):
    with pytest.raises(BadInput) as error:
        module.member_of(text, TeacherRecipe(1, 0.1, 8))
    assert says in str(error.value) and str(error.value).startswith("--net ") and "\n" not in str(error.value)


@pytest.mark.slow
def test_members_can_be_trained_by_adam(spec, made, tmp_path):
    """As CV-DD trains its own for CIFAR; what is not said is not recorded, so that folders of before are found again."""
    told = TRAINED | {"lr": 0.01, "optimizer": "adam", "decay": 1e-4}
    other = train_teachers(spec, tmp_path, net=NETS[:1], **told)
    assert json.loads((tmp_path / "teachers.json").read_text())["recipe"] == told
    assert bits(other)[0] != bits(made)[0] and other.accuracies[0] > 0.5
    tx = TeacherRecipe(1, 0.01, 8, "adam", 0.1).optimiser(0.5)  # a step of the step size's share against the decay alone
    updates, _ = tx.update({"w": jnp.zeros(2)}, tx.init({"w": jnp.ones(2)}), {"w": jnp.ones(2)})
    np.testing.assert_allclose(updates["w"], -0.005, rtol=1e-5)
    with pytest.raises(BadInput, match=r"--optimizer lion .*give sgd or adam"):
        train_teachers(spec, tmp_path / "b", net=NETS[:1], optimizer="lion")


SPOILS = {
    "not json": (lambda folder: (folder / "teachers.json").write_text("{"), "is not a committee's index"),
    "deep": (lambda folder: (folder / "teachers.json").write_text("[" * 100_000), "nested more than 32 deep"),
    "no text": (lambda folder: (folder / "teachers.json").write_bytes(b"\xff"), "not UTF-8"),
    "infinite": (lambda folder: (folder / "teachers.json").write_text('{"a": 1e400}'), "no finite number"),
    "a link": (lambda folder: link(folder / "teachers.json"), "teachers.json: is a link"),
    "depth": (lambda folder: edit(folder, members=[{"net": "convnet:depth=100000", "accuracy": 1}]), "depth must be at most 100"),
    "width": (lambda folder: edit(folder, members=[{"net": "mlp:width=60000", "accuracy": 1}]), "would take .* use a smaller width"),
    "image": (lambda folder: edit(folder, image=[8, 8]), "image must be a list of 3 values"),
    "another member": (lambda folder: shutil.copy(folder / "members" / "1.npz", folder / "members" / "0.npz"), "array|parameters"),
    "channels": (lambda folder: norm(folder, mean=np.zeros((3, 1)), std=np.ones((3, 1))), "is no normalisation of these teachers"),
    "negative": (lambda folder: norm(folder, mean=np.zeros(1), std=-np.ones(1)), "must be positive"),
    "infinite mean": (lambda folder: norm(folder, mean=np.full(1, np.inf), std=np.ones(1)), "not finite"),
    "format": (lambda folder: edit(folder, format=2), "format 2, and this version reads 1"),
    "split": (lambda folder: edit(folder, split_seed="x"), "is not a committee's index"),
    "no member": (lambda folder: edit(folder, members=[]), "members must be a list of 1 or more values"),
    "network": (lambda folder: edit(folder, members=[{"net": "mlp:width=5,norm=batch", "accuracy": 1}]), r"array '.*' is float32\["),
    "missing": (lambda folder: (folder / "members" / "1.npz").unlink(), "1.npz: does not exist"),
    "array": (lambda folder: np.savez(folder / "members" / "0.npz", x=np.zeros(3)), "array .* is "),
    "finite": (lambda folder: spoil(folder), "not finite"),
}


def norm(folder, **arrays):
    np.savez(folder / "normalisation.npz", **arrays)


def link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def edit(folder, **changes):
    place = folder / "teachers.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def spoil(folder):
    with np.load(folder / "members" / "0.npz") as file:
        held = dict(file)
    held["params/head/bias"][0] = np.nan
    np.savez(folder / "members" / "0.npz", **held)


@pytest.mark.parametrize("how", SPOILS)
def test_a_damaged_folder_is_refused_in_one_line(how, copied):
    break_it, says = SPOILS[how]
    break_it(copied)
    with pytest.raises(BadInput, match=says) as error:
        load_teachers(copied)
    assert "\n" not in str(error.value)


def test_parameters_of_another_training_are_refused(copied):
    """Of the same shapes, so that nothing but the checksum tells; folders of before have none."""
    with np.load(copied / "members" / "0.npz") as file:
        np.savez(copied / "members" / "0.npz", **{name: array + np.float32(1) for name, array in file.items()})
    with pytest.raises(BadInput, match=r"members/0\.npz: holds the parameters [0-9a-f]{12}, and teachers\.json names [0-9a-f]{12}; train"):
        load_teachers(copied)
    index = json.loads((copied / "teachers.json").read_text())
    edit(copied, members=[{name: value for name, value in member.items() if name != "digest"} for member in index["members"]])
    assert len(load_teachers(copied).members) == 2


def test_an_index_of_before_may_hold_nan_where_there_were_no_validation_images(copied):
    index = json.loads((copied / "teachers.json").read_text())
    index["members"][0]["accuracy"] = float("nan")
    (copied / "teachers.json").write_text(json.dumps(index))
    assert np.isnan(load_teachers(copied).accuracies[0])


def test_the_default_committee_makes_ten_pairs():
    for image in ((28, 28, 1), (64, 64, 3)):
        names = default_committee(image)
        assert len({name.split(":")[0] for name in names}) == 5


def test_the_command_line_says_what_is_there_and_what_is_next(spec, made, capsys):
    flags = ["teachers", "--data", spec, "--out", str(made.folder), "--net", *NETS, "--epochs", "2", "--batch", "16", "--lr"]
    assert command([*flags, "0.1"]) == 0
    told = capsys.readouterr().out
    assert f"{100 * made.accuracies[1]:5.1f} % of validation images  mlp:width=12" in told and "condense distill" in told
    assert command([*flags, "0.3"]) == 2 and "lr was 0.1, now 0.3" in capsys.readouterr().err

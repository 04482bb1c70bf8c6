"""Sets in the layouts of releases, made here from the facts of these layouts, come in and score as the same set in our format."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from condense.data.load import load_data
from condense.workflows.evaluate import evaluate
from condense.workflows.export import export
from condense.workflows.import_set import import_set
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.content import Bytes, Pixels
from synth.images.preprocess import fit_standard
from synth.labels.plain import Hard, Soft, Target
from synth.labels.recorded import Recorded
from synth.set import Info, SyntheticSet
from tests.support.exports import same

NET, SIDE, N = "mlp:width=8", 8, 6
INDEX = np.array([0, 0, 1, 1, 2, 2], np.int32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three classes of colour images 8x8, in bytes."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(60, 200, (3, SIDE, SIDE, 3))

    def draw(n):
        y = np.repeat(np.arange(3), n)
        return np.clip(centres[y] + rng.normal(0, 25, (len(y), SIDE, SIDE, 3)), 0, 255).astype(np.uint8), y

    (x, y), (x_test, y_test) = draw(30), draw(20)
    path = tmp_path_factory.mktemp("data") / "three.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x_test, y_test=y_test, class_names=np.array(["ant", "bee", "cow"]))
    return load_data(f"npz:{path}")


def usual(data):
    """The preprocessing that is fitted to all training images."""
    return fit_standard(np.asarray(data.source.train.take(np.arange(90))))


def images(data) -> np.ndarray:
    """Two real images of each class, in bytes."""
    rows = np.concatenate([np.flatnonzero(data.source.train.y == c)[:2] for c in range(3)])
    return np.asarray(data.source.train.take(rows))


def ours(data, y, *, x=None, **changes) -> SyntheticSet:
    """The same set as this workbench keeps it."""
    preprocess = usual(data)
    x = Pixels(jnp.asarray(preprocess.apply(images(data).astype(np.float32) / 255))) if x is None else x
    told = {"data": data.spec, "data_digest": data.digest, "method": "released", "data_path": data.located}
    return replace(SyntheticSet(x, y, info=Info(data.classes, preprocess, **told)), **changes)


def scores(synth, data, **asked) -> tuple[float, ...]:
    asked = {"recipe": "quick", "epochs": 4} | asked
    net = None if asked["recipe"] == "krr-ntk" else NET
    return evaluate(synth, data=data, net=net, seeds=2, rows=("distilled",), **asked).reports[0].accuracy


def agree(a: SyntheticSet, b: SyntheticSet, data, **asked) -> None:
    assert same(a, b)
    assert scores(a, data, **asked) == scores(b, data, **asked)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["folder", "parquet", "webdataset", "tfds"])
def test_an_export_comes_back_and_scores_the_same(to, data, tmp_path, capsys):
    synth = ours(data, Soft(jax.random.normal(jax.random.key(0), (N, 3))), lr=jnp.float32(0.03))
    export(synth, tmp_path / "out", to=to)
    agree(import_set(tmp_path / "out", data=data, out=tmp_path / "set.npz"), synth, data)
    assert same(load_set(tmp_path / "set.npz"), synth) and same(import_set(tmp_path / "out"), synth)


@pytest.mark.slow
def test_check_retrains_on_the_export_and_on_its_pictures(data, tmp_path):
    synth = ours(data, Hard(jnp.asarray(INDEX), 3))
    synth = replace(synth, x=Pixels(synth.x.pixels * 3), info=replace(synth.info, net=NET))  # far outside [0, 1]
    made = export(synth, tmp_path / "out", check=True, data=data, recipe="quick", epochs=4, seeds=2)
    assert made.accuracy["set"] == made.accuracy["export"] == np.mean(scores(synth, data))
    shown = made.clipped
    assert set(made.accuracy) == {"set", "export", "pictures"} and 0 < shown.outside < shown.numbers == N * SIDE * SIDE * 3
    assert shown.above > 0.1 and made.accuracy["pictures"] != made.accuracy["set"]


def test_class_folders_come_in_by_name_or_in_order(data, tmp_path):
    pictures, preprocess = images(data), usual(data)
    x = Bytes(jnp.asarray(pictures), jnp.asarray(preprocess.mean), jnp.asarray(preprocess.std))
    for names in (("ant", "bee", "cow"), ("new000", "new001", "new002")):
        place = tmp_path / names[0]
        for row, (picture, label) in enumerate(zip(pictures, INDEX, strict=True)):
            (place / names[label]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / names[label] / f"{row:02d}.png")
        assert same(import_set(place, data=data), ours(data, Hard(jnp.asarray(INDEX), 3), x=x))
    (place / "new003").mkdir()
    Image.fromarray(pictures[0]).save(place / "new003" / "0.png")
    with pytest.raises(BadInput, match=r"has pictures in 4 folders, and --data npz:.* 3 classes; they must be as many"):
        import_set(place, data=data)


def test_hugging_face_sets_of_images(data, tmp_path):
    """Parquet files, and what `datasets` saved; classes are told by name, or are numbers or text."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cow", "ant", "bee"])})
    rows = [{"image": Image.fromarray(picture), "label": (label + 1) % 3} for picture, label in zip(images(data), INDEX, strict=True)]
    table = datasets.Dataset.from_list(rows, features=features)
    table.save_to_disk(tmp_path / "saved")
    table.to_parquet(tmp_path / "train.parquet")
    preprocess = usual(data)
    x = Bytes(jnp.asarray(images(data)), jnp.asarray(preprocess.mean), jnp.asarray(preprocess.std))
    plain = datasets.Dataset.from_list([{"image": row["image"], "label": int(at)} for row, at in zip(rows, INDEX, strict=True)])
    plain.cast_column("image", datasets.Image()).to_parquet(tmp_path / "numbers.parquet")
    named = datasets.Dataset.from_list([{"image": row["image"], "class": data.classes[at]} for row, at in zip(rows, INDEX, strict=True)])
    named.cast_column("image", datasets.Image()).to_parquet(tmp_path / "text.parquet")
    for name in ("saved", "train.parquet", "numbers.parquet", "text.parquet"):
        assert same(import_set(tmp_path / name, data=data), ours(data, Hard(jnp.asarray(INDEX), 3), x=x))
    alone = tmp_path / "test-00000.parquet"  # whatever its name, it is what the call names
    alone.write_bytes((tmp_path / "train.parquet").read_bytes())
    assert same(import_set(alone, data=data), ours(data, Hard(jnp.asarray(INDEX), 3), x=x))


def test_kips_archives_hold_regression_values(data, tmp_path):
    synth = ours(data, Target(jax.nn.one_hot(INDEX, 3) - 0.1))
    np.savez(tmp_path / "kip.npz", images=synth.x.pixels, labels=synth.y.values)
    assert same(import_set(tmp_path / "kip.npz", data=data), synth)
    assert scores(import_set(tmp_path / "kip.npz", data=data), data, recipe="krr-ntk", epochs=None) == scores(
        synth, data, recipe="krr-ntk", epochs=None
    )
    np.savez(tmp_path / "other.npz", pictures=synth.x.pixels)
    with pytest.raises(BadInput, match="has no array 'images'; KIP's sets hold images and labels"):
        import_set(tmp_path / "other.npz", data=data)
    save_set(tmp_path / "ours.npz", synth)
    with pytest.raises(BadInput, match=r"ours\.npz: is a set of this workbench, or a part of an export; `condense evaluate "):
        import_set(tmp_path / "ours.npz", data=data)


@pytest.mark.parametrize(
    ("normalise", "scale", "warned"),
    [("standard", 1, False), ("none", 1, True), ("0.5,0.5,0.5/0.25,0.25,0.25", 1, False), ("standard", 255, True)],
)
def test_pixels_that_look_otherwise_are_warned_about_with_the_numbers(normalise, scale, warned, data, tmp_path, capsys):
    pixels = np.asarray(ours(data, Hard(jnp.asarray(INDEX), 3)).x.pixels) * scale
    np.savez(tmp_path / "kip.npz", images=pixels, labels=np.eye(3, dtype=np.float32)[INDEX])
    made = import_set(tmp_path / "kip.npz", data=data, normalise=normalise)
    np.testing.assert_array_equal(made.x.pixels, pixels)
    said = capsys.readouterr().err
    assert ("pixels do not look like the stated normalisation" in said) == warned
    if warned:
        assert f"mean {pixels.mean():.3f}, deviation {pixels.std():.3f}, range" in " ".join(
            said.split()
        ) and "the data's: mean" in " ".join(said.split())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"data": None}, "--data: a release does not say what it was made from"),
        (
            {"normalise": "loud"},
            "--normalise loud: unknown kind \\(known: standard, zca, .*published, imagenet, none, or",
        ),
        ({"normalise": "0.5/0.2"}, "give 3 finite means and 3 deviations above 0"),
        ({"temperature": 0.0}, "--temperature 0.0: give a number above 0"),
        ({"paths": "nowhere"}, "nowhere: does not exist"),
        ({"paths": "."}, "is neither an export nor a release of a known layout"),
        ({"data": "digits"}, "its images are 8x8x3, those of --data digits 8x8x1"),
    ],
)
def test_wrong_calls_are_refused(call, words, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "kip.npz", images=np.zeros((6, 8, 8, 3), np.float32), labels=np.eye(3)[INDEX])
    given = {"paths": "kip.npz", "data": data} | call
    given["paths"] = "empty" if given["paths"] == "." else given["paths"]
    with pytest.raises(BadInput, match=words):
        import_set(given.pop("paths"), **given)


# --- files of PyTorch


def nchw(pixels) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(np.asarray(pixels), -1, 1))


@pytest.mark.slow
def test_a_set_of_the_trajectory_family(data, tmp_path):
    """images_best.pt, labels_best.pt and a step size; labels are classes, or scores."""
    torch = pytest.importorskip("torch")
    synth = ours(data, Hard(jnp.asarray(INDEX), 3), lr=jnp.float32(0.02))
    torch.save(torch.from_numpy(nchw(synth.x.pixels)), tmp_path / "images_best.pt")
    torch.save(torch.from_numpy(INDEX.astype(np.int64)), tmp_path / "labels_best.pt")
    assert same(import_set(tmp_path, data=data), replace(synth, lr=None))
    torch.save(torch.tensor(0.02), tmp_path / "lr_best.pt")
    agree(import_set(tmp_path, data=data), synth, data)
    files = [tmp_path / name for name in ("labels_best.pt", "lr_best.pt", "images_best.pt")]
    assert same(import_set(files, data=data), synth)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "Normal").symlink_to(tmp_path)  # as DATM writes them
    assert same(import_set(tmp_path / "run", data=data), synth)
    scored = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    torch.save(torch.from_numpy(scored), tmp_path / "labels_best.pt")
    assert same(import_set(tmp_path, data=data), replace(synth, y=Soft(jnp.asarray(scored))))
    with pytest.raises(BadInput, match=r"no labels beside it; give the images and the labels"):
        import_set(tmp_path / "images_best.pt", data=data)


def test_a_file_of_dc_dsa_and_dm(data, tmp_path):
    """Several experiments, and accuracies as numbers of numpy."""
    torch = pytest.importorskip("torch")
    synth = ours(data, Hard(jnp.asarray(INDEX), 3))
    first = [torch.from_numpy(nchw(synth.x.pixels)), torch.from_numpy(INDEX.astype(np.int64))]
    held = {"data": [first, [first[0] + 1, first[1]]], "accs_all_exps": {"ConvNet": [np.float64(0.5), 0.25, np.int64(3)]}}
    torch.save(held, tmp_path / "res_DM_CIFAR10_ConvNet_2ipc.pt")
    agree(import_set(tmp_path / "res_DM_CIFAR10_ConvNet_2ipc.pt", data=data), synth, data)


def test_nothing_is_unpickled(data, tmp_path):
    torch = pytest.importorskip("torch")

    class Loud:
        def __reduce__(self):
            return (tmp_path.joinpath("loud").write_text, ("ran",))

    torch.save(Loud(), tmp_path / "a.pt")
    with pytest.raises(BadInput, match="holds more than tensors and plain values"):
        import_set(tmp_path / "a.pt", data=data)
    (tmp_path / "b.pt").write_bytes(b"PK\3\4")
    with pytest.raises(BadInput, match="is no file of PyTorch, or a damaged one"):
        import_set(tmp_path / "b.pt", data=data)
    assert not (tmp_path / "loud").exists()


def release(torch, data, folder, *, mix, batch=4, epochs=2):
    """A release of SRe2L: class folders, and a list of six for every mini-batch. Returns the same set as this workbench keeps it."""
    rng, pictures = np.random.default_rng(3), images(data)
    for row, (picture, label) in enumerate(zip(pictures, INDEX, strict=True)):
        (folder / "images" / f"new{label:03d}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "images" / f"new{label:03d}" / f"class{label:03d}_id{row:03d}.png")
    sampler = torch.utils.data.RandomSampler(range(N), generator=torch.Generator().manual_seed(42))
    loader = torch.utils.data.DataLoader(range(N), batch_size=batch, sampler=sampler, collate_fn=list)
    kept: dict[str, list] = {name: [] for name in ("order", "logits", "crop", "flip", "partner", "lam", "box")}
    for epoch in range(epochs):
        (folder / "labels" / f"epoch_{epoch}").mkdir(parents=True)
        rows: dict[str, list] = {name: [] for name in kept}
        for step, index in enumerate(loader):
            b = len(index)
            height, width = rng.integers(2, SIDE, (2, b))
            crop = np.stack([rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1), height, width], -1)
            flip, partner = rng.integers(0, 2, b).astype(bool), rng.permutation(b)
            box, lam = [np.int64(1), np.int64(2), np.int64(5), np.int64(8)], float(rng.uniform())
            logits = rng.normal(size=(b, 3)).astype(np.float16)
            held = [torch.from_numpy(crop.astype(np.float32) / SIDE), torch.from_numpy(flip)]
            held += [torch.from_numpy(partner), lam, box if mix == "cutmix" else None] if mix else [None, None, None]
            torch.save([*held, torch.from_numpy(logits)], folder / "labels" / f"epoch_{epoch}" / f"batch_{step}.tar")
            own = [1, 5, 2, 8] if mix == "cutmix" else [0, 0, 0, 0]
            for name, value in zip(kept, (index, logits, crop, flip, partner if mix else np.arange(b), None, None), strict=True):
                rows[name] += [] if value is None else list(value)
            rows["lam"].append(lam if mix else 1.0)
            rows["box"].append(own)
        for name, value in rows.items():
            kept[name].append(np.array(value))
    kinds = {
        "order": np.int32,
        "logits": np.float16,
        "crop": np.uint16,
        "flip": np.uint8,
        "partner": np.int32,
        "lam": np.float32,
        "box": np.uint16,
    }
    arrays = {name: jnp.asarray(np.stack(value).astype(kinds[name])) for name, value in kept.items()}
    told = {"temperature": 20.0, "teachers": "", "statistics": "running", "batch": batch, "mix": mix}
    preprocess = usual(data)
    x = Bytes(jnp.asarray(pictures), jnp.asarray(preprocess.mean), jnp.asarray(preprocess.std))
    synth = ours(data, Recorded(jnp.asarray(INDEX), **arrays, **told), x=x)
    return replace(synth, info=replace(synth.info, recipe="fkd"))


@pytest.mark.slow
@pytest.mark.parametrize("mix", ["cutmix", "mixup", ""])
def test_a_release_with_recorded_views(mix, data, tmp_path):
    torch = pytest.importorskip("torch")
    synth = release(torch, data, tmp_path, mix=mix)
    made = import_set([tmp_path / "images", tmp_path / "labels"], data=data, out=tmp_path / "set.npz")
    save_set(tmp_path / "ours.npz", synth)
    assert (tmp_path / "set.npz").read_bytes() == (tmp_path / "ours.npz").read_bytes()
    asked = {"recipe": None, "epochs": None}
    assert scores(load_set(tmp_path / "set.npz"), data, **asked) == scores(synth, data, **asked)
    views = N * 2 * (4 + 2 * 3 + 8 + 1 + 4) + 2 * 2 * (4 + 8)  # order, logits, crop, flip, partner; share and box of a mini-batch
    assert count_bytes(made)["labels"] == 4 * N + views
    assert import_set([tmp_path / "labels", tmp_path / "images"], data=data, epochs=1).y.epochs == 1


def test_recorded_views_go_with_recipes_of_views_alone(data, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    synth = release(torch, data, tmp_path, mix="cutmix")
    for asked, words in (
        ({"recipe": "dsa"}, "--recipe dsa: the set's labels record the views that they answer to; take fkd or another recipe of views"),
        ({"recipe": "krr-ntk", "epochs": None}, "--recipe krr-ntk: the set's labels record the views"),
        ({"recipe": "fkd", "epochs": None}, "it has 300 epochs, and 2 are recorded; give --epochs"),
    ):
        with pytest.raises(BadInput, match=words):
            scores(synth, data, **asked)
    told = evaluate(synth, data=data, net=NET, seeds=1)
    assert [report.set_kind for report in told.reports] == [
        "distilled"
    ] and "recorded labels of the set's own teachers" in capsys.readouterr().err
    export(synth, tmp_path / "out", to="torch")
    assert same(import_set(tmp_path / "out"), synth)


def test_views_of_other_images_are_refused(data, tmp_path):
    torch = pytest.importorskip("torch")
    release(torch, data, tmp_path, mix="cutmix")
    path = tmp_path / "labels" / "epoch_1" / "batch_1.tar"
    kept = torch.load(path, weights_only=False)
    for change, words in (
        (kept[:5], "is no list of crops, flips, partners, share, box and logits"),
        ([kept[0] + 1, *kept[1:]], "holds boxes outside images of 8x8"),
        ([*kept[:2], kept[2][:1], *kept[3:]], "its arrays differ in length"),
        ([*kept[:4], None, kept[5]], "its mini-batches differ in mixes or classes"),
        ([*kept[:5], torch.zeros(2, 4)], "its mini-batches differ in mixes or classes"),
    ):
        torch.save(change, path)
        with pytest.raises(BadInput, match=words):
            import_set([tmp_path / "images", tmp_path / "labels"], data=data)
    path.unlink()
    with pytest.raises(BadInput, match="holds mini-batches of 4 views, and there are 6 images"):
        import_set([tmp_path / "images", tmp_path / "labels"], data=data)
    with pytest.raises(BadInput, match=r"--epochs 3: .* records 2; give fewer"):
        import_set([tmp_path / "images", tmp_path / "labels"], data=data, epochs=3)

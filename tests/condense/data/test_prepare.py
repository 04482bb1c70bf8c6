"""`condense data NAME`: round trips through prepared sets, and what is refused or never left half done."""

import json
import os
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from condense.data import prepare as module
from condense.data.load import load_data
from condense.data.named import NAMED
from condense.data.prepare import prepare
from condense.data.readers import shards
from condense.data.readers import tfds as kept
from condense.data.readers.idx import IDX
from condense.data.readers.source import Source, arrays
from synth.errors import BadInput, RunFailed
from tests.support.data_files import Trap, class_folders, idx_folder, refused
from tests.support.ways import folders

COARSE = {"cifar10": 0, "cifar100": 1}
FILES = {"cifar10": [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"], "cifar100": ["train.bin", "test.bin"]}
NAMES = {"cifar10": "batches.meta.txt", "cifar100": "fine_label_names.txt"}


KNOWN_SETS = kept.known_sets


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "known_sets", lambda name: [])  # the sets of these tests are small, whatever their names
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


def cifar(folder, name, *, classes=3):
    """Batches of six records each; returns their images (channels first) and labels, a file at a time."""
    folder.mkdir(parents=True)
    rng, made = np.random.default_rng(0), []
    for file in FILES[name]:
        x, y = rng.integers(0, 256, (6, 3, 32, 32), np.uint8), rng.permutation(6) % classes
        records = [bytes([7] * COARSE[name] + [label]) + image.tobytes() for image, label in zip(x, y, strict=True)]
        (folder / file).write_bytes(b"".join(records))
        made.append((x, y))
    (folder / NAMES[name]).write_text("\n".join(["frog", "cat", "dog", "eel"][:classes]) + "\n\n")
    return made


def refuse(name, folder, *words):
    with pytest.raises(BadInput) as caught:
        prepare(name, from_dir=folder)
    for word in words:
        assert str(word) in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "inside"), [("cifar10", ""), ("cifar10", "cifar-10-batches-bin"), ("cifar100", "cifar-100-binary")])
def test_binary_cifar_round_trip(tmp_path, home, name, inside):
    made = cifar(tmp_path / "src" / inside, name)
    assert prepare(name, from_dir=tmp_path / "src") == home / "tfds" / name
    data = load_data(name, validation=0.0)
    x, y = np.concatenate([x for x, _ in made[:-1]]), np.concatenate([y for _, y in made[:-1]])
    np.testing.assert_array_equal(data.source.train.x, np.moveaxis(x, 1, 3))
    np.testing.assert_array_equal(data.train.y, y)
    np.testing.assert_array_equal(data.source.test.x, np.moveaxis(made[-1][0], 1, 3))
    np.testing.assert_array_equal(data.test.y, made[-1][1])
    assert data.classes == ("frog", "cat", "dog") and data.flips and data.name == name
    assert "tensorflow" not in sys.modules
    assert load_data(f"tfds:{name}").digest == load_data(f"tfds:{home}/tfds/{name}").digest == data.digest


@pytest.mark.parametrize(("name", "mode", "flips"), [("svhn_cropped", "RGB", False), ("my_letters", "L", True)])
def test_class_folders_round_trip(tmp_path, capsys, name, mode, flips):
    class_folders(tmp_path / "src", mode=mode)
    place = prepare(name, from_dir=tmp_path / "src")
    assert capsys.readouterr().out == ""
    direct, stored = load_data(f"folder:{tmp_path}/src"), load_data(name)
    assert stored.digest == direct.digest and stored.classes == ("a", "b", "c") and stored.flips is flips
    assert load_data(f"tfds:{place}/1.0.0?limit=6").image == (6, 8, 3 if mode == "RGB" else 1)
    assert sorted(path.name for path in place.parent.iterdir()) == [name]
    with pytest.raises(BadInput, match=rf"{place} is there already; remove it"):
        prepare(name, from_dir=tmp_path / "src")
    assert prepare(name) == place


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_checked_and_copied(tmp_path, home, zipped):
    idx_folder(tmp_path / "src", zipped=zipped)
    (tmp_path / "src" / "else.txt").touch()
    assert prepare("mnist", from_dir=tmp_path / "src") == home / "mnist"
    assert load_data("mnist").digest == load_data(f"idx:{tmp_path}/src").digest and not load_data("mnist").flips
    assert len(list((home / "mnist").iterdir())) == 4 and [path.name for path in home.iterdir()] == ["mnist"]
    broken = next((tmp_path / "src").glob("train-images*"))
    broken.write_bytes(broken.read_bytes()[:-20])
    refuse("fashion_mnist", tmp_path / "src", broken, "fetch the file again")
    assert not (home / "fashion_mnist").exists()


def test_pickled_cifar_is_refused_unread(tmp_path, home):
    ten, hundred = ("cifar-10-batches-py/data_batch_1", "data_batch_1"), ("cifar-100-python/train", "train")
    for name, file in [("cifar10", file) for file in ten] + [("cifar100", file) for file in hundred]:
        folder = tmp_path / name / file.replace("/", "_")
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
        refuse(name, folder, folder, "pickles are never read", "use the binary version", "or class folders train/CLASS/*.png")
    assert not (tmp_path / "sprung").exists() and not home.exists()


def test_broken_cifar_is_refused(tmp_path):
    cifar(tmp_path / "src", "cifar10")
    batch, names, test = (tmp_path / "src" / name for name in ("data_batch_3.bin", "batches.meta.txt", "test_batch.bin"))
    good = batch.read_bytes()
    batch.write_bytes(good[:-1])
    refuse("cifar10", tmp_path / "src", f"{batch} has 18437 bytes, which is no whole number of 3073-byte records")
    batch.write_bytes(b"\xff" + good[1:])
    refuse("cifar10", tmp_path / "src", "train labels run from 0 to 255; 3 classes have 0..2")
    batch.write_bytes(good)
    names.rename(tmp_path / "names")
    refuse("cifar10", tmp_path / "src", names, "use the binary version (data_batch_1.bin")
    (tmp_path / "names").rename(names)
    test.unlink()
    os.mkfifo(test)
    refuse("cifar10", tmp_path / "src", f"{test} is not an ordinary file")
    refuse("cifar100", tmp_path / "src", "has no train.bin; use the binary version (train.bin, test.bin, fine_label_names.txt)")


def test_wrong_calls_say_what_is_right(tmp_path, home, monkeypatch):
    refuse("../up", tmp_path, "names are made of a-z, 0-9 and _")
    refuse("digits", None, "comes with scikit-learn and needs no files; use --data digits")
    refuse("mnist", tmp_path / "none", "there is no such folder; unpack archives first")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    refuse("mnist", None, "run `condense data mnist --from DIR` where DIR holds the four IDX files; or install the extra [tensorflow]")
    refuse("cifar10", None, "--from DIR` where DIR holds the unpacked binary version; or install the extra [tensorflow]")
    refuse("svhn_cropped", None, "class folders train/CLASS and test/CLASS; or install the extra [tensorflow]")
    refuse("mine", tmp_path, f"{tmp_path} holds no class folders")
    assert set(NAMED) == {"digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped", "toy_graphs"} and not home.exists()


def stand_in(called, mode, classes):
    """A builder of six images a split, red or grey by their number."""
    import tensorflow_datasets as tfds

    class Stand(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION = called, tfds.core.Version("3.1.0")

        def _info(self):
            image = tfds.features.Image(shape=(4, 4, len(mode)))
            label = tfds.features.ClassLabel(num_classes=classes)
            features = tfds.features.FeaturesDict({"id": tfds.features.Text(), "image": image, "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(), "test": self._generate_examples(), "extra": self._generate_examples()}

        def _generate_examples(self):
            for row in range(6):
                yield row, {"id": str(row), "image": Image.new(mode, (4, 4), (row, 0, 0)[: len(mode)]), "label": row % 2}

    return Stand


def test_with_tensorflow_the_library_prepares(home, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(module, "find_spec", lambda name: True)
    monkeypatch.setattr(tfds, "builder", lambda name, **kwargs: stand_in(name, "RGB", 2)(**kwargs))
    assert prepare("svhn_cropped") == home / "tfds" / "svhn_cropped"
    source = load_data("svhn_cropped", validation=0.0).source
    np.testing.assert_array_equal(source.train.x[:, 0, 0, 0] % 2, source.train.y)
    assert source.classes == ("0", "1") and [path.name for path in (home / "tfds").iterdir()] == ["svhn_cropped"]
    monkeypatch.undo()
    monkeypatch.setenv("CONDENSE_DATA", str(home))
    monkeypatch.setattr(module, "find_spec", lambda name: True)
    refuse("no_such_set", None, "tensorflow_datasets knows no such set; use --from DIR")


def test_with_tensorflow_idx_sets_are_downloaded_too(home, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(module, "find_spec", lambda name: True)
    monkeypatch.setattr(tfds, "builder", lambda name, **kwargs: stand_in(name, "L", 2)(**kwargs))
    assert prepare("mnist") == home / "mnist"
    assert sorted(path.name for path in (home / "mnist").iterdir()) == sorted(f"{name}.gz" for name in IDX)
    source = load_data("mnist", validation=0.0).source
    assert source.train.x.shape == (6, 4, 4, 1) and sorted(source.train.x[:, 2, 3, 0]) == list(range(6))
    np.testing.assert_array_equal(source.train.x[:, 0, 0, 0] % 2, source.train.y)
    assert prepare("mnist") == home / "mnist", "what is there already is left alone"


def test_failures_leave_nothing_behind(tmp_path, home, monkeypatch):
    class_folders(tmp_path / "src")

    def full(source, folder):
        (folder / "half").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "write_tfds", full)
    with pytest.raises(RunFailed, match=r"cannot write .*/tfds/mine \(No space left on device\)"):
        prepare("mine", from_dir=tmp_path / "src")
    assert list((home / "tfds").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setenv("CONDENSE_DATA", str(home))
    monkeypatch.setattr(shards, "serializer", lambda features: lambda picture, label: 1 / 0)
    with pytest.raises(RunFailed, match=r"data mine: could not be written \(division by zero\); check the disk, then run the same again"):
        prepare("mine", from_dir=tmp_path / "src")
    assert list((home / "tfds").iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "file"))
    refuse("mine", tmp_path / "src", "$CONDENSE_DATA: cannot write")


def tiny(folder):
    """A prepared directory of 2 classes, 4 + 2 images."""
    x, y = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 1), np.uint8), np.int32([1, 0, 1, 0])
    kept.write_tfds(arrays("tiny", "x", x, y, x[:2], y[:2], ("u", "v")), folder)
    return folder / "1.0.0"


def edit(path, change):
    text = change(path.read_text())
    path.write_text(text)


def test_newest_version_is_read(tmp_path):
    place = tiny(tmp_path)
    place.rename(tmp_path / "9.0.0")
    place = tiny(tmp_path)
    place.rename(tmp_path / "10.0.0")
    (tmp_path / "11.0.0").mkdir()
    edit(tmp_path / "10.0.0" / "label.labels.txt", lambda text: text.replace("u", "new"))
    assert load_data(f"tfds:{tmp_path}").classes == ("new", "v")


def test_hostile_or_broken_prepared_sets_are_refused(tmp_path, monkeypatch):
    place = tiny(tmp_path)
    keep = {path: path.read_bytes() for path in place.iterdir()}
    (tmp_path / "evil_module.py").write_text(f"import os; os.mkdir({str(tmp_path / 'sprung')!r})")
    monkeypatch.syspath_prepend(tmp_path)
    features, info, record = (next(place.glob(pattern)) for pattern in ("features.json", "dataset_info.json", "*train*"))
    own = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
    cases = [
        (features, lambda text: text.replace(own, "evil_module.Feature"), "asks for evil_module.Feature; only features of"),
        (features, lambda text: text[:50], "features.json is not readable"),
        (features, lambda text: text.replace(own, own.replace("ClassLabel", "Other")), "cannot be read"),
        (info, lambda text: text.replace("array_record", "tfrecord"), "prepare it again as array_record"),
        (info, lambda text: text.replace('"test"', '"rest"'), "there is no test split"),
        (info, lambda text: text[:-9], "cannot be read"),
        (info, lambda text: json.dumps(long(json.loads(text))), "declares 999999999999 train examples"),
        (record, lambda text: text[: len(text) // 2], "prepare it again"),
        (record, lambda text: "\0" * len(text), "prepare it again"),
        (record, lambda text: text.replace("IHDR", "IHDX"), "prepare it again"),
    ]
    for path, change, words in cases:
        text = keep[path].decode("latin1")
        assert change(text) != text
        path.write_bytes(change(text).encode("latin1"))
        refused(f"tfds:{place}", place, words)
        path.write_bytes(keep[path])
    assert not (tmp_path / "sprung").exists() and load_data(f"tfds:{place}").image == (6, 5, 1)
    os.mkfifo(place / "pipe")
    refused(f"tfds:{place}", f"{place}/pipe is not an ordinary file; prepare the set again")
    refused(f"tfds:{tmp_path}/none", f"no prepared set in {tmp_path}/none")


def test_what_a_killed_preparation_left_is_removed_and_what_a_living_one_fills_stays(tmp_path, home):
    class_folders(tmp_path / "src")
    for name in (".mine.abcdefgh", ".mine.12345678", ".other.abcdefgh"):
        (home / "tfds" / name / "data").mkdir(parents=True)
    living = module._lock(home / "tfds" / ".mine.12345678")
    assert prepare("mine", from_dir=tmp_path / "src").is_dir()
    os.close(living)
    assert sorted(path.name for path in (home / "tfds").iterdir()) == [".mine.12345678", ".other.abcdefgh", "mine"]


def long(info):
    """The same, claiming far more examples than there are."""
    info["splits"][0]["shardLengths"] = ["999999999999"]
    return info


def test_files_under_the_name_of_another_set_are_refused(tmp_path, monkeypatch):
    """Digits of ten classes are no emnist, in any of its configurations; a name that nobody knows takes anything."""
    monkeypatch.setattr("condense.data.readers.tfds.known_sets", KNOWN_SETS)
    class_folders(tmp_path / "src")
    with pytest.raises(BadInput, match=r"emnist has (\d+ or )*62 classes, and there are 3; prepare the files under another name"):
        prepare("emnist", from_dir=tmp_path / "src")
    assert prepare("mine", from_dir=tmp_path / "src").is_dir()
    idx_folder(tmp_path / "idx")
    with pytest.raises(BadInput, match="mnist has 10 classes, and there are 2"):
        prepare("mnist", from_dir=tmp_path / "idx")


def source(classes, *, shape=(28, 28, 1)) -> Source:
    """Two images of every class, of that shape."""
    x, y = np.zeros((2 * len(classes), *shape), np.uint8), np.repeat(np.arange(len(classes), dtype=np.int32), 2)
    return arrays("mine", "data", x, y, x, y, tuple(classes))


def test_images_and_classes_of_another_set_are_refused_under_its_name(monkeypatch):
    monkeypatch.setattr(kept, "known_sets", KNOWN_SETS)
    digits = [str(number) for number in range(10)]
    kept.check_known(source(digits), "mnist", "data mnist")
    with pytest.raises(BadInput, match="mnist has images of 28x28x1, and these are 8x8x1; prepare the files under another name"):
        kept.check_known(source(digits, shape=(8, 8, 1)), "mnist", "data mnist")
    with pytest.raises(BadInput, match="cifar10 has images of 32x32x3, and these are 28x28x1"):
        kept.check_known(source(digits), "cifar10", "data")
    clothes = ("t shirt top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")
    for called in (clothes, clothes[::-1], digits):  # spelling and order may differ, and numbers are no names
        kept.check_known(source(called), "fashion_mnist", "data")
    with pytest.raises(BadInput, match=r"fashion_mnist has no class 'bird' \(there: T-shirt/top, Trouser, .*Ankle boot\)"):
        kept.check_known(source(("bird", *clothes[1:])), "fashion_mnist", "data")


def test_class_folders_of_several_sizes_and_without_a_test_are_prepared_on_request(tmp_path, home):
    """By the flags that the messages name."""
    folders(tmp_path / "src", parts={"train": ""})
    Image.new("RGB", (20, 12)).save(tmp_path / "src" / "ape" / "99.png")
    refuse("mine", tmp_path / "src", "there is no test split; add --test 0.2 to draw one")
    with pytest.raises(BadInput, match=r"99\.png is 12x20x3 but others are 9x7x3; add --size N to cut all to one size"):
        prepare("mine", from_dir=tmp_path / "src", test=0.25)
    with pytest.raises(BadInput, match=r"--size is a whole number from 1 to 4096 and --test a fraction such as 0.2; correct them"):
        prepare("mine", from_dir=tmp_path / "src", size=0)
    with pytest.raises(BadInput, match=r"--size and --test are for class folders; add --from DIR, or leave them out"):
        prepare("mine", size=6)
    cifar(tmp_path / "bin", "cifar10")
    with pytest.raises(BadInput, match=r"binary files take no --size 6 and --test 0.25, which are for class folders; leave them out"):
        prepare("cifar10", from_dir=tmp_path / "bin", size=6, test=0.25)
    idx_folder(tmp_path / "idx")
    with pytest.raises(BadInput, match=r"IDX files take no --test 0.25, which are for class folders; leave them out"):
        prepare("mnist", from_dir=tmp_path / "idx", test=0.25)
    prepare("mine", from_dir=tmp_path / "src", size=6, test=0.25)
    data = load_data("mine", validation=0)
    assert data.image == (6, 6, 3) and len(data.test) == 6 and len(data.train) == 19 and data.classes == ("ape", "bee", "cow")
    prepare("all", from_dir=tmp_path / "src", size=6, test=0.5)
    with pytest.raises(BadInput, match=r"test=0\.2 is for data without a test split, and these have one"):
        load_data("all?test=0.2")

"""Specifications, splits, digests and normalisation of `condense.data.images`."""

import sys

import numpy as np
import pytest

from condense.data import images
from condense.data.load import load_data
from condense.data.named import FASHION, NAMED
from condense.data.readers.source import stratified
from condense.data.spec import parse_spec
from synth.base import take_all
from synth.errors import BadInput
from synth.images.preprocess import Standard, fit_standard, fit_zca


def save(path, *, n=40, classes=4, seed=0, image=(6, 5, 3), **other):
    """A small .npz of random images; `other` replaces arrays."""
    rng = np.random.default_rng(seed)
    arrays = {
        "x_train": rng.integers(0, 256, (n, *image), np.uint8),
        "y_train": np.arange(n) % classes,
        "x_test": rng.integers(0, 256, (n // 2, *image), np.uint8),
        "y_test": np.arange(n // 2) % classes,
    }
    np.savez(path, **(arrays | other))
    return f"npz:{path}"


def test_digits_have_a_fixed_stratified_test_split():
    from sklearn.datasets import load_digits

    one, other = load_data("digits", seed=0), load_data("digits", seed=7)
    assert one.image == (8, 8, 1) and one.classes == tuple("0123456789") and one.flips is False and one.name == "digits"
    assert len(one.test.y) == 360 and len(one.train.y) + len(one.val.y) == 1437
    np.testing.assert_array_equal(take_all(one.test).x, take_all(load_data("digits", seed=0).test).x)
    np.testing.assert_array_equal(one.test.y, other.test.y)
    assert one.digest == other.digest and not np.array_equal(one.val.y, other.val.y)
    share = np.bincount(one.test.y) / np.bincount(load_digits().target)
    assert np.abs(share - 360 / 1797).max() < 0.005
    every = np.concatenate([one.preprocess.undo(take_all(part).x) for part in (one.train, one.val, one.test)]).reshape(1797, -1) * 16
    truth = load_digits().images.reshape(1797, -1)
    np.testing.assert_allclose(np.sort(every @ np.arange(64)), np.sort(truth @ np.arange(64)), atol=0.02)


def test_validation_is_stratified_disjoint_and_drawn_by_seed(tmp_path):
    x = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    y = np.repeat([0, 1, 2], [120, 60, 20])
    spec = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3], classes=3)
    parts = [load_data(spec, seed=seed) for seed in (0, 0, 1)]
    rows = [
        [np.round(data.preprocess.undo(take_all(part).x) * 255).astype(int).ravel() for part in (data.train, data.val)] for data in parts
    ]
    for data, (train, val) in zip(parts, rows, strict=True):
        assert np.bincount(data.val.y).tolist() == [12, 6, 2]
        assert sorted([*train, *val]) == list(range(200))
        np.testing.assert_array_equal(data.train.y, y[train])
        np.testing.assert_array_equal(data.val.y, y[val])
    np.testing.assert_array_equal(rows[0][1], rows[1][1])
    assert not np.array_equal(rows[0][1], rows[2][1])


@pytest.mark.parametrize(("option", "fit"), [("", fit_standard), ("?normalise=zca", fit_zca)])
def test_preprocessing_is_fitted_on_train_without_validation(tmp_path, option, fit):
    spec = save(tmp_path / "a.npz", n=60)
    raw = np.load(tmp_path / "a.npz")
    data = load_data(spec + option)
    assert take_all(data.train).x.dtype == np.float32 and data.train.y.dtype == np.int32
    kept = np.round(data.preprocess.undo(take_all(data.train).x) * 255).astype(np.uint8)
    for have, want, leaky in zip(data.preprocess, fit(kept), fit(raw["x_train"]), strict=True):
        np.testing.assert_allclose(have, want, atol=1e-5)
        assert not np.allclose(have, leaky, atol=1e-5)
    np.testing.assert_allclose(take_all(data.test).x, data.preprocess.apply((raw["x_test"] / 255).astype(np.float32)), atol=1e-5)


def test_no_validation_split_on_request(tmp_path):
    data = load_data(save(tmp_path / "a.npz"), validation=0.0)
    assert take_all(data.val).x.shape == (0, 6, 5, 3) and len(take_all(data.train).x) == 40


def test_digest_tells_contents_and_nothing_else(tmp_path):
    base = load_data(save(tmp_path / "a.npz")).digest
    assert load_data(save(tmp_path / "b.npz"), seed=3, validation=0.2).digest == base
    assert load_data(f"npz:{tmp_path}/a.npz?normalise=zca&flip=false").digest == base
    raw = dict(np.load(tmp_path / "a.npz"))
    changes = []
    for name in raw:
        changed = raw[name].copy()
        changed.flat[0] = (changed.flat[0] + 1) % 4
        changes.append(load_data(save(tmp_path / f"{name}.npz", **{name: changed})).digest)
    changes.append(load_data(save(tmp_path / "c.npz", class_names=np.array(["a", "bc", "d", "e"]))).digest)
    changes.append(load_data(save(tmp_path / "d.npz", class_names=np.array(["ab", "c", "d", "e"]))).digest)
    changes.append(load_data(f"npz:{tmp_path}/a.npz?limit=20").digest)
    assert len({base, *changes}) == 8 and len(base) == 64


def test_limit_takes_the_first_images_in_proportion(tmp_path):
    y = np.repeat([1, 0, 2], [60, 30, 10])
    x = np.arange(100, dtype=np.uint8).reshape(100, 1, 1)
    spec = save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    data = load_data(spec + "?limit=20", validation=0.0)
    rows = np.round(data.preprocess.undo(take_all(data.train).x) * 255).astype(int).ravel()
    assert rows.tolist() == [*range(12), *range(60, 66), *range(90, 92)]
    assert len(data.test.y) == 50 and load_data(spec + "?limit=1000").digest == load_data(spec).digest
    with pytest.raises(BadInput, match=r"limit=5: class 2 \('2'\) of 3 has 0 training images"):
        load_data(spec + "?limit=5")


@pytest.mark.parametrize("seed", [None, 4])
def test_stratified_counts_are_the_largest_remainders(seed):
    y = np.repeat([0, 1, 2, 3], [50, 31, 16, 3])
    for count in range(1, 100):
        rows = stratified(y, count, seed=seed)
        taken = np.bincount(y[rows], minlength=4)
        assert taken.sum() == count == len(set(rows.tolist()))
        assert np.abs(taken - np.bincount(y) * count / 100).max() < 1


def test_model_space_copies_are_made_once_and_late(tmp_path):
    data = load_data(save(tmp_path / "a.npz"))
    assert data.source.train.x.dtype == np.uint8 and not {"train", "val", "test"} & vars(data).keys()
    assert data.train is data.train and "val" not in vars(data)
    with pytest.raises(AttributeError):
        data.flips = True


def test_under_takes_the_normalisation_of_another_set(tmp_path):
    data = load_data(save(tmp_path / "a.npz"))
    theirs = Standard(np.float32([0.1, 0.2, 0.3]), np.float32([0.5, 0.25, 2]))
    moved = data.under(theirs)
    raw = np.load(tmp_path / "a.npz")["x_test"] / 255
    np.testing.assert_allclose(take_all(moved.test).x, (raw - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2], atol=1e-5)
    np.testing.assert_array_equal(moved.train.y, data.train.y)
    assert moved.digest == data.digest and moved.source is data.source and data.preprocess is not theirs
    assert not np.allclose(take_all(data.test).x, take_all(moved.test).x, atol=0.1)
    whiten = load_data(f"npz:{tmp_path}/a.npz?normalise=zca").preprocess
    np.testing.assert_allclose(take_all(data.under(whiten).test).x, whiten.apply(raw.astype(np.float32)), atol=1e-4)
    for other in (load_data("digits"), load_data("digits?normalise=zca")):
        with pytest.raises(BadInput, match=r"its 6x5x3 images do not fit a (standard|zca) preprocessing of (1|64) numbers"):
            data.under(other.preprocess)


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped"])
def test_named_sets_say_whether_a_mirror_image_keeps_its_label(name):
    assert NAMED[name].flips == (name not in ("digits", "mnist", "svhn_cropped"))
    assert len(FASHION) == 10 and NAMED[name].about.count("\n") == 0


def test_flip_option_overrides(tmp_path):
    spec = save(tmp_path / "a.npz")
    assert load_data(spec).flips is True and load_data(spec + "?flip=false").flips is False and load_data("digits?flip=true").flips is True


def test_specifications_are_taken_apart(tmp_path):
    spec = parse_spec("folder:/some/where?size=64&grey=true&limit=10")
    assert (spec.kind, spec.location, spec.name) == ("folder", "/some/where", "where")
    assert spec.options == {"size": 64, "grey": True, "limit": 10}
    assert parse_spec("digits").options == {} and parse_spec("tfds:cifar10").kind == "tfds" and parse_spec("mnist").kind == "idx"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "data 'digit': unknown set; use one of digits, mnist, fashion_mnist"),
        ("", "data '': unknown set"),
        ("../digits", r"data '\.\./digits': unknown set"),
        ("zip:a", "use a name or KIND:LOCATION with one of the kinds idx, npz, folder, tfds"),
        ("npz:", "use a name or KIND:LOCATION"),
        ("digits?", "no option ''"),
        ("digits?size=8", r"no option 'size=8'; use each of normalise=\.\.\., flip=\.\.\., limit=\.\.\., validation=\.\.\. at most once"),
        ("digits?limit=5&limit=6", "no option 'limit=6'"),
        (
            "folder:x?colour=1",
            r"use each of normalise=\.\.\., flip=\.\.\., limit=\.\.\., validation=\.\.\., size=\.\.\., scale=\.\.\., crops=\.\.\., "
            r"grey=\.\.\.",
        ),
        ("digits?limit=many", "limit=many is not possible; use limit=N with a whole N from 1 to"),
        ("digits?limit=0", "limit=0 is not possible"),
        ("digits?limit=-3", "limit=-3 is not possible"),
        ("digits?limit=" + "9" * 5000, "is not possible"),
        ("folder:x?size=4097", "size=4097 is not possible; use size=N with a whole N from 1 to 4096"),
        ("digits?normalise=whiten", "normalise=whiten is not known; use normalise=standard or normalise=zca or normalise=zca_relative or"),
        ("digits?flip=yes", "flip=yes is not known; use flip=true or flip=false"),
        ("npz:" + "a" * 5000, "File name too long"),
        ("npz:a\0b", r"does not exist"),
    ],
)
def test_wrong_specifications_name_what_is_right(spec, message):
    with pytest.raises(BadInput, match=message) as caught:
        load_data(spec)
    assert "\n" not in str(caught.value)


def test_wrong_splits_are_refused(tmp_path):
    spec = save(tmp_path / "a.npz", n=8)
    for fraction in (1.0, -0.1, float("nan")):
        with pytest.raises(BadInput, match="must be a fraction in"):
            load_data(spec, validation=fraction)
    with pytest.raises(BadInput, match=r"validation=0\.9 leaves a class without training images"):
        load_data(spec, validation=0.9)
    with pytest.raises(BadInput, match="--seed -1 is negative"):
        load_data(spec, seed=-1)


def test_named_set_that_is_missing_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path))
    with pytest.raises(BadInput, match=r"mnist: there is no train-images.*`condense data mnist --from DIR`"):
        load_data("mnist")
    for spec in ("cifar10", "tfds:cifar10"):
        with pytest.raises(BadInput, match=r"no prepared set in .*`condense data cifar10 --from DIR`.*tensorflow.*`condense data cifar10`"):
            load_data(spec)
    with pytest.raises(BadInput, match=r"no prepared set in .*there; give a folder that tensorflow_datasets prepared"):
        load_data(f"tfds:{tmp_path}/there")
    assert "tensorflow" not in sys.modules


def test_fitting_a_whitening_has_a_bar(capsys):
    """On large images it takes minutes; plain normalisation takes none and says nothing."""
    load_data("digits")
    assert capsys.readouterr().err == ""
    data = load_data("digits?normalise=zca")
    told = f"digits?normalise=zca: fitting the whitening of 8x8x1 images on {len(data.train.y):,} 2/2 "
    assert capsys.readouterr().err.startswith(told)


STATED = {  # the numbers in get_dataset of VICO-UoE/DatasetCondensation, utils.py; those of CIFAR in GeorgeCazenavette/mtt-distillation too
    "mnist": ([0.1307], [0.3081]),
    "fashion_mnist": ([0.2861], [0.3530]),
    "svhn_cropped": ([0.4377, 0.4438, 0.4728], [0.1980, 0.2010, 0.1970]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
    "cifar100": ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
}


@pytest.mark.parametrize("name", STATED)
def test_published_normalisation_has_the_numbers_of_the_releases(name):
    mean, std = STATED[name]
    found = images.stated("published", len(mean), f"{name}?normalise=published")
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.std, std)


def test_the_normalisation_of_imagenet_is_for_any_coloured_images():
    """GeorgeCazenavette/mtt-distillation, utils.py, takes it for Tiny ImageNet and the subsets of ImageNet."""
    found = images.stated("imagenet", 3, "folder:x?size=64&normalise=imagenet")
    np.testing.assert_allclose([found.mean, found.std], [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], rtol=1e-6)


@pytest.mark.parametrize(("kind", "channels", "spec"), [("published", 1, "digits"), ("published", 3, "mnist"), ("imagenet", 1, "digits")])
def test_a_normalisation_that_nobody_states_is_refused(kind, channels, spec):
    with pytest.raises(BadInput, match=f"{spec}: normalise={kind} is known for .*; use normalise=standard"):
        images.stated(kind, channels, spec)

"""The ways in: what people have is read without conversion, and holds the same pictures; what cannot be read is refused with a way out."""

import numpy as np
import pytest

from condense.data.load import load_data
from tests.support.ways import (
    IMAGES,
    WAYS,
    XT,
    X,
)


@pytest.mark.parametrize("way", WAYS)
def test_a_way_in(way, tmp_path):
    make, (modality, shape), classes, tests = WAYS[way]
    data = load_data(make(tmp_path), validation=0)
    assert (data.modality, data.image, data.classes) == (modality, shape, classes)
    assert len(data.test) == tests and len(data.digest) == 64 and data.spec and data.name
    assert sorted({*data.train.y, *data.test.y}) == [0, 1, 2]
    assert bool(data.drawn) == (tests in (5, 6, 12))
    raw = {name: np.concatenate([part.take(np.arange(part.shape[0])) for part in parts]) for name, parts in split(data).items()}
    if (modality, shape) == IMAGES and "gif" not in way:
        held = {image_bytes(x) for x in raw["all"]}
        want = {image_bytes(x) for x in np.concatenate([X, XT])}
        assert held <= want and len(held) >= len(X), "every image is one that was written, as it was written"


def split(data):
    return {"all": (data.source.train, data.source.test)}


def image_bytes(x):
    return (np.round(x * 255) if x.dtype.kind == "f" else x).astype(np.uint8).tobytes()


def test_there_are_ways_enough():
    assert len(WAYS) >= 30


def test_labels_follow_their_images(tmp_path):
    """Of drawn and given splits alike: image i is of class i % 3."""
    row = {x.tobytes(): at % 3 for part in (X, XT) for at, x in enumerate(part)}
    for way in (
        "npz, from 1",
        "npz, gaps",
        "npz, one-hot",
        "npz, text labels",
        "folder, flat",
        "folder, classes alone",
        "folder, Tiny ImageNet",
        "pair",
        "pairs",
        "tfds",
    ):
        place = tmp_path / way.replace(" ", "_").replace(",", "")
        place.mkdir()
        data = load_data(WAYS[way][0](place), validation=0)
        for part in (data.source.train, data.source.test):
            for x, y in zip(part.take(np.arange(part.shape[0])), part.y, strict=True):
                raw = x if x.dtype == np.uint8 else np.round(x * 255).astype(np.uint8)
                assert row[np.ascontiguousarray(raw).tobytes()] == y, way

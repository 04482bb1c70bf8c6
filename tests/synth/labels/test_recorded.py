"""Recorded views: each operation against numpy or Pillow, replay in the recorded order, and fields that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from evals.recipes import recipe
from evals.retrain import make_trainer, stack, train_group
from synth.images.content import Pixels
from synth.images.views import View
from synth.labels.recorded import Recorded
from synth.set import SyntheticSet
from tests.support.toy_data import smooth_net

N, BATCH, SIDE, CLASSES = 5, 3, 12, 3


def made(mix: str, **changes) -> Recorded:
    rng = np.random.default_rng(0)
    size = rng.integers(3, 10, (2, N, 2))
    crop = np.concatenate([rng.integers(0, 3, (2, N, 2)), size], -1).astype(np.uint16)
    order = np.stack([rng.permutation(N) for _ in range(2)]).astype(np.int32)
    partner = np.array([[2, 0, 1, 1, 0], [1, 2, 0, 0, 1]], np.int32)
    flip, lam = rng.integers(0, 2, (2, N)).astype(np.uint8), np.array([[0.3, 0.6], [0.8, 0.1]], np.float32)
    box = np.array([[[1, 4, 2, 9], [0, 12, 0, 3]], [[5, 5, 5, 5], [2, 3, 2, 3]]], np.uint16)
    logits = rng.normal(size=(2, N, CLASSES)).astype(np.float16)
    arrays = {"order": order, "logits": logits, "crop": crop, "flip": flip, "partner": partner, "lam": lam, "box": box}
    arrays = {name: jnp.asarray(value) for name, value in arrays.items()}
    told = {"temperature": 3.0, "teachers": "", "statistics": "running", "batch": BATCH, "mix": mix}
    return Recorded(jnp.array([0, 1, 2, 0, 1], jnp.int32), **{**arrays, **told, **changes})


IMAGES = np.random.default_rng(1).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)


def cropped(labels: Recorded, epoch: int, at: int) -> np.ndarray:
    """What Pillow makes of one view before it is mixed: crop, resize, flip, with 8 bits after each pass."""
    top, left, height, width = (int(v) for v in labels.crop[epoch, at])
    picture = Image.fromarray(IMAGES[int(labels.order[epoch, at])]).crop((left, top, left + width, top + height))
    shown = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    return shown[:, ::-1] if labels.flip[epoch, at] else shown


@pytest.mark.parametrize("mix", ["", "mixup", "cutmix"])
@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_view_is_replayed_as_it_was_recorded(mix, epoch, batch):
    labels = made(mix)
    labels.check()
    places = range(batch * BATCH, min(batch * BATCH + BATCH, N))
    index = np.asarray(labels.order_of(jnp.int32(epoch)))[list(places)]
    seen = labels.shown(jnp.asarray(IMAGES[index], jnp.float32), jnp.int32(epoch), jnp.int32(batch))
    alone = np.stack([cropped(labels, epoch, at) for at in places])
    partner = np.asarray(labels.partner)[epoch, list(places)]
    want = alone.copy()
    if mix == "mixup":
        lam = float(labels.lam[epoch, batch])
        want = lam * alone + (1 - lam) * alone[partner]
    if mix == "cutmix":
        top, bottom, left, right = (int(v) for v in labels.box[epoch, batch])
        want[:, top:bottom, left:right] = alone[partner][:, top:bottom, left:right]
    np.testing.assert_allclose(seen.images, want, atol=1.01)  # of 255: Pillow rounds twice
    targets = labels.targets(jnp.asarray(index), seen)
    np.testing.assert_allclose(targets, jax.nn.softmax(np.asarray(labels.logits, np.float32)[epoch, list(places)] / 3), atol=1e-6)


@pytest.mark.slow
def test_training_replays_the_record_whatever_the_seed():
    """The order, the mini-batches, the views and the logits of the record, and of nothing else, move the network."""
    inner = smooth_net((SIDE, SIDE, 3), CLASSES)
    net = inner._replace(init=lambda key: inner.init(jax.random.key(0)))
    chosen = recipe("fkd", epochs=2)
    trainer = make_trainer(net, chosen, None, view=View(flip=True, mix="mixup"))

    def trained(labels, seed=0):
        synth = SyntheticSet(Pixels(jnp.asarray(IMAGES, jnp.float32) / 255), labels)
        return np.asarray(train_group(trainer, chosen, jax.random.key(seed)[None], stack([synth])).vars.params["w"])

    first = trained(made("cutmix"))
    assert np.isfinite(first).all() and np.array_equal(first, trained(made("cutmix"), 1))
    labels = made("cutmix")
    changed = {
        "order": labels.order[::-1],
        "logits": labels.logits[::-1],
        "crop": labels.crop[::-1],
        "flip": 1 - labels.flip,
        "partner": jnp.zeros_like(labels.partner),
        "box": labels.box[::-1],
    }
    for name, value in changed.items():
        assert not np.array_equal(first, trained(labels._replace(**{name: value}))), name
    assert not np.array_equal(first, trained(labels._replace(batch=5, lam=labels.lam[:, :1], box=labels.box[:, :1])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order": jnp.zeros((2, N), jnp.int32)}, "order must hold every example once"),
        ({"partner": jnp.full((2, N), 2, jnp.int32)}, "partner must be a place in the mini-batch"),
        ({"lam": jnp.full((2, 2), 1.5)}, r"lam must lie in \[0, 1\]"),
        ({"flip": jnp.full((2, N), 2, jnp.uint8)}, "flip be 0 or 1"),
        ({"crop": jnp.zeros((2, N, 4), jnp.uint16)}, "crops have 1 or more pixels"),
        ({"box": jnp.array([[[3, 2, 0, 1]] * 2] * 2, jnp.uint16)}, "box must not end before it begins"),
        ({"batch": 2}, "batch 2 and 2 mini-batches do not fit 5 examples"),
        ({"mix": "cut"}, "mix 'cut'"),
        ({"temperature": 0.0}, "temperature is 0.0"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    changes = dict(changes)
    with pytest.raises(ValueError, match=words):
        made(changes.pop("mix", "cutmix"), **changes).check()


def test_bytes_count_every_array():
    labels = made("mixup")
    a_view = 4 + 2 * CLASSES + 8 + 1 + 4  # place in the order, logits, crop, flip, partner
    assert labels.nbytes() == 4 * N + 2 * N * a_view + 2 * 2 * (4 + 8)

"""What a budget buys: counted by hand, and refused in words that say what would be enough."""

import jax.numpy as jnp
import numpy as np
import pytest

from condense.data.load import load_data
from condense.engine.budget import Budget, fit_to_budget, images_a_class
from evals.storage import count_bytes
from matchers.base import Matcher
from matchers.method import Method
from synth.errors import BadInput
from synth.images.content import Bounded, Pixels
from synth.labels.plain import Hard, Soft
from synth.set import SyntheticSet

IMAGE, CLASSES = (4, 3, 2), 5


def made(per_class: int, *, soft: bool = False) -> SyntheticSet:
    n = per_class * CLASSES
    labels = Soft(jnp.zeros((n, CLASSES))) if soft else Hard(jnp.zeros(n, jnp.int32), CLASSES)
    return SyntheticSet(Pixels(jnp.zeros((n, *IMAGE))), labels)


@pytest.mark.parametrize("value", [500, 999, 1000, 1499, 1500, 123_456])
def test_bytes_buy_as_many_float32_images_with_class_indices_as_fit(value):
    """An image and its label take 4 (24 + 1) bytes, five classes 500."""
    bought = Budget(bytes=value).per_class(IMAGE, CLASSES)
    assert bought == value // 500
    assert count_bytes(made(bought))["total"] <= value < count_bytes(made(bought + 1))["total"]


def test_a_count_buys_what_it_says_whatever_the_content():
    bounded = Bounded(jnp.zeros((0, *IMAGE)), jnp.zeros(2), jnp.ones(2))
    for content in (Pixels, bounded):
        assert Budget(ipc=7).per_class(IMAGE, CLASSES, content=content) == 7
        assert Budget(size=35).per_class(IMAGE, CLASSES, content=content) == 7
    assert Budget(bytes=1000).per_class(IMAGE, CLASSES, content=bounded) == 1000 // (5 * (24 + 4))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(bytes=499), "--bytes 499: one image a class needs at least 500"),
        (Budget(size=4), "--size 4: one image a class needs at least 5"),
        (Budget(size=12), "--size 12: not a multiple of the 5 classes; the nearest are 10 and 15"),
        (Budget(), "give exactly one of --ipc, --size, --bytes and --fraction"),
        (Budget(ipc=1, size=5), "give exactly one of --ipc, --size, --bytes and --fraction"),
    ],
)
def test_what_buys_nothing_is_refused(budget, message):
    with pytest.raises(BadInput, match=message):
        budget.per_class(IMAGE, CLASSES)


def test_labels_that_take_more_leave_fewer_images():
    """Soft labels of five classes take 20 bytes and not 4: 2,000 bytes hold three images a class, and not four."""
    budget = Budget(bytes=2000)
    synth = fit_to_budget(budget, lambda count: made(count, soft=True), budget.per_class(IMAGE, CLASSES))
    assert len(synth) == 3 * CLASSES and count_bytes(synth)["total"] == 3 * CLASSES * (96 + 20) <= 2000
    assert len(fit_to_budget(budget, made, budget.per_class(IMAGE, CLASSES))) == 4 * CLASSES
    with pytest.raises(BadInput, match="--bytes 500: one image a class with this method's labels needs at least 580"):
        fit_to_budget(Budget(bytes=500), lambda count: made(count, soft=True), 1)


def test_a_method_that_reads_no_labels_is_given_images_in_all():
    data, matcher = load_data("digits"), Matcher(print, print)  # 8x8 images: 4 (64 + 1) bytes
    method = Method("free", "nowhere:free", "Reads no labels.", labelled=False)
    assert images_a_class(method, matcher, Budget(size=7), data, None) == 7
    assert images_a_class(method, matcher, Budget(bytes=2600), data, None) == 10
    with pytest.raises(BadInput, match="--ipc 1: free reads no labels"):
        images_a_class(method, matcher, Budget(ipc=1), data, None)
    with pytest.raises(BadInput, match="--bytes 1000: what free stores is not known before it is done"):
        images_a_class(method, matcher._replace(counts_bytes=False), Budget(bytes=1000), data, None)


def test_a_content_under_work_counts_as_it_is_stored():
    bounded = Pixels(jnp.zeros((3, *IMAGE))).bounded(jnp.zeros(2), jnp.ones(2))
    counted = count_bytes(SyntheticSet(bounded, Hard(jnp.zeros(3, jnp.int32), 1)))
    assert counted["content"] == 3 * int(np.prod(IMAGE)) == bounded.store().pixels.nbytes

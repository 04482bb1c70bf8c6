"""Several devices share the work of a step and not only its batch: each multiplies less than one device alone would.

Programs are compiled for four simulated devices, by the choices that are made on a GPU, and XLA counts the operations of one device.
"""

import jax
import numpy as np
import pytest

from condense import nets
from condense.engine.feeds import make_feed
from condense.engine.loop import STEP, compile_step, faultless, initial_state, stream
from condense.runtime import devices
from condense.runtime.devices import place_batch, replicate
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.numerics import backend
from tests.support.factories import build_method
from tests.support.methods import CLASSES, KEY, SMALL, Representation, handed, ready
from tests.support.toy_data import ToyExperts, blobs

NET, IMAGE, N, BATCH = "convnet:width=8,depth=2,norm=none", (8, 8, 1), 120, 48
SHARE = ["dc", "dsa", "lgm", "dm", "tgdd", "ncfm", "kip", "frepo", "krrst"]  # the others' batches hold no real images


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> str:
    """Toy images as a specification, enough of every class for a batch beside which the synthetic set is small."""
    x, y = blobs(N, CLASSES, IMAGE)
    pixels = np.uint8(255 * (x - x.min()) / np.ptp(x))
    np.savez(path := tmp_path_factory.mktemp("data") / "many.npz", x_train=pixels, y_train=y, x_test=pixels[::N], y_test=y[::N])
    return f"npz:{path}"


@pytest.mark.parametrize("name", [name if name == "dm" else pytest.param(name, marks=pytest.mark.slow) for name in SHARE])
def test_four_devices_do_less_each_than_one_alone(name, many, monkeypatch):
    net = nets.build(NET, IMAGE, CLASSES)
    experts, start = ToyExperts(net, spec=nets.canonical(NET)), net.init(KEY)
    given = handed("images") | {"net": net, "experts": experts, "teacher": Representation(net, start)}
    known = option_parameters(REGISTRY[name].load())
    options = {option: value for option, value in (SMALL | {"batch": BATCH}).items() if option in known}
    matcher = build_method(name, options, **given)
    case = ready(name, "images", many, matcher)
    batch = make_feed(matcher.feed, case.data.train, CLASSES, seed=0, experts=experts)(0)

    def operations(count: int) -> float:
        monkeypatch.setattr(devices, "devices", lambda: tuple(jax.local_devices()[:count]))
        step, carry = compile_step(matcher), replicate(initial_state(KEY, matcher, case.synth))
        with backend.supposing("cuda"):
            lowered = step.func.lower(*step.args, replicate(stream(KEY, STEP)), carry, faultless(), place_batch(batch))
        return lowered.compile().cost_analysis()["flops"]

    assert operations(4) < 0.6 * operations(1), "a quarter of what real images take, and all that the set takes"

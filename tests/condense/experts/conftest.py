"""Three experts of recipe sgd on toy data; one compilation for all trainings of a recipe."""

from pathlib import Path

import numpy as np
import pytest

from condense import experts
from condense.runtime import devices as mesh
from tests.support.toy_experts import made


@pytest.fixture(scope="package")
def spec(tmp_path_factory) -> str:
    """Three classes of 4x4 images, 40 examples each."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, (3, 1, 4, 4, 1))

    def part(n):
        x = np.clip(means + rng.normal(0, 0.15, (3, n, 4, 4, 1)), 0, 1)
        return x.reshape(-1, 4, 4, 1).astype(np.float32), np.repeat(np.arange(3), n)

    (x_train, y_train), (x_test, y_test) = part(40), part(5)
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return f"npz:{path}"


@pytest.fixture(scope="package")
def trained(spec, tmp_path_factory, compiled_once) -> Path:
    """Three experts of recipe `sgd`."""
    made(spec, out := tmp_path_factory.mktemp("experts") / "sgd")
    return out


@pytest.fixture(scope="package")
def ends(spec, tmp_path_factory, compiled_once) -> Path:
    """The same, of which the first and the last snapshot alone are recorded."""
    made(spec, out := tmp_path_factory.mktemp("experts") / "ends", ends=True)
    return out


@pytest.fixture(scope="package", autouse=True)
def compiled_once():
    """One compilation for all trainings of a recipe: they are of one network and one data set."""
    kept, make = {}, experts.make_expert_trainer

    def cached(net, recipe, augment, classes, *, epochs):
        at = (recipe, epochs, len(mesh.devices()))
        kept[at] = kept.get(at) or make(net, recipe, augment, classes, epochs=epochs)
        return kept[at]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experts, "make_expert_trainer", cached)
        yield

"""The toy images of the methods, as a specification."""

import numpy as np
import pytest

from tests.support.methods import arrays


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    """The toy data as a specification."""
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **arrays())
    return f"npz:{path}"

"""Tests run with strict dtype and rank promotion, checked annotations, four simulated devices and an embedded data set."""

import jax
import pytest

from tests import typecheck

typecheck.install()
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def float64():
    """Double precision inside a test, for finite differences."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)

"""Tests run with strict dtype and rank promotion, checked annotations, four simulated devices and an embedded data set."""

import atexit
import functools
import gc
import os
import shutil
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

# XLA's older emitters compile the tests' small programs in half the time. It aborts on flags it does not know: not for other versions.
if TESTED := f"jaxlib=={version('jaxlib')}" in Path(__file__).parents[1].joinpath("constraints.txt").read_text().split():
    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ.get('XLA_FLAGS', '')}".strip()  # the last one counts

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # one for this run, its workers and the programs that they start
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="condense-tests.")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
    os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}

import jax

from tests.support import typecheck

typecheck.install()
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_traceback_in_locations_limit", 0)  # nobody reads where the lines of a lowered program come from

if TESTED:  # JAX makes a context for every program that it lowers, which is a sixth of the tests' time; the tests of a file share one
    from jax._src.interpreters import mlir

    mlir.make_ir_context = functools.cache(mlir.make_ir_context)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background starts with Ctrl-C ignored


@pytest.fixture
def float64():
    """Double precision inside a test, for finite differences."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


gc.set_threshold(100_000, 50, 100)  # traces of JAX are many small objects, and hardly any of them is garbage


@pytest.fixture(autouse=True, scope="module")
def collected():
    """What a file leaves is collected once, and not looked at again by the files after it."""
    from condense.runtime.programs import release_programs  # here, because what is imported before `typecheck.install` is not checked

    yield
    release_programs()
    if TESTED:
        mlir.make_ir_context.cache_clear()
    gc.collect()
    gc.freeze()

"""The programs that measure are run by hand, hours apart: that each can still be imported is tested here."""

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCH.glob("*.py") if path.stem != "__main__"))
def test_a_program_that_measures_finds_what_it_imports(name):
    if "torch" in name:
        pytest.importorskip("torch")
    importlib.import_module(f"tests.bench.{name}")

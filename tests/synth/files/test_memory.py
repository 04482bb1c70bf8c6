"""The budget of memory for what is read."""

import pytest

from synth.errors import BadInput
from synth.files import memory
from synth.files.memory import MemoryBudget, forcible, forcing, free_memory


@pytest.fixture(autouse=True)
def sixteen_gigabytes(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    monkeypatch.setattr(memory, "free_memory", lambda: 16 * 10**9)


def test_sizes_add_up_to_half_of_what_is_free():
    budget = MemoryBudget("x.npz", remedy="use a smaller file")
    budget.take(5 * 10**9)
    budget.take(3 * 10**9)
    wrong = r"^x\.npz: would take 8 GB of memory, and may take at most 8 GB \(16 GB are free\); use a smaller file, or set CONDENSE_MEMORY"
    with pytest.raises(BadInput, match=wrong):
        budget.take(1)


def test_what_its_files_hold_a_hundred_times_smaller_may_take_a_sixteenth():
    MemoryBudget("x").take(2 * 10**9, stored=2 * 10**7)
    MemoryBudget("x").take(10**9, stored=1)
    with pytest.raises(BadInput, match="may take at most 1 GB"):
        MemoryBudget("x").take(2 * 10**9, stored=10**7)


def test_force_goes_on_and_is_named_where_the_verb_has_it():
    with forcing(True):
        MemoryBudget("x").take(10**12)
    with forcing(False), pytest.raises(BadInput, match="or --force to try it"):
        MemoryBudget("x").take(10**12)

    @forcible
    def read(*, force: bool = False) -> None:
        MemoryBudget("x").take(10**12)

    read(force=True)
    with pytest.raises(BadInput, match="or --force to try it"):
        read()


def test_the_variable_says_how_many_bytes(monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "1e3")
    MemoryBudget("x").take(1000)
    with pytest.raises(BadInput, match=r"may take at most 0\.001 MB"):
        MemoryBudget("x").take(1001)
    monkeypatch.setenv(memory.VARIABLE, "much")
    with pytest.raises(BadInput, match=r"\$CONDENSE_MEMORY is much; give a number of bytes"):
        MemoryBudget("x").take(1)


def test_free_memory_is_the_least_of_what_system_and_container_leave(tmp_path, monkeypatch):
    whole = free_memory()
    assert whole > 1 << 20
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_memory() == 2_000_000
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 300000\nactive_file 100000\n")
    assert free_memory() == 2_300_000  # pages of files that nobody has used lately are given up
    (tmp_path / "memory.stat").write_text("inactive_file many\n")
    assert free_memory() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > 1 << 20

"""Compiled programs are forgotten before a process has too many."""

import jax
import jax.numpy as jnp
import pytest

from condense.runtime import programs


@pytest.mark.skipif(not programs.MAPPED.exists(), reason="counts the memory mappings that Linux lists")
@pytest.mark.slow
def test_programs_are_forgotten_where_mappings_run_short_and_serve_again(monkeypatch, tmp_path):
    compiled = []

    @jax.jit
    def twice(x):
        compiled.append(x)
        return 2 * x

    monkeypatch.setattr(programs, "MOST", tmp_path / "most")
    for most, count in (("1000000000", 1), ("100", 2)):
        programs.MOST.write_text(most)
        twice(jnp.ones(3))
        programs.release_programs()
        assert twice(jnp.ones(3)).tolist() == [2, 2, 2] and len(compiled) == count


def test_a_system_without_such_a_bound_keeps_its_programs(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "MAPPED", tmp_path / "none")
    monkeypatch.setattr(jax, "clear_caches", lambda: pytest.fail("cleared"))
    programs.release_programs()

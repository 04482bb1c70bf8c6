"""What the flags of storage mean, from the call to the file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import condense
from condense.__main__ import run
from condense.engine.storage import content_named, name_of, stored_as
from condense.workflows.plan import plan
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.files.format import load_set
from synth.images.bases import Bases
from synth.images.coded import Half, Packed, Tiles
from tests.support.cli import record

DM = {"net": "mlp:width=4", "batch": 8, "steps": 4, "lr": 5.0, "checkpoint_every": 2}
CHOICES = {  # flags -> the kind that is stored, its examples of 2 a class, its bytes
    "u8": ({"store": "u8"}, Packed, 20, 20 * 64 + 8),
    "u3x2": ({"store": "u3", "factor": 2}, Packed, 80, 80 * 16 * 3 // 8 + 8),
    "f16": ({"store": "f16"}, Half, 20, 20 * 64 * 2),
    "f32x2": ({"factor": 2}, Tiles, 80, 80 * 16 * 4),
    "bases=5": ({"bases": 5}, Bases, 20, 4 * (5 * 64 + 20 * 5)),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_flag_decides_what_is_stored_and_how_much_a_budget_buys(name, tmp_path):
    flags, kind, examples, size = CHOICES[name]
    synth = condense.distill("random", "digits", ipc=2, out=tmp_path / "a", **flags)
    read = load_set(tmp_path / "a" / "set.npz")
    assert isinstance(read.x, kind) and len(read) == examples and stored_as(read.x) == name
    with np.load(tmp_path / "a" / "set.npz") as file:
        payload = sum(file[key].nbytes for key in file.files if key.startswith("x/"))
    assert count_bytes(read)["content"] == payload == size
    assert np.array_equal(synth.x.decode(), read.x.decode()) and read.x.decode().shape == (examples, 8, 8, 1)
    assert record(tmp_path / "a")["config"]["store"] == name
    least = plan("random", "digits", bytes=size + 4 * examples, **flags)
    assert least.per_class == examples // 10
    assert plan("random", "digits", bytes=size + 4 * examples - 1, **flags).per_class == examples // 10 - 1


def test_what_is_not_asked_for_changes_nothing():
    made = plan("dm", "digits", ipc=1)
    assert made.stored == "" and "store" not in made.config()
    assert plan("dm", "digits", ipc=1, store="f32", factor=1).config() == made.config()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["u3x2", pytest.param("bases=5", marks=pytest.mark.slow), pytest.param("f16", marks=pytest.mark.slow)])
def test_a_run_learns_through_its_storage_and_resumes_to_the_same_bits(name, tmp_path, monkeypatch, capsys):
    flags = CHOICES[name][0]
    whole = condense.distill("dm", "digits", ipc=2, out=tmp_path / "whole", **DM, **flags)
    at_start = condense.distill("random", "digits", ipc=2, **flags)
    assert np.abs(np.asarray(whole.x.decode()) - np.asarray(at_start.x.decode())).max() > 1e-3
    condense.distill("dm", "digits", ipc=2, out=tmp_path / "parts", **{**DM, "steps": 2}, **flags)
    parts = condense.distill("dm", "digits", ipc=2, out=tmp_path / "parts", **DM, **flags)
    assert jax.tree.structure(parts.bare()) == jax.tree.structure(whole.bare())
    jax.tree.map(np.testing.assert_array_equal, parts.bare(), whole.bare())
    with pytest.raises(BadInput, match="store"):
        condense.distill("dm", "digits", ipc=2, out=tmp_path / "parts", **DM)
    for words in (["show", str(tmp_path / "whole"), "--out", str(tmp_path / "p.png")], ["describe", str(tmp_path / "whole")]):
        assert run(words) == 0
    assert (tmp_path / "p.png").stat().st_size > 500 and (tmp_path / "whole" / "grid.png").stat().st_size > 500
    condense.export(tmp_path / "whole", tmp_path / "exported")
    np.testing.assert_array_equal(condense.import_set(tmp_path / "exported").x.decode(), whole.x.decode())


def test_a_dry_run_says_what_is_stored(capsys):
    words = ["distill", "random", "--data", "digits", "--bytes", "2000", "--store", "u4", "--factor", "2", "--out", "x", "--dry-run"]
    assert run(words) == 0
    found = capsys.readouterr().out
    assert "stored as u4x2" in found and "160 images, 1,928 bytes" in found


@pytest.mark.parametrize(
    ("method", "data", "flags", "message"),
    [
        ("dm", "digits", {"store": "u9"}, "--store u9: unknown; give f32, f16, or u2 to u8"),
        ("dm", "digits", {"store": "u8xx"}, "--store u8xx: unknown; give f32, f16, or u2 to u8, and a factor behind an x"),
        ("dm", "digits", {"store": "u8x2", "factor": 2}, "--factor 2: --store u8x2 says the factor as well; leave one of the two out"),
        ("dm", "digits", {"factor": 4}, "--factor 4: unknown; give one of 1, 2, 3"),
        ("dm", "digits", {"bases": 4, "store": "u8"}, "--bases 4: bases and coefficients are stored in .*; leave --store out"),
        ("dm", "digits", {"bases": 0}, "--bases 0: give a whole number of at least 1"),
        ("dm", "digits", {"bases": 21}, "--bases 21: the set has 20 images, which need no more bases than that; give a smaller number"),
        ("random", "toy_graphs", {"store": "u8"}, "--store u8: is for images, and toy_graphs holds graphs; leave it out"),
        ("infer", "digits", {"store": "u8"}, "--store u8: infer stores images in a way of its own; leave it out"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(method, data, flags, message):
    with pytest.raises(BadInput, match=message):
        plan(method, data, ipc=2, **flags)


def test_the_factor_of_a_collage_stays_the_method_s():
    made = plan("rded", "digits", ipc=2, factor=2, store="u8x2")
    assert made.settings.options["factor"] == 2 and made.stored == "u8x2" and made.per_class == 8


def test_names_and_contents_tell_each_other():
    for name in ("f16", "u2", "u8x3", "f32x2", "bases=7"):
        assert stored_as(content_named(name).encode(jnp.ones((9, 6, 6, 1))).store()) == name
    assert name_of("f32", None, None) == name_of(None, 1, None) == "" and content_named("") is None

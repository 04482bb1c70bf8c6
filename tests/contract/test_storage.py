"""Every method of images learns or chooses in every content that a flag asks for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.data.load import load_data
from condense.engine import loop
from condense.engine.initial import initial_set
from condense.engine.storage import content_named, stored_as
from condense.workflows.relabel import relabel
from matchers import REGISTRY
from synth.files.format import load_set, save_set
from synth.set import Info
from tests.support.methods import CLASSES, IPC, KEY, OF_IMAGES, Case, built, types
from tests.support.toy_teachers import committee

NAMES = ("u8", "u2x2", "f16", "f32x3", "bases=3")
TAKES = [name for name in OF_IMAGES if not built(name, "images").own_content]
LEARN = [name for name in TAKES if not built(name, "images").host]
FAMILIES = ("dm", "frepo")


def ready(name: str, stored: str, spec: str) -> Case:
    """A method with a first set in this content."""
    matcher, data, labelled = built(name, "images"), load_data(spec), REGISTRY[name].labelled
    count, info = IPC if labelled else IPC * CLASSES, Info(data.classes, data.preprocess)
    synth = initial_set(KEY, matcher, matcher.start, data, count, info, labelled=labelled, content=content_named(stored))
    return Case(matcher, data, synth)


def test_only_infer_has_a_content_of_its_own():
    assert set(OF_IMAGES) - set(TAKES) == {"infer"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAMILIES else pytest.mark.slow) for name in LEARN])
def test_a_step_of_every_method_traces_with_every_content(name, spec):
    """On shapes alone; it keeps the types of what it carries."""
    for stored in NAMES:
        case = ready(name, stored, spec)
        key, synth, batch = jax.eval_shape(lambda *args: args, KEY, case.synth.bare(), case.feed()(0))
        state = jax.eval_shape(case.matcher.init, key, synth)
        synth_after, state_after, metrics = jax.eval_shape(case.matcher.step, key, state, synth, batch)
        assert types((synth, state)) == types((synth_after, state_after)) and "loss" in metrics


@pytest.mark.slow
@pytest.mark.parametrize("stored", NAMES)
@pytest.mark.parametrize("name", TAKES)
def test_a_step_of_every_method_moves_what_every_content_stores(name, stored, spec, tmp_path):
    case = ready(name, stored, spec)
    start = np.asarray(case.synth.x.decode())
    last = loop.run(KEY, case.matcher, case.synth, case.feed(), loop.Schedule(1, log_every=1))
    assert stored_as(last.x) == stored and last.x.decode().shape == start.shape and jnp.isfinite(last.x.decode()).all()
    save_set(tmp_path / "set.npz", last)
    read = load_set(tmp_path / "set.npz")
    np.testing.assert_array_equal(read.x.decode(), last.x.decode())
    before = case.synth.x.learned()
    if not case.matcher.host:
        carry = loop.initial_state(KEY, case.matcher, case.synth)
        batch = jax.tree.map(jnp.asarray, case.feed()(0))
        moved, _, _ = case.matcher.step(KEY, carry.state, case.synth.bare(), batch)
        moved = jax.tree.leaves(moved.x.learned())
        assert any(np.abs(np.asarray(a) - np.asarray(b)).max() > 0 for a, b in zip(jax.tree.leaves(before), moved, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["u4x2", pytest.param("bases=3", marks=pytest.mark.slow)])
def test_a_set_in_fewer_bytes_is_relabelled_and_keeps_its_bits(stored, spec, tmp_path):
    """Teachers see the images as they are decoded."""
    case, known = ready("random", stored, spec), committee(2, image=(8, 8, 1))
    synth = case.run(1)
    made = relabel(synth, tmp_path / "set.npz", known, "static", data=spec, recipe="cvdd", epochs=1)
    read = load_set(tmp_path / "set.npz")
    assert jax.tree.structure(read.x) == jax.tree.structure(synth.x) and made.y.kind == read.y.kind == "static"
    jax.tree.map(np.testing.assert_array_equal, read.x, synth.x)
    logits = sum(teacher.net.apply(teacher.vars, synth.x.decode()).logits for teacher in known) / len(known)
    np.testing.assert_allclose(read.y.logits, logits, atol=1e-2)

"""The training of a supervised teacher by hand, and what every step of it draws."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.runtime import devices as mesh
from condense.teachers import train as teachers
from condense.teachers.train import TeacherRecipe, trainer
from synth.base import take_all
from synth.errors import BadInput
from synth.images.views import View
from synth.training.fit import epoch_items, init_fit
from tests.support.linear import linear_gradient, linear_net
from tests.support.three_classes import three_classes

KEY, BAR = jax.random.key(4), SimpleNamespace(advance=lambda count: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def test_a_teacher_is_trained_by_sgd_with_momentum_decay_and_half_a_cosine_over_all_steps(data, monkeypatch):
    """Three epochs of one batch each on images as they are: d = g + 0.05 p, b = 0.9 b + d, p - lr (1 + cos(pi t / 3)) / 2 b."""
    views = []
    monkeypatch.setattr(teachers, "View", lambda **options: (views.append(options), View())[1])
    recipe, net = TeacherRecipe(3, 0.5, 999, decay=0.05), linear_net()
    advance, state = trainer(net, data, recipe), init_fit(KEY, net, recipe.optimiser(1.0))
    w, b = (np.asarray(state.vars.params[name], np.float64) for name in "wb")
    x, y, velocity = np.asarray(take_all(data.train).x, np.float64).reshape(-1, 16), np.asarray(data.train.y), [0.0, 0.0]
    for epoch in range(3):
        state = advance(KEY, state, epoch, BAR)
        slopes = linear_gradient(w, b, x, np.eye(3)[y], np.ones(len(y)))
        velocity = [0.9 * v + g + 0.05 * p for v, g, p in zip(velocity, slopes, (w, b), strict=True)]
        lr = 0.5 * (1 + np.cos(np.pi * epoch / 3)) / 2
        w, b = w - lr * velocity[0], b - lr * velocity[1]
        np.testing.assert_allclose(state.vars.params["w"], w, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(state.vars.params["b"], b, rtol=1e-4, atol=1e-5)
    assert views == [{"pad": 1, "flip": data.flips}], "an eighth of four pixels is rounded up"


def test_every_step_of_a_teacher_has_a_batch_and_a_view_of_its_own(data, monkeypatch):
    """Over two epochs of all examples: orders and keys differ by step, epoch and key, and each example serves once an epoch."""
    seen = []

    def on_examples(net, x, y, *, view, augment):
        def objective(params, stats, item):
            jax.debug.callback(
                lambda e, at, rows, key: seen.append((int(e), int(at), tuple(rows.tolist()), tuple(key.tolist()))),
                *(*item.view, item.index, jax.random.key_data(item.key)),
            )
            return jnp.sum(params["w"]), stats

        return objective

    monkeypatch.setattr(teachers, "on_examples", on_examples)
    n, net, recipe = len(data.train.y), linear_net(), TeacherRecipe(2, 0.1, 32)
    advance, steps = trainer(net, data, recipe), -(-n // 32)
    for key in (KEY, jax.random.key(5)):
        state = init_fit(key, net, recipe.optimiser(1.0))
        for epoch in range(2):
            state = advance(key, state, epoch, BAR)
    jax.effects_barrier()
    seen = list(dict.fromkeys(seen))
    assert [(epoch, at) for epoch, at, *_ in sorted(seen[: 2 * steps])] == [(epoch, at) for epoch in range(2) for at in range(steps)]
    assert len(seen) == len({rows for *_, rows, _ in seen}) == len({key for *_, key in seen}) == 4 * steps
    for turn in range(4):
        rows = sorted(seen[steps * turn : steps * (turn + 1)])
        assert sorted(np.concatenate([row for _, _, row, _ in rows])[:n]) == list(range(n))


@pytest.mark.parametrize(("batch", "part"), [(8, 2), (6, 6)])
def test_devices_share_a_mini_batch_that_their_number_divides(data, batch, part, monkeypatch):
    """Each computes its part of the images, and the teacher agrees with that of one device."""
    net, recipe = nets.build("convnet:width=4,depth=1,norm=batch", data.image, 3), TeacherRecipe(1, 0.5, batch)
    trained, texts = [], []
    for count in (4, 1):
        monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:count]))  # noqa: B023
        steps = teachers.compile_steps(net, 3, recipe, 4, view=View(pad=1))
        x, y = map(jnp.asarray, take_all(data.train))
        items = epoch_items(KEY, jnp.int32(0), len(y), batch=batch)
        asked = init_fit(KEY, net, recipe.optimiser(1.0)), items, x, y, *map(jnp.int32, (0, 0, 0, 2))
        texts.append(steps.lower(*asked).compile().as_text())
        trained.append(jax.tree.leaves(steps(*asked).vars))
    assert f"f32[{part},4,4,4]" in texts[0] and f"f32[{batch},4,4,4]" in texts[1]
    assert (f"f32[{batch},4,4,4]" in texts[0]) == (part == batch)
    for shared, alone in zip(*trained, strict=True):
        np.testing.assert_allclose(shared, alone, rtol=1e-5, atol=1e-6)


def test_fractions_of_the_training_images_are_nested_and_in_proportion(data):
    """Validation, test and preprocessing stay, so that teachers of a fraction answer in the same model space."""
    parts = {share: data.with_fraction(share) for share in (0.1, 0.5, 1.0)}
    rows = {share: set(part.rows[0].tolist()) for share, part in parts.items()}
    assert rows[0.1] < rows[0.5] < rows[1.0] == set(data.rows[0].tolist())
    counts = {share: np.bincount(part.train.y).tolist() for share, part in parts.items()}
    assert np.bincount(data.train.y).tolist() == [36, 27, 45] and counts == {0.1: [4, 3, 5], 0.5: [18, 14, 23], 1.0: [36, 27, 45]}
    assert all(
        part.preprocess is data.preprocess and part.rows[1] is data.rows[1] and part.digest == data.digest for part in parts.values()
    )
    with pytest.raises(BadInput, match=r"--fraction 0\.01: leaves class ant without training images; give at least 0\.019"):
        data.with_fraction(0.01)


@pytest.mark.slow
def test_a_committee_of_a_fraction_says_so_and_is_another_one(data, tmp_path, monkeypatch):
    monkeypatch.setattr(teachers, "check_sense", lambda *args, **more: None)
    call = {"data": data, "net": ["mlp:width=4"], "epochs": 1}
    teachers.train_teachers(**call, out=tmp_path / "t", fraction=0.5)
    assert json.loads((tmp_path / "t" / "teachers.json").read_text())["recipe"]["fraction"] == 0.5
    assert "55 images" in json.loads((tmp_path / "t" / "run.json").read_text())["trained_on"]
    for other in ({}, {"fraction": 0.25}):
        with pytest.raises(BadInput, match="fraction"):
            teachers.train_teachers(**call, **other, out=tmp_path / "t")
    with pytest.raises(BadInput, match=r"--fraction 1\.5: .*in \(0, 1\]"):
        teachers.train_teachers(**call, fraction=1.5, out=tmp_path / "u")

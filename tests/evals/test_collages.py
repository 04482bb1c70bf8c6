"""Sets of collages: networks see one cell at a time under every protocol, and a cell is what an image of its own would be."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evals.krr import RidgeHead, examples_of, make_scorer
from evals.retrain import make_trainer, stack, train_group
from evals.retraining import EvalRecipe
from synth.base import Examples, Net, Out
from synth.images.augment import dsa
from synth.images.content import Pixels
from synth.images.views import every_cell, view_of
from synth.selection.collage import whole_collages
from synth.set import SyntheticSet
from tests.support.linear import linear_net
from tests.support.toy_data import as_set, blobs, smooth_net

KEY = jax.random.key(4)
PLAIN = EvalRecipe("plain", 3, lr=0.1, batch=4)
VIEW = "crop=0.3-1,flip,cutmix=1"
PROTOCOLS = {
    "as they are": (PLAIN, None, None),
    "augmented": (replace(PLAIN, augment="dsa"), dsa("color_crop"), None),
    "views": (replace(PLAIN, view=VIEW), None, view_of(VIEW)),
}


def fourfold(n: int = 3) -> tuple[SyntheticSet, SyntheticSet]:
    """Collages that show one image four times, and these images as large as the collages."""
    examples = blobs(n, image=(2, 2, 1))
    collages = as_set(Examples(np.tile(examples.x, (1, 2, 2, 1)), examples.y))
    return replace(collages, cells=2), replace(collages, x=Pixels(every_cell(collages.x.pixels, 2)[::4]))


def params_of(name: str, synth: SyntheticSet, net: Net | None = None):
    """The parameters of a network after a short training."""
    recipe, augment, view = PROTOCOLS[name]
    trainer = make_trainer(net or linear_net(), recipe, augment, view=view)
    return train_group(trainer, recipe, KEY[None], stack([synth])).vars.params


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_collage_of_one_image_trains_as_that_image(name):
    """The same views of the same cells, so the same network; shown whole, collages train another one."""
    collages, images = fourfold()
    apart, together, whole = (params_of(name, synth) for synth in (collages, images, replace(collages, cells=1)))
    for one, other in zip(jax.tree.leaves(apart), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.abs(np.asarray(apart["w"]) - np.asarray(whole["w"])).max() > 1e-2


def test_an_epoch_shows_every_collage_once_and_one_of_its_images():
    """A network that writes down what it is shown: of two collages of 0, 1, 2, 3 and 4, 5, 6, 7 one number each, not always the same."""
    seen = []

    def apply(vars, x, *, train=False, key=None):
        jax.debug.callback(lambda x: seen.append(np.asarray(x)), x)
        flat = x.reshape(len(x), -1)
        return Out(flat @ vars.params["w"], flat, {})

    net = Net(lambda key: linear_net().init(key)._replace(params={"w": jnp.zeros((16, 3))}), apply)
    cells = np.arange(8.0, dtype=np.float32).reshape(2, 2, 2, 1).repeat(2, 1).repeat(2, 2)
    recipe = replace(PLAIN, epochs=12)
    train_group(make_trainer(net, recipe, None), recipe, KEY[None], stack([replace(as_set(Examples(cells, np.int32([0, 1]))), cells=2)]))
    jax.effects_barrier()
    shown = np.stack([batch.reshape(2, -1) for batch in seen])
    assert shown.shape == (12, 2, 16) and (shown.min(2) == shown.max(2)).all()
    assert all(sorted(row // 4) == [0, 1] for row in shown[..., 0]) and len(np.unique(shown)) > 5


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["net", "ntk"])
def test_a_ridge_head_takes_every_cell_for_an_example(kernel):
    examples = blobs(8, image=(2, 2, 1))
    x, y = whole_collages(
        Examples(np.asarray(jax.image.resize(examples.x, (24, 4, 4, 1), "bilinear")), examples.y), np.arange(24), factor=2
    )
    collages = replace(as_set(Examples(x, y)), cells=2, weight=jnp.arange(1.0, 7.0))
    cells, targets, weight = examples_of(collages)
    assert cells.shape == (24, 4, 4, 1) and targets.shape == (24, 3) and weight.tolist() == np.repeat(np.arange(1.0, 7.0), 4).tolist()
    apart = replace(as_set(Examples(np.asarray(cells), np.repeat(y, 4))), weight=weight)
    score, test = make_scorer(smooth_net(), RidgeHead("a", kernel, reg=1e-3)), blobs(20)
    scores = [int(score(KEY, synth.bare(), jnp.asarray(test.x), jnp.asarray(test.y))[0]) for synth in (collages, apart)]
    assert scores[0] == scores[1]

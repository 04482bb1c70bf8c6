"""Self-supervised dataset distillation for transfer learning (Lee, Lee, Ko, Kawaguchi, Lee and Hwang, ICLR 2024)."""

import math
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from matchers.base import Matcher, Task
from matchers.kernel.common import Ridge, descend_ridge, embed
from matchers.kernel.pool import PoolSchedule
from synth.base import Net, Out, Vars
from synth.images.augment import draw_crop, translate
from synth.labels.plain import Target
from synth.options import Positive
from synth.set import SyntheticSet
from synth.training.fit import adam, on_examples, sgd
from synth.training.optim import linear, scheduled

LEARN = {"both": ("x", "y"), "images": ("x",), "targets": ("y",)}


def headed(net: Net, features: int, width: int) -> Net:
    """The network with a linear head of `width` outputs on its `features` numbers in place of its own: weights and bias start as
    U(-k, k), k = 1 / sqrt(features)."""

    def init(key):
        k_body, k_kernel, k_bias = jax.random.split(key, 3)
        body, k = net.init(k_body), 1 / math.sqrt(features)
        kernel, bias = (jax.random.uniform(key, s, minval=-k, maxval=k) for key, s in ((k_kernel, (features, width)), (k_bias, (1, width))))
        return Vars({"body": body.params, "kernel": kernel, "bias": bias}, body.stats)

    def apply(vars, x, *, train=False, key=None):
        out = net.apply(Vars(vars.params["body"], vars.stats), x, train=train, key=key)
        return Out(out.embed @ vars.params["kernel"] + vars.params["bias"], out.embed, out.taps, out.stats)

    return Net(init, apply)


def crop_flip(key: jax.Array, x, *, flips: bool):
    """A shift of every image by up to 4 pixels, or an eighth of its side where that is less, and its mirror image with probability 1/2 if
    `flips`.

    The border is repeated outwards. The released code moves black in before it normalises; what is black in model space depends on the
    normalisation, and on images with a black border the two are the same.
    """
    k_crop, k_flip = jax.random.split(key)
    x = jax.vmap(partial(translate, outside="edge"))(x, *draw_crop(jax.random.uniform(k_crop, (3, len(x))), x.shape[1:3], most=4))
    mirrored = jax.random.bernoulli(k_flip, shape=(len(x), 1, 1, 1))
    return jnp.where(mirrored, x[:, :, ::-1], x) if flips else x


def krrst(
    net: Net,
    teacher: Any,
    task: Task,
    *,
    lr: Annotated[float, Positive] = 1e-3,
    decay: int | None = None,
    batch: int = 512,
    pool: int = 10,
    pool_steps: int = 1000,
    net_lr: Annotated[float, Positive] = 0.1,
    reg: Annotated[float, Positive] = 1e-6,
    learn: Literal["both", "images", "targets"] = "both",
    views: Literal["crop_flip", "crop", "none"] = "crop_flip",
    resets: Literal["paper", "released"] = "paper",
) -> Matcher:
    """Learns images and target representations that make a network pre-trained on them represent real images as a teacher does.

    L = E_t mean || F_t F_s^T (F_s F_s^T + lambda I)^-1 Y_s - g(a(x_t)) ||^2 with F = [psi, 1] and lambda = reg tr(F_s F_s^T), held constant
    (the released code's lambda). psi is the body of a network from a pool, in evaluation mode, g the teacher and a a random
    shift and mirror image; a network of the pool that has served takes a step of regression on the set (SGD, momentum 0.9, decay 1e-3).
    Adam moves images and targets; the log says how far the images have moved (`moved`). No label is read; the validation split alone keeps
    classes in proportion.

    Args:
      net: the family of networks whose bodies are pre-trained.
      teacher: what to represent images like: `represent(x) -> f32[n d]`, in model space.
      task: the run that it serves: its steps, and whether its images may be mirrored.
      lr: step size of Adam (> 0); falls in a straight line to a thousandth.
      decay: steps until it has fallen; by default those of the run.
      batch: real images a step.
      pool: networks kept; they start trained, by 1 to `pool_steps` - 1 steps.
      pool_steps: steps on the set that a network trains before it is renewed.
      net_lr: step size of that training (> 0).
      reg: of the ridge regression, times the trace (> 0).
      learn: images and targets, or one of them.
      views: of the real images: shifted, and mirrored where that keeps a label; shifted; as they are.
      resets: whether a renewed network trains again (`paper`), or is renewed whenever it has served, as the released code does.
    """

    def represent(key, examples, width):
        x = examples.x if views == "none" else crop_flip(key, examples.x, flips=views == "crop_flip" and task.flips)
        return x, teacher.represent(x)

    def prepare(key, synth, examples):
        return replace(synth, y=Target(teacher.represent(synth.x.decode())))

    def life(synth: SyntheticSet) -> PoolSchedule:
        x = synth.x.decode()
        features = jax.eval_shape(lambda key, x: net.apply(net.init(key), x).embed, jax.random.key(0), x).shape[1]
        body = headed(net, features, synth.y.classes)
        tx = sgd(net_lr, momentum=0.9, weight_decay=1e-3)

        def objective(synth):
            regression = on_examples(body, synth.x.decode(), synth.y)

            def mean_square(params, stats, item):
                half, stats = regression(params, stats, item)
                return half * 2 / synth.y.classes, stats

            return mean_square

        return PoolSchedule(body, tx, objective, pool, pool_steps, warm=True, forgetful=resets == "released")

    def features(vars, x):
        return embed(net, bias=True)(Vars(vars.params["body"], vars.stats), x)

    ridge = Ridge(features, represent, reg=reg, rule="trace", detached=True, mean=True)
    tx = scheduled(adam(lr), linear(task.steps if decay is None else decay, floor=1e-3))
    return descend_ridge(ridge, tx, batch=batch, life=life, learn=LEARN[learn], prepare=prepare, tells_motion=True)

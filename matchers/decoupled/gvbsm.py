"""Generalized various backbone and statistical matching (G-VBSM, CVPR 2024), and with other options EDC (NeurIPS 2024): recovered images
match the statistics of convolutions too, in several networks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from matchers.base import Computed, Matcher, Task
from matchers.decoupled.common import bounded, check_statistics, largest_divisor, on_pixels
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings
from synth.base import Split, Teacher, Vars
from synth.errors import BadInput
from synth.numerics.backend import map_batched
from synth.numerics.pytree import safe_norm
from synth.options import BelowOne, NonNegative, Positive, Share, ZeroToOne
from synth.training.statistics import Layers, RealMoments, layer_moments, norm_layers, real_moments

TAU, POOLED = 4.0, 32  # temperature of the spectrum's target, pixels a side that images are averaged to before


class Averaged(NamedTuple):
    """State: the optimiser's, and for every network the running averages of the moments of every batch; their arrays lead with the batches
    g."""

    opt: optax.OptState
    seen: tuple[Layers, ...]


def shape_of_batches(n: int, classes: int, size: int) -> tuple[int, int]:
    """How many classes a batch holds, and how many images of each: neighbours among class-major images, together at most `size`.

    Raises BadInput where equal batches would have less than half of what `size` allows.
    """
    ipc = n // classes
    of_each = largest_divisor(ipc, size)
    if 2 * of_each < min(ipc, size):
        raise BadInput(f"--batch {size}: {ipc} images a class do not make equal batches of about that size; give a divisor of {ipc}")
    room = min(classes, size // of_each) if of_each == ipc else 1
    many = largest_divisor(classes, room)
    if many == 1 < room and of_each < size / 4:  # batches of few images have poor statistics
        told = f"--batch {size}: {classes} classes of {ipc} images do not make equal batches of about that size"
        raise BadInput(f"{told}; give {classes * ipc}, or another multiple of {ipc} that divides it")
    return many, of_each


def grouped(images: Array, classes: int, size: int) -> Array:
    """[n ...] class-major to [g b ...]: batches of neighbouring classes, the images of a class side by side (`shape_of_batches`)."""
    many, each = shape_of_batches(len(images), classes, size)
    split = images.reshape(classes // many, many, -1, each, *images.shape[1:])
    return split.swapaxes(1, 2).reshape(-1, many * each, *images.shape[1:])


def ungrouped(batches: Array, classes: int, size: int) -> Array:
    """The inverse of `grouped`."""
    n, rest = batches.shape[0] * batches.shape[1], batches.shape[2:]
    many, each = shape_of_batches(n, classes, size)
    return batches.reshape(classes // many, -1, many, each, *rest).swapaxes(1, 2).reshape(n, *rest)


def spectrum_gap(x: Float[Array, "k m h w c"]) -> Float[Array, ""]:
    """sum over k classes of KL(softmax(l / 4) || softmax(l)), where l are the eigenvalues of the products of a class's m images with one
    another, and the first distribution is held constant. It is 0 where all eigenvalues are equal, and for m = 1.

    Images whose sides are multiples of 32 are averaged to 32x32 pixels first.
    """
    k, m, h, w, c = x.shape
    if h % POOLED == 0 and w % POOLED == 0:
        x = x.reshape(k, m, POOLED, h // POOLED, POOLED, w // POOLED, c).mean((3, 5))
    flat = x.reshape(k, m, -1)
    gram = jnp.einsum("kid,kjd->kij", flat, flat, precision=jax.lax.Precision.HIGHEST)
    _, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(gram))
    # the derivative of an eigenvalue, v (dG) v, has no part through its vector, so that equal ones do no harm
    values = jnp.einsum("kiv,kij,kjv->kv", vectors, gram, vectors, precision=jax.lax.Precision.HIGHEST)
    target = jax.lax.stop_gradient(jax.nn.softmax(values / TAU))
    return jnp.sum(target * (jax.nn.log_softmax(jax.lax.stop_gradient(values) / TAU) - jax.nn.log_softmax(values)))


def gap_of(
    now: Layers, seen: Layers, whole: Layers, own: Layers | None, on: Float[Array, " l"], *, category: float, memory: float, first: float
) -> tuple[Float[Array, ""], Layers]:
    """R = sum_l m_l on_l sum_s ((1 - category) || s_l - whole_l || + category || s_l - own_l ||) over the moments s of every layer l, and
    the moved averages. m_1 = `first`, else 1.

    The value of s is the average memory * seen + (1 - memory) * now, its derivative that of `now`. Layers with on_l = 0 keep their average.

    Args:
      now, seen, whole, own: moments of the batch, their average before, those of all real images, and those of the batch's classes.
    """
    factors = on * jnp.ones_like(on).at[0].set(first)
    total, moved = jnp.zeros((), on.dtype), []
    for layer, (here, before, real) in enumerate(zip(now, seen, whole, strict=True)):
        still = jax.lax.stop_gradient(here)
        after = tuple(memory * old + (1 - memory) * new for old, new in zip(before, still, strict=True))
        told = [average + new - value for average, new, value in zip(after, here, still, strict=True)]
        gap = sum(safe_norm(a - b, axis=0) for a, b in zip(told, real, strict=True))
        if own is not None:
            near = sum(safe_norm(a - b, axis=0) for a, b in zip(told, own[layer], strict=True))
            gap = (1 - category) * gap + category * near
        total += factors[layer] * gap
        moved.append(tuple(jnp.where(on[layer] > 0, new, old) for new, old in zip(after, before, strict=True)))
    return total, tuple(moved)


def check_told(teachers: Sequence[Teacher], image: tuple[int, int, int]) -> None:
    """Raises BadInput if a teacher has no batch norm on images of h, w, c, or does not tell what enters its layers."""
    check_statistics(teachers, image)
    one = jnp.zeros((1, *image), jnp.float32)
    for teacher in teachers:
        if "norm_input0" not in jax.eval_shape(lambda x, net=teacher.net, vars=teacher.vars: net.apply(vars, x).taps, one):
            told = f"--teachers: {teacher.name or 'a network'} does not tell what enters its layers"
            raise BadInput(f"{told}; take a network of `condense list nets`, or another method of teachers")


class Matching(NamedTuple):
    """Numbers of the loss: probability that a convolution is left out, share of the earlier average, weight of the spectrum, share of the
    classes' statistics."""

    drop: float
    memory: float
    density: float
    category: float


def slope_by(
    key: jax.Array,
    x: Float[Array, "g b h w c"],
    y: Int[Array, "g b"],
    seen: Sequence[Layers],
    vars: Sequence[Vars],
    real: Sequence[RealMoments],
    *,
    k: int,
    teachers: Sequence[Teacher],
    settings: RecoverySettings,
    how: Matching,
    many: int,
):
    """What network number `k` makes of all batches, of `many` classes each: gradients by the images, the averages of all networks after it,
    and means over the batches of the loss, CE, R and D."""

    def one(key, x, y, before):
        k_jitter, k_drop = jax.random.split(key)

        def loss(x):
            shown = settings.jitter(k_jitter, x)
            out = teachers[k].net.apply(vars[k], shown)
            entropy = optax.softmax_cross_entropy_with_integer_labels(out.logits, y).mean()
            now, norms = layer_moments(out.taps), norm_layers(out.taps)
            on = jnp.ones(len(now), bool).at[: len(now) - norms].set(jax.random.bernoulli(k_drop, 1 - how.drop, (len(now) - norms,)))
            own = jax.tree.map(lambda leaf: leaf[y].mean(0), real[k].classes) if how.category else None
            more = {"category": how.category, "memory": how.memory, "first": settings.first}
            gap, moved = gap_of(now, before, real[k].whole, own, on.astype(x.dtype), **more)
            spread = jnp.zeros_like(gap)
            if how.density and len(x) > many:  # one image has no spectrum to spread
                spread = spectrum_gap(shown.reshape(many, -1, *shown.shape[1:]))
            return entropy + settings.alpha_bn * gap + how.density * spread, (jnp.stack([entropy, gap, spread]), moved)

        (total, (terms, moved)), slope = jax.value_and_grad(loss, has_aux=True)(x)
        return slope, moved, jnp.concatenate([total[None], terms])

    slopes, moved, terms = map_batched(one, jax.random.split(key, len(x)), x, y, seen[k])
    return slopes, (*seen[:k], moved, *seen[k + 1 :]), terms.mean(0)


def gvbsm(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    lr: Annotated[float, Positive] = 0.05,
    alpha_bn: Annotated[float, NonNegative] = 0.01,
    first: Annotated[float, NonNegative] = 10.0,
    crop: Annotated[float, Share] = 1.0,
    roll: Annotated[float, BelowOne] = 0.97,
    batch: int = 100,
    drop: Annotated[float, BelowOne] = 0.4,
    memory: Annotated[float, BelowOne] = 0.8,
    density: Annotated[float, NonNegative] = 1.0,
    category: Annotated[float, ZeroToOne] = 0.0,
    labels: LabelKind = "committee",
    recipe: str = "gvbsm",
    label_epochs: int | None = None,
) -> Matcher:
    """Recovers images whose statistics in all layers of several networks are those of real data; one network serves a step, in turn.

    Step t descends L = CE_k + alpha_bn R_k + density D for network k = t mod K of K. R_k sums distances of moments (`gap_of`): for the
    input of every batch norm means and variances of its channels, for that of every convolution these, and those of its patches of 4x4
    pixels; a convolution is left out with probability `drop`. Their values are running averages over the steps of this network, which
    start at 0 as released, their derivatives the batch's own. D spreads the spectrum of a class's images (`spectrum_gap`), so a batch
    holds many of one class. Labels are the mean of all networks' logits. EDC is `--category 0.5 --drop 0 --density 0 --crop 0.08 --roll 0
    --start random --recipe edc`, on more networks and for fewer steps.

    The release moves batches by a padded crop before they roll, and its real statistics are means over batches of cropped images; here
    these are exact, of images as they are.

    Args:
      teachers: trained networks with batch norms.
      task: the run that it serves; the step size falls over its steps.
      lr: step size of the pixels in model space (> 0).
      alpha_bn: weight of the statistics (>= 0).
      first: weight of the first convolution's statistics (>= 0).
      crop: least share of the area that a random crop takes, in (0, 1]; 1 for no crop.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      batch: images that go through a network together and share their statistics: of neighbouring classes with all their images, or, where
        a class has more than that, a part of its images.
      drop: probability that a convolution's statistics do not count in a step, in [0, 1).
      memory: share of the earlier average in the running one, in [0, 1).
      density: weight of the spectrum's term (>= 0).
      category: share of the distance to the statistics of a batch's classes, in [0, 1]; the rest is that to all real images' (EDC has 0.5).
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
    """
    settings = RecoverySettings(lr, alpha_bn, first, Jitter(crop, roll, task.flips)).check()
    how = Matching(drop, memory, density, category)
    labelling, tx = Labelling(teachers, task, recipe, labels, label_epochs), on_pixels(settings, task)
    known = tuple(teacher.vars for teacher in teachers)

    def init(key, synth):
        x = grouped(synth.x.decode(), synth.y.classes, batch)
        shapes = tuple(
            jax.eval_shape(lambda x, net=teacher.net, vars=teacher.vars: layer_moments(net.apply(vars, x).taps), x[0])
            for teacher in teachers
        )
        zeros = jax.tree.map(lambda shape: jnp.zeros((len(x), *shape.shape), shape.dtype), shapes)
        return Averaged(tx.init(synth.x.learned()), zeros)

    def step(key, state, synth, given):
        (count, _), classes, learned = state.opt, synth.y.classes, synth.x.learned()
        images, pull = jax.vjp(lambda content: content.decode(), synth.x)
        x, y = (grouped(leaf, classes, batch) for leaf in (images, synth.y.index))
        many, _ = shape_of_batches(len(synth), classes, batch)
        same = {"teachers": teachers, "settings": settings, "how": how, "many": many}
        ways = [partial(slope_by, k=k, **same) for k in range(len(teachers))]
        slopes, seen, terms = jax.lax.switch(count % len(teachers), ways, key, x, y, state.seen, *given)
        (slope,) = pull(ungrouped(slopes, classes, batch))
        updates, opt = tx.update(slope.learned(), state.opt, learned)
        metrics = dict(zip(("loss", "entropy", "statistics", "spectrum"), terms, strict=True))
        return replace(synth, x=synth.x.moved(optax.apply_updates(learned, updates))), Averaged(opt, seen), metrics

    def measure(examples: Split) -> tuple[Sequence, Sequence[RealMoments]]:
        return known, real_moments(teachers, examples, by_class=bool(category))

    def ready(key, synth, examples):
        synth = bounded(synth)
        labelling.check_room(synth)
        check_told(teachers, synth.x.decode().shape[1:])
        shape_of_batches(len(synth), synth.y.classes, batch)
        return synth

    attach = lambda key, state, synth: labelling.attach(key, synth)  # noqa: E731
    return Matcher(init, step, Computed(measure), recipe=recipe, prepare=ready, finish=attach, start="noise", counts_bytes=False)

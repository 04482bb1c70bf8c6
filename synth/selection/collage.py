"""Collages: real images of a class, or square crops of them, shrunk and laid out in a grid. Images are f32[n h w c] in model space.

How a teacher sees a crop decides which are kept: it is shown the crop in the middle of an image that is 0 (the mean, in model space)
elsewhere, and its cross entropy to the crop's class is the crop's difficulty (RDED, CVPR 2024).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.base import Net, Split, Teacher
from synth.errors import BadInput
from synth.selection.cam import attention
from synth.training.fit import in_batches
from synth.training.stream import in_order

AnyArray = Array | np.ndarray
Difficulty = Literal["easy", "medium", "hard"]
SCALE = (0.08, 1.0)  # a crop's share of the area


def cell_size(image: tuple[int, int, int], factor: int) -> tuple[int, int]:
    """Height and width of a cell of a factor x factor collage of the shape `image`, (h, w, c). Raises BadInput where they are not whole."""
    h, w, _ = image
    if h % factor or w % factor:
        raise BadInput(f"collages of {factor}x{factor}: images of {h}x{w} have no such equal cells; use a factor or start that suits them")
    return h // factor, w // factor


def shrink(image: Float[Array, "h w c"], top, left, side, cell: tuple[int, int]) -> Float[Array, "p q c"]:
    """The square box of `side` pixels whose first pixel is (top, left), resized to a cell of (p, q) pixels: bilinear, averaging over all
    pixels that a cell's pixel covers."""
    h, w, _ = image.shape
    down, across = _weights(h, top, side, cell[0]), _weights(w, left, side, cell[1])
    return jnp.einsum("ph,hwc,qw->pqc", down.astype(image.dtype), image, across.astype(image.dtype), precision=jax.lax.Precision.HIGHEST)


def _weights(n: int, start, side, cells: int) -> Float[Array, "p n"]:
    """Row p: a tent around the centre of the p-th of `cells` equal parts of the box, as wide as a part but at least one pixel a side."""
    start, side = (jnp.asarray(value, jnp.float32) for value in (start, side))
    part = side / cells
    centre = start + (jnp.arange(cells, dtype=jnp.float32) + 0.5) * part
    pixel = jnp.arange(n, dtype=jnp.float32) + 0.5
    tent = jnp.maximum(0, 1 - jnp.abs(centre[:, None] - pixel[None, :]) / jnp.maximum(part, 1))
    inside = (pixel > start) & (pixel < start + side)
    tent = jnp.where(inside[None, :], tent, 0)
    return tent / tent.sum(1, keepdims=True)


def draw_square(key: jax.Array, size: tuple[int, int], *, scale: tuple[float, float] = SCALE) -> tuple[Int[Array, ""], ...]:
    """Top, left and side, in pixels, of a random square in an image of `size` (h, w): its area is a share U(scale) of the image's, its side
    rounded and at most the shorter one, its place uniform."""
    h, w = size
    k_area, k_place = jax.random.split(key)
    side = jnp.round(jnp.sqrt(h * w * jax.random.uniform(k_area, (), jnp.float32, *scale)))
    side = jnp.clip(side, 1, min(h, w)).astype(jnp.int32)
    u = jax.random.uniform(k_place, (2,), jnp.float32)
    top, left = (jnp.floor(u[i] * (room - side + 1).astype(jnp.float32)).astype(jnp.int32) for i, room in enumerate((h, w)))
    return top, left, side


@partial(jax.jit, static_argnames=("count", "cell"))
def draw_crops(key: jax.Array, x: Float[Array, "n h w c"], *, count: int, cell: tuple[int, int]) -> Float[Array, "n count p q c"]:
    """`count` random square crops of every image, as `draw_square` draws them, each resized to a cell of (p, q) pixels."""

    def crop(key, image):
        return shrink(image, *draw_square(key, image.shape[:2]), cell)

    keys = jax.random.split(key, (len(x), count))
    return jax.vmap(lambda keys, image: jax.vmap(lambda key: crop(key, image))(keys))(keys, x)


def framed(patches: Float[Array, "n p q c"], image: tuple[int, int, int]) -> Float[Array, "n h w c"]:
    """Images of the shape `image`, (h, w, c), that show a patch each in the middle and are 0 elsewhere."""
    (h, w, _), (_, p, q, _) = image, patches.shape
    top, left = (h - p) // 2, (w - q) // 2
    return jnp.pad(patches, ((0, 0), (top, h - p - top), (left, w - q - left), (0, 0)))


@cache
def _log_probs(net: Net) -> Callable:
    return lambda vars, piece: jax.nn.log_softmax(net.apply(vars, piece).logits)


def difficulty(teachers: Sequence[Teacher], x: Float[Array, "n h w c"], label: int) -> Float[np.ndarray, " n"]:
    """Cross entropy of every image to the class `label`, in nats, the mean over the teachers, which count equally. Low is easy."""
    each = [in_batches(_log_probs(teacher.net), teacher.vars, x) for teacher in teachers]
    return -np.mean([np.asarray(log_probs)[:, label] for log_probs in each], 0)


def members_of(y: Int[AnyArray, " n"], needed: int, images: int) -> tuple[list[np.ndarray], int]:
    """(positions of the examples, an array a class; how many of each class are considered): `images`, or the size of the smallest class if
    that is less.

    Raises BadInput where that is fewer than `needed`.
    """
    y = np.asarray(y)
    members = [np.flatnonzero(y == c) for c in range(int(y.max()) + 1)]
    images = min(images, *map(len, members))
    if images < needed:
        why = f"the collages of a class take {needed} real images, of {images} that there are to choose from"
        raise BadInput(f"--ipc: {why}; give fewer, smaller collages, or more images to choose from")
    return members, images


def of_classes(
    key: jax.Array, examples: Split, members: Sequence[Int[np.ndarray, "..."]], images: int
) -> Iterator[tuple[jax.Array, Float[Array, "n h w c"]]]:
    """For every class, in order, a key and `images` of its examples, drawn at random without replacement; those of the next classes are
    read meanwhile. `members` are the positions of the examples of each class."""
    keys = [jax.random.split(jax.random.fold_in(key, label)) for label in range(len(members))]
    chosen = [
        rows[np.asarray(jax.random.permutation(k_class, len(rows)))[:images]] for (k_class, _), rows in zip(keys, members, strict=True)
    ]
    taken = map(examples.take, chosen) if examples.in_memory else in_order(examples.take, chosen)
    for (_, k_crops), part in zip(keys, taken, strict=True):
        yield k_crops, jnp.asarray(part.x)


def choose_patches(
    key: jax.Array,
    teachers: Sequence[Teacher],
    examples: Split,
    per_class: int,
    *,
    factor: int,
    images: int = 300,
    crops: int = 5,
    rank: Difficulty = "easy",
) -> Float[np.ndarray, "classes k p q c"]:
    """The per_class factor^2 patches of every class for its collages, the easiest first: of each of `images` real images the easiest of
    `crops` crops, and of these the easiest, those in the middle of the ranking or the hardest.

    A patch has the size of a collage's cell. A crop is the easier, the lower the teachers' mean cross entropy to its class is
    (`difficulty`). `rank` says which are kept: `easy`, `medium` or `hard`. Where the smallest class has fewer than `images`, that many of
    each are taken.

    Raises BadInput where there are fewer images than patches are needed, or cells are not whole.
    """
    image, needed, found = examples.shape[1:], per_class * factor**2, []
    cell, (members, images) = cell_size(image, factor), members_of(examples.y, needed, images)
    first = {"easy": 0, "medium": (images - needed) // 2, "hard": images - needed}[rank]
    for label, (k_crops, x) in enumerate(of_classes(key, examples, members, images)):
        patches = draw_crops(k_crops, x, count=crops, cell=cell)
        scores = difficulty(teachers, framed(patches.reshape(-1, *patches.shape[2:]), image), label).reshape(images, crops)
        best = np.asarray(patches)[np.arange(images), scores.argmin(1)]
        found.append(best[np.argsort(scores.min(1), kind="stable")[first : first + needed]])
    return np.stack(found)


@cache
def _maps(net: Net) -> Callable:
    def read(asked, piece):
        vars, label = asked
        return attention(net, vars, piece, jnp.full(len(piece), label))

    return read


def critical_patches(
    key: jax.Array, teacher: Teacher, examples: Split, per_class: int, *, factor: int, images: int, crops: int, keep: int
) -> Float[np.ndarray, "classes k p q c"]:
    """Chooses the per_class factor^2 patches of every class in which a network sees the class. The patch that the network is least sure of
    comes first.

    Of each of `images` real images the one of `crops` crops over which the class's map has the highest mean; of these the `keep` times as
    many as are needed with the highest; of these the ones with the highest cross entropy. Raises BadInput where there are fewer images than
    patches are needed, or cells are not whole.
    """
    image, needed, found = examples.shape[1:], per_class * factor**2, []
    cell, (members, images) = cell_size(image, factor), members_of(examples.y, needed, images)
    for label, (k_crops, chosen) in enumerate(of_classes(key, examples, members, images)):
        maps = in_batches(_maps(teacher.net), (teacher.vars, jnp.int32(label)), chosen)
        both = np.asarray(draw_crops(k_crops, jnp.concatenate([chosen, maps[..., None]], -1), count=crops, cell=cell))
        seen = both[..., -1].mean((2, 3))
        best = both[np.arange(images), seen.argmax(1), ..., :-1]
        top = best[np.argsort(-seen.max(1), kind="stable")[: keep * needed]]
        found.append(top[np.argsort(-difficulty((teacher,), framed(jnp.asarray(top), image), label), kind="stable")[:needed]])
    return np.stack(found)


def compose(patches: Float[np.ndarray, "classes k p q c"], factor: int) -> Float[np.ndarray, "n h w c"]:
    """Collages of factor x factor patches, class-major: of a class's k = ipc factor^2 patches its i-th collage, from 0, shows number i,
    ipc + i, 2 ipc + i ..., row by row."""
    classes, k, p, q, c = patches.shape
    ipc = k // factor**2
    grid = patches.reshape(classes, factor, factor, ipc, p, q, c).transpose(0, 3, 1, 4, 2, 5, 6)
    return grid.reshape(classes * ipc, factor * p, factor * q, c)


@partial(jax.jit, static_argnames="cell")
def _downsize(x: Float[Array, "n h w c"], *, cell: tuple[int, int]) -> Float[Array, "n p q c"]:
    _, h, w, _ = x.shape
    down, across = _weights(h, 0, h, cell[0]).astype(x.dtype), _weights(w, 0, w, cell[1]).astype(x.dtype)
    return jnp.einsum("ph,nhwc,qw->npqc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def whole_collages(
    examples: Split, index: Int[np.ndarray, " m"], *, factor: int
) -> tuple[Float[np.ndarray, "n h w c"], Int[np.ndarray, " n"]]:
    """Collages of whole images, downsized without a crop, and their classes; class-major.

    The images of a class are laid out in the order of `index` as `compose` does it; with a factor of 1 they stay as they are.

    Args:
      index: of the images, a multiple of factor^2 of every class that is there.

    Raises BadInput where the images have no such equal cells.
    """
    cell, y, found = cell_size(examples.shape[1:], factor), np.asarray(examples.y)[index], []
    classes, counts = np.unique(y, return_counts=True)
    for label in classes:
        x = jnp.asarray(examples.take(index[y == label]).x)
        found.append(np.asarray(x) if factor == 1 else compose(np.asarray(_downsize(x, cell=cell))[None], factor))
    return np.concatenate(found), np.repeat(classes, counts // factor**2).astype(np.int32)


def random_collages(key: jax.Array, examples: Split, per_class: int, *, factor: int = 2) -> Float[np.ndarray, "n h w c"]:
    """`per_class` collages of factor x factor random square crops for every class, class-major. Each crop is from another real image of the
    class, as long as there are unused images. Raises BadInput where cells are not whole."""
    y, cell, found = np.asarray(examples.y), cell_size(examples.shape[1:], factor), []
    for label in range(int(y.max()) + 1):
        rows = np.flatnonzero(y == label)
        k_class, k_crops = jax.random.split(jax.random.fold_in(key, label))
        order = rows[np.asarray(jax.random.permutation(k_class, len(rows)))]
        chosen = np.resize(order, per_class * factor**2)  # from the start again, where there are not enough
        found.append(np.asarray(draw_crops(k_crops, jnp.asarray(examples.take(chosen).x), count=1, cell=cell))[:, 0])
    return compose(np.stack(found), factor)

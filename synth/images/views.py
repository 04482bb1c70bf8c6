"""Views of a batch of images, as pure functions of the key: cell of a collage, crop, flip, roll, patch shuffle, MixUp and CutMix.

Images are f32[b h w c] (a batch) in model space, unbounded; every operation is linear in the images. With `shared` one draw serves the
whole batch, as where a transform is applied to a batched tensor; otherwise every image has its own. A `View` names a sequence of
operations, and `View.sample` draws it: whoever has the key, the images and the `View` sees the same view, so nothing of it need be stored.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.errors import BadInput

RATIO = (3 / 4, 4 / 3)  # of width to height of a crop
TRIES = 10  # boxes drawn before the whole image is taken: those that stick out are passed over
CELL = 0xCE11  # key stream of the cell that an image shows: far from the few keys that other draws split off
Images = Float[Array, "b h w c"]
Share = float | Float[Array, ""]  # of an image's area, in (0, 1]


class Mixed(NamedTuple):
    """How a batch was mixed: image i holds `lam` of itself and 1 - lam of image `partner[i]`. Unmixed: its own partner, lam = 1."""

    partner: Int[Array, " b"]
    lam: Float[Array, ""]


class BatchView(NamedTuple):
    """The facts about a mini-batch that a label kind may use: its place in the training, the images after all operations, and how they were
    mixed."""

    epoch: Int[Array, ""]
    batch: Int[Array, ""]
    images: Images
    mixed: Mixed


def resample(x: Float[Array, "h w c"], top, left, height, width) -> Float[Array, "h w c"]:
    """The box of whole pixels [top, top + height) x [left, left + width), resized to the image's own size: bilinear, pixel centres at 1/2,
    the box's border repeated."""
    h, w, _ = x.shape
    down, across = _weights(h, top, height, x.dtype), _weights(w, left, width, x.dtype)
    # an accelerator's default precision would round the pixels to fewer bits
    return jnp.einsum("ih,hwc,jw->ijc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def _weights(n: int, start, length, dtype) -> Float[Array, "n n"]:
    start, length = (jnp.asarray(value, jnp.float32) for value in (start, length))
    at = (jnp.arange(n, dtype=jnp.float32) + 0.5) * (length / n) - 0.5
    at = start + jnp.clip(at, 0, length - 1)
    return jnp.maximum(0, 1 - jnp.abs(at[:, None] - jnp.arange(n, dtype=jnp.float32)[None, :])).astype(dtype)


def draw_box(key: jax.Array, size: tuple[int, int], scale: tuple[Share, Share]) -> tuple[Int[Array, ""], ...]:
    """Top, left, height and width of a random box: its area is a share U(scale) of the image's, the logarithm of its ratio of width to
    height uniform between those of 3/4 and 4/3, its place uniform. After ten boxes that stick out it is the whole image."""
    h, w = size
    u = jax.random.uniform(key, (2, TRIES + 1), jnp.float32)  # one draw for all: each compiles for itself
    area = h * w * (scale[0] + (scale[1] - scale[0]) * u[0, 1:])
    ratio = jnp.exp(math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * u[1, 1:])
    height, width = (jnp.round(jnp.sqrt(side)).astype(jnp.int32) for side in (area / ratio, area * ratio))
    right = (height >= 1) & (height <= h) & (width >= 1) & (width <= w)
    first = jnp.argmax(right)
    height, width = (jnp.where(right[first], side[first], whole) for side, whole in ((height, h), (width, w)))
    top, left = (jnp.floor(u[i, 0] * (room + 1).astype(jnp.float32)).astype(jnp.int32) for i, room in enumerate((h - height, w - width)))
    return top, left, height, width


def _each(key: jax.Array, x: jax.Array, shared: bool, draw, apply) -> jax.Array:
    """`apply(image, *draw(key))` of every image, with one draw or one each."""
    if shared:
        return jax.vmap(lambda image, drawn: apply(image, *drawn), in_axes=(0, None))(x, draw(key))
    return jax.vmap(lambda key, image: apply(image, *draw(key)))(jax.random.split(key, len(x)), x)


def random_resized_crop(key: jax.Array, x: Images, *, scale: tuple[Share, Share], shared: bool) -> Images:
    """A random box of every image, as `draw_box` draws it with this `scale`, resized to the whole image; with `shared` one box for all."""
    return _each(key, x, shared, lambda key: draw_box(key, x.shape[1:3], scale), resample)


def random_flip(key: jax.Array, x: Images, *, shared: bool) -> Images:
    """Left and right exchanged with probability 1/2, drawn for every image, or once for all if `shared`."""
    return _each(key, x, shared, lambda key: (jax.random.bernoulli(key),), lambda image, on: jnp.where(on, image[:, ::-1], image))


def random_roll(key: jax.Array, x: Images, *, least: int, most: int, shared: bool) -> Images:
    """Rows and columns rolled cyclically by independent integers in [least, most], drawn for every image, or once for all if `shared`."""
    draw = lambda key: tuple(jax.random.randint(key, (2,), least, most + 1))  # noqa: E731 (one of a row of draws)
    return _each(key, x, shared, draw, lambda image, down, right: jnp.roll(image, (down, right), (0, 1)))


def random_shift(key: jax.Array, x: Images, *, most: int, shared: bool) -> Images:
    """Rows and columns shifted by integers in [-most, most], drawn for every image, or once if `shared`; zeros come in from outside."""
    padded = jnp.pad(x, ((0, 0), (most, most), (most, most), (0, 0)))
    draw = lambda key: tuple(jax.random.randint(key, (2,), 0, 2 * most + 1))  # noqa: E731

    def window(image, top, left):
        return jax.lax.dynamic_slice(image, (top, left, jnp.zeros_like(top)), x.shape[1:])

    return _each(key, padded, shared, draw, window)


def shuffle_patches(key: jax.Array, x: Images, *, factor: int, shared: bool) -> Images:
    """Cuts every image into factor x factor patches and puts them in random order, with `shared` the same order for all images. Raises
    BadInput if the factor does not divide the image."""
    b, h, w, c = x.shape
    if h % factor or w % factor:
        raise BadInput(f"images of {h}x{w} cannot be cut into {factor}x{factor} equal patches; use a factor that divides both sides")
    patches = x.reshape(b, factor, h // factor, factor, w // factor, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, factor**2, -1)
    drawn = _each(key, patches, shared, lambda key: (jax.random.permutation(key, factor**2),), lambda image, order: image[order])
    return drawn.reshape(b, factor, factor, h // factor, w // factor, c).transpose(0, 1, 3, 2, 4, 5).reshape(x.shape)


def shuffle_grid(key: jax.Array, x: Images, *, factor: int) -> Images:
    """Cuts every image into factor columns and puts them in random order, then into rows likewise, as RDED's release shuffles patches
    (LINs-lab/RDED, synthesize/utils.py): neighbours in a row or column of patches stay in one. Raises BadInput if the factor
    does not divide the image."""
    h, w = x.shape[1:3]
    if h % factor or w % factor:
        raise BadInput(f"images of {h}x{w} cannot be cut into {factor}x{factor} equal patches; use a factor that divides both sides")

    def draw(key):
        across, down = (jax.random.permutation(k, factor) for k in jax.random.split(key))
        return across, down

    def apply(image, across, down):
        image = image.reshape(h, factor, w // factor, -1)[:, across].reshape(h, w, -1)
        return image.reshape(factor, h // factor, w, -1)[down].reshape(h, w, -1)

    return _each(key, x, False, draw, apply)


def cell_of(image: Float[Array, "h w c"], cell, *, cells: int) -> Float[Array, "h w c"]:
    """The cell of this number, row by row from 0, of a collage of cells x cells, resized to the collage's size. No other cell is read."""
    height, width = (side // cells for side in image.shape[:2])
    return resample(image, cell // cells * height, cell % cells * width, height, width)


def random_cell(key: jax.Array, x: Images, *, cells: int, shared: bool) -> Images:
    """A random cell of every image, as `cell_of` shows it; each of the cells x cells is as probable. `shared`: the same one for all."""
    return _each(key, x, shared, lambda key: (jax.random.randint(key, (), 0, cells**2),), partial(cell_of, cells=cells))


def every_cell(x: Images, cells: int) -> Float[Array, "n h w c"]:
    """All cells of all images, n = b cells^2, with those of an image together, row by row."""
    of_image = jax.vmap(partial(cell_of, cells=cells), in_axes=(None, 0))
    return jax.vmap(of_image, in_axes=(0, None))(x, jnp.arange(cells**2)).reshape(-1, *x.shape[1:])


def narrowed(scale: tuple[Share, Share], epoch: Int[Array, ""] | int, epochs: int) -> tuple[Share, Share]:
    """The range of a crop's share of the area in an epoch: s(e) = low + (1 - low) (1 + cos(pi e / epochs)) / 2 and the range's upper end,
    so that crops are whole images at first; `scale` from `epochs` on, and always where `epochs` is 0."""
    if not epochs:
        return scale
    low, high = scale
    done = jnp.minimum(jnp.asarray(epoch, jnp.float32) / epochs, 1)
    least = low + (1 - low) * (1 + jnp.cos(jnp.pi * done)) / 2
    return least, jnp.maximum(least, high)


def _share(key: jax.Array, alpha: float) -> Float[Array, ""]:
    if alpha == 1:
        return jax.random.uniform(key, (), jnp.float32)
    return jax.random.beta(key, jnp.float32(alpha), jnp.float32(alpha), dtype=jnp.float32)


def mixup(key: jax.Array, x: Images, *, alpha: float) -> tuple[Images, Mixed]:
    """lam x_i + (1 - lam) x_partner with one lam from Beta(alpha, alpha) for the batch and partners by a random permutation.

    Zhang et al., mixup, ICLR 2018, section 2, as released.
    """
    k_share, k_partner = jax.random.split(key)
    lam, partner = _share(k_share, alpha), jax.random.permutation(k_partner, len(x))
    return lam.astype(x.dtype) * x + (1 - lam).astype(x.dtype) * x[partner], Mixed(partner, lam)


def cutmix(key: jax.Array, x: Images, *, alpha: float) -> tuple[Images, Mixed]:
    """Inside one box for the batch, image i shows its partner; 1 - Beta(alpha, alpha) is the box's share of the area before it is clipped
    at the border, and `lam` of the result the share of pixels that stay.

    Yun et al., CutMix, ICCV 2019, section 3.1, as released: sides int(side sqrt(1 - lam)), centre uniform over the pixels.
    The released code of SRe2L, RDED and CV-DD passes on the lam that was drawn, whatever the border cuts off its box. Labels that answer to
    the mixed image do not read it; kinds that mix the labels of two images, and `distances` in its cross entropies, differ by that.
    """
    _, h, w, _ = x.shape
    k_share, k_partner, k_place = jax.random.split(key, 3)
    cut = jnp.sqrt(1 - _share(k_share, alpha))
    u = jax.random.uniform(k_place, (2,), jnp.float32)
    inside = [_inside(n, jnp.floor(u[i] * n).astype(jnp.int32), jnp.floor(cut * n).astype(jnp.int32)) for i, n in enumerate((h, w))]
    box = inside[0][:, None] & inside[1][None, :]
    partner = jax.random.permutation(k_partner, len(x))
    return jnp.where(box[None, :, :, None], x[partner], x), Mixed(partner, 1 - box.astype(jnp.float32).mean())


def _inside(n: int, centre, side):
    at = jnp.arange(n, dtype=jnp.int32)
    return (at >= centre - side // 2) & (at < centre + side // 2)


def unmixed(x: Float[Array, "b ..."]) -> Mixed:
    """The `Mixed` of a batch that is not mixed: every image is its own partner, and lam is 1."""
    return Mixed(jnp.arange(len(x), dtype=jnp.int32), jnp.float32(1))


MIXES = {"mixup": mixup, "cutmix": cutmix}


@dataclass(frozen=True)
class View:
    """Operations on a mini-batch, in this order; each is left out by default. Its text is its name in files: `view_of(str(view)) == view`.

    Args:
      cells: images a side of a collage, of which one is shown in place of the whole; 1 shows the whole.
      shuffle: patches a side that are shuffled. grid: patches a side whose columns are shuffled, and then their rows.
      crop: range of a random resized crop's share of the area, in (0, 1].
      narrow: epochs over which that range narrows down to `crop` from the whole image alone, see `narrowed`; 0 for `crop` at once.
      pad: zeros around the image before a random window of its size is cut out.
      flip: whether left and right are exchanged at random.
      mix: `mixup` or `cutmix`, and `alpha` > 0 of its Beta distribution.
    """

    cells: int = 1
    shuffle: int = 1
    crop: tuple[float, float] | None = None
    narrow: int = 0
    pad: int = 0
    flip: bool = False
    mix: str = ""
    alpha: float = 1.0
    grid: int = 1

    def __str__(self) -> str:
        words = [f"cells={self.cells}"] if self.cells > 1 else []
        words += [f"shuffle={self.shuffle}"] if self.shuffle > 1 else []
        words += [f"grid={self.grid}"] if self.grid > 1 else []
        words += [f"crop={self.crop[0]:g}-{self.crop[1]:g}"] if self.crop else []
        words += [f"narrow={self.narrow}"] if self.narrow else []
        words += [f"pad={self.pad}"] if self.pad else []
        words += ["flip"] if self.flip else []
        words += [f"{self.mix}={self.alpha:g}"] if self.mix else []
        return ",".join(words) or "plain"

    def sample(self, key: jax.Array, x: Images, *, epoch: Int[Array, ""] | int = 0) -> tuple[Images, Mixed]:
        """(changed images, how they were mixed): every image has its own cell, crop and flip, the batch one mix. `narrow` reads `epoch`."""
        keys = jax.random.split(key, 5)
        if self.cells > 1:
            x = random_cell(jax.random.fold_in(key, CELL), x, cells=self.cells, shared=False)
        if self.shuffle > 1:
            x = shuffle_patches(keys[0], x, factor=self.shuffle, shared=False)
        if self.grid > 1:
            x = shuffle_grid(jax.random.fold_in(keys[0], 1), x, factor=self.grid)
        if self.crop:
            x = random_resized_crop(keys[1], x, scale=narrowed(self.crop, epoch, self.narrow), shared=False)
        if self.pad:
            x = random_shift(keys[2], x, most=self.pad, shared=False)
        if self.flip:
            x = random_flip(keys[3], x, shared=False)
        if self.mix:
            return MIXES[self.mix](keys[4], x, alpha=self.alpha)
        return x, unmixed(x)

    def unflipped(self) -> "View":
        """The same view without the flip, for images whose mirror image means something else."""
        return replace(self, flip=False)


def within_cells(view: View | None, cells: int) -> View | None:
    """The view of images that are collages of cells x cells: one cell of each, and the operations of `view` on that. None where nothing is
    to be done."""
    return None if view is None and cells == 1 else replace(view or View(), cells=cells)


def view_of(text: str) -> View:
    """Reads a view from text such as `crop=0.08-1,flip,cutmix=1`. Raises ValueError if the text names no view."""
    fields: dict = {}
    for word in () if text == "plain" else text.split(","):
        name, _, value = word.partition("=")
        if name == "crop":
            low, _, high = value.partition("-")
            fields["crop"] = (float(low), float(high))
        elif name in ("cells", "shuffle", "grid", "narrow", "pad"):
            fields[name] = int(value)
        elif name == "flip":
            fields["flip"] = True
        elif name in MIXES:
            fields |= {"mix": name, "alpha": float(value)}
    view = View(**fields)
    low, high = view.crop or (1.0, 1.0)
    right = str(view) == text and 0 < low <= high <= 1 and 0 < view.alpha < math.inf and 0 <= view.pad <= 64
    right = right and all(1 <= factor <= 64 for factor in (view.cells, view.shuffle, view.grid))
    right = right and 0 <= view.narrow <= (10**6 if view.crop else 0)
    if not right:
        raise ValueError(f"'{text[:80]}' names no view; one would be 'crop=0.08-1,flip,cutmix=1'")
    return view

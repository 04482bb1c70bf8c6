"""Images as sums of bases that all images of a set share, a content under work and in files."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Bases(NamedTuple):
    """K bases of the shape of an image and K coefficients of every image, all learned, in model space and single precision:

        x_i = sum_k coefficients_ik bases_k / sqrt(n d),    d = h w c

    as in Deng and Russakovsky ("Remember the past: distilling datasets into addressable memories", NeurIPS 2022), with bases that all
    classes share. The divisor only chooses units: with bases and coefficients of a singular value decomposition, a step of size eta on the
    coefficients moves images by eta times the projection of their gradient, as it moves pixels.
    """

    bases: Float[Array, "k h w c"]
    coefficients: Float[Array, "n k"]
    kind = "bases"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.coefficients.shape[0]

    @property
    def images(self) -> int:
        """As many as there are examples: real images beside the set are stored as sums of bases too, and cost as much."""
        return self.n

    def encode(self, images: Float[Array, "n h w c"]) -> "Bases":
        """The best approximation of the images (least squared error) by as many shared bases as these: a singular value decomposition
        without subtracting the mean. `decode` gives the images back. Bases beyond min(n, h w c) are zeros."""
        n, d, k = len(images), math.prod(images.shape[1:]), len(self.bases)
        u, s, v = jnp.linalg.svd(images.reshape(n, d), full_matrices=False)
        lacking = max(0, k - len(s))
        coefficients = jnp.pad((u * s[None])[:, :k], ((0, 0), (0, lacking)))
        bases = jnp.pad(v[:k] * math.sqrt(n * d), ((0, lacking), (0, 0)))
        return Bases(bases.reshape(k, *images.shape[1:]), coefficients)

    def decode(self) -> jax.Array:
        """The images, f32[n h w c]: their sums of the bases."""
        flat = self.bases.reshape(len(self.bases), -1)
        sums = jnp.matmul(self.coefficients, flat, precision="highest") / math.sqrt(self.n * flat.shape[1])
        return sums.reshape(self.n, *self.bases.shape[1:])

    def learned(self) -> "Bases":
        """Returns itself: bases and coefficients are all learned."""
        return self

    def moved(self, learned: "Bases") -> "Bases":
        """Returns `learned` unchanged; there are no bounds."""
        return learned

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Bases":
        """Returns itself: sums have no bounds."""
        return self

    def clip(self, images: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Returns the images unchanged."""
        return images

    def store(self) -> "Bases":
        """Returns itself: files can store it."""
        return self

    def like(self) -> "Bases":
        """Returns itself: its `encode` stores other images as sums of as many bases."""
        return self

    def bytes_for(self, n: int, image: tuple[int, ...]) -> int:
        """Four bytes for each number of the bases and coefficients, for n images of the shape (h, w, c)."""
        return 4 * len(self.bases) * (math.prod(image) + n)

    def nbytes(self) -> int:
        """Bytes of the bases and the coefficients."""
        return self.bases.nbytes + self.coefficients.nbytes


def shared(count: int) -> Bases:
    """A `Bases` without images, whose `encode` approximates images by `count` bases that they share."""
    return Bases(jnp.zeros((count, 0, 0, 0)), jnp.zeros((0, count)))

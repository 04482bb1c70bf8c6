"""A content in one file: images at half their height and width, worked on in single precision and stored in half."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float16


class Coarse(NamedTuple):
    """Blocks of 2x2 pixels share a number."""

    blocks: Float16[Array, "n a b c"]
    kind = "coarse"
    modality = "images"

    @property
    def n(self):
        return len(self.blocks)

    @property
    def images(self):
        return self.n

    @classmethod
    def encode(cls, images):
        n, h, w, c = images.shape
        return cls(images.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4)))

    def decode(self):
        return jnp.repeat(jnp.repeat(self.blocks.astype(jnp.float32), 2, 1), 2, 2)

    def learned(self):
        return self.blocks

    def moved(self, learned):
        return Coarse(learned)

    def bounded(self, mean, std):
        return self

    def clip(self, images):
        return images

    def store(self):
        return Coarse(self.blocks.astype(jnp.float16))

    @classmethod
    def bytes_for(cls, n, image):
        return 2 * n * math.prod(image) // 4

    def nbytes(self):
        return 2 * self.blocks.size

    @staticmethod
    def example_axes(sizes):
        return {"h": 2 * sizes["a"], "w": 2 * sizes["b"]}

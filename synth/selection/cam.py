"""Class activation maps: where in an image a network sees a class. Images are f32[b h w c] in model space.

For a network whose logits are linear in the mean of its last feature map F over its pixels, logit_y = mean_ij sum_d W_dy F_ijd + b_y,
the map of class y is sum_d W_dy F_ijd: averaged over pixels and with the bias added it is the logit (Zhou et al., CVPR 2016).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.base import Net, Teacher, Vars
from synth.errors import BadInput

PADDED = {(28, 28): (32, 32)}  # images that networks pad with zeros on every side


def class_map(net: Net, vars: Vars, x: Float[Array, "b h w c"], y: Int[Array, " b"]) -> Float[Array, "b p q"]:
    """The class activation map of class y[i] of image i, at the size (p, q) of the last feature map, unscaled: sum_d W_dy F_ijd for the
    feature map F and the weights W of the last layer."""
    features = net.apply(vars, x).taps["conv"]
    return jnp.einsum("bpqd,db->bpq", features, vars.params["head"]["kernel"][:, y])


def attention(net: Net, vars: Vars, x: Float[Array, "b h w c"], y: Int[Array, " b"]) -> Float[Array, "b h w"]:
    """The class activation map of class y[i] of image i, scaled to [0, 1] for every image and enlarged (bilinear) to the image's size. Its
    least value is 0 and its greatest 1 before it is enlarged; a constant map is 0."""
    coarse = class_map(net, vars, x, y)
    low, high = coarse.min((1, 2), keepdims=True), coarse.max((1, 2), keepdims=True)
    scaled = (coarse - low) / jnp.where(high > low, high - low, 1)
    h, w = x.shape[1:3]
    seen = PADDED.get((h, w), (h, w))
    fine = jax.image.resize(scaled, (len(x), *seen), "bilinear")
    top, left = (seen[0] - h) // 2, (seen[1] - w) // 2
    return fine[:, top : top + h, left : left + w]


def check_map(teacher: Teacher, image: tuple[int, int, int]) -> None:
    """Raises BadInput if the teacher's logits are not a linear function of the mean of its last feature map, of more than one pixel, for
    images of the shape (h, w, c). The teacher is tried on one image."""
    if not averages(teacher.net, teacher.vars, image):
        why = "a class activation map needs a network that averages its last feature map over its pixels"
        raise BadInput(f"--teachers: {teacher.name or 'a network'} does not; {why}, such as resnet")


def averages(net: Net, vars: Vars, image: tuple[int, int, int]) -> bool:
    """Whether the embedding is the mean over pixels of a last feature map with more than one pixel. Tested on one image."""
    probe = jnp.cos(jnp.arange(image[0] * image[1] * image[2], dtype=jnp.float32)).reshape(1, *image)
    out = jax.jit(net.apply)(vars, probe)
    features = out.taps.get("conv")
    if features is None or features.shape[1] * features.shape[2] == 1 or features.shape[-1] != out.embed.shape[-1]:
        return False
    return bool(jnp.allclose(features.mean((1, 2)), out.embed, rtol=1e-3, atol=1e-4))

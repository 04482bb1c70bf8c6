"""Linear gradient matching (Cazenavette, Torralba and Sitzmann, Dataset Distillation for Pre-Trained Self-Supervised Vision Models, NeurIPS
2025, arXiv 2511.16674)."""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from matchers.base import Given, Matcher, PerClass, descend
from matchers.gradient.dc import cos
from synth.numerics.backend import map_shared
from synth.options import Positive
from synth.training.fit import adam, in_batches


def lgm(teacher: Any, augment: Callable, *, lr: Annotated[float, Positive] = 0.02, batch: int = 10, copies: int = 10) -> Matcher:
    """Matches the gradients that real and synthetic images give a random linear classifier on the features of a frozen teacher.

    L = 1 - cos(G(x), G(s)) with G = 1/n sum_i phi_i^T (softmax(phi_i W) - y_i), the gradient of the mean cross entropy by W, over real
    images x and synthetic images s, all classes together. phi_i is the feature row of an image in the self-supervised teacher, whose
    variables stay, y_i its label, one-hot or soft, and W ~ N(0, 1) is drawn anew each step. Both sides are seen under `copies`
    augmentations a step: of a copy, all images of both sides share the augmentation, real images are others in every copy, and synthetic
    ones the same. The cosine is of the whole matrices. Adam moves the images.

    What is not here: the published images are sums of a pyramid of sizes that grows while they are learned, their colours are
    decorrelated, they start from noise (`--start noise` does that here), and real images are augmented apart from them.

    Args:
      teacher: network whose features are matched: `net` and `vars`; batch norms use their running statistics.
      augment: siamese augmentation (key, x, siamese) -> x.
      lr: step size of Adam (> 0), about how far a pixel moves in a step.
      batch: real images a class and copy, so that a step takes `copies` times as many of a class.
      copies: augmentations that a step averages over; as released 10.
    """

    def read(vars, x):
        return teacher.net.apply(vars, x).embed

    def loss(key, synth, aux, fed):
        real, vars = fed
        k_head, k_copies = jax.random.split(key)
        fake, classes = synth.x.decode(), len(real)
        each = -(-real.shape[1] // copies)  # `batch`, unless classes are small or an estimate for several devices gives one of them less
        if copies * each != real.shape[1]:
            real = real[:, jnp.arange(copies * each) % real.shape[1]]
        parts = real.reshape(classes, each, copies, *real.shape[2:])
        x = jnp.moveaxis(parts, (2, 1), (0, 1)).reshape(copies, -1, *real.shape[2:])  # images before classes: devices share the outer axis

        def features(key, x):
            seen = (augment(key, images, siamese=True) for images in (x, fake))
            return tuple(in_batches(read, vars, images) for images in seen)

        sides = map_shared(features, jax.random.split(k_copies, copies), x)
        phi, phi_fake = (side.reshape(-1, side.shape[-1]) for side in sides)
        y = jnp.tile(jnp.eye(classes, dtype=phi.dtype), (copies * each, 1))
        head = jax.random.normal(k_head, (phi.shape[1], classes), phi.dtype)
        target = jax.lax.stop_gradient(head_gradient(head, phi, y))
        found = head_gradient(head, phi_fake, jnp.tile(synth.y.probs().astype(phi.dtype), (copies, 1)))
        return cos(target, found), {}

    return descend(loss, adam(lr), feed=(PerClass(copies * batch), Given(teacher.vars)), start="random")


def head_gradient(
    head: Float[Array, "d classes"], features: Float[Array, "n d"], labels: Float[Array, "n classes"]
) -> Float[Array, "d classes"]:
    """The gradient by a linear classifier `head` of its mean cross entropy on n examples: features^T (softmax(features head) - labels) / n.

    Args:
      labels: probabilities of the classes, a row an example.
    """
    return features.T @ (jax.nn.softmax(features @ head) - labels) / len(features)

"""Starts of synthetic images, and choices of real images for comparison.

Labels `y` are class indices in [0, classes) with classes = max(y) + 1; features are f32[n d] of any scale. Chosen indices are distinct and
class-major: `per_class` of class 0 first, then those of class 1, and so on. Choosing runs on the host; where it takes long, `done()` is
called after each class but the last.
"""

import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from synth.base import take_all
from synth.errors import BadInput
from synth.selection.collage import random_collages

AnyArray = Array | np.ndarray
Start = Callable[..., Float[Array, "n h w c"]]  # of (key, split, images a class); that by k-means takes `done` as well


def choose_random(key: jax.Array, y: Int[AnyArray, " n"], per_class: int) -> Int[np.ndarray, " m"]:
    """`per_class` examples of every class, uniformly and without replacement.

    Raises:
      BadInput: a class has fewer.
    """
    rng = np.random.default_rng(_seed(key))
    return _gather(_classes(y, per_class), lambda members: rng.choice(members, per_class, replace=False))


def choose_kmeans(
    key: jax.Array,
    features: Float[AnyArray, "n d"],
    y: Int[AnyArray, " n"],
    per_class: int,
    *,
    centres: int | None = None,
    done: Callable[[], None] = lambda: None,
) -> Int[np.ndarray, " m"]:
    """The examples nearest to each centre of its class's k-means: one a centre with k = `per_class`, or more with k = `centres`.

    Lloyd's algorithm from one k-means++ start drawn from the key. Where two centres share their nearest example, the later takes the next.
    The centres take turns until there are `per_class`, so where `centres` does not divide that, the first ones give one more; there are
    never more centres than examples wanted.

    Raises:
      BadInput: a class has fewer examples.
    """
    features, rng = np.asarray(features), np.random.default_rng(_seed(key))
    k = min(centres or per_class, per_class)

    def choose(members):
        return members[_nearest(features[members], k, per_class, int(rng.integers(2**31)))]

    return _gather(_classes(y, per_class), choose, done)


def choose_herding(
    features: Float[AnyArray, "n d"], y: Int[AnyArray, " n"], per_class: int, *, done: Callable[[], None] = lambda: None
) -> Int[np.ndarray, " m"]:
    """Greedy herding of every class mean: x_t = argmin_x || mu - (x_1 + ... + x_{t-1} + x) / t ||, over examples not chosen yet.

    Welling, Herding dynamical weights to learn, ICML 2009, in the form of Rebuffi et al., iCaRL, CVPR 2017, equation 4: without the
    assumption that all features have the same norm. The order within a class is the order of choice, so smaller sets are prefixes.

    Raises:
      BadInput: a class has fewer examples.
    """
    features = np.asarray(features)
    return _gather(_classes(y, per_class), lambda members: members[_herd(features[members].astype(np.float64), per_class)], done)


def noise(key: jax.Array, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Images of independent N(0, 1) in model space."""
    return jax.random.normal(key, shape, jnp.float32)


def _seed(key: jax.Array) -> list[int]:
    return [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]


def _gather(classes: list[np.ndarray], choose: Callable, done: Callable[[], None] = lambda: None) -> np.ndarray:
    chosen = []
    for members in classes:
        if chosen:
            done()
        chosen.append(choose(members))
    return np.concatenate(chosen).astype(np.int32)


def _classes(y, per_class: int) -> list[np.ndarray]:
    """Indices of the examples of every class, each at least `per_class` of them."""
    y = np.asarray(y)
    if per_class < 1:
        raise BadInput(f"--ipc {per_class}: at least 1 example a class is needed")
    members = [np.flatnonzero(y == c) for c in range(int(y.max()) + 1)]
    for c, found in enumerate(members):
        if len(found) < per_class:
            raise BadInput(
                f"--ipc {per_class}: class {c} has {len(found)} examples beside those for validation; take at most {min(map(len, members))}"
            )
    return members


def _nearest(features: np.ndarray, k: int, wanted: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans  # here, because it takes a second that most calls need not wait for
    from sklearn.exceptions import ConvergenceWarning

    # one thread: sums do not depend on the machine's thread count, and at this size more threads are slower
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct examples than centres: settled below
        centres = KMeans(k, n_init=1, random_state=seed).fit(features).cluster_centers_
    chosen: list[int] = []
    for turn in range(wanted):
        distance = np.square(features - centres[turn % k]).sum(1)
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
    return np.array(chosen)


def _herd(features: np.ndarray, k: int) -> np.ndarray:
    mean = features.mean(0)
    squares = np.square(features).sum(1)
    total = np.zeros(features.shape[1])
    chosen = []
    for t in range(1, k + 1):
        # || t mu - total - x ||^2 up to what all x share
        score = squares - 2 * features @ (t * mean - total)
        score[chosen] = np.inf
        chosen.append(int(score.argmin()))
        total += features[chosen[-1]]
    return np.array(chosen)


def _images(choose: Callable) -> Start:
    """The start that shows the real images which `choose(key, flat pixels, y, per_class)` picks; it hands on what else it is given."""

    def start(key, examples, per_class, **more):
        x = np.asarray(take_all(examples).x)
        return jnp.asarray(x[choose(key, x.reshape(len(x), -1), examples.y, per_class, **more)])

    return start


def _random(key, examples, per_class):
    return jnp.asarray(examples.take(choose_random(key, examples.y, per_class)).x)


def _noise(key, examples, per_class):
    classes = len(_classes(examples.y, 1))
    return noise(key, (classes * per_class, *examples.shape[1:]))


STARTS: dict[str, Start] = {
    "noise": _noise,
    "random": _random,
    "kmeans": _images(choose_kmeans),
    "collage": random_collages,
    "herding": _images(lambda key, flat, y, per_class: choose_herding(flat, y, per_class)),
}


def starts_for(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the starts that can make examples of this shape. Collages need images."""
    return tuple(name for name in STARTS if name != "collage" or len(shape) == 3)

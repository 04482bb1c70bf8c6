"""Starts of synthetic images, and choices of real images for comparison.

Labels `y` are class indices in [0, classes) with classes = max(y) + 1; features are f32[n d] of any scale. Chosen indices are distinct and
class-major: `per_class` of class 0 first, then those of class 1, and so on. Choosing runs on the host; where it takes long, `done()` is
called after each class but the last.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from synth.base import Split, take_all
from synth.errors import BadInput
from synth.selection.collage import random_collages
from synth.training.stream import in_order

AnyArray = Array | np.ndarray
MOST_AT_ONCE = 1 << 28  # bytes of the features of a class that are held at once where they do not lie in memory
PASSES = 3  # of mini-batch k-means
Start = Callable[..., Float[Array, "n h w c"]]  # of (key, split, images a class); that by k-means takes `done` as well


@runtime_checkable
class Features(Protocol):
    """Features that do not lie in memory: `compute` gives those that are named."""

    @property
    def shape(self) -> tuple[int, int]:
        """How many examples there are, and how many features of each."""
        ...

    def compute(self, index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        """The features of the examples at the positions `index`, in its order."""
        ...


@dataclass(frozen=True, eq=False)
class Flat:
    """The numbers of the examples of a split as `Features`."""

    split: Split

    @property
    def shape(self) -> tuple[int, int]:
        """How many examples there are, and how many numbers of each."""
        return len(self.split.y), math.prod(self.split.shape[1:])

    def compute(self, index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        """The numbers of the examples at the positions `index`, in its order, each as one row."""
        return np.asarray(self.split.take(index).x).reshape(len(index), -1)


@dataclass(frozen=True, eq=False)
class Some:
    """The features of the examples at the positions `members`, too many to be held at once."""

    features: Features
    members: Int[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.members)

    def pieces(self, *, least: int = 1, order: np.random.Generator | None = None) -> Iterator[Float[np.ndarray, "p d"]]:
        """The features of all members in pieces, each of `least` or more where there are as many: in their order, or in one that the
        generator `order` draws."""
        members = self.members if order is None else order.permutation(self.members)
        most = max(least, MOST_AT_ONCE // (16 * self.features.shape[1]))
        yield from in_order(self.features.compute, np.array_split(members, max(1, len(members) // most)))


def choose_random(key: jax.Array, y: Int[AnyArray, " n"], per_class: int) -> Int[np.ndarray, " m"]:
    """Positions of `per_class` examples of every class, drawn uniformly and without replacement; class-major.

    Raises:
      BadInput: a class has fewer, or `per_class` is below 1.
    """
    rng = np.random.default_rng(_seed(key))
    chosen = [rng.choice(members, per_class, replace=False) for members in _classes(y, per_class)]
    return np.concatenate(chosen).astype(np.int32)


def choose_kmeans(
    key: jax.Array,
    features: Float[AnyArray, "n d"] | Features,
    y: Int[AnyArray, " n"],
    per_class: int,
    *,
    centres: int | None = None,
    done: Callable[[], None] = lambda: None,
) -> Int[np.ndarray, " m"]:
    """The examples nearest to each centre of its class's k-means: one a centre with k = `per_class`, or more with k = `centres`. Returns
    their positions, class-major, in the order of the centres' turns.

    Lloyd's algorithm from one k-means++ start drawn from the key. Of a class whose features do not lie in memory and take more than
    `MOST_AT_ONCE` bytes, mini-batch k-means (Sculley, WWW 2010) in three passes over pieces of it, in another order each.

    Where two centres share their nearest example, the later takes the next. The centres take turns until there are `per_class`, so where
    `centres` does not divide that, the first ones give one more; there are never more centres than examples wanted. `done()` is called
    after each class but the last.

    Raises:
      BadInput: a class has fewer examples, or `per_class` is below 1.
    """
    rng, k = np.random.default_rng(_seed(key)), min(centres or per_class, per_class)

    def choose(rows):
        return _nearest(rows, k, per_class, int(rng.integers(2**31)))

    return _gather(features, _classes(y, per_class), choose, done)


def choose_herding(
    features: Float[AnyArray, "n d"] | Features, y: Int[AnyArray, " n"], per_class: int, *, done: Callable[[], None] = lambda: None
) -> Int[np.ndarray, " m"]:
    """Greedy herding of every class mean: x_t = argmin_x || mu - (x_1 + ... + x_{t-1} + x) / t ||, over examples not chosen yet.

    Welling, Herding dynamical weights to learn, ICML 2009, in the form of Rebuffi et al., iCaRL, CVPR 2017, equation 4: without the
    assumption that all features have the same norm. The order within a class is the order of choice, so smaller sets are prefixes.

    Returns positions, class-major: `per_class` of every class. `done()` is called after each class but the last.

    Raises:
      BadInput: a class has fewer examples, or `per_class` is below 1.
    """
    return _gather(features, _classes(y, per_class), lambda rows: _herd(rows, per_class), done)


def noise(key: jax.Array, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """An f32 array of this whole shape, such as (n, h, w, c), of independent numbers from N(0, 1): images in model space."""
    return jax.random.normal(key, shape, jnp.float32)


def _seed(key: jax.Array) -> list[int]:
    return [int(word) for word in np.asarray(jax.random.key_data(key)).ravel()]


def _gather(features: Any, classes: list[np.ndarray], choose: Callable, done: Callable[[], None]) -> np.ndarray:
    """What `choose` picks of every class: it is given the features of the class, an array or `Some`, and gives places within the class."""
    elsewhere, chosen = isinstance(features, Features), []
    features = features if elsewhere else np.asarray(features)
    if elsewhere and 4 * max(map(len, classes)) * features.shape[1] <= MOST_AT_ONCE:
        each = in_order(features.compute, classes)
    else:
        each = (Some(features, members) if elsewhere else features[members] for members in classes)
    for members, rows in zip(classes, each, strict=True):
        if chosen:
            done()
        chosen.append(members[choose(rows)])
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


def _nearest(rows: "np.ndarray | Some", k: int, wanted: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans, MiniBatchKMeans  # here, because it takes a second that most calls need not wait for
    from sklearn.exceptions import ConvergenceWarning

    # one thread: sums do not depend on the machine's thread count, and at this size more threads are slower
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct examples than centres: settled below
        if isinstance(rows, np.ndarray):
            centres = KMeans(k, n_init=1, random_state=seed).fit(rows).cluster_centers_
        else:
            found = MiniBatchKMeans(k, n_init=1, random_state=seed)
            for turn in range(PASSES):
                for piece in rows.pieces(least=k, order=np.random.default_rng([seed, turn])):
                    found.partial_fit(piece)
            centres = found.cluster_centers_
    chosen: list[int] = []
    apart = None if isinstance(rows, np.ndarray) else np.concatenate([_distances(piece, centres) for piece in rows.pieces()])
    for turn in range(wanted):
        distance = np.square(rows - centres[turn % k]).sum(1) if apart is None else apart[:, turn % k].copy()
        distance[chosen] = np.inf
        chosen.append(int(distance.argmin()))
    return np.array(chosen)


def _distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances of rows to centres, [rows centres]."""
    return np.stack([np.square(rows - centre).sum(1) for centre in centres], 1)


def _herd(rows: "np.ndarray | Some", k: int) -> np.ndarray:
    if isinstance(rows, np.ndarray):
        whole = rows.astype(np.float64)
        mean, squares, pieces = whole.mean(0), np.square(whole).sum(1), lambda: (whole,)
    else:
        pieces = lambda: (piece.astype(np.float64) for piece in rows.pieces())  # noqa: E731
        sums, squares = zip(*((piece.sum(0), np.square(piece).sum(1)) for piece in pieces()), strict=True)
        mean, squares = sum(sums) / len(rows), np.concatenate(squares)
    total, chosen = np.zeros(len(mean)), []
    for t in range(1, k + 1):
        # || t mu - total - x ||^2 up to what all x share
        score = squares - 2 * np.concatenate([piece @ (t * mean - total) for piece in pieces()])
        score[chosen] = np.inf
        chosen.append(int(score.argmin()))
        total += rows[chosen[-1]] if isinstance(rows, np.ndarray) else rows.features.compute(rows.members[chosen[-1:]])[0]
    return np.array(chosen)


def flat_features(split: Split) -> "np.ndarray | Flat":
    """The numbers of every example in one row: an array [n d] where the examples lie in memory, else `Features` that read them when
    asked."""
    if not split.in_memory:
        return Flat(split)
    x = np.asarray(take_all(split).x)
    return x.reshape(len(x), -1)


def _images(choose: Callable) -> Start:
    """The start that shows the real images which `choose(key, flat pixels, y, per_class)` picks; it hands on what else it is given."""

    def start(key, examples, per_class, **more):
        chosen = choose(key, flat_features(examples), examples.y, per_class, **more)
        return jnp.asarray(np.asarray(examples.take(chosen).x))

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
    """Names of the starts that can make examples of this shape, (h, w, c) or (d,). Collages need images."""
    return tuple(name for name in STARTS if name != "collage" or len(shape) == 3)

"""Model space and back. Raw images are f32[n h w c] in [0, 1]; model space is what networks and synthetic sets see."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Standard(NamedTuple):
    """x' = (x - mean) / std, a channel at a time."""

    mean: Float[np.ndarray, " c"]
    std: Float[np.ndarray, " c"]

    def apply(self, x):
        """Raw to model space."""
        return (x - self.mean) / self.std

    def undo(self, x):
        """Model space to raw; values may leave [0, 1]."""
        return x * self.std + self.mean


class Whiten(NamedTuple):
    """ZCA whitening: x' = (x - mean) T with T = U diag((S + 0.1)^-1/2) U^T from the covariance U diag(S) U^T of flattened images."""

    mean: Float[np.ndarray, " d"]
    matrix: Float[np.ndarray, "d d"]
    inverse: Float[np.ndarray, "d d"]

    def apply(self, x):
        """Raw to model space."""
        return ((x.reshape(len(x), -1) - self.mean) @ self.matrix).reshape(x.shape)

    def undo(self, x):
        """Model space to raw; values may leave [0, 1]."""
        return (x.reshape(len(x), -1) @ self.inverse + self.mean).reshape(x.shape)


Preprocess = Standard | Whiten
KINDS = {"standard": Standard, "zca": Whiten}


def fit_standard(x: Float[np.ndarray, "n h w c"]) -> Standard:
    """Mean and (population) standard deviation of every channel; a constant channel gets 1."""
    mean, std = x.mean((0, 1, 2), dtype=np.float64), x.std((0, 1, 2), dtype=np.float64)
    return Standard(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def fit_zca(x: Float[np.ndarray, "n h w c"], *, epsilon: float = 0.1) -> Whiten:
    """Whitening fitted on raw images: covariance with n - 1, eigenvalues S shifted by `epsilon` (> 0)."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    mean = flat.mean(0)
    values, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean) / (len(x) - 1))
    root = np.sqrt(np.maximum(values, 0) + epsilon)
    forward, inverse = (vectors / root) @ vectors.T, (vectors * root) @ vectors.T
    return Whiten(mean.astype(np.float32), forward.astype(np.float32), inverse.astype(np.float32))


def fit(kind: str, x: Float[np.ndarray, "n h w c"]) -> Preprocess:
    """`standard` or `zca`, fitted on raw training images. Raises ValueError for another kind."""
    fits = {"standard": fit_standard, "zca": fit_zca}
    if kind not in fits:
        raise ValueError(f"unknown normalisation '{kind}' (known: {', '.join(fits)})")
    return fits[kind](x)


def digest_arrays(preprocess: Preprocess) -> dict[str, np.ndarray]:
    """The arrays of a preprocessing by field name, as files and digests take them."""
    return {name: np.asarray(value) for name, value in preprocess._asdict().items()}

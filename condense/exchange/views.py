"""Views that releases of SRe2L and its followers record: `epoch_E/batch_B.tar`, each a list of six written by PyTorch.

The six: crops f[b 4] as shares of the image (top, left, height, width), flips bool[b], partners i[b], share of the mix, its box in pixels
(first row, first column, row and column to stop before; nothing under MixUp), and the teacher's logits f16[b classes]. Which image stands
at which place is not in the files: it follows from the seed of PyTorch's sampler, 42 as released.
"""

import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from condense.exchange.torch_file import array, load, orders
from condense.runtime.log import progress
from synth.errors import BadInput
from synth.labels.recorded import Recorded

BATCH = re.compile(r"batch_(\d{1,9})\.tar")


def finds_views(path: Path) -> bool:
    """Whether a folder holds recorded views: the file `epoch_0/batch_0.tar`."""
    return (path / "epoch_0" / "batch_0.tar").is_file()


def read_views(
    folder: Path, index: Int32[np.ndarray, " n"], image: tuple[int, ...], *, seed: int, temperature: float, epochs: int | None = None
) -> Recorded:
    """Reads the views of n images of the classes `index`, in the order of their files.

    Args:
      image: h, w, c. seed: of the sampler. temperature: of the labels, which the files do not say.
      epochs: how many to read; by default all.

    Raises BadInput where files are missing, hold something else, or do not fit the images.
    """
    count, n = 0, len(index)
    while (folder / f"epoch_{count}").is_dir():
        count += 1
    if epochs is not None and epochs > count:
        raise BadInput(f"--epochs {epochs}: {folder} records {count}; give fewer")
    count, parts = epochs or count, []
    with progress(count, "recorded views") as bar:
        for epoch in range(count):
            parts.append(_read_epoch(folder / f"epoch_{epoch}", n, image))
            bar.advance(1)
    batch, mixes = parts[0]["batch"], {part["mix"] for part in parts}
    if any(part["batch"] != batch for part in parts) or len(mixes) != 1:
        raise BadInput(f"{folder}: its epochs differ in mini-batches or mixes; give the labels of one release")
    names = ("logits", "crop", "flip", "partner", "lam", "box")
    arrays = {name: jnp.asarray(np.stack([part[name] for part in parts])) for name in names}
    order = jnp.asarray(orders(n, count, seed))
    return Recorded(
        jnp.asarray(index), order, **arrays, temperature=temperature, teachers="", statistics="running", batch=batch, mix=mixes.pop()
    )


def _read_epoch(folder: Path, n: int, image: tuple[int, ...]) -> dict[str, Any]:
    """The arrays of one epoch."""
    steps = sum(1 for path in folder.iterdir() if BATCH.fullmatch(path.name))
    found = [_read_batch(folder / f"batch_{step}.tar", image) for step in range(steps)]
    sizes = [len(part["flip"]) for part in found]
    if sum(sizes) != n or len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
        raise BadInput(f"{folder}: holds mini-batches of {sum(sizes)} views, and there are {n} images; give the labels of these images")
    if len({part["mix"] for part in found}) != 1 or len({part["logits"].shape[1] for part in found}) != 1:
        raise BadInput(f"{folder}: its mini-batches differ in mixes or classes; give the labels of one release")
    joined = {name: np.concatenate([part[name] for part in found]) for name in ("logits", "crop", "flip", "partner")}
    stacked = {name: np.stack([part[name] for part in found]) for name in ("lam", "box")}
    return {**joined, **stacked, "batch": sizes[0], "mix": found[0]["mix"]}


def _read_batch(path: Path, image: tuple[int, ...]) -> dict[str, Any]:
    """The arrays of one mini-batch, checked."""
    try:
        return _take_apart(load(path), path, image)
    except BadInput:
        raise
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        raise BadInput(f"{path}: holds other things than that layout has ({' '.join(str(error).split())[:80]}); copy it again") from error


def _take_apart(held: Any, path: Path, image: tuple[int, ...]) -> dict[str, Any]:
    """The arrays of the six, checked. It raises whatever values of other kinds raise."""
    if not isinstance(held, list | tuple) or len(held) != 6 or not all(hasattr(held[i], "numpy") for i in (0, 1, 5)):
        raise BadInput(f"{path}: is no list of crops, flips, partners, share, box and logits; only that layout is read")
    crops, flips, logits = (array(held[i], str(path)) for i in (0, 1, 5))
    b, (h, w, _) = len(flips), image
    partner = np.arange(b) if held[2] is None else array(held[2], str(path))
    mix = "" if held[2] is None else "mixup" if held[4] is None else "cutmix"
    if crops.dtype.kind != "f" or logits.dtype.kind != "f" or flips.dtype.kind not in "biu" or partner.dtype.kind not in "iu":
        kinds = f"{crops.dtype} crops, {flips.dtype} flips, {partner.dtype} partners and {logits.dtype} logits"
        raise BadInput(f"{path}: holds {kinds}; floats, booleans, whole numbers and floats are right")
    if crops.shape != (b, 4) or logits.ndim != 2 or len(logits) != b or partner.shape != (b,) or flips.ndim != 1:
        raise BadInput(f"{path}: its arrays differ in length; it is damaged, or of another layout")
    pixels = crops.astype(np.float64) * np.array([h, w, h, w])
    top, left, bottom, right = (
        np.round(edge) for edge in (pixels[:, 0], pixels[:, 1], pixels[:, 0] + pixels[:, 2], pixels[:, 1] + pixels[:, 3])
    )
    box = np.array([0, 0, 0, 0] if held[4] is None else [int(side) for side in held[4]])[[0, 2, 1, 3]]
    inside = top.min() >= 0 and left.min() >= 0 and bottom.max() <= h and right.max() <= w and (bottom > top).all() and (right > left).all()
    with np.errstate(over="ignore"):
        logits = logits.astype(np.float16)
    if not (inside and box.min() >= 0 and (box <= [h, h, w, w]).all() and np.isfinite(logits).all()):
        raise BadInput(f"{path}: holds boxes outside images of {h}x{w}, or logits that are not finite; give the images that were labelled")
    lam = 1.0 if held[3] is None else float(held[3])
    if not 0 <= lam <= 1:
        raise BadInput(f"{path}: an image keeps the share {lam:g} of itself, and 0 to 1 is possible; copy it again")
    return {
        "logits": logits,
        "crop": np.stack([top, left, bottom - top, right - left], -1).astype(np.uint16),
        "flip": (flips != 0).astype(np.uint8),
        "partner": partner.astype(np.int32),
        "lam": np.float32(lam),
        "box": box.astype(np.uint16),
        "mix": mix,
    }

"""Sets as parcels, which formats store, and parcels as sets again."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
from jaxtyping import Float32, UInt8

from condense.exchange.base import Clipping, Contents, Parcel
from condense.exchange.of_graphs import edge_lists, shares
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.files.npz import write_npz
from synth.set import SyntheticSet

PARTS = ("x", "y", "preprocess")  # of the arrays in a set's file; a plain name has `_` where the path has `/`


def pack(synth: SyntheticSet) -> Parcel:
    """Undoes the normalisation, and takes a set apart into pictures, rows and other arrays. Where its data lie on this machine is left out.
    Labels are the most likely classes, and 0 where a set has representations instead.

    Raises BadInput for a set of another modality than images, vectors and graphs, and for one without `info`.
    """
    modality = synth.x.modality
    if modality not in ("images", "vectors", "graphs"):
        raise BadInput(f"the set holds {modality}, which no export is for; docs/format.md says how its own file is read")
    if synth.info is None:
        raise BadInput("the set has no `info`: an export needs its class names and normalisation")
    arrays, header = stored(replace(synth, info=replace(synth.info, data_path="")))
    exact, images, clipped, rows, whole = json.loads(header)["content"] == "bytes", None, None, {}, {}
    if modality == "graphs":
        rows["share"], whole = shares(synth), edge_lists(synth.x)
    else:
        raw = np.asarray(synth.info.preprocess.undo(np.asarray(synth.x.decode(), np.float32)), np.float32)
        rows = {} if exact else {"raw": raw}
    if modality == "images":
        images = arrays["x/pixels"] if exact else to_pictures(raw)
        clipped = measure(raw, images)
    probabilities = np.asarray(synth.y.probs(), np.float32)
    if not synth.represents and not np.isin(probabilities, (0, 1)).all():
        rows["probabilities"] = probabilities
    leading = _of_rows(synth, arrays)
    for path, array in arrays.items():
        if not (exact and path == "x/pixels"):
            (rows if path in leading else whole)[path.replace("/", "_")] = array
    label = np.zeros(len(synth), np.int32) if synth.represents else probabilities.argmax(-1).astype(np.int32)
    return Parcel(images, label, rows, whole, header, synth.info.classes, clipped, modality)


def stored(synth: SyntheticSet) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a set's file by path, such as `x/pixels`, and its header, JSON. The set is written to a temporary file and read
    again."""
    with tempfile.TemporaryDirectory() as folder:
        save_set(Path(folder, "set.npz"), synth)
        with np.load(Path(folder, "set.npz"), allow_pickle=False) as file:
            return {name: file[name] for name in file if name != "header"}, str(file["header"])


def unpack(contents: Contents, shown: str) -> SyntheticSet:
    """The set that was exported, from what a format read. Raises BadInput, which begins with `shown`, where the export is not whole."""
    arrays = {}
    for name, array in contents.arrays.items():
        part, _, rest = name.partition("_")
        if part in PARTS and rest:
            arrays[f"{part}/{rest}"] = np.asarray(array)
        elif name in ("weight", "lr"):
            arrays[name] = np.asarray(array)
    if contents.images is not None and "x/pixels" not in arrays and '"content": "bytes"' in contents.header:
        arrays["x/pixels"] = contents.images
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "set.npz")
        write_npz(path, {**arrays, "header": np.array(contents.header)})
        try:
            return load_set(path)
        except BadInput as error:
            raise BadInput(str(error).replace(str(path), shown)) from error


def _of_rows(synth: SyntheticSet, arrays: dict[str, np.ndarray]) -> set[str]:
    """The paths of arrays that have a row an example."""
    found = {"weight"}
    for part, value in (("x", synth.x), ("y", synth.y)):
        hints = get_type_hints(type(value))
        found |= {f"{part}/{name}" for name, hint in hints.items() if hasattr(hint, "dim_str") and hint.dim_str.split()[:1] == ["n"]}
    return found & arrays.keys()


def to_pictures(raw: Float32[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w c"]:
    """Raw images with 8 bits a channel, rounded to the nearest; values outside [0, 1] are cut off."""
    return np.rint(np.clip(raw, 0, 1) * 255).astype(np.uint8)


def measure(raw: Float32[np.ndarray, "n h w c"], images: UInt8[np.ndarray, "n h w c"]) -> Clipping:
    """What pictures lose of raw images. Differences below a thousandth of a grey level count as none: float32 makes them."""
    hair = np.float32(1e-3 / 255)
    lost = np.abs(np.clip(raw, 0, 1) - images / np.float32(255)).max()
    below, above = max(0.0, float(-raw.min())), max(0.0, float(raw.max()) - 1)
    outside = int(((raw < -hair) | (raw > 1 + hair)).sum())
    return Clipping(raw.size, outside, below if outside else 0.0, above if outside else 0.0, float(lost) if lost > hair else 0.0)

"""What the score of a trained network depends on, as values of JSON. Finished cells are found again by it (`condense.evaluation.cells`).

Two scores have the same facts only if the same code computes them from the same bits. Where that is not known, there are no facts. What is
not told apart: processors of one architecture, which may round differently.
"""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.nets.registry import NETS
from condense.runtime.devices import devices
from condense.runtime.surroundings import versions_of
from evals.protocol import Protocol
from synth.set import SyntheticSet

ROOT = Path(__file__).parents[2]
SOURCES = (
    "evals",
    "synth",
    "condense/data",
    "condense/evaluation",
    "condense/nets",
    "condense/ranking",
    "condense/teachers",
    "condense/runtime/devices.py",
)
PACKAGES = ("condense-workbench", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn")
SWITCHES = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_disable_most_optimizations",
    "jax_numpy_dtype_promotion",
    "jax_random_seed_offset",
)
VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")
TRAINED = ("teachers.json", "normalisation.npz", "members/*.npz", "teacher.json", "teacher.npz")  # the files of trained networks
Facts = dict[str, Any]
_OF_DATA: WeakKeyDictionary[Data | GraphData, Facts] = WeakKeyDictionary()


def digest_source(places: Iterable[Path]) -> str:
    """SHA-256, in hexadecimal, of the text of all Python files in some folders, with their names below these; a file stands for itself.
    The order of `places` counts."""
    found = hashlib.sha256()
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name, text = path.relative_to(place.parent).as_posix(), path.read_bytes()
            found.update(f"{name} {len(text)}\n".encode() + text)
    return found.hexdigest()


def source_now() -> str:
    """The digest of the source that decides scores, as it lies on the disk now."""
    return digest_source(ROOT / name for name in SOURCES)


SOURCE = source_now()  # as it was when this process read it; a cell is kept only as long as that does not change


def digest_value(value: Any) -> str:
    """SHA-256, in hexadecimal, of a value with the types, plain fields and arrays in it. Raises TypeError for what holds other things, such
    as functions."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found, value: Any) -> None:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if value is None or isinstance(value, str | int | float):
        found.update(f"{kind} {value!r};".encode())
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.ascontiguousarray(value)
        found.update(f"array {array.dtype.str} {np.shape(value)};".encode())
        found.update(array.tobytes())
    elif isinstance(value, Mapping):
        _feed(found, (kind, tuple(value), tuple(value.values())))
    elif is_dataclass(value):
        _feed(found, (kind, tuple(getattr(value, field.name) for field in fields(value))))
    elif isinstance(value, tuple | list):
        found.update(f"{kind} of {len(value)};".encode())
        for part in value:
            _feed(found, part)
    else:
        raise TypeError(f"a value of type {kind} has no digest")


def own_code(*things: Any) -> bool:
    """Whether the classes of all these values stand in the packages `evals` and `synth`, whose source the facts name."""
    return all(type(thing).__module__.partition(".")[0] in ("evals", "synth") for thing in things)


def own_network(name: str) -> bool:
    """Whether the network of this name or specification is built by this project's source."""
    known = NETS.get(name.partition(":")[0].partition(" ")[0])
    return known is not None and isinstance(known.factory, str) and known.factory.startswith("condense.nets.")


def surroundings_facts() -> Facts:
    """What scores depend on beside the call, by name: the digest of the source as it was when this module was loaded, versions of packages,
    JAX's backend, devices and switches, the machine's architecture and environment variables."""
    return {
        "source": SOURCE,
        "versions": versions_of(PACKAGES),
        "backend": jax.default_backend(),
        "devices": [device.device_kind for device in devices()],
        "machine": platform.machine(),
        "switches": {name: str(getattr(jax.config, name, None)) for name in SWITCHES},
        "variables": {name: os.environ.get(name, "") for name in VARIABLES},
    }


def data_facts(data: Data | GraphData) -> Facts:
    """What identifies the data, by name: the digest of its contents, digests of the rows of its parts, of what leads to model space, shape
    of an example, number of classes, and what else decides how it is used."""
    if data not in _OF_DATA:
        _OF_DATA[data] = {
            "modality": data.modality,
            "digest": data.digest,
            "rows": [hashlib.sha256(np.asarray(part, np.int64).tobytes()).hexdigest() for part in data.rows],
            "preprocess": digest_value(data.preprocess),
            "example": list(map(int, data.image)),
            "classes": len(data.classes),
            "flips": data.flips,
            "columns": getattr(data.source, "columns", ""),
        }
    return _OF_DATA[data]


def recipe_facts(protocol: Protocol) -> Facts:
    """The class of a protocol under `class`, and all its fields by name."""
    named = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
    return {"class": f"{type(protocol).__module__}.{type(protocol).__qualname__}", **named}


def set_facts(synth: SyntheticSet) -> Facts:
    """One digest, under `set`, of all that a network can learn from a set: its examples, labels, weights, step size, and whether it is
    shown cells of collages. Raises TypeError where these hold functions or the like."""
    return {"set": digest_value((synth.x, synth.y, synth.weight, synth.lr, synth.cells))}


def trained_facts(folder: str | Path) -> Facts:
    """One digest, under `files`, of the files of trained networks in a folder: teachers, or networks that a ridge head is fitted to."""
    found = hashlib.sha256()
    for path in (path for pattern in TRAINED for path in sorted(Path(folder).glob(pattern))):
        data = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()} {len(data)}\n".encode() + data)
    return {"files": found.hexdigest()}

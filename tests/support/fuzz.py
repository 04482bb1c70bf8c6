"""Mutations of files, by their structure: what a seed makes of a file is the same every time."""

import contextlib
import gzip
import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Rng = np.random.Generator
NUMBERS = ("-1", "0", "1", "2", "255", "256", "65536", "4294967295", "9" * 30, "1e400", "-1e400", "nan", "NaN", "inf", "0.5", "", " ", "x")
TEXTS = (
    "",
    "x",
    "\x1b[2J\x1b]0;gone\x07",
    "\u202e",
    "é猫",
    "x" * 60_000,
    "../../etc",
    "\x00",
    "a\nb",
    "convnet:depth=100000",
    "digits?limit=1",
)


def pick(rng: Rng, items) -> Any:
    return items[int(rng.integers(len(items)))]


def mutate_bytes(rng: Rng, data: bytes) -> bytes:
    """Some bytes flipped, a range gone, twice there, zeroed or full, or an end cut off."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data) + 1))
        size = int(rng.integers(1, 2 + min(64, len(data))))
        match int(rng.integers(7)):
            case 0 if data:
                data[at % len(data)] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case 3:
                data[at : at + size] = bytes(len(data[at : at + size]))
            case 4:
                data[at : at + size] = b"\xff" * len(data[at : at + size])
            case 5:
                del data[at:]
            case _:
                data[at:at] = rng.bytes(size)
    return bytes(data)


def mutate_table(rng: Rng, data: bytes) -> bytes:
    """A table of text: lines gone, twice there or exchanged, values replaced, columns more or fewer."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        values = lines[at].split(",")
        match int(rng.integers(9)):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines[at:at] = [lines[at]] * int(rng.integers(1, 2000))
            case 2:
                other = int(rng.integers(len(lines)))
                lines[at], lines[other] = lines[other], lines[at]
            case 3 | 4:
                values[int(rng.integers(len(values)))] = pick(rng, NUMBERS)
                lines[at] = ",".join(values)
            case 5:
                lines[at] += "," + pick(rng, NUMBERS)
            case 6:
                lines[at] = lines[at].replace(",", pick(rng, (";", "\t", " ", "", '"')))
            case 7:
                lines[at] = pick(rng, (*TEXTS, "*" * 60_000, "[C@@H]" * 20_000, '"' * 9, " ".join("1" * 9)))
            case _:
                lines[at] += " " + pick(rng, NUMBERS)
    return "\n".join(lines).encode("utf-8", "replace")


def mutate_json(rng: Rng, data: bytes) -> bytes:
    """A value somewhere in the tree replaced, gone, or joined by another; or the text itself is hurt."""
    if rng.random() < 0.15:
        return pick(rng, (b"", b"[" * 100_000, b'{"a":' * 1000, b"\xff\xfe", b"null", b"3", b"[]", mutate_bytes(rng, data)))
    if len(lines := data.splitlines()) > 1 and data[:1] == b"{" and data[1:2] == b'"':  # a log: an object a line
        at = int(rng.integers(len(lines)))
        return b"\n".join([*lines[:at], mutate_json(rng, lines[at]), *lines[at + 1 :], b""])
    tree = json.loads(data)
    for _ in range(int(rng.integers(1, 3))):
        at, key, node = None, None, tree
        while isinstance(node, dict | list) and node and (at is None or rng.random() < 0.75):
            at, key = node, pick(rng, list(node) if isinstance(node, dict) else range(len(node)))
            node = at[key]
        if at is None:
            break
        match int(rng.integers(5)):
            case 0:
                del at[key]
            case 1 if isinstance(at, dict):
                at[pick(rng, TEXTS)] = node
            case _:
                at[key] = value(rng)
    text = json.dumps(tree)
    return text.replace('"1e400"', "1e400").replace('"TEN"', "1" + "0" * 400).replace('"DEEP"', "[" * 500 + "]" * 500).encode()


def value(rng: Rng) -> Any:
    """Any value that JSON may hold; words stand for what Python's writer cannot write."""
    plain = (
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        0.5,
        -2.5,
        1 << 40,
        1 << 70,
        [],
        {},
        [1, 2, 3],
        {"a": 1},
        [[[]]],
        "1e400",
        "TEN",
        "DEEP",
        float("nan"),
    )
    return pick(rng, plain) if rng.random() < 0.7 else pick(rng, TEXTS)


def mutate_array(rng: Rng, array: np.ndarray) -> np.ndarray:
    """Another type, shape or value; sometimes very many zeros, which take little room in an archive."""
    match int(rng.integers(8)):
        case 0:
            return array.astype(pick(rng, (np.uint8, np.int8, np.int64, np.float16, np.float64, np.bool_, np.complex64)), casting="unsafe")
        case 1:
            return array.reshape(-1) if array.ndim > 1 else array[..., None]
        case 2:
            return array.transpose(rng.permutation(array.ndim))
        case 3:
            return array[: int(rng.integers(len(array) + 1))] if array.ndim else array
        case 4:
            shape = tuple(int(side) for side in rng.integers(1, 600, max(1, array.ndim)))
            return np.zeros(shape if np.prod(shape, dtype=float) < 4e7 else (1000,), array.dtype if array.dtype.kind != "U" else np.uint8)
        case 5:
            flat = array.copy().reshape(-1)
            if flat.size and array.dtype.kind in "iuf":
                extremes = (np.nan, np.inf, -1e30) if array.dtype.kind == "f" else (np.iinfo(array.dtype).max, np.iinfo(array.dtype).min, 3)
                flat[int(rng.integers(flat.size))] = pick(rng, extremes)
            return flat.reshape(array.shape)
        case 6:
            return np.array(pick(rng, TEXTS))
        case _:
            return np.array([{"a": 1}], object)


def mutate_npz(rng: Rng, data: bytes) -> bytes:
    """Arrays gone, renamed, added or changed, a header of JSON changed; or the archive itself is hurt."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data)
    with np.load(io.BytesIO(data)) as file:
        arrays = {name: file[name] for name in file.files}
    name = pick(rng, list(arrays))
    if "header" in arrays and rng.random() < 0.6:
        arrays["header"] = np.array(mutate_json(rng, str(arrays["header"]).encode()).decode("utf-8", "replace"))
    else:
        match int(rng.integers(5)):
            case 0:
                del arrays[name]
            case 1:
                arrays[pick(rng, ("x", "y/index2", "\x1b[2J", "..", "A"))] = arrays.pop(name)
            case _:
                with np.errstate(all="ignore"):
                    arrays[name] = mutate_array(rng, arrays[name])
    made = io.BytesIO()
    pick(rng, (np.savez, np.savez_compressed))(made, **arrays)
    return made.getvalue()


def mutate_idx(rng: Rng, data: bytes) -> bytes:
    """Magic or sizes changed, or bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(rng, data)
    changed = bytearray(data)
    at = 4 * int(rng.integers(data[3] + 1))
    struct.pack_into(">I", changed, at, pick(rng, (0, 1, 2, 20, 255, 1024, 65536, 1 << 31, (1 << 32) - 1, 0x0D03, 0x0802)))
    return bytes(changed)


def mutate_gzip(rng: Rng, data: bytes) -> bytes:
    """What is inside, or the shell."""
    return (
        mutate_bytes(rng, data)
        if rng.random() < 0.5
        else gzip.compress(mutate_idx(rng, gzip.decompress(data)) + bytes(int(rng.integers(9)) << 20))
    )


def mutate_picture(rng: Rng, data: bytes) -> bytes:
    """Another picture, a huge one of one colour, another mode or format, or hurt bytes."""
    if rng.random() < 0.4:
        return mutate_bytes(rng, data)
    side = int(pick(rng, (1, 2, 8, 9, 3000, 8000)))
    mode, form = pick(
        rng, (("RGB", "PNG"), ("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("CMYK", "JPEG"), ("RGB", "GIF"))
    )
    made = io.BytesIO()
    Image.new(mode, (side, 8 if side > 3000 else side)).save(made, form)
    return made.getvalue()


def replace_file(rng: Rng, path: Path, mutate: Callable[[Rng, bytes], bytes]) -> str:
    """Changes a file, or now and then what kind of thing stands in its place; says which."""
    if rng.random() < 0.06:
        path.unlink()
        kind = pick(rng, ("nothing", "a folder", "a pipe", "a link to itself", "a link"))
        with contextlib.suppress(OSError):
            {
                "nothing": lambda: None,
                "a folder": path.mkdir,
                "a pipe": lambda: os.mkfifo(path),
                "a link to itself": lambda: path.symlink_to(path),
                "a link": lambda: path.symlink_to("/dev/zero"),
            }[kind]()
        return f"{path.name}: {kind}"
    data = path.read_bytes()
    try:
        path.write_bytes(mutate(rng, data))
    except Exception:  # hurt before, so that it has no structure any more
        path.write_bytes(mutate_bytes(rng, data))
    return f"{path.name}: {mutate.__name__}"

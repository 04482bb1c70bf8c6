"""Digests of data: of all that rows hold, or of rows that stay in their files without a look at most of them."""

import hashlib
import os

import numpy as np

from condense.data.readers.base import Spec
from condense.data.readers.kept import Kept
from condense.data.readers.source import ArraySource
from condense.data.rows import pieces

SAMPLED = 4096  # rows that are looked at where rows stay in their files
SHAPING = ("size", "scale", "grey", "layout", "label", "image", "test", "split", "limit")  # options that decide what rows there are


def digest_of(source: ArraySource, spec: Spec) -> str:
    """The SHA-256, in hexadecimal, of the contents of a source: of all rows and labels, and the class names.

    Where rows stay in their files it is that of the class names, names and sizes of the files, all labels and up to 4,096 rows. This one is
    kept in a file beside them, for these labels and class names; `spec` says by which options they are read.
    """
    if not source.files:
        return rows_digest(source)
    said = hashlib.sha256("\0".join(source.classes).encode())
    for part in (source.train, source.test):
        said.update(np.ascontiguousarray(part.y).data)
    kept, name = Kept(source.files, spec.text), f"{shaping(spec)}/{said.hexdigest()[:16]}/digest"
    found = kept.get(name)
    if found is None or found.dtype != np.uint8 or found.shape != (32,):
        found = np.frombuffer(bytes.fromhex(sampled_digest(source, kept)), np.uint8)
        kept.put({name: found})
    return found.tobytes().hex()


def rows_digest(source: ArraySource) -> str:
    """SHA-256 in hexadecimal of the contents: all rows and labels with their dtype and shape, and the class names in order."""
    found = hashlib.sha256("\0".join(source.classes).encode())
    for rows in (source.train, source.test):
        found.update(f"{rows.dtype.str}{rows.shape}".encode())
        for piece in pieces(rows):
            found.update(np.ascontiguousarray(piece).data)
        found.update(f"{rows.y.dtype.str}{rows.y.shape}".encode())
        found.update(np.ascontiguousarray(rows.y).data)
    return found.hexdigest()


def sampled_digest(source: ArraySource, kept: Kept) -> str:
    """SHA-256 in hexadecimal of the class names, of names and sizes of the files that `kept` lists, of all labels, and of up to 2,048
    training rows and 2,048 test rows that are always the same ones. Nothing is kept here."""
    found = hashlib.sha256(b"sampled 1\0" + "\0".join(source.classes).encode())
    for name, size in kept.index():
        found.update(os.fsencode(f"{name}\0{size}\n"))
    for number, rows in enumerate((source.train, source.test)):
        found.update(f"{rows.dtype.str}{rows.shape}".encode() + np.ascontiguousarray(rows.y).tobytes())
        n = rows.shape[0]
        index = np.sort(np.random.default_rng(number).choice(n, min(n, SAMPLED // 2), replace=False))
        for at in range(0, len(index), 256):
            found.update(np.ascontiguousarray(rows.take(index[at : at + 256])).data)
    return found.hexdigest()


def shaping(spec: Spec) -> str:
    """Sixteen hexadecimal digits, a digest of the kind and of those options of a specification that decide what rows there are (such as
    `size` or `limit`, and not `normalise`). They tell readings of the same files by other such options apart."""
    said = [spec.kind, *(f"{name}={spec.options[name]}" for name in SHAPING if name in spec.options)]
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]

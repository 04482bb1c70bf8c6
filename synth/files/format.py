"""The one file format of a synthetic set: an npz of arrays by path and a JSON header; docs/format.md is its description.

What a kind stores is read off the annotations of its fields: an array field `pixels: Float[Array, "n h w c"]` of the content becomes
`x/pixels`. `Float` is stored as float32, `Int` as int32 (other widths are cast when read), `UInt8` and other dtypes as themselves.
Axes are names or numbers; `n` and `classes` mean the same in every part, `c` and `d` of the preprocessing are the channels and the
numbers (h w c) of an image. A content whose arrays lack one of these says its size (`synth.content.Content.example_axes`).
Other fields (int, float, str, bool) stand in the header; one called `classes` is the number of classes.
A kind whose values have a range offers `check()`, which raises ValueError.
"""

import dataclasses
import json
import math
import os
from typing import Any, get_type_hints

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synth import content as contents
from synth import labels
from synth.errors import BadInput, RunFailed
from synth.files.npz import Archive, Member, opened, write_npz
from synth.files.records import ANY, parse_record
from synth.images import preprocess
from synth.set import Info, SyntheticSet

FORMAT = 2  # of sets whose examples are collages, which others must not train on as if they were images; 1 of all others
HEADER_BYTES = 64 << 20
PARTS = {"x": ("content", contents.KINDS), "y": ("labels", labels.KINDS), "preprocess": ("preprocess", preprocess.KINDS)}
OPTIONAL = {"weight": Float[Array, " n"], "lr": Float[Array, ""]}
REPRESENTS_V1 = ("krrst",)  # methods whose files of before hold representations as labels `target` and do not say so


def save_set(path: str | os.PathLike, synth: SyntheticSet) -> None:
    """Writes a set to the file `path`, whole or not at all, in place of one that is there; the same set gives the same bytes.

    Example:
      >>> import condense, pathlib, tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp(), "set.npz")
      >>> condense.save_set(path, condense.distill("random", "digits", ipc=1))
      >>> condense.load_set(path).info.classes[:3]
      ('0', '1', '2')

    Raises ValueError for a set without `info`, RunFailed for one that `load_set` would refuse (values that are not finite, labels out of
    range) or where the disk is full, BadInput where the folder is missing or may not be written. Unprintable characters of names are
    replaced by U+FFFD.
    """
    if synth.info is None:
        raise ValueError("a set without info cannot be stored: its classes and preprocessing are unknown")
    info = synth.info
    values = {"x": synth.x, "y": synth.y, "preprocess": info.preprocess}
    arrays = {f"{part}/{name}": getattr(value, name) for part, value in values.items() for name in _arrays(type(value))}
    arrays |= {name: value for name in OPTIONAL if (value := getattr(synth, name)) is not None}
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    fields = {part: {name: getattr(value, name) for name in _plain(type(value))} for part, value in values.items()}
    try:
        layout = _layout({part: type(value) for part, value in values.items()}, arrays)
        members = {name: Member(array.dtype, array.shape) for name, array in arrays.items()}
        sizes = _fit(members, layout, len(info.classes), path, content=type(synth.x), fields=fields["x"])
        _check_cells(synth.cells, sizes, path)
        arrays = {name: _canonical(array, layout[name], f"{path}: array '{name}'") for name, array in arrays.items()}
        _check(values, arrays.get("weight"), path)
    except BadInput as error:
        raise RunFailed(f"the set is not written: {error}") from error
    kinds = {word: next(name for name, kind in kinds.items() if kind is type(values[part])) for part, (word, kinds) in PARTS.items()}
    record = {name: printable(value) if kind is str else value for name, kind in _info().items() for value in [getattr(info, name)]}
    if not info.represents and not _represented(kinds["labels"], info.method):
        del record["represents"]  # as in files of before
    if not info.data_path:
        del record["data_path"]  # too
    header = {
        **({"format": FORMAT, "cells": synth.cells} if synth.cells > 1 else {"format": 1}),
        **kinds,
        "fields": fields,
        "classes": [printable(name) for name in info.classes],
        "arrays": {name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in arrays.items()},
        "info": record,
    }
    write_npz(path, {**arrays, "header": np.array(json.dumps(header, sort_keys=True))})


def load_set(path: str | os.PathLike) -> SyntheticSet:
    """Reads a set that this or another program wrote, trusting nothing: names, dtypes and shapes are compared with the header and with
    each other before data is read, then values are checked. `save_set` has an example.

    Raises BadInput, naming the file, for whatever is not a set as docs/format.md describes it, RunFailed where memory does not suffice.
    """
    with opened(path, text=("header",)) as archive:
        header = _header(archive)
        kinds = {part: known[_choice(header, word, known, path)] for part, (word, known) in PARTS.items()}
        fields = {part: _fields(header, part, kind, path) for part, kind in kinds.items()}
        info, classes = _read_info(header, path), _classes(header, path)
        layout = _layout(kinds, archive.members)
        _declared(header, archive)
        members = {name: member for name, member in archive.members.items() if name != "header"}
        sizes = _fit(members, layout, len(classes), path, content=kinds["x"], fields=fields["x"])
        cells = _typed(header.get("cells", 1), int, f'{path}: "cells"')
        _check_cells(cells, sizes, path)
        archive.reserve(*layout, more=4 * math.prod(sizes[axis] for axis in "nhwc") if {*"nhwc"} <= sizes.keys() else 0)
        arrays = {name: _canonical(archive.read(name), hint, f"{path}: array '{name}'") for name, hint in layout.items()}
    arrays = {name: array if name.startswith("preprocess/") else jnp.asarray(array) for name, array in arrays.items()}
    values = {}
    for part, kind in kinds.items():
        derived = {"classes": len(classes)} if "classes" in kind._fields else {}
        values[part] = kind(**{name: arrays[f"{part}/{name}"] for name in _arrays(kind)}, **fields[part], **derived)
    _check(values, arrays.get("weight"), path)
    info = Info(classes=classes, preprocess=values["preprocess"], **info)
    return SyntheticSet(values["x"], values["y"], arrays.get("weight"), arrays.get("lr"), info, cells)


def _arrays(kind: type) -> dict[str, Any]:
    """The array fields of a kind and their annotations."""
    return {name: hint for name, hint in get_type_hints(kind).items() if name in kind._fields and hasattr(hint, "dim_str")}


def _plain(kind: type) -> dict[str, type]:
    """The other fields of a kind, without the number of classes, which follows from their names."""
    return {name: hint for name, hint in get_type_hints(kind).items() if name in kind._fields and name not in (*_arrays(kind), "classes")}


def _info() -> dict[str, type]:
    """The fields of `Info` that stand in the header as they are."""
    hints = get_type_hints(Info)
    return {field.name: hints[field.name] for field in dataclasses.fields(Info) if field.name not in ("classes", "preprocess")}


def _layout(kinds: dict[str, type], present) -> dict[str, Any]:
    """The arrays that a set of these kinds has, by path, and their annotations."""
    required = {f"{part}/{name}": hint for part, kind in kinds.items() for name, hint in _arrays(kind).items()}
    return required | {name: hint for name, hint in OPTIONAL.items() if name in present}


def _fit(
    members: dict[str, Member], layout: dict[str, Any], classes: int, path, *, content: type, fields: dict[str, Any]
) -> dict[str, int]:
    """Compares what is there with what there should be: names, kinds of numbers, axes. `fields` are the plain ones of the content.

    Returns the sizes of the axes of its examples, as far as they are known.
    """
    if missing := sorted(layout.keys() - members.keys()):
        raise BadInput(f"{path}: array '{missing[0]}' is missing; this kind of set needs {', '.join(layout)}")
    if extra := sorted(members.keys() - layout.keys()):
        raise BadInput(f"{path}: array '{extra[0]}' does not belong there; this kind of set has {', '.join(layout)}")
    axes, image = {"x": {"classes": classes}}, {}
    for name, hint in layout.items():
        part = name.split("/")[0]
        if part not in axes:  # the arrays of the content came first, so all its axes are known
            image = axes["x"] | getattr(content, "example_axes", lambda sizes: {})(axes["x"] | fields)
            shared = ("n", "classes", "c") if part == "preprocess" else ("n", "classes")
            axes[part] = {axis: image[axis] for axis in shared if axis in image}
            if part == "preprocess" and {"h", "w", "c"} <= image.keys():
                axes[part]["d"] = image["h"] * image["w"] * image["c"]
        dtype, shape = members[name]
        target = _dtype(hint)
        if dtype != target and dtype.kind not in {"float32": "f", "int32": "iu"}.get(target.name, ""):
            raise BadInput(f"{path}: array '{name}' has dtype {dtype}; it would be right as {target}")
        known = axes[part]
        want = hint.dim_str.split()
        wanted = [axis if axis not in known else f"{axis}={known[axis]}" for axis in want]
        sizes = [known.setdefault(axis, int(axis) if axis.isdigit() else size) for axis, size in zip(want, shape, strict=False)]
        if len(want) != len(shape) or sizes != list(shape) or math.prod(shape) == 0:
            raise BadInput(f"{path}: array '{name}' has shape {list(shape)}; it would be right as [{' '.join(wanted)}], none of them 0")
    return image


def _check_cells(cells: int, sizes: dict[str, int], path) -> None:
    """Raises BadInput if examples of these axes are no collages of cells x cells images."""
    sides = [sizes.get(axis, 1) for axis in "hw"]
    if cells < 1 or any(side % cells for side in sides):
        raise BadInput(f'{path}: "cells" is {cells} in the header; at least 1 is right, and what divides the sides ({sides[0]}x{sides[1]})')


def _dtype(hint) -> np.dtype:
    """The dtype in which an annotated array is stored."""
    return np.dtype(next((name for name in ("float32", "int32") if name in hint.dtypes), hint.dtypes[0]))


def _canonical(array: np.ndarray, hint, shown: str) -> np.ndarray:
    """An array in the dtype of its annotation. Raises BadInput where a float is not finite or an integer does not fit."""
    with np.errstate(over="ignore"):
        cast = array.astype(_dtype(hint), copy=False)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise BadInput(f"{shown} is not finite everywhere; every value must be a finite {cast.dtype}")
    if cast.dtype.kind in "iu" and not (cast == array).all():
        raise BadInput(f"{shown} holds values out of range; every value must fit {cast.dtype}")
    return cast


def _check(values: dict[str, Any], weight, path) -> None:
    """The ranges of weights, and those that the kinds themselves know."""
    if weight is not None and np.min(weight) < 0:
        raise BadInput(f"{path}: array 'weight' holds negative values; a weight is how often an example counts")
    for part, value in values.items():
        try:
            getattr(value, "check", lambda: None)()
        except ValueError as error:
            raise BadInput(f"{path}: arrays of '{part}': {error}") from error
    if isinstance(values["y"], labels.Runs):  # of graphs nothing else says how many labels there are
        counted, there = int(np.asarray(values["y"].counts, np.int64).sum()), values["x"].n
        if counted != there:
            raise BadInput(f"{path}: array 'y/counts' counts {counted} examples; there are {there}")


def _header(archive: Archive) -> dict[str, Any]:
    """The header of an archive, of a format that is known here."""
    path, member = archive.path, archive.members.get("header")
    if member is None or member.dtype.kind != "U" or member.shape != () or member.dtype.itemsize > HEADER_BYTES:
        there = ", ".join(archive.members)[:200] or "none"
        raise BadInput(f"{path}: no synthetic set, its 'header' (a 0-d text array of JSON) is missing; arrays there: {there}")
    text = str(archive.read("header"))
    try:
        header = parse_record(text, ANY, most=HEADER_BYTES)
    except ValueError as error:
        raise BadInput(f"{path}: the header is no JSON ({error}); make or copy the set again") from error
    if not isinstance(header, dict) or type(header.get("format")) is not int or header["format"] < 1:
        raise BadInput(f'{path}: the header says no format; it would be right with "format": {FORMAT}')
    if header["format"] > FORMAT:
        raise BadInput(f"{path}: format {header['format']} is newer than this condense, which reads up to {FORMAT}; upgrade condense")
    return header


def _choice(header: dict, word: str, known: dict[str, type], path) -> str:
    """The kind that the header names under `word`."""
    name = header.get(word)
    if not isinstance(name, str) or name not in known:
        raise BadInput(f'{path}: "{word}" is {json.dumps(name)[:80]} in the header; known: {", ".join(known)}')
    return name


def _classes(header: dict, path) -> tuple[str, ...]:
    """Class names, at least one, fit to be printed."""
    names = header.get("classes")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise BadInput(f'{path}: "classes" in the header must be a list of one or more printable names, in the order of the labels')
    return tuple(names)


def _table(header: dict, word: str, path) -> dict:
    """An object of the header that may be left out."""
    table = header.get(word, {})
    if not isinstance(table, dict):
        raise BadInput(f'{path}: "{word}" in the header must be an object')
    return table


def _typed(value, kind: type, shown: str):
    """A plain value of the header, of its type."""
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)) or (kind is str and not value.isprintable()):
        raise BadInput(f"{shown} in the header must be a {'printable str' if kind is str else kind.__name__}")
    return value


def _fields(header: dict, part: str, kind: type, path) -> dict[str, Any]:
    """The plain fields of a kind; those with a default came later and may be missing."""
    table = kind._field_defaults | _table(_table(header, "fields", path), part, path)
    return {name: _typed(table.get(name), hint, f'{path}: "fields" {part} {name}') for name, hint in _plain(kind).items()}


def _read_info(header: dict, path) -> dict[str, Any]:
    """Whatever is known of where the set comes from; what is missing keeps its default."""
    table = _table(header, "info", path)
    info = {name: _typed(table[name], kind, f'{path}: "info" {name}') for name, kind in _info().items() if name in table}
    for name in ("seed", "split_seed"):
        if info.get(name, 0) < 0:
            raise BadInput(f'{path}: "info" {name} in the header is {info[name]}; it must be a whole number of at least 0')
    return {"represents": _represented(header["labels"], info.get("method", ""))} | info


def _represented(labels: str, method: str) -> bool:
    """Whether labels of a kind are representations where a file does not say so."""
    return labels == "target" and method in REPRESENTS_V1


def _declared(header: dict, archive: Archive) -> None:
    """Where the header lists its arrays, the archive holds just these."""
    if "arrays" not in header:
        return
    there = {name: {"dtype": kind.name, "shape": list(shape)} for name, (kind, shape) in archive.members.items() if name != "header"}
    listed = {
        name: {key: entry.get(key) for key in ("dtype", "shape")} if isinstance(entry, dict) else None
        for name, entry in _table(header, "arrays", archive.path).items()
    }
    for name in sorted(there.keys() | listed.keys()):
        if there.get(name) != listed.get(name):
            raise BadInput(f"{archive.path}: array '{name[:80]}' is {there.get(name)} in the file and {listed.get(name)} in the header")


def printable(text: str) -> str:
    """The text with every character that a terminal cannot print replaced by U+FFFD."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)

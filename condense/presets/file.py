"""Presets in files: JSON, which `condense tune` writes and `--preset FILE` reads."""

import json
import re
from pathlib import Path

from condense.presets.base import Preset
from synth.errors import BadInput
from synth.files.atomic import write_bytes
from synth.files.records import Either, Flag, ListOf, Maybe, Real, Table, Text, Whole, read_record

FORMAT = 1
VALUE = Maybe(Either((Flag(), Real(), Text(), ListOf(Either((Real(), Text()))))))
FIELDS = {name: Text() for name in ("name", "method", "data", "claim", "source", "cost", "first")}
KIND = Table({"format": Whole(FORMAT, FORMAT), **FIELDS, "settings": Table(rest=VALUE)}, rest=None)


def write_preset(path: Path, preset: Preset) -> None:
    """Writes a preset to a JSON file, whole or not at all; its `origin` and `ours` are left out."""
    stated = {name: getattr(preset, name) for name in (*FIELDS, "settings")}
    write_bytes(path, (json.dumps({"format": FORMAT, **stated}, indent=1) + "\n").encode())


def read_preset(path: Path) -> Preset:
    """Reads the preset in a JSON file, such as `condense tune` writes. Raises BadInput, naming the file, where it is missing or holds
    none."""
    what, remedy = "is no preset", "give the preset.json of `condense tune`, or a name of `condense list presets`"
    held = read_record(path, KIND, what=what, remedy=remedy)
    if held["first"] and not re.match(r"condense \w", held["first"]):
        raise BadInput(f"{path}: {what} (first '{held['first']}': is no command `condense VERB ...`); {remedy}")
    return Preset(**{name: held[name] for name in (*FIELDS, "settings")})

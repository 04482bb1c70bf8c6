"""Presets by name, one file a family of methods. A flag beats a preset beats a default.

May import `evaluation` and what is below, and the packages `matchers`, `evals` and `synth`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from condense.presets import gradient, graphs, kernel, selection, statistics, trajectory
from condense.presets.base import Origin, Preset
from condense.presets.file import read_preset
from condense.presets.origins import origin_of
from condense.presets.stated import STATED
from synth.errors import BadInput, nearest

__all__ = ["PRESETS", "Origin", "Preset", "find_preset", "is_own", "preset_of"]

OWN = ("scaled down", "settings of this project", "this project", "the bytes quoted")  # how the sources of this project's presets begin


def is_own(preset: Preset) -> bool:
    """Whether the settings are this project's, not those of a paper or a release."""
    return preset.source.startswith(OWN)


def complete(preset: Preset) -> Preset:
    """The preset with a value for every option of its method, that of STATED where it has none itself, and with its origin."""
    origin = preset.origin or origin_of(preset.name, own=is_own(preset))
    return replace(preset, settings={**STATED[preset.method], **preset.settings}, origin=origin)


FAMILIES = (gradient, trajectory, statistics, kernel, graphs, selection)
PRESETS = {preset.name: complete(preset) for family in FAMILIES for preset in family.PRESETS}


def find_preset(name: str) -> Preset:
    """A preset by name, or from a file such as `condense tune` writes. Raises BadInput where there is none."""
    if name in PRESETS:
        return PRESETS[name]
    if name.endswith(".json") or Path(name).is_file():
        return read_preset(Path(name))
    raise BadInput(
        f"--preset: unknown preset '{name}' (known: {', '.join(PRESETS)}; or a FILE.json of `condense tune`){nearest(name, PRESETS)}"
    )


def preset_of(name: str, method: str) -> dict[str, Any]:
    """The values that a preset, by name or from a JSON file, gives to flags: the data and all settings, by name without dashes. Raises
    BadInput for an unknown preset, or one that belongs to another method than `method`."""
    preset = find_preset(name)
    if preset.method != method:
        raise BadInput(f"--preset {name}: it belongs to {preset.method}, not to {method}")
    return preset.flags()

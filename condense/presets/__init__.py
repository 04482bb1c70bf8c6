"""Presets by name, one file a family of methods. A flag beats a preset beats a default.

May import `evaluation` and what is below, and the packages `matchers`, `evals` and `synth`.
"""

from dataclasses import replace
from typing import Any

from condense.presets import gradient, graphs, kernel, statistics, trajectory
from condense.presets.base import Preset
from condense.presets.stated import STATED
from synth.errors import BadInput

__all__ = ["PRESETS", "Preset", "preset_of"]


def complete(preset: Preset) -> Preset:
    """The preset with every option of its method stated."""
    return replace(preset, settings={**STATED[preset.method], **preset.settings})


FAMILIES = (gradient, trajectory, statistics, kernel, graphs)
PRESETS = {preset.name: complete(preset) for family in FAMILIES for preset in family.PRESETS}


def preset_of(name: str, method: str) -> dict[str, Any]:
    """The flags of a preset. Raises BadInput for an unknown one, or one that belongs to another method."""
    if name not in PRESETS:
        raise BadInput(f"--preset: unknown preset '{name}' (known: {', '.join(PRESETS)})")
    if PRESETS[name].method != method:
        raise BadInput(f"--preset {name}: it belongs to {PRESETS[name].method}, not to {method}")
    return PRESETS[name].flags()

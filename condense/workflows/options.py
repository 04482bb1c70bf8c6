"""The options of a method: its factory's signature is its configuration."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from condense.presets import preset_of
from matchers.inputs import flagged_inputs, option_parameters
from matchers.method import Method
from synth.errors import BadInput
from synth.options import check_option, flag_of

BUDGETS = ("ipc", "size", "bytes", "fraction")
STORAGE = ("store", "factor", "bases")  # the flags of `condense.engine.storage`, which imports JAX


class Settings(NamedTuple):
    """The settings of a call, and for each whether the call, a preset or a default gave it.

    Args:
      common: the flags that all methods share, by name: those that the call gives, over the preset's.
      options: all options of the method, checked.
      places: the folders of inputs that the call or the preset names, by input.
      sources: `call`, `preset` or `default` for every name in `common` and `options`.
    """

    common: dict[str, Any]
    options: dict[str, Any]
    places: dict[str, str]
    sources: dict[str, str]


def settle(method: Method, factory: Callable, preset: str | None, common: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """Merges the settings of a call: a value in the call beats the preset's, which beats the default.

    Settings of a call also remove others of the preset: a budget (ipc, size, bytes or fraction) removes its budget, minutes its steps, and
    each of store, factor and bases the others of these, so that what is stored is all the call's or all the preset's.

    Args:
      method: whose settings they are.
      factory: the function that builds the method; its signature says which options there are, with types, ranges and defaults.
      preset: its name or its JSON file; None for none.
      common: the flags that all methods share, by name. None means that the call does not give the flag. Their values are not checked here.
      given: the options of the method and the folders of its inputs that the call gives, and no others. Here None is a value, and replaces
        the preset's.

    Raises BadInput for an unknown option (naming the known ones), an option's value of the wrong type or out of its range, a folder whose
    name is empty, minutes together with steps, and a preset that is unknown or of another method.
    """
    known, flags = option_parameters(factory), flagged_inputs(factory)
    if unknown := [name for name in given if name not in known and name not in flags]:
        names = ", ".join(map(flag_of, [*known, *flags])) or "none"
        raise BadInput(f"{method.name} has no option {flag_of(unknown[0])} (known: {names})")
    filled = {} if preset is None else preset_of(preset, method.name)
    if unknown := [name for name in filled if name not in common and name not in known and name not in flags]:
        raise BadInput(f"--preset {preset}: {method.name} has no option {flag_of(unknown[0])}; take it out of the file")
    for group in (BUDGETS, [name for name in STORAGE if name in common]):  # a method's own factor, of its collages, is not in `common`
        if any(common.get(name) is not None for name in group):
            filled = {name: value for name, value in filled.items() if name not in group}
    if common.get("minutes") is not None:  # they replace the preset's steps
        if common.get("steps") is not None:
            raise BadInput(f"--minutes {common['minutes']}: --steps {common['steps']} says how long the run is; give one of the two")
        filled = {name: value for name, value in filled.items() if name != "steps"}
    said = {**{name: value for name, value in common.items() if value is not None}, **given}
    sources = {name: "call" if name in said else "preset" if name in filled else "default" for name in (*common, *known)}
    merged = filled | said
    options = {name: check_option(name, merged.get(name, p.default), p.annotation) for name, p in known.items()}
    places = {name: str(merged[name]) for name in flags if merged.get(name) is not None}
    if nameless := [name for name, place in places.items() if not place]:  # as an unset variable of a shell gives
        raise BadInput(f"{flag_of(nameless[0])}: is empty; give the name of a folder")
    return Settings({name: merged.get(name) for name in common}, options, places, sources)

"""Lists by name, with one line for each entry. They need no JAX, because the registries are text."""

from condense import nets
from condense.data.named import NAMED
from condense.presets import PRESETS
from condense.workflows.methods import known_methods
from evals.listed import LISTED
from synth.errors import BadInput


def list_methods() -> dict[str, str]:
    """Distillation methods by name, with a line about each: this project's, and those that installed packages register.

    Example:
      >>> import condense
      >>> condense.list_methods()["dm"]
      'Matches the mean embedding of every class under freshly drawn random networks.'
    """
    return {name: method.summary for name, method in known_methods().items()}


def list_data() -> dict[str, str]:
    """Data sets that are known by name, with a line about each; others are read by `kind:location`."""
    return {name: named.about for name, named in NAMED.items()}


def list_nets() -> dict[str, str]:
    """Networks by name, with a line about each: this project's, then those that installed packages register. Options stand behind a colon,
    as in `mlp:width=64`."""
    return {name: record.summary for name, record in nets.known_nets().items()}


def list_presets(*, method: str | None = None, data: str | None = None) -> dict[str, str]:
    """Presets by name: settings of published experiments and of this project's, each with a line of score, source, commands and cost;
    `condense.describe(NAME)` says more.

    Args:
      method: takes the presets of this method alone.
      data: takes those of this data alone, by its name without options, as in `cifar10`; of a folder also by the folder's own name.

    Raises BadInput for a method or data that no preset has.
    """
    methods, known = {preset.method for preset in PRESETS.values()}, {name_of(preset.data) for preset in PRESETS.values()}
    if method is not None and method not in methods:
        raise BadInput(f"list presets {method}: no preset is of that method (there are of: {', '.join(sorted(methods))})")
    if data is not None and name_of(data) not in known:
        raise BadInput(f"--data {data}: no preset is of that data (there are of: {', '.join(sorted(known))})")
    return {
        name: preset.record()
        for name, preset in PRESETS.items()
        if method in (None, preset.method) and (data is None or name_of(data) == name_of(preset.data))
    }


def name_of(data: str) -> str:
    """What data are called without kind and options: `cifar10` for `cifar10?limit=500`, `tiny` for `folder:tiny?size=64`."""
    return data.partition("?")[0].partition(":")[2] or data.partition("?")[0]


def list_recipes() -> dict[str, str]:
    """Recipes by which sets are scored, by name, with a line about each."""
    return {name: listed.about for name, listed in LISTED.items()}


LISTS = {"methods": list_methods, "data": list_data, "nets": list_nets, "presets": list_presets, "recipes": list_recipes}

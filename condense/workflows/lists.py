"""Lists by name, with one line for each entry. They need no JAX, because the registries are text."""

from condense import nets
from condense.data.named import NAMED
from condense.presets import PRESETS
from condense.workflows.methods import known_methods
from evals.listed import LISTED


def list_methods() -> dict[str, str]:
    """Distillation methods: this project's, then those that installed packages register.

    Example:
      >>> import condense
      >>> condense.list_methods()["dm"]
      'Matches the mean embedding of every class under freshly drawn random networks.'
    """
    return {name: method.summary for name, method in known_methods().items()}


def list_data() -> dict[str, str]:
    """Data sets that are known by name; others are read by `kind:location`."""
    return {name: named.about for name, named in NAMED.items()}


def list_nets() -> dict[str, str]:
    """Networks: this project's, then those that installed packages register. Options stand behind a colon, as in `mlp:width=64`."""
    return {name: record.summary for name, record in nets.known_nets().items()}


def list_presets() -> dict[str, str]:
    """Settings of published experiments, each with its score, source, commands and cost."""
    return {name: preset.record() for name, preset in PRESETS.items()}


def list_recipes() -> dict[str, str]:
    """Protocols by which sets are scored."""
    return {name: listed.about for name, listed in LISTED.items()}


LISTS = {"methods": list_methods, "data": list_data, "nets": list_nets, "presets": list_presets, "recipes": list_recipes}

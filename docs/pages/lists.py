"""What `condense list` prints of data, networks and recipes."""

from pathlib import Path

from condense.cli.list import LISTS, options_of
from pages.text import code, plain, table

TITLES = {"data": "Data by name", "nets": "Networks", "recipes": "Recipes", "suites": "Suites"}


def pages(root: Path) -> dict[str, str]:
    """One page a list; of networks with the options of each."""
    made = {}
    for name, title in TITLES.items():
        rows = [(code(key), plain(text)) for key, text in LISTS[name]().items()]
        made[f"{name}.md"] = f"# {title}\n\nThe same list prints `condense list {name}`.\n\n{table(('name', 'what it is'), rows)}"
    for net in LISTS["nets"]():
        (_, *options) = options_of(net).items()
        rows = [(code(key.strip()), plain(text)) for key, text in options]
        made["nets.md"] += f"\n## {net}\n\n{table(('option', 'values'), rows) if rows else 'It has no options.'}\n"
    return made

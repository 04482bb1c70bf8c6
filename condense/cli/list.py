"""`condense list`."""

import inspect
import typing
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense import nets
from condense.cli.flags import about, aligned
from condense.studies.shipped import list_suites
from condense.workflows.lists import LISTS as OF_PARTS
from condense.workflows.lists import list_presets
from synth.errors import BadInput, nearest

LISTS = {**OF_PARTS, "suites": list_suites}


@dataclass(frozen=True)
class Flags:
    """List what there is: methods, data, nets, presets, recipes or suites; presets of one method, and the options of one network."""

    what: Annotated[
        Positional[tuple[str, ...]],
        about("which list, and perhaps a method behind presets or a network behind nets", metavar=f"{'|'.join(LISTS)} [NAME]"),
    ]
    data: Annotated[str | None, about("of presets those of this data alone, as in cifar10", metavar="SPEC")] = None


def act(call: Flags) -> None:
    """Prints one of the lists."""
    if not call.what:
        raise BadInput(f"list: give {'|'.join(LISTS)}")
    what, *names = call.what
    if what not in LISTS:
        raise BadInput(f"list: unknown list '{what}' (known: {', '.join(LISTS)}){nearest(what, LISTS)}")
    if len(names) > (what in NARROWED):
        raise BadInput(f"list {what}: '{names[-1]}' is too much; only {' and '.join(NARROWED)} take a name behind them")
    if call.data is not None and what != "presets":
        raise BadInput(f"list {what}: --data {call.data} chooses among presets; leave it out, or use `condense list presets`")
    if what == "presets":
        print(aligned(list_presets(method=names[0] if names else None, data=call.data)))
    else:
        print(aligned(options_of(names[0]) if names else LISTS[what]()))


def options_of(net: str) -> dict[str, str]:
    """What `condense list nets NAME` prints, from left to right: the network's name and its summary, then the name of each option, indented
    by two spaces, with its possible values and its default.

    `net` is a name without options, such as `convnet`. Raises BadInput, naming the known networks, for any other.
    """
    factory = nets.factory_of(net, net)
    kinds, rows = typing.get_type_hints(factory), {net: nets.known_nets()[net].summary}
    for name, parameter in inspect.signature(factory).parameters.items():
        values = "a whole number" if kinds[name] is int else "one of " + ", ".join(typing.get_args(kinds[name]))
        rows[f"  {name}"] = f"{values} (default: {parameter.default})"
    return rows


NARROWED = ("presets", "nets")


RECORD = Flags

"""`condense export`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about
from condense.exchange import FORMATS
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Write a set as folders of pictures or arrays, tensors or tables that other libraries read, with a card that says how."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="RUN_OR_SET")]
    to: Annotated[str, about("form of the export", metavar="|".join(FORMATS))]
    out: Annotated[str, about("the new folder; for torch also a file that ends in .pt", metavar="PATH")]
    check: Annotated[bool, about("train networks on the set and on the export, and print both accuracies")] = False
    data: Annotated[str | None, about("data of the check; by default what the set was made from", metavar="SPEC")] = None
    recipe: Annotated[str | None, about("training recipe of the check; by default the set's, else dsa", metavar="NAME")] = None
    epochs: Annotated[int | None, about("epochs of the check; by default the recipe's")] = None
    seeds: Annotated[int, about("networks of the check")] = 3
    force: Annotated[bool, about("replace an older export at PATH")] = False


def act(call: Flags) -> None:
    """Writes an export, and prints what it lost and, with `check`, the accuracies."""
    with defer_interrupt():
        from condense.workflows.export import export

    taken = ("to", "check", "data", "recipe", "epochs", "seeds", "force")
    made = export(call.what, call.out, **{name: getattr(call, name) for name in taken})
    print(f"{made.path}: {made.clipped or 'every number is kept'}")
    for name, accuracy in made.accuracy.items():
        print(f"  accuracy of networks trained on the {name}: {100 * accuracy:.1f} %")


RECORD = Flags

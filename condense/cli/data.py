"""`condense data`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about


@dataclass(frozen=True)
class Flags:
    """Prepare a named data set from files you have, or download it where tensorflow is installed."""

    what: Annotated[Positional[str], about("name of the set; `condense list data` shows them", metavar="NAME")]
    from_: Annotated[str | None, about("folder with the files: IDX, CIFAR binary batches or class folders", metavar="DIR", name="from")] = (
        None
    )
    size: Annotated[int | None, about("cuts pictures to one size: the shorter side is scaled to it, the centre taken")] = None
    test: Annotated[float | None, about("draws this part of every class for the test, where DIR has none")] = None


def act(call: Flags) -> None:
    """Prepares a named data set and prints the folder that holds it."""
    from condense.data.prepare import prepare

    print(prepare(call.what, from_dir=None if call.from_ is None else Path(call.from_), size=call.size, test=call.test))


RECORD = Flags

"""`condense show`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place


@dataclass(frozen=True)
class Flags:
    """Draw a set as a grid, a row a class: images with their normalisation undone, trees and graphs as circles and lines."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    out: Annotated[str, about("the picture, a PNG", metavar="FILE")] = "grid.png"
    per_class: Annotated[int, about("images, trees or graphs a row")] = 10
    stretch: Annotated[bool, about("draw every image over its own range: shows faint ones")] = False


def act(call: Flags) -> None:
    """Draws a set."""
    check_place("--out", call.out)

    from condense.plots.modalities import write_picture
    from condense.workflows.runs import show

    write_picture(call.out, show(call.what, per_class=call.per_class, stretch=call.stretch))
    print(call.out)


RECORD = Flags

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

    from condense.data.for_set import find_set
    from condense.plots.modalities import save_grid
    from condense.runtime.checks import check_whole
    from synth.files.format import load_set

    per_class = check_whole("per_class", call.per_class)
    save_grid(call.out, load_set(find_set(call.what)), per_class=per_class, stretch=call.stretch)
    print(call.out)


RECORD = Flags

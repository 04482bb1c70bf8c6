"""`condense show`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place


@dataclass(frozen=True)
class Flags:
    """Draw a set: images as a grid with their normalisation undone, trees and graphs as circles and lines, vectors as points and table."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    out: Annotated[str, about("the picture, a PNG", metavar="FILE")] = "grid.png"
    per_class: Annotated[int, about("images, trees or graphs a row; vectors a class in the table")] = 10
    stretch: Annotated[bool, about("draw every image over its own range: shows faint ones")] = False
    nearest: Annotated[bool, about("put the nearest real training image below every image")] = False


def act(call: Flags) -> None:
    """Draws a set into the file `out` and prints the file's name; of vectors it prints a table too."""
    check_place("--out", call.out)

    from condense.plots.modalities import TABLES, write_picture
    from condense.plots.tables import print_table
    from condense.workflows.runs import set_of, show, show_table

    synth = set_of(call.what)
    write_picture(call.out, show(synth, per_class=call.per_class, stretch=call.stretch, nearest=call.nearest))
    if synth.x.modality in TABLES:
        print_table(show_table(synth, per_class=call.per_class))
    print(call.out)


RECORD = Flags

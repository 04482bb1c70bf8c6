"""`condense demo`."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from condense.cli.flags import about
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Distil the embedded digits at 10 images a class, score them beside real images, draw them."""

    out: Annotated[str, about("folder of the run", metavar="DIR")] = "runs/demo"
    force: Annotated[bool, about("start anew where DIR holds another run or one that is done; try what seems too large for memory")] = False


def act(call: Flags) -> None:
    """Distils the digits into the folder `out`, scores the set, and prints the scores, the place of the picture and what to do next."""
    with defer_interrupt():
        import condense
        from condense.plots.tables import print_table

    command = shlex.join(["condense", "demo", "--out", call.out])
    condense.distill(
        "dm", "digits", ipc=10, net="convnet:width=32,depth=2", start="kmeans", steps=300, out=call.out, force=call.force, command=command
    )
    result = condense.evaluate(call.out, recipe="quick")
    print_table(result.table())
    print(f"{call.out}/grid.png shows the images. Next:")
    print(f"  condense evaluate {shlex.quote(call.out)} --recipe dsa --net convnet mlp      the full protocol, across networks")
    print("  condense data fashion_mnist --from DIR      puts its four files, which DIR holds, where they are found; then")
    print("  condense distill dm --data fashion_mnist --ipc 10 --out runs/fashion")
    print("  condense distill mirage --data toy_graphs --bytes 200 --out runs/graphs      the same for graphs")
    print("  condense list methods")
    activate = Path(sys.executable).with_name("activate")
    if shutil.which("condense") is None and activate.is_file():  # as after `make demo`
        place = activate.relative_to(Path.cwd()) if activate.is_relative_to(Path.cwd()) else activate
        print(f"For `condense` to be found: source {shlex.quote(str(place))}")


RECORD = Flags

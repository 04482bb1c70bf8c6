"""`condense import`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Read a set that others released (.pt, .npz, class folders, recorded views) or an export, and write it as set.npz."""

    what: Annotated[Positional[tuple[str, ...]], about("files or folders of one set", metavar="PATH")]
    out: Annotated[str, about("the file of the set", metavar="SET")]
    data: Annotated[str | None, about("what the set was made from; an export says it itself", metavar="SPEC")] = None
    normalise: Annotated[
        str | None,
        about(
            "of float images: standard, zca, zca_relative, published, imagenet; none for [0, 1]; or MEAN,../STD,.. a channel; by default "
            "published for .pt files where numbers are known of the data, else standard",
            metavar="KIND",
        ),
    ] = None
    seed: Annotated[int, about("of the sampler that recorded views were drawn by")] = 42
    temperature: Annotated[float, about("of recorded labels, whose files do not say it")] = 20.0
    epochs: Annotated[int | None, about("recorded epochs to read; by default all")] = None


def act(call: Flags) -> None:
    """Reads a set, writes it to `out`, and prints how large it is and what to do next."""
    check_place("--out", call.out)

    with defer_interrupt():
        from condense.workflows.import_set import import_set
        from evals.storage import count_bytes

    taken = ("out", "normalise", "seed", "temperature", "epochs")
    made = import_set(call.what, data=call.data, **{name: getattr(call, name) for name in taken})
    counted = count_bytes(made)
    what = f"{len(made)} {made.x.modality} of {counted['content']:,} bytes, {made.y.kind} labels of {counted['labels']:,} bytes"
    print(f"{call.out}: {what}; next:\n  condense evaluate {call.out}")


RECORD = Flags

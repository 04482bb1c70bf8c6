"""`condense evaluate`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place, conclude, words_of
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """Score sets: fresh networks x seeds, beside random and k-means real images at the same budget."""

    what: Annotated[
        Positional[tuple[str, ...]], about("folders of finished runs, or sets' files; several give one table", metavar="DIR_OR_SET ...")
    ]
    data: Annotated[str | None, about("data to score on; by default what the set was made from", metavar="SPEC")] = None
    net: Annotated[
        tuple[str, ...] | None, about("networks; by default the set's. Several give a cross-architecture table", metavar="NET")
    ] = None
    seeds: Annotated[int | None, about("fresh networks a row; by default 5, and 10 on graphs")] = None
    recipe: Annotated[str | None, about("training recipe; by default the set's, else dsa. `condense list recipes`", metavar="NAME")] = None
    epochs: Annotated[int | None, about("epochs of the training; by default the recipe's. The full row keeps those of recipe full")] = None
    full_epochs: Annotated[int | None, about("epochs of the full row; by default those of recipe full")] = None
    rows: Annotated[
        str,
        about(
            "of distilled, random, random_2x2, kmeans, herding, easy, hard, noise, full, and on graphs size, with commas between",
            metavar="LIST",
        ),
    ] = "distilled,random,kmeans"
    split: Annotated[str, about("images to score on; make choices on val, and report test", metavar="test|val")] = "test"
    teachers: Annotated[
        str | None, about("committee that labels real images as the set, or all where the set has labels of none", metavar="DIR")
    ] = None
    best_on_test: Annotated[
        bool, about("also the best of fifty scorings or more on the test images, as many papers report it; it was chosen on them")
    ] = False
    frozen: Annotated[
        str | None, about("for recipe krr: trained networks of `condense teachers`, whose features the head is fitted to", metavar="DIR")
    ] = None
    seed: Annotated[int, about("seed of networks and draws")] = 0
    cache: Annotated[
        str | None,
        about("keep finished networks there, and train none twice; by default in cells in a run's folder; none keeps none", metavar="DIR"),
    ] = None
    ranks: Annotated[str | None, about("log of `condense rank`, for the rows easy and hard, which choose by EL2N", metavar="DIR")] = None
    json: Annotated[str | None, about("write the results there", metavar="FILE")] = None


def act(call: Flags) -> None:
    """Scores sets, writes the JSON file and prints the table."""
    if not call.what:
        raise BadInput("evaluate: give DIR_OR_SET, the folder of a finished run or a set's file")
    if call.json is not None:
        check_place("--json", call.json)
    if call.net == ():
        raise BadInput("--net: names no network; give one or more, or leave it out for the set's")

    with defer_interrupt():
        from condense.workflows.evaluate import evaluate

    taken = ("net", "seeds", "recipe", "epochs", "split", "teachers", "best_on_test", "frozen", "full_epochs", "seed", "cache", "ranks")
    given = {name: getattr(call, name) for name in taken}
    result = evaluate(call.what[0] if len(call.what) == 1 else call.what, data=call.data, **given, rows=words_of(call.rows))
    conclude(result, call.json)


RECORD = Flags

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
    steps: Annotated[int | None, about("optimiser steps in place of epochs, so that sets of several sizes are trained on equally long")] = (
        None
    )
    precision: Annotated[
        str, about("of the products in the networks while they are trained and scored; all else is f32", metavar="f32|bf16")
    ] = "f32"
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
        bool,
        about("also the best of some fifty scorings on the test images, or of as many as the recipe's paper makes; it was chosen on them"),
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
    regimes: Annotated[
        str | None,
        about("score every row under each of hard, soft (one stored answer an image) and online labels, at equal steps", metavar="LIST"),
    ] = None
    alpha: Annotated[
        str | None,
        about(
            "weight of the teachers' answers in soft and online labels, beside the classes; by default 1. "
            "best: that of 0, 0.5, 0.9 and 1, on validation, row by row",
            metavar="WEIGHT|best",
        ),
    ] = None
    temperature: Annotated[
        float | None, about("temperature of these answers; by default the best of 1, 4 and 20 on validation, row by row")
    ] = None
    augmentations: Annotated[
        str | None,
        about(
            "score every row under each of none, dsa, one, crop, cutout, cutmix, jitter, autoaugment, randaugment "
            "in place of the recipe's own",
            metavar="LIST",
        ),
    ] = None
    tune_lr: Annotated[bool, about("train every row at the step size that is the best of five on validation images")] = False
    embed: Annotated[
        str | None, about("teachers; coverage and diversity of every row's images in the features of the first one", metavar="DIR")
    ] = None
    per_class: Annotated[bool, about("also print the accuracy of every class; --json holds it too, with confusion matrices")] = False
    json: Annotated[str | None, about("write the results there", metavar="FILE")] = None


def weight_of(text: str | None) -> float | str | None:
    """A weight as the flag gives it: a number where the text is one, else the text, such as `best`."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def act(call: Flags) -> None:
    """Scores sets, prints the table, and writes the JSON file where one is named."""
    if not call.what:
        raise BadInput("evaluate: give DIR_OR_SET, the folder of a finished run or a set's file")
    if call.json is not None:
        check_place("--json", call.json)
    if call.net == ():
        raise BadInput("--net: names no network; give one or more, or leave it out for the set's")

    with defer_interrupt():
        from condense.workflows.evaluate import evaluate

    taken = ("net", "seeds", "recipe", "epochs", "split", "teachers", "best_on_test", "frozen", "full_epochs", "seed", "cache", "ranks")
    given = {name: getattr(call, name) for name in (*taken, "temperature", "tune_lr", "embed", "steps", "precision")}
    given |= {name: words_of(value) for name in ("regimes", "augmentations") if (value := getattr(call, name)) is not None}
    given["alpha"] = weight_of(call.alpha)
    result = evaluate(call.what[0] if len(call.what) == 1 else call.what, data=call.data, **given, rows=words_of(call.rows))
    more = [one.per_class() for one in getattr(result, "sets", (result,))] if call.per_class else []
    conclude(result, call.json, more=more, per_class=call.per_class)


RECORD = Flags

"""`condense transfer`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place, conclude, words_of
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """Pre-train on a set with target representations, then probe or fine-tune on other data, beside honest baselines."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    to: Annotated[tuple[str, ...], about("data to transfer to, one or several; images are resized to the source's", metavar="SPEC")]
    data: Annotated[str | None, about("data that the set was made from; by default what it names", metavar="SPEC")] = None
    fraction: Annotated[float, about("part of the target's labels that is read, as many of every class", metavar="F")] = 1.0
    protocol: Annotated[
        tuple[str, ...],
        about(
            "probe, a logistic regression on the frozen body, or finetune, all weights; one or several, with a fraction of their own if "
            "they name one, as in probe:0.01",
            metavar="NAME[:F]",
        ),
    ] = ("probe",)
    net: Annotated[
        tuple[str, ...] | None, about("networks; by default the set's. Several give a cross-architecture table", metavar="NET")
    ] = None
    seeds: Annotated[int, about("networks pre-trained for every row")] = 5
    draws: Annotated[tuple[int, ...], about("draws of labels for every network; one number, or one for each target", metavar="N")] = (1,)
    epochs: Annotated[int | None, about("epochs of pre-training; 1,000 by default")] = None
    steps: Annotated[int | None, about("steps of fine-tuning; 500 by default")] = None
    rows: Annotated[str, about("of none, distilled, random, random_labels, kmeans and full", metavar="LIST")] = (
        "none,distilled,random,random_labels,kmeans"
    )
    teacher: Annotated[str | None, about("folder of the teacher; by default `teacher` in the run's folder", metavar="DIR")] = None
    split: Annotated[str, about("images to score on; make choices on val, and report test", metavar="test|val")] = "test"
    seed: Annotated[int, about("seed of networks, draws and labels")] = 0
    json: Annotated[
        str | None,
        about("write the results there: a document, or a list, one for every target and protocol, where there are several", metavar="FILE"),
    ] = None


def act(call: Flags) -> None:
    """Scores a set by transfer, prints the table, and writes the JSON file where one is named."""
    if call.json is not None:
        check_place("--json", call.json)
    if call.net == ():
        raise BadInput("--net: names no network; give one or more, or leave it out for the set's")

    with defer_interrupt():
        from condense.workflows.transfer import transfer as score

    given = {name: getattr(call, name) for name in ("fraction", "protocol", "net", "seeds", "draws", "epochs", "steps", "split", "seed")}
    result = score(call.what, to=call.to, data=call.data, rows=words_of(call.rows), teacher=call.teacher, **given)
    conclude(result, call.json)


RECORD = Flags

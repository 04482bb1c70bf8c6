"""Whose data are and under which licence, as far as their reader can say: nothing is guessed, and what nobody states stays empty."""

from typing import Any, NamedTuple

from condense.data.named import NAMED, home
from condense.data.readers import READERS
from condense.data.readers.base import Spec
from condense.data.readers.prepared import prepared
from condense.data.readers.source import regular
from condense.data.readers.tfds import stated_of
from condense.data.spec import parse_spec
from synth.errors import BadInput
from synth.files.records import ANY, MOST, parse_record


class Credits(NamedTuple):
    """What is known of data.

    Args:
      licence: as their owner calls it.
      source: who made them, or where they are from.
      citation: of whom their owner asks to cite, in BibTeX.
    """

    licence: str = ""
    source: str = ""
    citation: str = ""


# As scikit-learn's description of its file says; it states no licence of the data. The toy graphs are drawn by this project's own code.
UCI = "https://archive.ics.uci.edu/ml/datasets/Optical+Recognition+of+Handwritten+Digits"
EMBEDDED = {
    "digits": Credits(source=f"UCI ML hand-written digits (E. Alpaydin, 1998), the copy of their test set in scikit-learn, {UCI}"),
    "toy_graphs": Credits("Apache-2.0", "drawn by condense"),
}


def credits_of(data: str) -> Credits:
    """The credits of the data that a specification names; empty where it names none that are there, or their files say nothing."""
    try:
        spec = parse_spec(data)
    except BadInput:
        return Credits()
    if READERS[spec.kind].embedded:
        return EMBEDDED.get(spec.kind, Credits())
    stated = of_prepared(spec) if spec.kind == "tfds" else Credits()
    known = Credits(*map(text_of, stated_of(spec.name))) if spec.name in NAMED and not spec.location else Credits()
    return Credits(*(ours or theirs for ours, theirs in zip(stated, known, strict=True)))


def of_prepared(spec: Spec) -> Credits:
    """Licence, web addresses and citation in the file dataset_info.json of the prepared set that a specification names; empty where there
    is no set or no such file."""
    place = prepared(spec.place() if spec.location else home() / "tfds" / spec.name)
    if place is None:
        return Credits()
    try:
        with regular(place / "dataset_info.json", spec.text, remedy="prepare the set again").open("rb") as file:
            record = parse_record(file.read(MOST + 1), ANY)
    except (BadInput, OSError, ValueError):
        return Credits()
    record = record if isinstance(record, dict) else {}
    location, terms = (record.get(key) if isinstance(record.get(key), dict) else {} for key in ("location", "redistributionInfo"))
    urls = location.get("urls") if isinstance(location.get("urls"), list) else []
    return Credits(text_of(terms.get("license")), ", ".join(filter(None, map(text_of, urls))), text_of(record.get("citation")))


def text_of(value: Any) -> str:
    """A text without the space around it; an empty text for what is no text."""
    return value.strip() if isinstance(value, str) else ""

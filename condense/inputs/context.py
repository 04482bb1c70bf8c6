"""What a provider of an input may look at, and what it is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple


class Context(NamedTuple):
    """What a provider may look at.

    Args:
      method: name of the method that asks.
      data: `condense.data.images.Data`.
      net: the network asked for, a canonical specification, or None while it is still open.
      seed: of the run.
      out: the run's folder, or None where nothing is written.
      given: what the value's flag says.
      budget: the name and value of the budget, None where none is given.
      force: whether what stands in its way may be removed.
      steps: of the run.
      values, places: values with a flag, and what their flags say, by name; for those without one.
    """

    method: str
    data: Any
    net: str | None
    seed: int
    out: Path | None
    given: str | None = None
    force: bool = False
    steps: int = 1
    values: Mapping[str, Any] = MappingProxyType({})
    places: Mapping[str, str | None] = MappingProxyType({})
    budget: tuple[str, int] | None = None


class Provider(NamedTuple):
    """A value that factories may ask for.

    Args:
      provide: Context -> value. A value with a text attribute `net` settles the network.
      flag: help of its flag, None where there is none.
      identity: value -> what `run.json` records of it, a JSON value that tells it from another; only for values with a flag.
      split: what the flag says -> seed of the validation split that the value left out and the run shall leave out too, None where that is
        not recorded; None for any.
    """

    provide: Callable[[Context], Any]
    flag: str | None = None
    identity: Callable[[Any], Any] = str
    split: Callable[[str], int | None] | None = None

"""The records of an input. A method's factory asks for an input by the name of a parameter; it is found or made for the run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from condense.data.graphs import GraphData
from condense.data.images import Data
from matchers.method import Method


class ToMake(NamedTuple):
    """Describes an input that does not exist yet, for a plan.

    Args:
      kind: the kind of input, such as `experts`.
      net: specifications of the networks that are trained.
      recipe: how, in words.
      place: the folder that keeps it; None where it is made, used and forgotten.
      batches: mini-batches that training takes for each entry of `net`, and `batch`, how many examples each has.
      gradients: gradients that a mini-batch takes; 0 where no such training is what takes the time.
      begun: whether the folder holds a part of it, or all, which the run goes on from if it fits.
      networks: how many networks of each entry of `net` those mini-batches train; several devices share them out.
      split: whether the devices share each mini-batch instead, where their number divides it.
      disk: bytes that it takes on disk, 0 where that is not known.
    """

    kind: str
    net: tuple[str, ...]
    recipe: str
    place: Path | None
    batches: int = 0
    batch: int = 256
    gradients: int = 1
    begun: bool = False
    networks: int = 1
    split: bool = False
    disk: int = 0


class Input(NamedTuple):
    """An input of a run, or its stand-in in a plan.

    Args:
      value: what the factory is given. Where the input is still to be made: something of the same shape, for the plan alone.
      net: specification of the network that the value settles for the run; None where it settles none.
      usual_net: the network where neither the call nor another input says one; None where this input does not say.
      to_make: what is to be made; None for an input that is there.
    """

    value: Any
    net: str | None = None
    usual_net: str | None = None
    to_make: ToMake | None = None


class Context(NamedTuple):
    """Everything that an input may depend on.

    Args:
      method: the method that asks.
      data: the data of the run.
      net: the network of the run, a canonical specification; None while it is open.
      seed: of the run.
      out: the run's folder; None where nothing is written.
      steps: of the run.
      force: whether something else that stands in the input's place may be removed.
      given: the folder that the input's flag names; None where the call gives none.
      budget: name and value of the budget, for a method that counts itself; None for others, and where the call gives none.
      values, places: the inputs that have a flag, and the folders that their flags name, for the inputs without a flag.
    """

    method: Method
    data: Data | GraphData
    net: str | None
    seed: int
    out: Path | None
    steps: int
    force: bool = False
    given: str | None = None
    budget: tuple[str, int] | None = None
    values: Mapping[str, Any] = MappingProxyType({})
    places: Mapping[str, str | None] = MappingProxyType({})


class Provider(NamedTuple):
    """The functions that find and make one kind of input.

    Args:
      find: context -> the input, or its stand-in. It only reads.
      make: context -> the input, made if it is not there; None where `find` always gives it.
      identity: value -> what `run.json` records of it, a JSON value that tells it from another; None for inputs without a flag, which the
        rest of the record determines.
      split: folder -> seed of the validation split that the input left out, and the run leaves out too; None where the folder does not say.
    """

    find: Callable[[Context], Input]
    make: Callable[[Context], Input] | None = None
    identity: Callable[[Any], Any] | None = None
    split: Callable[[str], int | None] | None = None

"""The record of a method, which needs neither JAX nor the method's module, so that methods can be listed quickly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

FEW = 100  # examples


@dataclass(frozen=True)
class Method:
    """A method by name.

    Args:
      name: what users call it.
      factory: where its factory is, as `package.module:function`; a function itself is taken too.
      summary: one line, the first of the factory's docstring.
      modalities: what its data may be, names of `condense.data.modality.MODALITIES`.
      net: the network where a call names none and no input settles one, a specification in which `{option}` stands for the value of an
        option; empty for the modality's own.
      experts: recipe of the experts that are trained for a method that asks for some, where a call gives none; empty for the usual one.
      teachers: how many of the usual committee are trained for it where a call gives none; 0 for all of them.
      steps: of a run, where neither a call nor a preset says; methods that choose take one step whatever stands here.
      few: as `steps`, on at most FEW training examples, where more steps would fit these alone; options stay those that suit `steps`. 0
        where a run is as long on any data.
      defaults: by modality, the options whose default in the factory's signature does not suit it, and what serves instead.
      labelled: whether it reads the labels of the data.
      scaled: where its rule for the length of a run is, written as `factory` is: (steps, options, per_class) -> the options that suit so
        many steps and examples a class (None where the method counts itself), a dictionary of numbers. They serve where neither a call
        nor a preset says others. `options` are those of the call with all defaults. Empty for a method whose options stay as they are.
      length: what becomes of the step sizes in a run of another length, as help pages say it beside `--minutes`. It names the flags that
        `scaled` sets by the steps. Where no rule reads the steps, it begins with `any length: ` and what was measured, or with
        `not measured: `. Empty for a method that takes one step.
      tuned: names of the options that a tuner varies where a call names none; all have a range in their annotation.
    """

    name: str
    factory: str | Callable[..., Any]
    summary: str
    modalities: tuple[str, ...] = ("images",)
    net: str = ""
    experts: str = ""
    teachers: int = 0
    steps: int = 1_000
    few: int = 0
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labelled: bool = True
    scaled: str | Callable[[int, Mapping[str, Any], int | None], dict[str, Any]] = ""
    length: str = ""
    tuned: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """The factory; the import of its module happens here."""
        return _found(self.factory)

    def usual_steps(self, examples: int) -> int:
        """The steps of a run on so many training examples, where neither a call nor a preset says."""
        return self.few if self.few and examples <= FEW else self.steps

    def scale(self, steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
        """The options that suit so many steps and examples a class by the method's rule, as new values by name: only those that the rule
        sets, an empty dictionary without a rule. `options` are those of the call, with all defaults."""
        return _found(self.scaled)(steps, options, per_class) if self.scaled else {}


def _found(place: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(place):
        return place
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

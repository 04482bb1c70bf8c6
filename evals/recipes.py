"""Recipes belong to the evaluator: methods neither choose nor change how a set is scored. `evals.listed` lists them."""

from evals.listed import LISTED
from evals.protocol import Protocol
from synth.errors import BadInput, nearest

RECIPES: dict[str, Protocol] = {listed.name: listed.load() for listed in LISTED.values()}


def recipe(name: str, *, epochs: int | None = None) -> Protocol:
    """The protocol with a name such as `dsa`, or with a name and an option such as `dsa:epochs=7` or `krr:reg=0.001`.

    Args:
      name: a key of `RECIPES`, with an option of that protocol behind it or without.
      epochs: replaces the protocol's epochs, and what the name says of them (>= 1).

    Raises:
      BadInput: for an unknown name, a wrong value of an option, no epoch, and for epochs of a protocol that has none.
    """
    plain, _, behind = name.partition(":")
    option, _, text = behind.partition("=")
    if plain not in RECIPES or (behind and option not in RECIPES[plain].options):
        raise BadInput(f"--recipe: unknown recipe '{name}' (known: {', '.join(RECIPES)}){nearest(name, RECIPES)}")
    chosen = RECIPES[plain]
    if behind and not (option == "epochs" and epochs is not None):
        chosen = chosen.vary(option, text)
    if epochs is None:
        return chosen
    if epochs < 1:
        raise BadInput(f"--epochs {epochs}: give at least 1")
    if "epochs" not in chosen.options:
        raise BadInput(f"--epochs {epochs}: recipe {chosen.name} trains nothing; leave --epochs out")
    return chosen.vary("epochs", str(epochs))

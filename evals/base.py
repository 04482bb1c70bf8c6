"""Recipes belong to the evaluator: methods neither choose nor change how a set is scored."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from synth.errors import BadInput
from synth.fit import adam, sgd


@dataclass(frozen=True)
class Recipe:
    """How a fresh network is trained on shuffled mini-batches.

    Args:
      name: what the recipe is called.
      epochs: passes over the set (>= 1), exactly; the released loops of DC, DSA and DM make one more.
      lr: step size; a step size learned with a set replaces it.
      batch: examples a step; smaller sets go in whole.
      augment: whether every mini-batch goes through DSA (per-sample parameters).
      optimizer: `sgd` (decay joins the gradient, as in PyTorch), `adam` (the same) or `adamw` (decay apart).
      schedule: of the step size, an epoch at a time: `drop` to a tenth after epoch `epochs // 2 + 1`, where momentum starts anew, as
        released; `constant`; `cosine`, (1 + cos(pi e / (stretch epochs))) / 2, which ends at half where `stretch` is 2.
      warmup: epochs over which the step size rises to that, in equal steps.
    """

    name: str
    epochs: int
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    augment: bool = False
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    schedule: Literal["drop", "constant", "cosine"] = "drop"
    stretch: float = 1.0
    warmup: int = 0

    def drop_epoch(self) -> int:
        """The first epoch at a tenth of the step size."""
        return self.epochs // 2 + 2 if self.schedule == "drop" else self.epochs

    def factor(self, epoch: Int[Array, ""], epochs: Int[Array, ""]) -> Float[Array, ""]:
        """What the step size is multiplied by in an epoch of a training of `epochs`, both traced: a longer one compiles nothing anew."""
        at, last = epoch.astype(jnp.float32), epochs.astype(jnp.float32)
        factor = {
            "drop": jnp.where(epoch < epochs // 2 + 2, jnp.float32(1), jnp.float32(0.1)),
            "constant": jnp.float32(1),
            "cosine": (1 + jnp.cos(jnp.pi * at / (self.stretch * last))) / 2,
        }[self.schedule]
        return factor * jnp.minimum(1, (at + 1) / self.warmup) if self.warmup else factor

    def optimiser(self, lr: Float[Array, ""]) -> optax.GradientTransformation:
        """The optimiser at step size `lr`."""
        if self.optimizer == "sgd":
            return sgd(lr, momentum=self.momentum, weight_decay=self.weight_decay)
        return adam(lr, weight_decay=self.weight_decay, decoupled=self.optimizer == "adamw")


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("dc", 300),
        Recipe("dsa", 1000, augment=True),
        Recipe("quick", 100, lr=0.05),
        Recipe("full", 20),
    )
}
ABOUT = {
    "dc": "300 epochs, no augmentation: the protocol of gradient matching",
    "dsa": "1,000 epochs with siamese-style augmentation: the protocol of DSA, DM and the trajectory methods",
    "quick": "100 epochs at step size 0.05, no augmentation: for demonstrations",
    "full": "20 epochs, batch 256, no augmentation: for whole training sets",
}


def recipe(name: str, *, epochs: int | None = None) -> Recipe:
    """A named recipe; with another number of epochs (>= 1) it is called `NAME:epochs=N`, because its scores are not the named one's.

    Raises BadInput for an unknown name or no epoch.
    """
    if name not in RECIPES:
        raise BadInput(f"--recipe: unknown recipe '{name}' (known: {', '.join(RECIPES)})")
    if epochs is not None and epochs < 1:
        raise BadInput(f"--epochs {epochs}: give at least 1")
    if epochs in (None, RECIPES[name].epochs):
        return RECIPES[name]
    return replace(RECIPES[name], name=f"{name}:epochs={epochs}", epochs=epochs)


class Report(NamedTuple):
    """Scores of one set under one recipe and network: accuracy at the LAST step, one value a seed, never a maximum over epochs."""

    net: str
    recipe: str
    set_kind: str
    accuracy: tuple[float, ...]
    seconds: float

    @property
    def mean(self) -> float:
        """Mean over seeds, a fraction."""
        return float(np.mean(self.accuracy))

    @property
    def std(self) -> float:
        """Population standard deviation over seeds."""
        return float(np.std(self.accuracy))

    def as_json(self) -> dict:
        """The result row of `evaluate --json`."""
        return {
            "net": self.net,
            "recipe": self.recipe,
            "set_kind": self.set_kind,
            "accuracy": list(self.accuracy),
            "mean": self.mean,
            "std": self.std,
            "seconds": round(self.seconds, 3),
        }

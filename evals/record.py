"""The record of a protocol, which needs neither JAX nor the protocol's module, and what recipes of teachers' labels share."""

from importlib import import_module
from typing import Any, NamedTuple


class Listed(NamedTuple):
    """A protocol before it is imported.

    Args:
      name: what the recipe is called.
      protocol: where its class is, as `package.module:class`.
      settings: the class's other arguments.
      about: one line.
    """

    name: str
    protocol: str
    settings: dict[str, Any]
    about: str

    def load(self) -> Any:
        """The protocol, an `evals.protocol.Protocol`; the import of its module happens here."""
        module, _, name = self.protocol.partition(":")
        return getattr(import_module(module), name)(self.name, **self.settings)


def training(name: str, epochs: int, about: str, **settings: Any) -> Listed:
    """The record of a recipe that retrains networks, with these settings of `evals.retraining.EvalRecipe`."""
    return Listed(name, "evals.retraining:EvalRecipe", {"epochs": epochs, **settings}, about)


ADAMW = {"lr": 1e-3, "weight_decay": 0.01, "optimizer": "adamw", "schedule": "cosine"}
# As the scripts for large images and CV-DD's have it; those for CIFAR decay all. CV-DD's scores in docs/teachers.md were taken with a
# decay of all, which is recipe `cvdd_all`.
MATRICES = {**ADAMW, "decay": "matrices"}

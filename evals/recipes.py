"""Recipes belong to the evaluator: methods neither choose nor change how a set is scored."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from synth.errors import BadInput
from synth.images.views import View, view_of
from synth.labelling import batch_of
from synth.training.fit import adam, sgd


@dataclass(frozen=True)
class EvalRecipe:
    """How a fresh network is trained on shuffled mini-batches.

    Args:
      name: what the recipe is called.
      epochs: passes over the set (>= 1), exactly; the released loops of DC, DSA and DM make one more.
      lr: step size; a step size learned with a set replaces it.
      batch: examples a step, 0 for as many as `synth.labelling.batch_of` finds, on graphs for all; smaller sets go in whole.
      augment: what every mini-batch goes through: nothing, `dsa` (one operation a batch, parameters an image) or `dc` (one an image).
      view: what every mini-batch is shown through instead, the text of a `synth.images.views.View`; empty for none.
      temperature: of labels that teachers make for this recipe, > 0.
      micro: parts of a mini-batch whose batch statistics are apart.
      optimizer: `sgd` (decay joins the gradient, as in PyTorch), `adam` (the same) or `adamw` (decay apart).
      schedule: of the step size, an epoch at a time: `drop` to a tenth after epoch `epochs // 2 + 1`, where momentum starts anew, as
        released; `constant`; `cosine`, (1 + cos(pi e / (stretch epochs))) / 2, which ends at half where `stretch` is 2.
      warmup: epochs over which the step size rises to that, in equal steps.
      decay: which parameters Adam's decay reaches: all, or those of two axes and more alone, which leaves out norms and biases.
    """

    name: str
    epochs: int
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    augment: Literal["", "dsa", "dc"] = ""
    view: str = ""
    temperature: float = 20.0
    micro: int = 1
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    schedule: Literal["drop", "constant", "cosine"] = "drop"
    stretch: float = 1.0
    warmup: int = 0
    decay: Literal["all", "matrices"] = "all"

    def view_for(self, *, height: int, flips: bool) -> View | None:
        """The view of a mini-batch of images so high, None where it is shown as it is. A pad is stated for 32 pixels and goes with the
        height; there is no flip where a mirrored image means something else."""
        if not self.view:
            return None
        view = view_of(self.view)
        view = replace(view, pad=int(view.pad * height / 32 + 0.5))
        return view if flips else view.unflipped()

    def batch_of(self, n: int, classes: int) -> int:
        """Examples a step of a set of n."""
        return batch_of(self.batch, n, classes)

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
        axes = 2 if self.decay == "matrices" else 0
        return adam(lr, weight_decay=self.weight_decay, decoupled=self.optimizer == "adamw", axes=axes)


@dataclass(frozen=True)
class Closed:
    """A ridge head in closed form where other recipes train a network, as the kernel methods' papers score (`evals.krr`).

    Args:
      name: what the recipe is called.
      kernel: linear on the features of a network as it is drawn, or of a given one (`net`), or the neural tangent kernel of a
        fully-connected one (`ntk`).
      reg: lambda is `reg` times the mean of the kernel's diagonal.
    """

    name: str
    kernel: Literal["net", "ntk"]
    reg: float = 1e-6
    epochs = 1  # a seed is one piece of work


# FRePo retrains for a number of steps that depends on the images in the set, {10: 1000, 100: 2000, 200: 20000, 400 and 500: 5000,
# 1000: 10000, 2000 and 5000: 40000}, of which 500 warm up to the step size and the rest follow a cosine to a hundredth of it. EvalRecipe
# `frepo` is 2,000 epochs for every set: as many steps at 100 images, twice as many at 10, and 2,000, 2,000 and 4,000 at 200, 500 and
# 1,000. Its cosine begins with the warm-up, which multiplies it, and ends at 0.
ADAMW = {"lr": 1e-3, "weight_decay": 0.01, "optimizer": "adamw", "schedule": "cosine"}
# As the scripts for large images have it; those for CIFAR decay all, and so does CV-DD here, whose scores in the README were taken so.
MATRICES = {**ADAMW, "decay": "matrices"}
RECIPES = {
    recipe.name: recipe
    for recipe in (
        EvalRecipe("dc", 300),
        EvalRecipe("dc_digits", 1000, augment="dc"),
        EvalRecipe("dsa", 1000, augment="dsa"),
        EvalRecipe("quick", 100, lr=0.05),
        EvalRecipe("full", 20),
        EvalRecipe("graph", 300, lr=1e-3, weight_decay=0.0, batch=128, optimizer="adam", schedule="constant"),
        EvalRecipe("graph_full", 500, lr=1e-2, weight_decay=0.0, batch=0, optimizer="adam", schedule="cosine"),
        EvalRecipe("frepo", 2000, lr=3e-4, weight_decay=0.0, batch=500, augment="dsa", optimizer="adam", schedule="cosine", warmup=500),
        Closed("krr", "net"),
        Closed("krr-ntk", "ntk"),
        EvalRecipe("sre2l", 400, batch=128, view="pad=4,flip,mixup=0.8", temperature=30.0, **ADAMW),
        EvalRecipe("fkd", 300, batch=1024, view="crop=0.08-1,flip,cutmix=1", **MATRICES),
        EvalRecipe("rded", 300, batch=0, view="shuffle=2,crop=0.5-1,flip,cutmix=1", stretch=2.0, **MATRICES),
        EvalRecipe("rded_small", 300, batch=0, view="flip,cutmix=1", stretch=2.0, **MATRICES),
        EvalRecipe("cvdd", 300, batch=16, micro=2, view="crop=0.08-1,flip,cutmix=1", **ADAMW),
        EvalRecipe("cvdd_smooth", 300, batch=16, micro=2, view="crop=0.08-1,flip,cutmix=1", stretch=2.0, **ADAMW),
        EvalRecipe("infer", 400, batch=64, view="pad=4,flip,mixup=0.8", temperature=30.0, **ADAMW),
        EvalRecipe("infer_large", 300, batch=128, view="crop=0.08-1,flip,cutmix=1", **MATRICES),
        EvalRecipe("nrr", 300, batch=0, view="crop=0.5-1,flip,cutmix=1", temperature=1.0, stretch=2.0, **ADAMW),
    )
}
ABOUT = {
    "dc": "300 epochs, no augmentation: the protocol of gradient matching",
    "dc_digits": "1,000 epochs with a shift, zoom or turn of every image: gradient matching's protocol on handwritten digits",
    "dsa": "1,000 epochs with siamese-style augmentation: the protocol of DSA, DM and the trajectory methods",
    "quick": "100 epochs at step size 0.05, no augmentation: for demonstrations",
    "full": "20 epochs, batch 256, no augmentation: for whole training sets",
    "graph": "300 steps of Adam at 0.001 on graphs, 128 drawn a step, epoch chosen on validation graphs",
    "graph_full": "500 steps of Adam at 0.01 falling to 0 on all graphs at once, epoch chosen on validation graphs",
    "frepo": "2,000 epochs of Adam, batch 500, warm-up times a cosine to 0, augmented: FRePo's steps for 100 images; see evals.recipes",
    "krr": "no training: a ridge head in closed form on the features of random networks or --frozen ones; no retrained accuracy",
    "krr-ntk": "no training: ridge regression with the neural tangent kernel of a wide network, as KIP; no retrained accuracy",
    "sre2l": "400 epochs of AdamW, batch 128, shifts, flips and MixUp, labels at temperature 30: SRe2L on small images",
    "fkd": "300 epochs of AdamW, batch 1024, crops, flips and CutMix, labels at temperature 20: SRe2L on large images",
    "rded": "300 epochs of AdamW, small batches, shuffled patches, crops, flips and CutMix, half a cosine: RDED on collages of four",
    "rded_small": "the same without shuffle and crop: RDED on small images, of one crop each",
    "cvdd": "300 epochs of AdamW, batch 16 in two halves, crops, flips and CutMix: CV-DD",
    "cvdd_smooth": "the same, its step size falling to half: CV-DD where its table says eta = 2",
    "infer": "400 epochs of AdamW, batch 64, shifts, flips and MixUp, labels at temperature 30: INFER on small images",
    "infer_large": "300 epochs of AdamW, batch 128, crops, flips and CutMix, labels at temperature 20: INFER on large images",
    "nrr": "300 epochs of AdamW, small batches, crops, flips and CutMix, half a cosine, labels at temperature 1: for NRR-DD, unpublished",
}


def recipe(name: str, *, epochs: int | None = None) -> EvalRecipe | Closed:
    """A named recipe; with another number of epochs (>= 1) it is called `NAME:epochs=N`, because its scores are not the named one's, and
    is found by that name too. One in closed form is called `NAME:reg=R` where its regularisation R > 0 is another.

    Raises BadInput for an unknown name, no epoch or no regularisation, and for epochs of a recipe that has none.
    """
    plain, _, said = name.partition(":reg=")
    if said and isinstance(closed := RECIPES.get(plain), Closed):
        try:
            reg = float(said)
        except ValueError:
            reg = 0.0
        if not 0 < reg < math.inf:
            raise BadInput(f"--recipe {name}: give a regularisation above 0, as in {plain}:reg=0.001")
        closed = closed if reg == closed.reg else replace(closed, name=name, reg=reg)
        if epochs is None:
            return closed
        name = plain
    plain, _, said = name.partition(":epochs=")
    if said.isascii() and said.isdigit():
        name, epochs = plain, int(said) if epochs is None else epochs
    if name not in RECIPES:
        raise BadInput(f"--recipe: unknown recipe '{name}' (known: {', '.join(RECIPES)})")
    if epochs is not None and epochs < 1:
        raise BadInput(f"--epochs {epochs}: give at least 1")
    if epochs is not None and isinstance(RECIPES[name], Closed):
        raise BadInput(f"--epochs {epochs}: recipe {name} trains nothing; leave --epochs out")
    if epochs in (None, RECIPES[name].epochs):
        return RECIPES[name]
    return replace(RECIPES[name], name=f"{name}:epochs={epochs}", epochs=epochs)

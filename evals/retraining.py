"""The protocol that retrains: fresh networks are trained on a set, and each is scored once."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from evals.protocol import Protocol, ScoringNetwork, ScoringTask, Worker
from synth.base import Vars
from synth.errors import BadInput
from synth.images.views import View, view_of
from synth.labelling import batch_of
from synth.labels.gift import as_directions
from synth.labels.logits import as_logits
from synth.labels.phases import in_phases
from synth.options import Precision, check_option
from synth.set import SyntheticSet
from synth.training.fit import Fit, adam, sgd
from synth.training.optim import averaging, muon


@dataclass(frozen=True)
class EvalRecipe(Protocol):
    """How a fresh network is trained on shuffled mini-batches.

    Args:
      name: what the recipe is called.
      epochs: passes over the set (>= 1), exactly; the released loops of DC, DSA and DM make one more.
      lr: step size; in plain descent a step size learned with a set replaces it.
      batch: examples a step, 0 for as many as `synth.labelling.batch_of` finds, on graphs for all; smaller sets go in whole.
      augment: what every mini-batch goes through: nothing, `dsa` or `frepo` (one operation a batch, parameters an image), `dc` (one an
        image), `cutout` (a square an image), or what works on bytes, one draw a batch (`autoaugment`, `randaugment`, `jitter`).
      view: what every mini-batch is shown through instead, or before a cutout, the text of a `synth.images.views.View`; empty for none.
      temperature: of labels that teachers make for this recipe, > 0.
      micro: parts of a mini-batch whose batch statistics are apart.
      optimizer: `sgd` (decay joins the gradient, as in PyTorch), `adam` (the same), `adamw` (decay apart) or `muon` (of matrices alone, its
        decay too).
      schedule: of the step size, an epoch at a time: `drop` to a tenth after epoch `epochs // 2 + 1`, where momentum starts anew, as
        released; `constant`; `cosine`, (1 + cos(pi e / (stretch epochs))) / 2, which ends at half where `stretch` is 2; `warm`, a straight
        line from `low` over the warm-up, then a cosine to `least`; `fifths`, a fifth from epoch `2 epochs // 3` on and a fifth of that from
        `5 epochs // 6` on; `halves`, half from four fifths of the epochs on, half of that from nine tenths and again from 19 twentieths on.
      warmup: epochs over which the step size rises to that, in equal steps.
      low, least: factors of the step size, at first and at last, of the schedule `warm`.
      drop, late_momentum: factor of the step size after a `drop`, and the momentum there; None for the same.
      squared: whether the loss of labels at temperature T counts T^2 times, as Hinton et al. have it.
      look_every: epochs between two scorings under `--best-on-test`; 0 for about fifty in all.
      look_from: the share of the epochs in [0, 1) up to which there are none of these scorings.
      choose: by which score on validation graphs the epoch is chosen: accuracy among trained networks, or the area under the ROC curve,
        the untrained network among them. Other examples' networks are scored at the last epoch.
      steps: of sets of so many examples, in place of `epochs`: pairs (examples, steps); `warmup` counts steps there.
      decay: which parameters Adam's decay reaches: all, or those of two axes and more alone, which leaves out norms and biases.
      precision: of the products in the networks while they are trained and scored.
      loss: the labels' own; or GIFT's cosine to their direction and to smoothed classes (`synth.labels.gift`); or `phases`, the labels'
        own in the first and last quarter of the epochs and between that of smoothed classes (`synth.labels.phases`); or `logits`, the
        squared distance to teachers' logits and `share` times the cross entropy to the classes (`synth.labels.logits`).
      average: decay in [0, 1) of a running average of the weights, which is scored in their place; 0 scores the last ones. It goes with
        every schedule but `drop`, which begins the optimiser anew.
    """

    name: str
    epochs: int
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    augment: Literal["", "dsa", "dc", "cutout", "frepo", "autoaugment", "randaugment", "jitter"] = ""
    view: str = ""
    temperature: float = 20.0
    micro: int = 1
    optimizer: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    schedule: Literal["drop", "constant", "cosine", "warm", "fifths", "halves"] = "drop"
    stretch: float = 1.0
    warmup: int = 0
    low: float = 0.0
    least: float = 0.0
    drop: float = 0.1
    late_momentum: float | None = None
    squared: bool = False
    look_every: int = 0
    look_from: float = 0.0
    choose: Literal["accuracy", "auc"] = "accuracy"
    steps: tuple[tuple[int, int], ...] = ()
    decay: Literal["all", "matrices"] = "all"
    precision: Precision = "f32"
    loss: Literal["labels", "gift", "phases", "logits"] = "labels"
    share: float = 0.0
    average: float = 0.0

    def __post_init__(self):
        if self.average and (self.schedule == "drop" or not 0 < self.average < 1):
            raise ValueError(f"recipe {self.name}: average {self.average} goes with another schedule than drop, and is in [0, 1)")

    measure = "val_accuracy"
    does = "retrains networks"
    trains = True
    options = ("epochs", "precision")

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """The modalities that the recipe can train on: images alone if it augments or shows views, graphs alone if it chooses by the area
        under the curve, else all."""
        if self.choose == "auc":
            return ("graphs",)
        if self.average and not (self.augment or self.view):
            return ("images", "vectors")
        return ("images",) if self.augment or self.view else None

    @property
    def own_loss(self) -> bool:
        """Whether networks are trained on teachers' answers by the recipe's loss; under the loss `phases` it is the labels' own."""
        return self.loss in ("gift", "logits")

    def worker(self, network: ScoringNetwork, task: ScoringTask) -> Worker:
        """Builds what retrains this network on examples of the task's modality and scores it: `task.retrain`'s worker."""
        return task.retrain(network, self)

    def vary(self, option: str, text: str) -> "EvalRecipe":
        """The recipe with the number N of epochs that `text` says, called `NAME:epochs=N`, or in the precision that it says, called
        `NAME:precision=bf16`, because its scores are not the named one's; itself where it has that for every set. Raises BadInput for a
        text that is no whole number of at least 1, or no precision."""
        if option == "precision":
            chosen = check_option(option, text, Precision)
            return self if chosen == self.precision else replace(self, name=f"{self.name}:precision={text}", precision=chosen)
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise BadInput(f"--epochs {text}: give at least 1")
        epochs = int(text)
        return (
            self
            if epochs == self.epochs and not self.steps
            else replace(self, name=f"{self.name}:epochs={epochs}", epochs=epochs, steps=())
        )

    def for_size(self, n: int) -> "EvalRecipe":
        """The recipe with the epochs, warm-up included, of a set of n examples, where they depend on that, else itself. Steps become epochs
        rounded down. Raises BadInput for sizes that it has no steps for."""
        if not self.steps:
            return self
        if n not in (sizes := dict(self.steps)):
            known = ", ".join(map(str, sizes))
            raise BadInput(f"--recipe {self.name}: it has steps for sets of {known} examples, and this one has {n}; give --epochs")
        batches = -(-n // self.batch)
        return replace(self, epochs=sizes[n] // batches, warmup=self.warmup // batches)

    def view_for(self, *, height: int, flips: bool) -> View | None:
        """The view of mini-batches of images of this height; None if they are shown as they are. The pad is meant for 32 pixels and scales
        with the height, rounded to the nearest, and crops narrow over all epochs. There is no flip without `flips`, which says that a
        mirrored image means the same."""
        if not self.view:
            return None
        view = view_of(self.view)
        view = replace(view, pad=int(view.pad * height / 32 + 0.5), narrow=self.epochs if view.narrow else 0)
        return view if flips else view.unflipped()

    def batch_of(self, n: int, classes: int) -> int:
        """The number of examples a step for a set of n examples, never more than n: the recipe's `batch`, or if that is 0: 10, 50 from 10
        and 100 from 50 examples a class; twice as many from 100 classes; 100 for 200 classes."""
        return batch_of(self.batch, n, classes)

    def drop_epoch(self) -> int:
        """The first epoch, counted from 0, after the step size has dropped: `epochs // 2 + 2`. `epochs`, which no training reaches, under
        another schedule than `drop`."""
        return self.epochs // 2 + 2 if self.schedule == "drop" else self.epochs

    def factor(self, epoch: Int[Array, ""], epochs: Int[Array, ""]) -> Float[Array, ""]:
        """The factor of the step size in an epoch, counted from 0, of a training of `epochs`. Both may be traced, so that a longer training
        does not compile again."""
        at, last = epoch.astype(jnp.float32), epochs.astype(jnp.float32)
        if self.schedule == "warm":
            share = (at - self.warmup) / jnp.maximum(1, last - self.warmup)
            fall = self.least + (1 - self.least) * (1 + jnp.cos(jnp.pi * share)) / 2
            return jnp.where(at < self.warmup, self.low + (1 - self.low) * at / self.warmup, fall)
        factor = {
            "drop": jnp.where(self.late(epoch, epochs), jnp.float32(self.drop), jnp.float32(1)),
            "constant": jnp.float32(1),
            "fifths": 0.2 ** ((epoch >= 2 * epochs // 3).astype(jnp.float32) + (epoch >= 5 * epochs // 6).astype(jnp.float32)),
            "halves": 0.5 ** sum((parts * epoch >= (parts - 1) * epochs).astype(jnp.float32) for parts in (5, 10, 20)),
            "cosine": (1 + jnp.cos(jnp.pi * at / (self.stretch * last))) / 2,
        }[self.schedule]
        return factor * jnp.minimum(1, (at + 1) / self.warmup) if self.warmup else factor

    def late(self, epoch: Int[Array, ""], epochs: Int[Array, ""]) -> Array:
        """Whether an epoch, counted from 0, of a training of `epochs` comes after the drop: from `epochs // 2 + 2` on, whatever schedule
        the recipe has."""
        return epoch >= epochs // 2 + 2

    def looks_after(self, epoch: int) -> bool:
        """Whether networks are scored under `--best-on-test` after so many epochs (>= 1), where the training stops for that: after the last
        always, else after multiples of `look_every` beyond the share `look_from`. True where `look_every` is 0."""
        regular = epoch % self.look_every == 0 and epoch > self.look_from * self.epochs if self.look_every else True
        return regular or epoch == self.epochs

    def momentum_at(self, epoch: Int[Array, ""], epochs: Int[Array, ""]) -> Float[Array, ""] | float:
        """The momentum of descent in an epoch, counted from 0, of a training of `epochs`: `late_momentum`, where there is one, from epoch
        `epochs // 2 + 2` on, else `momentum`."""
        return self.momentum if self.late_momentum is None else jnp.where(self.late(epoch, epochs), self.late_momentum, self.momentum)

    def optimiser(self, lr: Float[Array, ""], *, momentum: Float[Array, ""] | float | None = None) -> optax.GradientTransformation:
        """The recipe's optimiser, with its weight decay and its average of the weights, at step size `lr`. `momentum` is read by `sgd`
        alone; None for the recipe's."""
        if self.optimizer == "sgd":
            tx = sgd(lr, momentum=self.momentum if momentum is None else momentum, weight_decay=self.weight_decay)
        elif self.optimizer == "muon":
            tx = muon(lr, weight_decay=self.weight_decay)
        else:
            axes = 2 if self.decay == "matrices" else 0
            tx = adam(lr, weight_decay=self.weight_decay, decoupled=self.optimizer == "adamw", axes=axes)
        return averaging(tx, self.average) if self.average else tx

    def scored(self, state: Fit) -> Vars:
        """The variables of a training's state that are scored: its last ones, or their running average with the last batch statistics."""
        return Vars(state.opt.average, state.vars.stats) if self.average else state.vars


def trained_on(recipe: EvalRecipe, labels: Any, epochs: Int[Array, ""]) -> Any:
    """The labels as networks learn from them in a training of `epochs`: under the recipe's loss, where that is not their own. Raises
    BadInput for labels that do not go with it."""
    if recipe.loss == "gift":
        return as_directions(labels)
    if recipe.loss == "logits":
        return as_logits(labels, recipe.share)
    return in_phases(labels, epochs) if recipe.loss == "phases" else labels


def takes_step_size(recipe: EvalRecipe, synth: SyntheticSet) -> bool:
    """Whether a network is trained on the set at the set's own step size: True where one was learned with it and the recipe's optimiser is
    `sgd`. A learned step size is one of descent, and Adam's are others."""
    return synth.lr is not None and recipe.optimizer == "sgd"


def advice_on(recipe: EvalRecipe, synth: SyntheticSet) -> str:
    """A clause for the message that a training has diverged: that its step size, the set's own where `takes_step_size` and else the
    recipe's, is too large, with its value, and what to try. Whether the training diverged is not looked at."""
    if takes_step_size(recipe, synth):
        return f"the set's own step size {float(synth.lr):g} is too large for it; try another --net or another set"
    return f"step size {recipe.lr:g} is too large for it; try another --recipe or --net"

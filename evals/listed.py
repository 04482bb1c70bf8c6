"""All protocols by name, as text: the line that lists show, and the factory. Needs no JAX."""

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


def _training(name: str, epochs: int, about: str, **settings: Any) -> Listed:
    return Listed(name, "evals.retraining:EvalRecipe", {"epochs": epochs, **settings}, about)


# FRePo retrains for a number of steps that depends on the images in the set, of which 500 warm up to the step size and the rest follow a
# cosine to a hundredth of it (yongchaoz/FRePo, script/eval.py), which is recipe `frepo_released`. EvalRecipe `frepo` is 2,000 epochs for
# every set: as many steps at 100 images, twice as many at 10, and 2,000, 2,000 and 4,000 at 200, 500 and 1,000. Its cosine begins with the
# warm-up, which multiplies it, and ends at 0.
FREPO = {"lr": 3e-4, "weight_decay": 0.0, "batch": 500, "optimizer": "adam", "warmup": 500}
FREPO_STEPS = ((10, 1000), (100, 2000), (200, 20_000), (400, 5000), (500, 5000), (1000, 10_000), (2000, 40_000), (5000, 40_000))
ADAMW = {"lr": 1e-3, "weight_decay": 0.01, "optimizer": "adamw", "schedule": "cosine"}
# As the scripts for large images and CV-DD's have it; those for CIFAR decay all. CV-DD's scores in docs/teachers.md were taken with a
# decay of all, which is recipe `cvdd_all`.
MATRICES = {**ADAMW, "decay": "matrices"}
_ALL = (
    _training("dc", 300, "300 epochs, no augmentation: the protocol of gradient matching"),
    _training(
        "dc_digits",
        1000,
        "1,000 epochs with a shift, zoom or turn of every image: gradient matching's protocol on handwritten digits",
        augment="dc",
    ),
    _training(
        "dsa", 1000, "1,000 epochs with siamese-style augmentation: the protocol of DSA, DM and the trajectory methods", augment="dsa"
    ),
    _training(
        "ast",
        1000,
        "1,000 epochs with siamese-style augmentation, decay 0.001, then half the step size at momentum 0.8: the protocol of AST",
        augment="dsa",
        weight_decay=1e-3,
        drop=0.5,
        late_momentum=0.8,
        look_every=20,
    ),
    _training("datm", 1000, "1,000 epochs with siamese-style augmentation, batch 128: the protocol of DATM", augment="dsa", batch=128),
    _training("quick", 100, "100 epochs at step size 0.05, no augmentation: for demonstrations", lr=0.05),
    _training("full", 20, "20 epochs, batch 256, no augmentation: for whole training sets"),
    _training(
        "full_vectors",
        200,
        "200 epochs of AdamW at 0.003 falling to 0, batch 32: for whole training sets of vectors",
        **ADAMW | {"lr": 3e-3},
        batch=32,
    ),
    _training(
        "graph",
        300,
        "300 steps of Adam at 0.001 on graphs, 128 drawn a step, epoch chosen on validation graphs",
        lr=1e-3,
        weight_decay=0.0,
        batch=128,
        optimizer="adam",
        schedule="constant",
    ),
    _training(
        "graph_full",
        500,
        "500 steps of Adam at 0.01 falling to 0 on all graphs at once, epoch chosen on validation graphs",
        lr=1e-2,
        weight_decay=0.0,
        batch=0,
        optimizer="adam",
        schedule="cosine",
    ),
    _training(
        "mirage",
        300,
        "300 steps of Adam at 0.001 with decay 100 in the gradient, epoch by validation ROC-AUC or none: Mirage's release on NCI1",
        lr=1e-3,
        weight_decay=100.0,
        batch=0,
        optimizer="adam",
        schedule="constant",
        choose="auc",
    ),
    _training(
        "frepo",
        2000,
        "2,000 epochs of Adam, batch 500, warm-up times a cosine to 0, augmented: FRePo's steps for 100 images; see evals.recipes",
        augment="dsa",
        schedule="cosine",
        **FREPO,
    ),
    _training(
        "frepo_warm",
        2000,
        "the same with the release's schedule: 500 epochs of warm-up, then a cosine that ends at a hundredth",
        augment="dsa",
        schedule="warm",
        least=0.01,
        **FREPO,
    ),
    _training(
        "frepo_released",
        2000,
        "as FRePo's release scores: frepo_warm for as many steps as it has for the set's size, under its own augmentation",
        augment="frepo",
        schedule="warm",
        least=0.01,
        steps=FREPO_STEPS,
        **FREPO,
    ),
    Listed(
        "krr",
        "evals.krr:RidgeHead",
        {"kernel": "net"},
        "no training: a ridge head in closed form on the features of random networks or --frozen ones; no retrained accuracy",
    ),
    Listed(
        "krr-ntk",
        "evals.krr:RidgeHead",
        {"kernel": "ntk"},
        "no training: ridge regression with the neural tangent kernel of a wide network, as KIP; no retrained accuracy",
    ),
    _training(
        "sre2l",
        400,
        "400 epochs of AdamW, batch 128, shifts, flips and MixUp, labels at temperature 30: SRe2L on small images",
        batch=128,
        view="pad=4,flip,mixup=0.8",
        temperature=30.0,
        **ADAMW,
    ),
    _training(
        "fkd",
        300,
        "300 epochs of AdamW, batch 1024, crops, flips and CutMix, labels at temperature 20: SRe2L on large images",
        batch=1024,
        view="crop=0.08-1,flip,cutmix=1",
        **MATRICES,
    ),
    _training(
        "fkd_tiny",
        100,
        "100 epochs of SGD at 0.2, batch 256, crops and flips, 400 times the loss at temperature 20: SRe2L on Tiny ImageNet",
        lr=0.2,
        weight_decay=1e-4,
        batch=256,
        view="crop=0.08-1,flip",
        schedule="warm",
        warmup=5,
        low=0.01,
        squared=True,
    ),
    _training(
        "rded",
        300,
        "300 epochs of AdamW, small batches, shuffled patches, crops, flips and CutMix, half a cosine: RDED on collages of four",
        batch=0,
        view="grid=2,crop=0.5-1,flip,cutmix=1",
        stretch=2.0,
        **MATRICES,
    ),
    _training(
        "rded_small",
        300,
        "the same without shuffle and crop: RDED on small images, of one crop each",
        batch=0,
        view="flip,cutmix=1",
        stretch=2.0,
        **MATRICES,
    ),
    _training(
        "cvdd",
        300,
        "300 epochs of AdamW, batch 16 in two halves, crops, flips and CutMix: CV-DD",
        batch=16,
        micro=2,
        view="crop=0.08-1,flip,cutmix=1",
        **MATRICES,
    ),
    _training(
        "cvdd_smooth",
        300,
        "the same, its step size falling to half: CV-DD where its table says eta = 2",
        batch=16,
        micro=2,
        view="crop=0.08-1,flip,cutmix=1",
        stretch=2.0,
        **MATRICES,
    ),
    _training(
        "cvdd_all",
        300,
        "as cvdd, with a decay that reaches norms and biases too: the scores in docs/teachers.md were taken so",
        batch=16,
        micro=2,
        view="crop=0.08-1,flip,cutmix=1",
        **ADAMW,
    ),
    _training(
        "infer",
        400,
        "400 epochs of AdamW, batch 64, shifts, flips and MixUp, labels at temperature 30: INFER on small images",
        batch=64,
        view="pad=4,flip,mixup=0.8",
        temperature=30.0,
        look_every=10,
        **ADAMW,
    ),
    _training(
        "infer_large",
        300,
        "300 epochs of AdamW, batch 128, crops, flips and CutMix, labels at temperature 20: INFER on large images",
        batch=128,
        view="crop=0.08-1,flip,cutmix=1",
        look_every=10,
        **MATRICES,
    ),
    _training(
        "nrr",
        300,
        "300 epochs of AdamW, small batches, crops, flips and CutMix, half a cosine, labels at temperature 1: for NRR-DD, unpublished",
        batch=0,
        view="crop=0.5-1,flip,cutmix=1",
        temperature=1.0,
        stretch=2.0,
        **ADAMW,
    ),
    _training(
        "rethinking_hard",
        300,
        "300 epochs of AdamW, batch 128, crops and flips, no mixing: Rethinking Dataset Pruning and Distillation, for hard labels",
        batch=128,
        view="crop=0.08-1,flip",
        **MATRICES,
    ),
    _training(
        "rethinking_soft",
        300,
        "the same with CutMix, labels at temperature 20: Rethinking Dataset Pruning and Distillation, for labels of teachers",
        batch=128,
        view="crop=0.08-1,flip,cutmix=1",
        **MATRICES,
    ),
    _training(
        "gift",
        1000,
        "1,000 epochs of AdamW, siamese-style augmentation, a cosine loss to answers and smoothed classes: GIFT",
        lr=1e-3,
        weight_decay=1e-4,
        batch=0,
        augment="dsa",
        optimizer="adamw",
        schedule="fifths",
        loss="gift",
    ),
    _training(
        "hald",
        300,
        "300 epochs of AdamW, batch 16, CutMix: labels in the first and last quarter, smoothed classes between: HALD; unverified",
        batch=16,
        view="crop=0.08-1,flip,cutmix=1",
        loss="phases",
        **MATRICES,
    ),
    _training(
        "muon",
        300,
        "rethinking_soft by Muon in place of AdamW, in steps as large; an experiment of this project, unverified by any paper",
        batch=128,
        view="crop=0.08-1,flip,cutmix=1",
        **{**ADAMW, "optimizer": "muon"},
    ),
    _training(
        "cda",
        300,
        "rethinking_soft with crops that narrow from the whole image, CDA's curriculum for images here in training; unverified",
        batch=128,
        view="crop=0.08-1,narrow=300,flip,cutmix=1",
        **MATRICES,
    ),
    _training(
        "rd3",
        400,
        "400 epochs of Adam, batch 50, crops, flips and CutMix, labels at temperature 20: Rectified Decoupled DD; unverified",
        lr=1e-3,
        weight_decay=0.0,
        batch=50,
        view="crop=0.5-1,flip,cutmix=1",
        optimizer="adam",
        schedule="cosine",
    ),
)
LISTED = {listed.name: listed for listed in _ALL}

"""Recipes belong to the evaluator: methods neither choose nor change how a set is scored."""

from evals.krr import RidgeHead
from evals.protocol import Protocol
from evals.retraining import EvalRecipe
from synth.errors import BadInput

# FRePo retrains for a number of steps that depends on the images in the set, {10: 1000, 100: 2000, 200: 20000, 400 and 500: 5000,
# 1000: 10000, 2000 and 5000: 40000}, of which 500 warm up to the step size and the rest follow a cosine to a hundredth of it. EvalRecipe
# `frepo` is 2,000 epochs for every set: as many steps at 100 images, twice as many at 10, and 2,000, 2,000 and 4,000 at 200, 500 and
# 1,000. Its cosine begins with the warm-up, which multiplies it, and ends at 0.
ADAMW = {"lr": 1e-3, "weight_decay": 0.01, "optimizer": "adamw", "schedule": "cosine"}
# As the scripts for large images have it; those for CIFAR decay all, and so does CV-DD here, whose scores in the README were taken so.
MATRICES = {**ADAMW, "decay": "matrices"}
LISTED: tuple[tuple[Protocol, str], ...] = (  # every protocol, and what a list says of it
    (EvalRecipe("dc", 300), "300 epochs, no augmentation: the protocol of gradient matching"),
    (
        EvalRecipe("dc_digits", 1000, augment="dc"),
        "1,000 epochs with a shift, zoom or turn of every image: gradient matching's protocol on handwritten digits",
    ),
    (
        EvalRecipe("dsa", 1000, augment="dsa"),
        "1,000 epochs with siamese-style augmentation: the protocol of DSA, DM and the trajectory methods",
    ),
    (EvalRecipe("quick", 100, lr=0.05), "100 epochs at step size 0.05, no augmentation: for demonstrations"),
    (EvalRecipe("full", 20), "20 epochs, batch 256, no augmentation: for whole training sets"),
    (
        EvalRecipe("graph", 300, lr=1e-3, weight_decay=0.0, batch=128, optimizer="adam", schedule="constant"),
        "300 steps of Adam at 0.001 on graphs, 128 drawn a step, epoch chosen on validation graphs",
    ),
    (
        EvalRecipe("graph_full", 500, lr=1e-2, weight_decay=0.0, batch=0, optimizer="adam", schedule="cosine"),
        "500 steps of Adam at 0.01 falling to 0 on all graphs at once, epoch chosen on validation graphs",
    ),
    (
        EvalRecipe("frepo", 2000, lr=3e-4, weight_decay=0.0, batch=500, augment="dsa", optimizer="adam", schedule="cosine", warmup=500),
        "2,000 epochs of Adam, batch 500, warm-up times a cosine to 0, augmented: FRePo's steps for 100 images; see evals.recipes",
    ),
    (
        RidgeHead("krr", "net"),
        "no training: a ridge head in closed form on the features of random networks or --frozen ones; no retrained accuracy",
    ),
    (
        RidgeHead("krr-ntk", "ntk"),
        "no training: ridge regression with the neural tangent kernel of a wide network, as KIP; no retrained accuracy",
    ),
    (
        EvalRecipe("sre2l", 400, batch=128, view="pad=4,flip,mixup=0.8", temperature=30.0, **ADAMW),
        "400 epochs of AdamW, batch 128, shifts, flips and MixUp, labels at temperature 30: SRe2L on small images",
    ),
    (
        EvalRecipe("fkd", 300, batch=1024, view="crop=0.08-1,flip,cutmix=1", **MATRICES),
        "300 epochs of AdamW, batch 1024, crops, flips and CutMix, labels at temperature 20: SRe2L on large images",
    ),
    (
        EvalRecipe("rded", 300, batch=0, view="shuffle=2,crop=0.5-1,flip,cutmix=1", stretch=2.0, **MATRICES),
        "300 epochs of AdamW, small batches, shuffled patches, crops, flips and CutMix, half a cosine: RDED on collages of four",
    ),
    (
        EvalRecipe("rded_small", 300, batch=0, view="flip,cutmix=1", stretch=2.0, **MATRICES),
        "the same without shuffle and crop: RDED on small images, of one crop each",
    ),
    (
        EvalRecipe("cvdd", 300, batch=16, micro=2, view="crop=0.08-1,flip,cutmix=1", **ADAMW),
        "300 epochs of AdamW, batch 16 in two halves, crops, flips and CutMix: CV-DD",
    ),
    (
        EvalRecipe("cvdd_smooth", 300, batch=16, micro=2, view="crop=0.08-1,flip,cutmix=1", stretch=2.0, **ADAMW),
        "the same, its step size falling to half: CV-DD where its table says eta = 2",
    ),
    (
        EvalRecipe("infer", 400, batch=64, view="pad=4,flip,mixup=0.8", temperature=30.0, **ADAMW),
        "400 epochs of AdamW, batch 64, shifts, flips and MixUp, labels at temperature 30: INFER on small images",
    ),
    (
        EvalRecipe("infer_large", 300, batch=128, view="crop=0.08-1,flip,cutmix=1", **MATRICES),
        "300 epochs of AdamW, batch 128, crops, flips and CutMix, labels at temperature 20: INFER on large images",
    ),
    (
        EvalRecipe("nrr", 300, batch=0, view="crop=0.5-1,flip,cutmix=1", temperature=1.0, stretch=2.0, **ADAMW),
        "300 epochs of AdamW, small batches, crops, flips and CutMix, half a cosine, labels at temperature 1: for NRR-DD, unpublished",
    ),
)
RECIPES = {protocol.name: protocol for protocol, _ in LISTED}
ABOUT = {protocol.name: about for protocol, about in LISTED}


def recipe(name: str, *, epochs: int | None = None) -> Protocol:
    """The protocol of a name, as in `dsa`, or of a name and an option, as in `dsa:epochs=7` or `krr:reg=0.001`.

    Args:
      name: a key of RECIPES, with an option of that protocol behind it or without.
      epochs: replaces the protocol's epochs, and what the name says of them (>= 1).

    Raises:
      BadInput: for an unknown name, a wrong value of an option, no epoch, and for epochs of a protocol that has none.
    """
    plain, _, behind = name.partition(":")
    option, _, text = behind.partition("=")
    if plain not in RECIPES or (behind and option not in RECIPES[plain].options):
        raise BadInput(f"--recipe: unknown recipe '{name}' (known: {', '.join(RECIPES)})")
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

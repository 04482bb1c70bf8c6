"""Gradient and distribution matching: DC, DSA, DM.

Scores are the means that the papers' released tables state (DM's README from 100 images a class), ConvNet depth 3 width 128. Where a claim
names no recipe, they are from the method's own here. Papers learn from all training images, where a run here keeps a tenth for validation:
`&validation=0` behind the data, as in `--data 'cifar10?normalise=published&validation=0'`, keeps none. CIFAR is normalised by the numbers
of the release, whose deviations are smaller than the images', so that a step of the same size moves pixels as far; those of the other sets
are the images' own. DC's evaluation zooms handwritten digits by the nearest neighbour onto black, where recipe `dc_digits` interpolates.
"""

from condense.presets.base import Preset

PAPERS = {"dc": "Zhao, Mopuri and Bilen, ICLR 2021", "dsa": "Zhao and Bilen, ICML 2021", "dm": "Zhao and Bilen, WACV 2023"}
COSTS = {"dc": "seconds each on two cores", "dsa": "seconds each on two cores", "dm": "about a second each on two cores"}

# matching steps a network by images a class, times 1,000 networks; 20,000 steps of distribution matching
GRADIENT_STEPS = {1: 1_000, 10: 10_000, 50: 50_000}
GRADIENT = {"lr": 0.1, "net_lr": 0.01, "batch": 256}
DISTRIBUTION = {"lr": 1.0, "batch": 256, "steps": 20_000}
MANY = {100: 67.0, 200: 71.2, 500: 76.1, 1000: 79.8, 1250: 80.8}  # CIFAR-10 by distribution matching, with a larger step size
SCORED = {("dc", "mnist"): " by `condense evaluate DIR --recipe dc_digits`"}  # where that is not the recipe that the set names

# data -> per cent at 1, 10 and 50 images a class
CLAIMS = {
    "dc": {
        "mnist": (91.7, 97.4, 98.8),
        "fashion_mnist": (70.5, 82.3, 83.6),
        "svhn_cropped": (31.2, 76.1, 82.3),
        "cifar10": (28.3, 44.9, 53.9),
        "cifar100": (12.8, 25.2),
    },
    "dsa": {
        "mnist": (88.7, 97.8, 99.2),
        "fashion_mnist": (70.6, 84.6, 88.7),
        "svhn_cropped": (27.5, 79.2, 84.4),
        "cifar10": (28.8, 52.1, 60.6),
        "cifar100": (13.9, 32.3, 42.8),
    },
    "dm": {"cifar10": (26.0, 48.9, 63.0), "cifar100": (11.4, 29.7, 43.6)},
}


def _claims():
    for method, by_data in CLAIMS.items():
        for data, scores in by_data.items():
            for ipc, published in zip(GRADIENT_STEPS, scores, strict=False):
                own = DISTRIBUTION if method == "dm" else {**GRADIENT, "steps": GRADIENT_STEPS[ipc]}
                cost = f"{own['steps']:,} steps of {COSTS[method]}"
                settings = {"ipc": ipc, "net": "convnet", **own}
                claim = f"{published:.1f} %{SCORED.get((method, data), '')}"
                spec = f"{data}?normalise=published" if data.startswith("cifar") else data
                yield Preset(f"{method}_{data}_{ipc}", method, spec, claim, PAPERS[method], cost, settings)
    for ipc, published in MANY.items():
        settings, cost = {"ipc": ipc, "net": "convnet", **DISTRIBUTION, "lr": 10.0}, f"{DISTRIBUTION['steps']:,} steps of {COSTS['dm']}"
        yield Preset(f"dm_cifar10_{ipc}", "dm", "cifar10?normalise=published", f"{published:.1f} %", PAPERS["dm"], cost, settings)


PRESETS = tuple(_claims())

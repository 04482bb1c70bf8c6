"""Kernel ridge regression: KIP, FRePo, KRR-ST; as their released code sets them, and in sizes for two cores.

FRePo's scores are those that later tables state for it. Its presets distil with the release's network, `convnet_frepo`, and are scored as
the release scores: that network without norms, recipe `frepo_released`. What a score of this project owes to it is seen by one change at a
time: `--net convnet_doubling:norm=none`, then `convnet_frepo:norm=none`, which is flax's initialisation, then recipe `frepo_warm`, its
schedule, then `frepo_released`, its lengths and augmentation. The sets of this project's own presets were not scored again under it:
recipe `frepo`, DSA's augmentation and a ConvNet of one width. Recipe `krr` has no mirrored rows. A network of the pool is renewed after
`pool_steps` steps, where the release's counter lets one more pass. The release keeps the set of the checkpoint that is best on the test
images, by a mean over networks, and its README scores that one; a run here keeps the last. How deep the release's networks are on images
of 64 and 128 pixels stands in no file of it, so there are no presets for Tiny ImageNet and ImageNet.

KRR-ST's code learns towards a ResNet-18 of Barlow Twins whose first convolution is padded by 2, where these presets train a plain one, and
for Imagenette towards released weights of a ResNet-50, which these train; and its images are not normalised, where ours live in model
space; its step size for Imagenette is that of an early README, 1e-5, and that of the code, 1e-3, in `krrst_imagenette_10_default`, as the
last README has no Imagenette. Its random row is row `random_labels` of `condense transfer`; it has none of random images with targets,
which is row `random`. The small presets let an image move at most three quarters of a deviation a pixel (Adam at 1e-3, falling over 1,500
steps; the log's `moved` says how far it went), and 500 images stand where 513 features interpolate. Their comparison has no room: probed
with 1 % of MNIST's labels the teacher itself has 94.8 %, 100 random images with its targets 94.7 % and all of the source 94.7 %, so that
no set can show a gain. One that could needs a better teacher, a harder target or fewer images, such that the teacher is 3 points above
random images; `condense transfer` says where `full` is not.

KIP's code computes in float64 and draws as many real images of every class; in float32 the pivots have a floor of 10 machine epsilons of
the kernel's trace, which at 100 images is up to 100 times its 1e-8. Its tangent kernel has one hidden layer here; deeper and convolutional
ones are not there.
"""

from condense.presets.base import Preset

FREPO, KIP, KRRST = "Zhou, Nezhadarya and Ba, NeurIPS 2022", "Nguyen, Chen and Lee, ICLR 2021", "Lee et al., ICLR 2024"
HERE, UNSTATED = "settings of this project", "no published score"
NET, CPU_NET = "convnet_frepo:norm=batch", "convnet:norm=batch"

# data -> per cent at 1, 10 and 50 images a class. Mirror images join the sets of CIFAR-10 and, at one image a class, CIFAR-100; grey images
# are normalised and not whitened.
CLAIMS = {"cifar10": (46.8, 65.5, 71.7), "cifar100": (28.7, 42.5, 44.3), "mnist": (None,) * 3, "fashion_mnist": (None,) * 3}
FREPO_STEPS = {"lr": 3e-4, "batch": 1024, "pool": 10, "pool_steps": 100, "steps": 500_000}
KRRST_STEPS = {"batch": 1024, "pool": 10, "pool_steps": 1000, "steps": 160_000, "resets": "released"}
KRRST_SOURCES = {  # name -> data, images, width and depth of the network that doubles, step size
    "cifar100_1000": ("cifar100", 1000, 128, 3, 1e-4),
    "tiny_2000": ("folder:tiny-imagenet-200?size=64", 2000, 64, 4, 1e-5),
    "imagenet64_1000": ("folder:imagenet?size=64", 1000, 64, 4, 1e-5),
    "imagenette_10": ("folder:imagenette?size=224", 10, 32, 5, 1e-5),  # by an early README
    "imagenette_10_default": ("folder:imagenette?size=224", 10, 32, 5, 1e-3),  # by train.py
}
# Few steps take a large step size: the set may move as far as it would in many.
FREPO_CPU = {"net": "convnet:width=64,norm=batch", "lr": 6e-3, "batch": 512}
# The pool keeps its ten networks: its size costs memory and no time, as one network serves and trains a step.
FREPO_SCORED = {  # 3 seeds
    1: ({"steps": 2000, "flip": True}, "71.2 ± 0.3 % of convnet:width=128,norm=none under recipe frepo", "6 minutes on one core"),
    10: ({"steps": 1500}, "84.0 ± 0.1 % of convnet:width=128,norm=none under recipe frepo", "21 minutes on two busy cores"),
}
KRRST_CPU = {"net": "convnet:width=32,norm=batch", "lr": 1e-3, "batch": 256, "pool": 4, "views": "none", "steps": 1500}
KRRST_SCORED = {  # five networks of width 32
    100: ({"reg": 2e-3}, "95.0 ± 0.2 % of MNIST, probed with 1 % of its labels", "6 minutes on one core"),
    500: ({}, "94.8 ± 0.3 % of MNIST, probed with 1 % of its labels", "28 minutes on one busy core"),
}

COMMITS = {100: "b22c7c2 of 2026-11-25", 500: "ceedc1d of 2026-11-26"}


def _published():
    for data, scores in CLAIMS.items():
        for ipc, score in zip((1, 10, 50), scores, strict=True):
            settings = {"ipc": ipc, "net": NET, "flip": data == "cifar10" or (data, ipc) == ("cifar100", 1), **FREPO_STEPS}
            spec, claim = f"{data}?normalise=zca_relative" if data.startswith("cifar") else data, f"{score} %" if score else UNSTATED
            yield Preset(f"frepo_{data}_{ipc}", "frepo", spec, claim, FREPO, "500,000 steps, on a GPU", settings)
    kip = {"ipc": 10, "net": CPU_NET, "lr": 0.04, "batch": 5000, "steps": 1000, "labels": "fixed"}
    yield Preset("kip_cifar10_10", "kip", "cifar10", UNSTATED, KIP, "1,000 steps", kip)
    for name, (data, size, width, depth, lr) in KRRST_SOURCES.items():
        settings = {"size": size, "net": f"convnet_doubling:width={width},depth={depth}", "lr": lr, **KRRST_STEPS}
        teacher = "resnet50" if name.startswith("imagenette") else "resnet18:norm=batch"
        first = f"condense teachers --ssl barlow --data '{data}' --net {teacher} --out X"
        yield Preset(f"krrst_{name}", "krrst", data, UNSTATED, KRRST, "160,000 steps, on a GPU", settings, first)


def _here():
    kip = {"ipc": 10, "net": CPU_NET, "lr": 0.04, "batch": 512, "steps": 500}
    claim = "98.6 % under recipe krr-ntk, where random images have 91.5 %"
    ours = f"{claim}, recorded in e79ab8b of 2026-11-24, two processor cores"
    yield Preset("kip_digits_10", "kip", "digits", claim, HERE, "half a minute on two cores", kip, ours=ours)
    for ipc, (how, claim, cost) in FREPO_SCORED.items():
        settings, ours = {"ipc": ipc, **FREPO_CPU, **how}, f"{claim}, recorded in 419a314 of 2026-11-25, two processor cores"
        yield Preset(f"frepo_fashion_mnist_{ipc}_cpu", "frepo", "fashion_mnist", claim, HERE, cost, settings, ours=ours)
    for size, (how, claim, cost) in KRRST_SCORED.items():
        settings, ours = {"size": size, **KRRST_CPU, **how}, f"{claim}, recorded in {COMMITS[size]}, two processor cores"
        yield Preset(f"krrst_fashion_mnist_{size}_cpu", "krrst", "fashion_mnist", claim, HERE, cost, settings, ours=ours)


PRESETS = (*_published(), *_here())

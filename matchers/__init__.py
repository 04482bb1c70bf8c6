"""Distillation methods: a family a folder, one method a file, named by the paper's name. May import `synth` alone.

`REGISTRY` holds one record a method. A list of methods needs no JAX: nothing is imported here but the records.
"""

from matchers.method import Method

ARRAYS, GRAPHS = ("images", "vectors"), ("graphs",)
ALL = (*ARRAYS, *GRAPHS)
UNROLLED = 300  # steps of the trajectory methods, each of which trains a network for 20 to 40 steps of its own
OF_VECTORS = {"vectors": {"lr": 3.0}}  # of the same methods: the published step sizes are those of images
LR, STUDENT, RECOVERY = ("lr",), ("lr", "step_size"), ("lr", "alpha_bn")  # what a tuner varies
KEPT = "not measured: step sizes keep their defaults at any length"
FALLING = f"{KEPT}, and fall over the whole run"
BOUND = f"{KEPT}; --max-start follows the images a class, not the steps"
RECOVERED = f"{FALLING}; presets of 300 steps take 0.05 in place of 0.25 after a trial whose scores were not kept"
BUILT_IN = (
    Method(
        "random",
        "matchers.selection.random:random",
        "Real examples of every class, drawn uniformly without replacement; of graphs, as many as a number of bytes holds.",
        ALL,
    ),
    Method(
        "kmeans",
        "matchers.selection.kmeans:kmeans",
        "One k-means a class with as many centres as images; each centre gives the nearest real image not taken yet.",
        ARRAYS,
    ),
    Method(
        "herding",
        "matchers.selection.herding:herding",
        "Greedy selection: s_{t+1} = argmin_x || mu_c - (x + sum_{i<=t} s_i) / (t + 1) || over the images of class c not taken yet.",
        ARRAYS,
    ),
    Method(
        "select",
        "matchers.selection.select:select",
        "Keeps real examples by a score of proxies and a rule: the easiest, the hardest, those in the middle, strata, or a cover.",
        ARRAYS,
    ),
    Method(
        "pca",
        "matchers.selection.pca:pca",
        "Prunes, combines, augments (not principal components): collages of the easiest real images, of which networks see one at a time.",
    ),
    Method(
        "ccfs",
        "matchers.selection.ccfs:ccfs",
        "Adds real images to distilled ones, round by round: the easiest that a network gets wrong which was trained on the set so far.",
    ),
    Method(
        "dc",
        "matchers.gradient.dc:dc",
        "Matches the gradients that real and synthetic images of every class give a network trained on the synthetic set.",
        ARRAYS,
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "dsa",
        "matchers.gradient.dsa:dsa",
        "Gradient matching with the same random augmentation on real and synthetic images.",
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "lgm",
        "matchers.gradient.lgm:lgm",
        "Matches the gradients that real and synthetic images give a random linear classifier on the features of a frozen teacher.",
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "dm",
        "matchers.distribution.dm:dm",
        "Matches the mean embedding of every class under freshly drawn random networks.",
        ARRAYS,
        length="any length: at one image a class ten times the step size changed no more than the spread at 100 and 1,000 steps on digits "
        "and at 300 on Fashion-MNIST",
        tuned=LR,
    ),
    Method(
        "ncfm",
        "matchers.distribution.ncfm:ncfm",
        "Matches the characteristic functions of every class's features under freshly drawn random networks.",
        ARRAYS,
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "tgdd",
        "matchers.distribution.tgdd:tgdd",
        "Matches class means in the features of experts while these are trained, and keeps the set recognisable to later ones.",
        ARRAYS,
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "mtt",
        "matchers.trajectory.mtt:mtt",
        "Lets a student trained on the set arrive where an expert arrived that was trained on the real data.",
        ARRAYS,
        experts="sgd",
        steps=UNROLLED,
        defaults=OF_VECTORS,
        scaled="matchers.trajectory.mtt:scaled",
        length=BOUND,
        tuned=STUDENT,
    ),
    Method(
        "ftd",
        "matchers.trajectory.ftd:ftd",
        "Matches the trajectories of experts that were steered into flat minima, and gives the running mean of the images.",
        ARRAYS,
        experts="flat",
        steps=UNROLLED,
        defaults=OF_VECTORS,
        scaled="matchers.trajectory.ftd:scaled",
        length="--decay of the running mean is 1 - 5 / steps; step sizes were not measured and keep their defaults",
        tuned=STUDENT,
    ),
    Method(
        "ast",
        "matchers.trajectory.ast:ast",
        "Follows smooth experts with a student that has momentum, is compared on the way, and starts from noisy kernels.",
        ARRAYS,
        experts="smooth",
        steps=UNROLLED,
        defaults=OF_VECTORS,
        scaled="matchers.trajectory.ast:scaled",
        length=BOUND,
        tuned=STUDENT,
    ),
    Method(
        "datm",
        "matchers.trajectory.datm:datm",
        "Matches trajectories of a difficulty that suits the budget, and learns soft labels with the images.",
        ARRAYS,
        experts="flat",
        steps=UNROLLED,
        defaults=OF_VECTORS,
        length=KEPT,
        tuned=STUDENT,
    ),
    Method(
        "kip",
        "matchers.kernel.kip:kip",
        "Learns images and labels whose kernel ridge regression is right about real images.",
        ARRAYS,
        length=KEPT,
        tuned=LR,
    ),
    Method(
        "frepo",
        "matchers.kernel.frepo:frepo",
        "Learns images and labels whose ridge head, on the features of a network from a pool, is right about real images.",
        ARRAYS,
        few=200,  # on Fashion-MNIST; docs/experiments/few_pictures.json says where CIFAR-10 was looked at
        scaled="matchers.kernel.frepo:scaled",
        length="--lr is 12 / steps, at most 0.04 / images a class and at least 0.0003, measured on digits and Fashion-MNIST alone",
        tuned=LR,
    ),
    Method(
        "krrst",
        "matchers.kernel.krrst:krrst",
        "Learns images and target representations that make a network pre-trained on them represent real images as a teacher does.",
        labelled=False,
        length=FALLING,
    ),
    Method(
        "sre2l",
        "matchers.decoupled.sre2l:sre2l",
        "Recovers images that a trained network recognises and whose statistics in it are those of real data.",
        teachers=1,
        length=RECOVERED,
        tuned=RECOVERY,
    ),
    Method(
        "cvdd",
        "matchers.decoupled.cvdd:cvdd",
        "Recovers every slot (one image of every class) from a committee of trained networks, and labels the set with the votes of all.",
        length=RECOVERED,
        tuned=RECOVERY,
    ),
    Method(
        "fadrm",
        "matchers.decoupled.fadrm:fadrm",
        "Recovers images in stages of different sizes, and mixes real images in after each; trained networks serve in turn.",
        teachers=4,
        length=RECOVERED,
        tuned=RECOVERY,
    ),
    Method(
        "gvbsm",
        "matchers.decoupled.gvbsm:gvbsm",
        "Recovers images whose statistics in all layers of several networks are those of real data; one network serves a step, in turn.",
        length=FALLING,
        tuned=RECOVERY,
    ),
    Method(
        "infer",
        "matchers.decoupled.infer:infer",
        "Learns images that serve all classes at once: each is added to one real image of every class.",
        teachers=4,
        length=FALLING,
        tuned=RECOVERY,
    ),
    Method(
        "nrr",
        "matchers.decoupled.nrr:nrr",
        "Stitches critical crops of real images together and refines what lies around the critical regions.",
        teachers=1,
        length=FALLING,
        tuned=LR,
    ),
    Method(
        "rded",
        "matchers.decoupled.rded:rded",
        "Chooses crops of real images and lays them out in collages; nothing is optimised.",
        teachers=1,
    ),
    Method(
        "mirage",
        "matchers.graphs.mirage:mirage",
        "Keeps the sets of computation trees that most graphs of a class hold, with their frequencies; nothing is trained.",
        GRAPHS,
        net="gin:depth={depth}",
    ),
    Method(
        "colour",
        "matchers.graphs.colour:colour",
        "Joins all nodes that a network of L layers cannot tell apart; training on the result is training on all graphs, at fewer "
        "evaluations.",
        GRAPHS,
        net="gin:depth={depth}",
    ),
    Method(
        "doscond",
        "matchers.graphs.doscond:doscond",
        "Matches the gradients that real and learned graphs of every class give a fresh network, once a network.",
        GRAPHS,
        net="gcn:depth=3",
        scaled="matchers.graphs.doscond:scaled",
        length="--decay is 0.4 of the steps; step sizes before it were not measured and keep their defaults",
        tuned=("features_lr", "adjacency_lr"),
    ),
    Method(
        "kidd",
        "matchers.graphs.kidd:kidd",
        "Learns graphs from which kernel ridge regression predicts the classes of real graphs, under a light graph kernel.",
        GRAPHS,
        steps=300,
        length=KEPT,
        tuned=("features_lr", "adjacency_lr"),
    ),
)
REGISTRY = {method.name: method for method in BUILT_IN}

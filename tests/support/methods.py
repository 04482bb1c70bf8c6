"""Every method of the registry ready to run: a case is a method and the modality of the toy data it runs on."""

import logging
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import from_arrays, load_data
from condense.data.named import Named
from condense.data.readers.base import Spec
from condense.data.readers.vector_source import VectorSource
from condense.data.rows import InMemory
from condense.data.vectors import build as build_vectors
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set
from condense.inputs.registry import PROVIDERS
from matchers import REGISTRY
from matchers.base import Matcher, conclude
from matchers.inputs import option_parameters
from synth.base import Net, Vars
from synth.images.augment import dsa
from synth.set import Info, SyntheticSet
from synth.vectors import unaugmented
from tests.support.factories import build_method
from tests.support.toy_data import ToyExperts, as_set, blobs
from tests.support.toy_ranks import toy_ranks
from tests.support.toy_teachers import committee, priors, task

CLASSES, IPC, HALF = 3, 2, 2  # of images; half of a run's steps
NET = "mlp:width=4"
NETS = {"images": NET, "graphs": "gcn:width=4,depth=1", "vectors": f"{NET},act=leaky_relu"}  # in which no unit dies
GRAPHS = "toy_graphs?edges=false"
KEY = jax.random.key(0)
# options that cost time, and one that keeps rounding from being amplified, where a method has them
SMALL = {"batch": 8, "outer": 2, "inner": 1, "epochs": 1, "pool": 2, "pool_steps": 3, "reg": 1e-2, "inner_steps": 2, "max_start": 2}
SMALL |= {"copies": 2, "frequencies": 16, "gate": 100.0, "support": (9,), "nodes": 4}
BUDGETS = {name: ("ipc", IPC) for name in ("doscond", "kidd")}  # of the methods that want one when they are built


def arrays() -> dict[str, np.ndarray]:
    """Grey 8x8 images of three classes around means of their own, all different."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, (CLASSES, 1, 8, 8, 1))

    def part(n):
        x = np.clip(means + rng.normal(0, 0.15, (CLASSES, n, 8, 8, 1)), 0, 1)
        return x.reshape(-1, 8, 8, 1).astype(np.float32), np.repeat(np.arange(CLASSES), n)

    (x_train, y_train), (x_test, y_test) = part(20), part(5)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


class Representation(NamedTuple):
    """What a teacher is to the methods: something that represents images."""

    net: Net
    vars: Vars

    def represent(self, x):
        return self.net.apply(self.vars, jnp.asarray(x)).embed


@cache
def graphs() -> GraphData:
    """The toy data of the graph methods."""
    return load_data(GRAPHS)


@cache
def vectors() -> Data:
    """The toy data of vectors: 12 numbers of three classes around means of their own, in units of their own."""
    rng = np.random.default_rng(0)
    means, units = rng.normal(0, 1, (CLASSES, 1, 12)), 10 ** rng.uniform(-3, 3, 12)
    x = ((means + rng.normal(0, 0.7, (CLASSES, 25, 12))) * units).astype(np.float32)
    y = np.repeat(np.arange(CLASSES), 25).reshape(CLASSES, 25).astype(np.int32)
    train, test = (InMemory(x[:, part].reshape(-1, 12), y[:, part].ravel()) for part in (slice(20), slice(20, 25)))
    spec = Spec("toy vectors", "toy", "npz", "", {}, Named("npz", ""))
    return build_vectors(spec, VectorSource("toy", "toy vectors", train, test, ("a", "b", "c")), seed=0, validation=0.1)


def data_of(modality: str, spec: str) -> Data | GraphData:
    """The toy data of a modality; `spec` is that of the images."""
    return {"images": load_data, "graphs": lambda spec: graphs(), "vectors": lambda spec: vectors()}[modality](spec)


@cache
def handed(modality: str) -> dict:
    """All that the workbench hands to factories."""
    shape = (8, 8, 1) if modality == "images" else data_of(modality, "").image
    classes = len(graphs().classes) if modality == "graphs" else CLASSES
    seen, spec = (shape, NETS[modality]) if modality == "vectors" else ((8, 8, 1), NET)  # by experts and teachers
    net, plain = nets.build(NETS[modality], shape, classes), nets.build(spec, seen, CLASSES)
    augment = unaugmented if modality == "vectors" else dsa("color_crop")
    values = {"net": net, "augment": augment, "experts": ToyExperts(plain, spec=nets.canonical(spec))}
    values |= {"teacher": Representation(plain, plain.init(KEY)), "teachers": committee(2, image=(8, 8, 1)), "priors": priors(2)}
    labels = from_arrays(**arrays()).train.y if modality == "images" else data_of(modality, "").train.y
    values |= {
        "task": task(seen, steps=2 * HALF),
        "budget": None,
        "ranks": toy_ranks(labels),
        "distilled": as_set(blobs(2, image=(8, 8, 1))),
    }
    assert set(values) == set(PROVIDERS), "the workbench hands over something new: build it here too, for all methods"
    return values


@cache
def built(name: str, modality: str) -> Matcher:
    """A method with small options, for the toy data of a modality."""
    options = {option: value for option, value in SMALL.items() if option in option_parameters(REGISTRY[name].load())}
    return build_method(name, options, **handed(modality) | {"budget": BUDGETS.get(name)})


def modalities(name: str) -> list[str]:
    """What a method takes."""
    return list(REGISTRY[name].modalities)


CASES = [(name, modality) for name in REGISTRY for modality in modalities(name)]  # a new method is here by itself
OF_IMAGES = [name for name, modality in CASES if modality == "images"]
LEARNED = [case for case in CASES if not built(*case).host]
CHOSEN = [case for case in CASES if built(*case).host]


def values(synth: SyntheticSet) -> np.ndarray:
    """What a set shows: images, or the features of nodes."""
    return np.asarray(synth.x.features if hasattr(synth.x, "features") else synth.x.decode())


class Case(NamedTuple):
    """One method ready to run on the toy data."""

    matcher: Matcher
    data: Data | GraphData
    synth: SyntheticSet

    def feed(self):
        experts = handed(self.data.modality)["experts"]
        return make_feed(self.matcher.feed, self.data.train, len(self.data.classes), seed=0, experts=experts)

    def at_start(self) -> np.ndarray:
        """The examples that the run would give if it took no step."""
        return values(conclude(KEY, self.matcher, self.matcher.init(KEY, self.synth.bare()), self.synth))

    def run(self, steps: int, *, folder=None) -> SyntheticSet:
        schedule = loop.Schedule(steps, log_every=1, checkpoint_every=HALF)
        return loop.run(KEY, self.matcher, self.synth, self.feed(), schedule, folder=folder)


def ready(name: str, modality: str, spec: str, matcher: Matcher | None = None) -> Case:
    """The case of a method, with its set before the first step. `matcher` is the method, by default with small options."""
    matcher = matcher or built(name, modality)
    data, labelled = data_of(modality, spec), REGISTRY[name].labelled
    count = None if modality == "graphs" else IPC if labelled else IPC * CLASSES
    synth = initial_set(KEY, matcher, matcher.start, data, count, Info(data.classes, data.preprocess), labelled=labelled)
    assert synth.represents != labelled, "labels of a method that reads none belong to no class"
    return Case(matcher, data, synth)


class Compilations(logging.Handler):
    """Counts compilations of the loop's step while it is open."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += "Finished XLA compilation of jit(_advance)" in record.getMessage()

    def __enter__(self):
        self.logs = jax.log_compiles()
        self.logs.__enter__()
        logging.getLogger("jax").addHandler(self)
        return self

    def __exit__(self, *failure):
        logging.getLogger("jax").removeHandler(self)
        self.logs.__exit__(*failure)


class Straight(NamedTuple):
    """A method, and 2 k steps of it in one go: the set, the rows of metrics.jsonl, how often its step was compiled."""

    case: Case
    synth: SyntheticSet
    rows: list[dict]
    compilations: int


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)

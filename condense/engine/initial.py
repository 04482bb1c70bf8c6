"""The set before the first step of a method, and the record of where it comes from."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.modality import MODALITIES
from condense.engine.budget import budget_of
from condense.engine.loop import PREPARE, START, stream
from condense.runtime.log import progress
from condense.runtime.run_folder import digest
from matchers.base import Matcher
from synth.base import Split
from synth.errors import BadInput
from synth.graphs.content import PackedGraphs
from synth.labels.plain import Hard, Runs
from synth.selection.choose import STARTS
from synth.set import Info, SyntheticSet


def check_start(method: str, matcher: Matcher, start: str | None) -> None:
    """Raises BadInput if the call gives `--start` and the method makes the first examples itself."""
    if start is not None and matcher.own_start is not None:
        other = f"give {matcher.own_start} as well" if matcher.own_start else "leave it out"
        raise BadInput(f"--start {start}: {method} makes the first images itself; {other}")


def set_info(data: Data | GraphData, config: dict[str, Any], *, seed: int, recipe: str) -> Info:
    """The `Info` of a set made from `data` under this configuration: its classes, preprocessing, method, seed and recipe. `config` holds
    the choices of the run by name, among them `method` and `net`."""
    return Info(
        classes=data.classes,
        preprocess=data.preprocess,
        data=data.spec,
        data_digest=data.digest,
        data_path=data.located,
        method=config["method"],
        config=digest(config),
        seed=seed,
        split_seed=data.seed,
        net=config["net"],
        budget=budget_of(config),
        recipe=recipe,
    )


def initial_set(
    key: jax.Array,
    matcher: Matcher,
    start: str | None,
    data: Data | GraphData,
    per_class: int | None,
    info: Info,
    *,
    labelled: bool = True,
    content: Any = None,
) -> SyntheticSet:
    """Returns the set that the first step of the method gets, after the method has prepared it (`Matcher.prepare`).

    For images and vectors the set has `per_class` examples of every class, made by the start named `start` (None: the method's). A method
    that reads no labels, or keeps no balance between classes, gets `per_class` examples of any class, all labelled 0. `content` (a class or
    an instance of `synth.content.Content`) encodes them; by default the plain content of the modality does. For graphs the set is empty,
    because every graph method makes its own content.
    """
    examples = data.train if labelled else data.train.unlabelled()
    shown = examples if matcher.balanced else data.train.unlabelled()
    info = replace(info, represents=not labelled)  # what such a method learns in place of labels belongs to no class
    modality = MODALITIES[data.modality]
    if modality.starts:
        encoder = modality.content(data) if content is None else content
        synth = start_examples(key, start or matcher.start, data, shown, per_class, info, encoder)
    else:
        synth = no_graphs(data, info)
    return matcher.prepare(stream(key, PREPARE), synth, examples) if matcher.prepare else synth


def start_examples(key: jax.Array, start: str, data: Data, examples: Split, per_class: int, info: Info, content: Any) -> SyntheticSet:
    """A set of `per_class` examples of every label, class-major, with hard labels. `start`, a name in STARTS, makes them of the real ones
    in `examples`, and `content` encodes them. `key` is the run's."""
    labels = int(examples.y.max()) + 1
    make = partial(STARTS[start], stream(key, START), examples, per_class)
    if start == "kmeans":
        with progress(labels, f"choosing the first {data.modality} by k-means among {len(examples.y):,}") as bar:
            first = make(done=bar.advance)
            bar.advance()
    else:
        first = make()
    index = jnp.repeat(jnp.arange(labels, dtype=jnp.int32), per_class)
    return SyntheticSet(content.encode(jnp.asarray(first, jnp.float32)), Hard(index, len(data.classes)), info=info)


def no_graphs(data: GraphData, info: Info) -> SyntheticSet:
    """A set without graphs, whose labels count the training graphs of each class. Every graph method replaces its content."""
    none = PackedGraphs(jnp.zeros(1, jnp.uint8), data.image.tags, data.image.edges, data.image.directed)
    there = np.bincount(data.train.y, minlength=len(data.classes)).astype(np.int32)
    return SyntheticSet(none, Runs(jnp.zeros(len(data.classes), jnp.int32), jnp.asarray(there)), info=info)

"""What a notebook imports: `load_data`, `distill`, `evaluate`, `load_set`, `save_set`."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from condense import nets
from condense.config import Budget, build_method, complete_options, find_method
from condense.data import Data, load_data
from condense.feeds import make_feed
from condense.grid import save_grid
from condense.log import note
from condense.loop import Schedule, run, stream
from condense.runs import digest, open_run
from condense.score import Evaluation, evaluate, validation_score
from evals.base import recipe
from synth.augment import dsa, dsa_strategy
from synth.content import Pixels
from synth.errors import BadInput
from synth.file import load_set, save_set
from synth.labels import Hard
from synth.set import Info, SyntheticSet
from synth.start import STARTS

__all__ = ["Evaluation", "distill", "evaluate", "load_data", "load_set", "save_set"]

START = 2  # key stream of the first images, after the loop's own
STEPS = 1000  # of a method that descends, where nothing else is said


def distill(
    method: str,
    data: Data | str,
    *,
    ipc: int | None = None,
    size: int | None = None,
    bytes: int | None = None,
    out: str | Path | None = None,
    net: str = "convnet",
    steps: int | None = None,
    seed: int = 0,
    start: str | None = None,
    eval_every: int | None = None,
    checkpoint_every: int | None = None,
    force: bool = False,
    command: str = "",
    **options: Any,
) -> SyntheticSet:
    """Distils data to a budget. The same call again resumes an unfinished run, and returns the set of a finished one.

    Args:
      method: a name in `matchers.REGISTRY`; `options` are its factory's keyword arguments.
      data: data or its specification.
      ipc, size, bytes: the budget, exactly one: images a class, images in all, payload bytes.
      out: folder of the run: set.npz, run.json, metrics.jsonl, grid.png, checkpoints. Without one nothing is written and nothing resumes.
      net: network to match with.
      steps: of the method, 1000 by default; selection methods take one.
      seed: of all that is drawn, and of the validation split where `data` is a specification.
      start: first images, a name in `synth.start.STARTS`; by default the method's.
      eval_every: scores the set on the validation split so often and keeps the best as best.npz beside set.npz, which is the last step's.
      checkpoint_every: steps between checkpoints; by default a twentieth of the run.
      force: starts anew where `out` holds another run.
      command: what run.json records as the command.

    Returns:
      The set after the last step, its `info` filled.

    Raises:
      BadInput: a wrong call or bad data. RunFailed: NaN, a full disk.
    """
    find_method(method)
    options = complete_options(method, options)
    data = load_data(data, seed=seed) if isinstance(data, str) else data
    net = nets.canonical(net)
    matcher = build_method(
        method, options, net=nets.build(net, data.image, len(data.classes)), augment=dsa(dsa_strategy(data.flips))
    )
    budget = Budget(ipc, size, bytes)
    per_class = budget.per_class(data.image, len(data.classes))
    start = start or matcher.start
    if start not in STARTS:
        raise BadInput(f"--start: unknown start '{start}' (known: {', '.join(STARTS)})")
    steps = 1 if matcher.host else steps or STEPS
    config = {"method": method, "data": data.spec, "net": net, "start": start, **asdict(budget), **options}
    info = Info(data.classes, data.preprocess, data.spec, data.digest, method, digest(config), seed, net, matcher.recipe)
    where = open_run(out, config, steps=steps, seed=seed, command=command, data_digest=data.digest, force=force) if out else nullcontext()
    key = jax.random.key(seed)
    with where as held:
        if held and held.done:
            note(f"{out} is done: {held.record['finished']} steps; nothing to do")
            return load_set(Path(out) / "set.npz")
        first = jnp.asarray(STARTS[start](stream(key, START), data.train, per_class), jnp.float32)
        classes = len(data.classes)
        synth = SyntheticSet(Pixels(first), Hard(jnp.repeat(jnp.arange(classes, dtype=jnp.int32), per_class), classes), info=info)
        schedule = Schedule(steps, log_every=max(1, steps // 100), checkpoint_every=checkpoint_every or max(1, steps // 20), eval_every=eval_every or 0)
        synth = run(
            key,
            matcher,
            synth,
            make_feed(matcher.feed, data.train, classes, seed=seed),
            schedule,
            folder=Path(out) if out else None,
            saved=held.saved if held else lambda step: None,
            evaluate=validation_score(data, net, recipe(matcher.recipe), seed=seed) if eval_every else None,
            description=method,
        )
        if out:
            save_set(Path(out) / "set.npz", synth)
            save_grid(Path(out) / "grid.png", synth)
    return synth

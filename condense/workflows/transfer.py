"""Measures how much pre-training on a distilled set helps on other data, beside real images of the same number."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.for_set import find_set, take_data
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import Given, Loaded, load_data
from condense.data.modality import check_modality, usual_net
from condense.evaluation.pretraining import Goal, make_row, run_transfer_rows
from condense.evaluation.transfer_choices import check_possible, make_adaptation, read_draws, read_protocols
from condense.evaluation.transfer_report import Transfer, TransferResult
from condense.evaluation.transfer_rows import TRANSFER_ROWS, RowSource, make_transfer_rows
from condense.runtime.checks import check_seed, check_whole, more_validation
from condense.runtime.log import note
from condense.teachers.self_supervised import Representer, take_teacher
from condense.teachers.store import warn_of_split
from condense.workflows.verdicts import tell_no_room
from evals.storage import count_bytes
from evals.transfer import Adaptation, draw_balanced
from synth.base import Examples, Net, take_all
from synth.errors import BadInput
from synth.files.format import load_set
from synth.set import SyntheticSet

LABELS = 3  # key stream, after those of the work and the rows


def fitted(examples: Examples, image: tuple[int, int, int]) -> Examples:
    """Brings images to the shape `image`, h w c. Those of another number of channels become c copies of the mean over their channels; those
    of another size are resized (linear, antialiased). Labels stay."""
    h, w, c = image
    x = np.asarray(examples.x)
    if x.shape[3] != c:
        x = np.repeat(x.mean(3, keepdims=True), c, axis=3)
    if x.shape[1:3] != (h, w):
        resize = jax.jit(lambda piece: jax.image.resize(piece, (len(piece), h, w, c), "linear"))
        pieces = [np.asarray(resize(x[at : at + 1024])) for at in range(0, len(x), 1024)]
        x = np.concatenate(pieces) if pieces else np.zeros((0, h, w, c), np.float32)
    return Examples(jnp.asarray(x), jnp.asarray(examples.y))


def transfer(
    what: SyntheticSet | str | Path,
    *,
    to: Sequence[Data | str] | Given,
    data: Given | None = None,
    fraction: float = 1.0,
    protocol: Sequence[str] | str = "probe",
    net: Sequence[str | Net] | str | Net | None = None,
    seeds: int = 5,
    draws: Sequence[int] | int = 1,
    epochs: int | None = None,
    steps: int | None = None,
    rows: Sequence[str] | str = ("none", "distilled", "random", "random_labels", "kmeans"),
    teacher: Representer | str | Path | None = None,
    split: str = "test",
    seed: int = 0,
) -> Transfer:
    """Pre-trains fresh networks on a set with target representations, brings them to other data, and scores each once.

    Target images are normalised by their own training images and resized to the size of the source's. Real rows carry the teacher's
    representations, but for `random_labels`, which is the paper's random row: cross entropy on class labels with DSA's augmentation.
    Step sizes and lengths are the paper's; only fine-tuning and the row `full` are cut short, for a CPU. A network is pre-trained once for
    all targets and protocols.

    Args:
      what: a set with target representations, its file, or a run's folder.
      to: data to transfer to, or its specification; one or several.
      data: the data that the set was made from, by default the one it names.
      fraction: part of the target's training labels that is read, in (0, 1]: as many of every class, drawn anew for every seed and draw.
      protocol: `probe`, a logistic regression on the frozen body, or `finetune`, of all weights under a new head; one or several, each with
        a fraction of its own if it names one, as in `probe:0.01`.
      net: specifications, or networks as values; by default the set's, else `convnet`.
      seeds: networks pre-trained for every row (>= 1).
      draws: of labels that every network is scored on where not all are read; one number, or one for each target.
      epochs: of pre-training, 1,000 by default; the row `full` keeps its 20.
      steps: of fine-tuning, 500 by default.
      rows: of `none`, `distilled`, `random`, `random_labels` (the same images by their class labels), `kmeans`, `full`.
      teacher: what represents real images, or its folder; by default `teacher` in the run's folder.
      split: `test`, or `val` for every choice that is still to be made.
      seed: of networks, draws and labels.

    Raises:
      BadInput: a wrong call, a set without target representations, data or a teacher that do not fit. RunFailed: a training diverges.
    """
    path = find_set(what) if isinstance(what, str | Path) else None
    synth = load_set(path) if path else what
    seeds, seed = check_whole("seeds", seeds), check_seed(seed)
    epochs = None if epochs is None else check_whole("epochs", epochs)
    ways = read_protocols([protocol] if isinstance(protocol, str) else protocol, fraction)
    check_possible(synth, ways, split, steps)
    source, key = take_data(synth, data), jax.random.key(seed)
    several = isinstance(to, list | tuple) and all(isinstance(one, str | Path | Loaded) for one in to)
    wanted = list(dict.fromkeys(to)) if several else [to]
    times = read_draws(draws if isinstance(draws, Sequence) else [draws], len(wanted), ways)
    targets = [take_target(spec, source, synth.info.split_seed, seed=seed, split=split) for spec in wanted]
    hows = [(make_adaptation(name, steps), part) for name, part in ways]
    made = [make_goals(key, *each, hows, source.image, split=split) for each in zip(targets, times, strict=True)]
    find = cache(lambda: take_teacher(teacher, path, synth, source))
    draws_of = make_transfer_rows(RowSource(key, synth, source, lambda images: find().represent(images)), rows)
    if any(TRANSFER_ROWS[kind].real for kind in draws_of):
        made_by = find()  # a teacher that is missing is reported before the work, not after it
        for target in (target for target in targets if target.digest == source.digest):
            warn_of_split("--teacher", made_by.about.get("split_seed"), target, split)
    given = nets.listed(net) or [synth.info.net or usual_net(source)]
    names = dict.fromkeys(nets.named(name, source.image, synth.y.classes) for name in given)
    listed = [make_row(name, kind, draw, seeds, epochs) for name in names for kind, draw in draws_of.items()]
    goals = [goal for each in made for goal in each]
    found = run_transfer_rows(key, listed, goals, source, synth.y.values.shape[1], seeds=seeds)
    places = [(target, part, name) for target in targets for name, part in ways]
    results = tuple(
        TransferResult(target.spec, target.digest, part, name, reports, target.drawn)
        for (target, part, name), reports in zip(places, found, strict=True)
    )
    for result in results:
        tell_no_room(result.target, result.protocol, result.reports)
    return Transfer(str(path or ""), source.spec, source.digest, split, seed, len(synth), count_bytes(synth, file=path), results)


def take_target(given: Given, source: Data, split_seed: int, *, seed: int, split: str) -> Data | GraphData:
    """Loads the data that networks are transferred to, and draws their validation split by `seed`.

    Where they are the same data as `source` (the same digest), it is drawn by `split_seed` instead, as when the set was made: then the set
    has learned from none of the validation images.

    Args:
      given: a specification, arrays or the like, or loaded data. Loaded data cannot be split again: they come back as they are, with a
        warning where they are the source data, cut by another seed than `split_seed`, and `split` is `val`.
      source: the data that the set was made from.
      split_seed: of the validation split of the set's maker.
      split: on which networks will be scored, `test` or `val`.
    """
    target = load_data(given, seed=seed)
    if target.digest == source.digest and target.seed != split_seed:
        if not isinstance(given, Loaded):
            return load_data(given, seed=split_seed)
        if split == "val":
            note(f"warning: validation images cut by seed {target.seed} may have served a maker that cut by seed {split_seed}")
    return target


def make_goals(
    key: jax.Array,
    target: Data,
    draws: int,
    hows: Sequence[tuple[Adaptation, float]],
    image: tuple[int, int, int],
    *,
    split: str,
) -> list[Goal]:
    """Makes a goal for every pair of protocol and fraction of labels, on one target.

    Args:
      key: of the run; the labels that are read are drawn from it.
      draws: how often they are drawn for every seed; once where the fraction is 1.
      hows: the pairs of protocol and fraction of the training labels.
      image: h, w, c that the target's images are brought to.
      split: on which networks are scored, `test` or `val`.

    Raises BadInput where there is no image to score on, or what is given holds none.
    """
    check_modality(target, "images", flag="--to")
    part = target.test if split == "test" else target.val
    if not len(part.y):
        remedy = more_validation(target.spec) if split == "val" else "use more data"
        raise BadInput(f"--split {split}: {target.spec} has no image there; {remedy}, or the other split")
    train, scored, k_labels = fitted(take_all(target.train), image), fitted(take_all(part), image), jax.random.fold_in(key, LABELS)

    def goal(how: Adaptation, fraction: float) -> Goal:
        times = 1 if fraction == 1 else draws

        def labelled(number: int) -> list[np.ndarray]:
            keys = (jax.random.fold_in(k_labels, number * times + draw) for draw in range(times))
            return [draw_balanced(one, target.train.y, fraction) for one in keys]

        return Goal(train, labelled, scored, len(target.classes), times, how)

    return [goal(*each) for each in hows]

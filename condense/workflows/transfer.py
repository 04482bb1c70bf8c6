"""What pre-training on a distilled set is worth on other data, beside honest baselines at the same number of images."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table
from rich.text import Text

from condense import nets
from condense.data.for_set import find_set, take_data
from condense.data.graphs import GraphData
from condense.data.images import Data, check_images
from condense.data.load import load_data
from condense.evaluation.pretraining import Goal, make_job, run_jobs
from condense.evaluation.protocols import check_possible, read_draws, read_protocols
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import note
from condense.teachers.self_supervised import Representer, take_teacher
from evals.report import Report
from evals.storage import count_bytes
from evals.transfer import Finetune, draw_balanced
from synth.base import Examples
from synth.errors import BadInput
from synth.files.format import load_set
from synth.images.content import Pixels
from synth.labels.plain import Target
from synth.selection.choose import choose_kmeans
from synth.set import SyntheticSet

ROWS = ("none", "distilled", "random", "kmeans", "full")
DRAW, LABELS = 2, 3  # key streams, after those of the work
AMONG = 10_000  # training images, drawn anew for every seed, among which the k-means row looks for its centres


class TransferResult(NamedTuple):
    """Reports on one target by one protocol on a part of its labels: an accuracy for every seed and draw of labels, seed by seed."""

    target: str
    target_digest: str
    fraction: float
    protocol: str
    reports: tuple[Report, ...]


class Transfer(NamedTuple):
    """What pre-training on one set is worth, target by target and protocol by protocol."""

    set: str
    spec: str
    digest: str
    split: str
    seed: int
    size: int
    bytes: dict[str, int | None]
    results_by_target: tuple[TransferResult, ...]

    @property
    def reports(self) -> tuple[Report, ...]:
        """Those of all results_by_target, one after another."""
        return tuple(report for landing in self.results_by_target for report in landing.reports)

    def as_json(self) -> dict[str, Any] | list[dict[str, Any]]:
        """The document of `transfer --json`, or a list of them where there are several targets or protocols: targets in the order given,
        of each the protocols.

        Accuracies are fractions in [0, 1], std the population's; scores on val say so. The seconds of the pre-training, which all documents
        share, are in the first one's.
        """
        documents = [
            {
                "set": self.set,
                "data": {"spec": self.spec, "digest": self.digest},
                "target": {"spec": landing.target, "digest": landing.target_digest},
                **({} if self.split == "test" else {"split": self.split}),
                "seed": self.seed,
                "fraction": landing.fraction,
                "protocol": landing.protocol,
                "ipc": None,
                "size": self.size,
                "bytes": self.bytes,
                "results": [report.as_json() for report in landing.reports],
            }
            for landing in self.results_by_target
        ]
        return documents[0] if len(documents) == 1 else documents

    def table(self) -> Table:
        """Rows by network and what it was pre-trained on, a column a target and protocol, accuracies in per cent with the population's
        standard deviation."""
        title = f"{self.spec}, {self.split} accuracy in %, {self.size} images, {self.bytes['total']:,} bytes"
        table = Table("pre-trained on", title=Text(title))
        for landing in self.results_by_target:
            scores = len(landing.reports[0].accuracy)
            how = f"{landing.protocol} on {100 * landing.fraction:g} % of the labels, {scores} scores"
            table.add_column(f"{landing.target}: {how}", justify="right", overflow="fold")
        several = len({report.net for report in self.reports}) > 1
        for row in zip(*(landing.reports for landing in self.results_by_target), strict=True):
            name = f"{row[0].set_kind}, {row[0].net}" if several else row[0].set_kind
            table.add_row(name, *(f"{100 * report.mean:.1f} ± {100 * report.std:.1f}" for report in row))
        return table


def fitted(examples: Examples, image: tuple[int, int, int]) -> Examples:
    """Images resized to h x w (linear, antialiased) and brought to c channels: their mean for one channel, repeated for more."""
    h, w, c = image
    x = np.asarray(examples.x)
    if x.shape[3] != c:
        x = np.repeat(x.mean(3, keepdims=True), c, axis=3)
    if x.shape[1:3] != (h, w):
        resize = jax.jit(lambda piece: jax.image.resize(piece, (len(piece), h, w, c), "linear"))
        pieces = [np.asarray(resize(x[at : at + 1024])) for at in range(0, len(x), 1024)]
        x = np.concatenate(pieces) if pieces else np.zeros((0, h, w, c), np.float32)
    return Examples(jnp.asarray(x), jnp.asarray(examples.y))


def make_rows(
    key: jax.Array, synth: SyntheticSet, data: Data, kinds: Sequence[str], teacher: Callable[[], Representer]
) -> dict[str, Callable[[int], SyntheticSet] | None]:
    """seed -> what to pre-train on, for every kind: nothing, the set, as many real images with the teacher's representations, or all.

    Real images are drawn without labels from train without validation, anew for every seed. `kmeans` takes the image nearest to each of as
    many centres, among `AMONG` images. Raises BadInput for an unknown kind or none, or where there are fewer images than in the set.
    """
    if not kinds or (unknown := [kind for kind in kinds if kind not in ROWS]):
        raise BadInput(f"--rows: {f'unknown row {unknown[0]!r}' if kinds else 'none given'} (known: {', '.join(ROWS)})")
    x, size = data.train.all().x, len(synth)
    if len(x) < size and {"random", "kmeans"} & set(kinds):
        raise BadInput(f"--rows {','.join(kinds)}: {data.spec} has {len(x)} training images, the set {size}; leave random and kmeans out")

    def real(index) -> SyntheticSet:
        images = jnp.asarray(x[index])
        return SyntheticSet(Pixels(images), Target(teacher().represent(images)))

    def shuffled(seed: int) -> np.ndarray:
        return np.asarray(jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, DRAW), seed), len(x)))

    @cache
    def nearest(seed: int) -> np.ndarray:
        among = shuffled(seed)[: max(AMONG, size)]
        flat = x[among].reshape(len(among), -1)
        k_draw = jax.random.fold_in(jax.random.fold_in(key, DRAW), seed)
        return among[choose_kmeans(k_draw, flat, np.zeros(len(among), np.int32), size)]

    @cache
    def everything() -> SyntheticSet:
        return real(slice(None))

    known = {
        "none": None,
        "distilled": lambda seed: SyntheticSet(synth.x, Target(synth.y.values), weight=synth.weight),
        "random": cache(lambda seed: real(shuffled(seed)[:size])),
        "kmeans": cache(lambda seed: real(nearest(seed))),
        "full": lambda seed: everything(),  # one for all seeds: it is as large as the data
    }
    return {kind: known[kind] for kind in dict.fromkeys(kinds)}


def transfer(
    what: SyntheticSet | str | Path,
    *,
    to: Sequence[Data | str] | Data | str,
    data: Data | str | None = None,
    fraction: float = 1.0,
    protocol: Sequence[str] | str = "probe",
    net: Sequence[str] | str | None = None,
    seeds: int = 5,
    draws: Sequence[int] | int = 1,
    epochs: int | None = None,
    steps: int | None = None,
    rows: Sequence[str] | str = ("none", "distilled", "random", "kmeans"),
    teacher: Representer | str | Path | None = None,
    split: str = "test",
    seed: int = 0,
) -> Transfer:
    """Pre-trains fresh networks on a set with target representations, brings them to other data, and scores each once.

    Target images are normalised by their own training images and resized to the size of the source's. Real rows carry the teacher's
    representations. Step sizes and lengths are the paper's; only fine-tuning and the row `full` are cut short, for a CPU. A network is
    pre-trained once for all targets and protocols.

    Args:
      what: a set with target representations, its file, or a run's folder.
      to: data to transfer to, or its specification; one or several.
      data: the data that the set was made from, by default the one it names.
      fraction: part of the target's training labels that is read, in (0, 1]: as many of every class, drawn anew for every seed and draw.
      protocol: `probe`, a logistic regression on the frozen body, or `finetune`, of all weights under a new head; one or several, each with
        a fraction of its own if it names one, as in `probe:0.01`.
      net: specifications; by default the set's, else `convnet`.
      seeds: networks pre-trained for every row (>= 1).
      draws: of labels that every network is scored on where not all are read; one number, or one for each target.
      epochs: of pre-training, 1,000 by default; the row `full` keeps its 20.
      steps: of fine-tuning, 500 by default.
      rows: of `none`, `distilled`, `random`, `kmeans`, `full`.
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
    wanted = list(dict.fromkeys([to] if isinstance(to, str | Data | GraphData) else to))
    times = read_draws(draws if isinstance(draws, Sequence) else [draws], len(wanted), ways)
    targets = [take_target(spec, source, synth.info.split_seed, seed=seed, split=split) for spec in wanted]
    how = Finetune(check_whole("steps", Finetune.steps if steps is None else steps))
    made = [make_goals(key, *each, ways, source.image, split=split, how=how) for each in zip(targets, times, strict=True)]
    goals = [goal for each in made for goal in each]
    find = cache(lambda: take_teacher(teacher, path, synth, source))
    kinds = make_rows(key, synth, source, [rows] if isinstance(rows, str) else list(rows), find)
    if {"random", "kmeans", "full"} & kinds.keys():
        find()  # one that is missing is told before the work, not after it
    names = [net] if isinstance(net, str) else list(net or ()) or [synth.info.net or "convnet"]
    jobs = [make_job(name, kind, draw, seeds, epochs) for name in dict.fromkeys(map(nets.canonical, names)) for kind, draw in kinds.items()]
    found = run_jobs(key, jobs, goals, source.image, synth.y.values.shape[1], seeds=seeds)
    places = [(target.spec, target.digest, part, name) for target in targets for name, part in ways]
    results_by_target = tuple(TransferResult(*place, reports) for place, reports in zip(places, found, strict=True))
    return Transfer(str(path or ""), source.spec, source.digest, split, seed, len(synth), count_bytes(synth, file=path), results_by_target)


def take_target(given: Data | str, source: Data, split_seed: int, *, seed: int, split: str) -> Data | GraphData:
    """Data to transfer to. Where it is the source, it is cut as the set's maker cut it, so that no set has seen its validation images;
    warns where it is handed over cut by another seed and scored there."""
    target = load_data(given, seed=seed) if isinstance(given, str) else given
    if target.digest == source.digest and target.seed != split_seed:
        if isinstance(given, str):
            return load_data(given, seed=split_seed)
        if split == "val":
            note(f"warning: validation images cut by seed {target.seed} may have served a maker that cut by seed {split_seed}")
    return target


def make_goals(
    key: jax.Array,
    target: Data,
    draws: int,
    ways: Sequence[tuple[str, float]],
    image: tuple[int, int, int],
    *,
    split: str,
    how: Finetune,
) -> list[Goal]:
    """A goal for every protocol on one target. Raises BadInput where there is no image to score on, or what is given holds none."""
    check_images(target, "--to")
    part = target.test if split == "test" else target.val
    if not len(part.y):
        raise BadInput(f"--split {split}: {target.spec} has no image there; use more data, or the other split")
    train, scored, k_labels = fitted(target.train.all(), image), fitted(part.all(), image), jax.random.fold_in(key, LABELS)

    def goal(name: str, fraction: float) -> Goal:
        times = 1 if fraction == 1 else draws

        def labelled(number: int) -> list[np.ndarray]:
            keys = (jax.random.fold_in(k_labels, number * times + draw) for draw in range(times))
            return [draw_balanced(one, target.train.y, fraction) for one in keys]

        return Goal(train, labelled, scored, len(target.classes), times, how if name == "finetune" else None)

    return [goal(*way) for way in ways]

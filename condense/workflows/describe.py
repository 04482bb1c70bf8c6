"""Says what data, a set, a run or a preset is, without doing anything with it."""

import shlex
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from condense import nets
from condense.data.alike import looks_of, repeats
from condense.data.facts import facts_of
from condense.data.for_set import find_set
from condense.data.graph_rows import pieces
from condense.data.graphs import GraphData
from condense.data.images import Data, limited
from condense.data.load import Given, load_data
from condense.data.modality import MODALITIES
from condense.data.named import NAMED
from condense.data.readers import READERS
from condense.data.readers.base import HELD
from condense.data.spec import parse_spec
from condense.engine.measure import measure_training
from condense.presets import PRESETS, Origin, find_preset
from condense.runtime.log import duration
from condense.runtime.run_folder import RECORD
from condense.workflows.runs import SavedRun, load_run
from evals.storage import count_bytes
from synth.content import KINDS as CONTENTS
from synth.errors import BadInput, nearest
from synth.files.format import load_set
from synth.files.memory import megabytes
from synth.labels import KINDS as LABELS
from synth.set import SyntheticSet

IPC = (1, 10, 50)
EPOCHS, PASSES = 20, 1000  # of the recipe `full`, and of those for sets
PIXELS = 1 << 15  # that are trained on at a time to see what that costs
SHOWN = 20  # classes that are listed
ROUNDING = 1e-5  # by how much normalised images may leave [0, 1]
LABEL, NUMBER = 4, 4  # bytes of a class index, and of a number of a set that is learned


class Description(NamedTuple):
    """What something is.

    Args:
      what: what kind of thing, as in `data: digits` or `a set`.
      rows: facts about it as (name, text), in the order in which they are shown.
    """

    what: str
    rows: tuple[tuple[str, str], ...]

    def lines(self) -> list[str]:
        """Returns the lines that the command line prints, `what` first: a name, filled up to 12 letters, and its text."""
        return [f"{name:<12}{text}" for name, text in (("what", self.what), *self.rows)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def describe(what: SyntheticSet | SavedRun | Given, *, cost: bool = False) -> Description:
    """Describes data (size, classes, shapes, ranges, rows that are there twice, bytes of sets), a set, a run or a preset.

    Args:
      what: data as `load_data` takes them, a set or its file, a run or its folder, or the name or JSON file of a preset. The rows of a
        specification are looked at once, a piece at a time.
      cost: whether a few examples are trained on, to say what training on these images or vectors costs on this machine. Not for graphs,
        sets, runs and presets.

    Example:
      >>> import condense
      >>> dict(condense.describe("digits").rows)["train"]
      '1,437 images of 8x8x1 float32'

    Raises BadInput where nothing is called so.
    """
    if isinstance(what, SavedRun):
        return describe_run(what)
    if isinstance(what, SyntheticSet):
        return Description("a set", tuple(set_rows(what, None)))
    if not isinstance(what, str | Path):
        return describe_data(load_data(what), cost=cost)
    name, path = str(what), Path(what)
    if name in PRESETS or (path.suffix == ".json" and path.is_file()):
        return describe_preset(name)
    if (path / RECORD).is_file():
        return describe_run(load_run(path))
    if is_set(path):
        return Description("a set", tuple(set_rows(load_set(find_set(path)), find_set(path))))
    try:
        spec = parse_spec(name)
    except BadInput as error:
        known = nearest(name, (*PRESETS, *NAMED))
        raise BadInput(str(error).partition("; did you mean")[0] + known if known else str(error)) from None
    reader = READERS[spec.kind]
    source = (reader.scan or reader.read)(spec)
    if source.modality == "graphs":
        return describe_data(load_data(name))
    return Description(f"data: {name}", tuple(source_rows(limited(source, spec.options.get("limit")), cost=cost)))


def is_set(path: Path) -> bool:
    """Whether the path is a set's file, or a folder with a `set.npz`."""
    path = path / "set.npz" if path.is_dir() else path
    try:
        return path.suffix == ".npz" and "header.npy" in zipfile.ZipFile(path).namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def describe_data(data: Data | GraphData, *, cost: bool = False) -> Description:
    """Describes loaded data, with the digest of their content. `cost` (not for graphs) says whether a few examples are trained on, to say
    what training costs on this machine."""
    rows = source_rows(data.source, cost=cost) if MODALITIES[data.modality].starts else graph_rows(data)
    return Description(f"data: {data.spec}", (*rows, ("digest", data.digest)))


def source_rows(source: Any, *, cost: bool = False) -> list[tuple[str, str]]:
    """Facts about images or vectors as (name, text): sizes, classes, range, duplicates, bytes, cost. All rows are looked at once.

    Args:
      source: the raw rows (`condense.data.readers.source.ArraySource`).
      cost: whether a few examples are trained on, to say what training costs on this machine.
    """
    facts, word = facts_of(source), MODALITIES[source.modality].example
    shape, classes = "x".join(map(str, source.shape)), len(source.classes)
    n, m = len(source.train.y), len(source.test.y)
    numbers = int(np.prod(source.shape))
    each = (f"{ipc} a class {megabytes(ipc * classes * (NUMBER * numbers + LABEL))}" for ipc in IPC)
    mean = [f"{value:.3g} ± {std:.3g}" for value, std in zip(facts.mean, facts.std, strict=True)]
    most, least = max(facts.train), min(facts.train)
    doubt = f", {facts.contradicted} of them with another label" if facts.contradicted else ""
    rows = [
        ("train", f"{n:,} {word}s of {shape} {source.dtype}"),
        ("test", f"{m:,}{f': {source.drawn}' if source.drawn else ''}"),
        ("classes", f"{classes}: {counted(source.classes, facts.train)}"),
        ("imbalance", imbalance(most, least, word)),
        ("range", f"{facts.low:g} to {facts.high:g}; mean ± deviation {', '.join(mean)}"),
        (
            "duplicates",
            f"{facts.repeated:,} training {word}s are there before{doubt}; {facts.shared:,} test {word}s are in training too",
        ),
        ("memory", f"{megabytes((n + m) * numbers * NUMBER)} normalised"),
        ("sets", "; ".join(each)),
    ]
    rows.append(("cost", training_cost(source) if cost else "--cost trains the usual network for a moment, to say what that costs here"))
    return rows if source.spec.startswith(f"{HELD}:") else [*rows, ("a run", how_to_time(source.spec, "--ipc 10"))]


def imbalance(most: int, least: int, word: str) -> str:
    """How much larger the largest class is than the smallest; `word` is what an example is called."""
    if most == least:
        return f"none: every class has {most:,} training {word}s"
    return f"the largest class has {most / least:.3g} times as many training {word}s as the smallest ({most:,} and {least:,})"


def how_to_time(spec: str, budget: str) -> str:
    """Says in a line by which command a run on the data `spec` is timed. `budget` are flags, as in `--ipc 10`."""
    dry = f"condense distill METHOD --data {shlex.quote(spec)} {budget} --dry-run"
    return f"`{dry}` times a step of a method on this machine"


def training_cost(source: Any) -> str:
    """Says in a line how long the usual network trains on this machine, 20 epochs on all examples and 1,000 epochs on 10 a class. One
    mini-batch is timed for that."""
    n, classes, modality = len(source.train.y), len(source.classes), MODALITIES[source.modality]
    net = nets.canonical(modality.net(source.shape, n))
    batch = max(1, min(n, 32, PIXELS // int(np.prod(source.shape[:2]))))
    each = measure_training(nets.build(net, source.shape, classes), source.shape, classes, batch=batch).seconds / batch
    whole, small = duration(EPOCHS * n * each), duration(PASSES * 10 * classes * each)
    return f"a {net} trains {EPOCHS} epochs on all of them in about {whole} here, and {PASSES:,} epochs on 10 a class in about {small}"


def graph_rows(data: GraphData) -> list[tuple[str, str]]:
    """Facts about graphs as (name, text), over training, validation and test together."""
    held = list(pieces(data.source.rows))
    nodes, edges = sum(int(piece.nodes.sum()) for piece in held), sum(len(piece.senders) for piece in held)
    sizes, counts = np.concatenate([piece.nodes for piece in held]), np.bincount(data.source.rows.y, minlength=len(data.classes))
    n, looks, test = len(sizes), looks_of(data.source.rows), data.rows[2]
    repeated, contradicted = repeats(looks, data.source.rows.y)
    shared = int(np.isin(looks[test], looks[np.concatenate(data.rows[:2])]).sum())
    doubt = f", {contradicted:,} of them with another label" if contradicted else ""
    out = n - sum(map(len, data.rows))
    left = f", {out:,} left out" if out else ""
    return [
        (
            "graphs",
            f"{n:,}: {len(data.train.y):,} for training, {len(data.val.y):,} for validation, {len(data.test.y):,} for the test{left}",
        ),
        ("classes", f"{len(data.classes)}: {counted(data.classes, counts.tolist())}"),
        ("imbalance", f"the largest class has {counts.max() / counts.min():.3g} times as many graphs as the smallest"),
        ("nodes", f"{nodes / n:.1f} a graph ({sizes.min()} to {sizes.max()}), {data.image.tags} tags"),
        ("edges", f"{edges / n:.1f} a graph, {data.image.edges} labels{', directed' if data.image.directed else ''}"),
        (
            "duplicates",
            f"{repeated:,} graphs look like an earlier one{doubt}; {shared:,} test graphs look like one of training or validation",
        ),
        ("a run", how_to_time(data.spec, "--bytes N")),
    ]


def counted(names: tuple[str, ...], counts: Any) -> str:
    """Classes with the number of their rows, as in `cat 10, dog 12`; of more than 20 classes the first 20, and how many more there are."""
    shown = ", ".join(f"{name} {count:,}" for name, count in zip(names[:SHOWN], counts[:SHOWN], strict=True))
    return shown + (f" ... and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def set_rows(synth: SyntheticSet, path: Path | None) -> list[tuple[str, str]]:
    """Facts about a set as (name, text). `path` is its file, whose size is named; None for a set without one."""
    info, sizes, modality = synth.info, count_bytes(synth, file=path), MODALITIES[synth.x.modality]
    content = next((name for name, kind in CONTENTS.items() if isinstance(synth.x, kind)), type(synth.x).__name__)
    labels = next((name for name, kind in LABELS.items() if isinstance(synth.y, kind)), type(synth.y).__name__)
    cells = f", each a collage of {synth.cells}x{synth.cells}, of which networks see one at a time" if synth.cells > 1 else ""
    rows = [("examples", f"{len(synth)} {modality.example}s as {content}, with labels {labels}{cells}")]
    if modality.starts:
        x = np.asarray(synth.x.decode())
        raw = np.asarray(info.preprocess.undo(x)) if info else x
        away = 100 * np.mean((raw < -ROUNDING) | (raw > 1 + ROUNDING))
        beyond = f", {away:.1f} % of the numbers beyond 0 and 1" if modality.name == "images" else ""
        rows.append(("range", f"{'x'.join(map(str, x.shape[1:]))}, {raw.min():.3g} to {raw.max():.3g} in raw units{beyond}"))
    total = f"{sizes['total']:,}: {sizes['content']:,} of content, {sizes['labels']:,} of labels"
    rows.append(("bytes", total + (f"; the file has {sizes['file']:,}" if path else "")))
    if info is None:
        return rows
    learned = "" if synth.lr is None else f", with a learned step size of {float(synth.lr):.3g}"
    return [
        *rows,
        ("classes", f"{len(info.classes)}: {', '.join(info.classes[:SHOWN])}{' ...' * (len(info.classes) > SHOWN)}"),
        ("made by", f"{info.method or 'nobody who says so'}, seed {info.seed}{learned}"),
        (
            "from",
            f"{info.data_path or info.data or 'data that it does not name'}, digest {info.data_digest[:12]}",
        ),
        ("for", f"network {info.net or 'any'}, recipe {info.recipe or 'any'}, {info.preprocess.kind} normalisation"),
    ]


def describe_run(run: SavedRun) -> Description:
    """Describes a run: its state, time, memory, command, choices and last metrics, then its set, if there is one."""
    record = run.record
    config = record.get("config", {})
    state = f"{record.get('state', 'unknown')}, {record.get('finished', 0)} of {record.get('steps', '?')} steps finished"
    took = f"{duration(float(record.get('wall_seconds', 0)))}, at most {megabytes(float(record.get('peak_memory_bytes', 0)))} of memory"
    rows = [
        ("state", state),
        ("took", took),
        ("command", str(record.get("command", ""))),
        ("choices", ", ".join(f"{name}={value}" for name, value in config.items() if value is not None)),
        ("last", ", ".join(f"{name} {column[-1]:.4g}" for name, column in run.metrics.items() if len(column))),
    ]
    kept = [] if run.set is None else set_rows(run.set, run.folder / "set.npz")
    return Description(f"a run: {run.folder}", (*rows, *kept))


def describe_preset(name: str) -> Description:
    """Describes a preset, by its name, which must be known, or from a JSON file: its whole record, and every setting that it makes. A file
    says nothing of looks at test images and of this project's own result, so there is no row of these. Raises BadInput for a file that
    holds no preset."""
    preset = find_preset(name)
    if name in PRESETS:
        return Description(f"a preset: {name}", preset.rows())
    origin = Origin("this file", "as the file says", looks="")
    rows = replace(preset, name=shlex.quote(name), origin=origin).rows()
    return Description(f"a preset: {name}", tuple(row for row in rows if row[0] != "ours"))

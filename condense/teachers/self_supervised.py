"""Self-supervised teachers: networks trained without labels. A distilled set regresses on their representations.

A teacher's folder holds `teacher.json` and `teacher.npz` (arrays by path), beside the record, metrics and checkpoints of its training.
Images are f32[b h w c] in model space.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from condense import nets
from condense.data.images import Data, say_whole
from condense.data.load import Given, load_data
from condense.data.modality import check_modality
from condense.nets.precision import in_precision
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.checks import check_seed
from condense.runtime.interrupts import defer_interrupt
from condense.runtime.log import COMPILING, MetricsLog, progress
from condense.runtime.run_folder import RECORD, Run, check_there, digest, open_run
from condense.teachers.barlow import BarlowTraining, Config, complete, make_training
from condense.teachers.probing import PROBED, probe_accuracy
from synth.base import Net, Vars
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.memory import forcible
from synth.files.npz import Archive, opened, write_npz
from synth.files.records import ListOf, Maybe, Real, Table, Text, Whole, read_record
from synth.images.distortions import Ranges
from synth.images.preprocess import KINDS, Preprocess
from synth.set import SyntheticSet
from synth.training.fit import in_batches
from synth.training.stream import Blocks

FORMAT = 1
HELD = Table(
    {
        "format": Whole(),
        "image": ListOf(Whole(1, 1 << 20), least=3, most=3),
        "outputs": Whole(1, 1 << 24),
        "net": Text(),
        "preprocess": Text(tuple(KINDS)),
    },
    {
        "split_seed": Whole(),
        "digest": Text(),
        "data_digest": Text(),
        "probe": Table(optional={"accuracy": Maybe(Real(0, 1))}),
    },
)
PIECE = 20  # mini-batches between which progress is shown


@dataclass(frozen=True, eq=False)
class Representer:
    """A trained network that turns images into target representations.

    Args:
      net: the network, and `net_name`, its specification.
      vars: its variables; batch norms use their running statistics.
      image: h, w, c of the images it takes, normalised by `preprocess`.
      about: what `teacher.json` says of it.
    """

    net: Net = field(repr=False)
    vars: Vars = field(repr=False)
    net_name: str
    image: tuple[int, int, int]
    preprocess: Preprocess = field(repr=False)
    about: dict[str, Any] = field(repr=False)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that tell the variables of this teacher from another's."""
        return digest_of(self.vars)

    @cached_property
    def _read(self) -> Callable:
        return lambda vars, piece: self.net.apply(vars, piece).embed  # one function for all calls, so that it compiles once

    def represent(self, x: Float[Array | np.ndarray, "n h w c"]) -> Float[Array, "n d"]:
        """The body's output in evaluation mode, in pieces; usable inside compiled code."""
        return in_batches(self._read, self.vars, jnp.asarray(x))

    def check_fit(self, data: Data, flag: str) -> None:
        """Raises BadInput if the teacher takes other images than those of `data`: another size or another normalisation."""
        if self.image != data.image:
            own, other = ("x".join(map(str, image)) for image in (self.image, data.image))
            raise BadInput(f"{flag}: the teacher takes {own} images, {data.spec} has {other}; train one on that data")
        own, other = self.preprocess._asdict(), data.preprocess._asdict()
        if own.keys() != other.keys() or not all(np.allclose(own[name], other[name], rtol=0.02, atol=0.02) for name in own):
            raise BadInput(f"{flag}: the teacher was trained on images normalised otherwise than {data.spec}; train one on that data")


@forcible
def train_ssl_teacher(
    data: Given,
    out: str | Path,
    *,
    net: str | None = None,
    epochs: int | None = None,
    batch: int = Config().batch,
    lr: float = Config().lr,
    weight_decay: float = Config().weight_decay,
    projector: int = Config().projector,
    precision: str = "f32",
    seed: int = 0,
    force: bool = False,
    command: str = "",
) -> Representer:
    """Trains a teacher without labels, by Barlow Twins. If `out` holds the finished teacher, loads it. The same call again resumes.

    Labels are read by the logged probe alone. metrics.jsonl gets the loss of every epoch and, five times, the accuracy on validation
    images of a linear probe on at most 5,000 labelled training images (`probe_accuracy`); the last one is of all of them whose features
    take no more than 512 MiB.

    Args:
      data: data as `load_data` takes them; the validation split stays out.
      out: the folder.
      net: specification of the network; by default a ConvNet of width 32 with batch norm.
      epochs: passes over the training images (>= 1); by default as many as make about 4,000 steps.
      batch: images a step; the correlations are over them.
      lr, weight_decay: of Adam with decoupled decay.
      projector: width of the three layers that stand on the network while it is trained.
      precision: of the products in both while they are trained, `f32` or `bf16`; what is stored is f32.
      seed: of weights, order and views, and of the validation split where `data` is a specification.
      force: removes another teacher that the folder holds, or this one where it is done.
      command: what run.json records as the command.

    Raises:
      BadInput: a wrong number, or a folder with another teacher. RunFailed: a loss that is not finite.
    """
    data = check_modality(load_data(data, seed=check_seed(seed)), "images", flag="--data")
    config = Config(net, epochs, batch, lr, weight_decay, projector, check_seed(seed), precision)
    folder, config = Path(out), complete(config, data.image, len(data.train.y))
    identity = {"ssl": "barlow", "data": data.spec, "split_seed": data.seed, **config._asdict()}
    del identity["seed"]  # which every run keeps apart
    if config.precision == "f32":  # which older versions did not name
        del identity["precision"]
    asked = {"steps": config.epochs, "seed": config.seed, "command": command, "data_digest": data.digest, "force": force}
    with open_run(folder, identity, beside={"trained_on": data.trained_on}, **asked) as held:
        if held.done:
            check_there(folder, "teacher.json")
            return load_ssl_teacher(folder)
        held.begin()
        vars, accuracy = _train(config, data, held)
        about = {"format": FORMAT, **identity, "seed": config.seed, "data_digest": data.digest}
        about |= {"image": list(data.image), "outputs": len(data.classes)}
        about |= {"probe": {"split": "val", "accuracy": accuracy}}
        save_teacher(folder, vars, data.preprocess, about)
    return load_ssl_teacher(folder)


def take_teacher(given: Representer | str | Path | None, path: Path | None, synth: SyntheticSet, data: Data) -> Representer:
    """The teacher of a set with target representations: the given one, the one in a given folder, or, for None, the one in the folder
    `teacher` beside the set's file `path` (None where it has no file).

    Raises BadInput where there is none, it takes other images than those of `data`, represents them by more or fewer numbers than the
    set's targets have, or is not the one that the record of the set's run names.
    """
    if given is None:
        if path is None or not (path.parent / "teacher" / "teacher.json").is_file():
            rows = "for rows of real images, or --rows none,distilled"
            raise BadInput(f"--teacher: no teacher lies beside the set; give the folder of the one it was made with {rows}")
        given = path.parent / "teacher"
    found = given if isinstance(given, Representer) else load_ssl_teacher(given)
    found.check_fit(data, "--teacher")
    own, theirs = synth.y.values.shape[1], jax.eval_shape(found.represent, jax.ShapeDtypeStruct((1, *data.image), jnp.float32)).shape[1]
    remedy = "give the one that the set was made with"
    if own != theirs:
        raise BadInput(f"--teacher: represents images by {theirs} numbers, the set's targets have {own}; {remedy}")
    if (made := recorded_teacher(path, synth)) and made != found.digest:
        raise BadInput(f"--teacher: is of digest {found.digest}, the set was made with one of digest {made}; {remedy}")
    return found


def recorded_teacher(path: Path | None, synth: SyntheticSet) -> str | None:
    """Digest of the teacher that made a set, read from the run's record beside its file; None if no record of that run is there."""
    try:
        kind, words = Table({"config": Table()}), {"what": "is no run's record", "remedy": "make the set again"}
        config = read_record(path.parent / RECORD, kind, **words)["config"] if path else {}
    except BadInput:
        return None
    return config.get("teacher") if digest(config) == synth.info.config else None


@lru_cache(4)
def _compiled(config: Config, shape: tuple[int, int, int, int], classes: int, flips: bool) -> tuple[BarlowTraining, Callable]:
    """The training, and the body's output in evaluation mode; the same call again compiles nothing anew."""
    net = in_precision(nets.build(config.net, shape[1:], classes), config.precision, config.net)
    return make_training(net, config, shape, ranges=Ranges(flips=flips)), lambda vars, piece: net.apply(vars, piece).embed


def _train(config: Config, data: Data, held: Run) -> tuple[Vars, float | None]:
    blocks, key, folder = Blocks(data.train), jax.random.key(config.seed), held.folder
    say_whole(data.train, "teachers without labels")
    training, read = _compiled(config._replace(seed=0), data.train.shape, len(data.classes), data.flips)
    checkpoints, carry = Checkpoints(folder / "checkpoints", owner=held.owner), training.init(jax.random.fold_in(key, 0))
    with defer_interrupt():
        found = checkpoints.restore((jnp.int32(0), carry))
    done, carry = (int(found[0]), jax.tree.map(jnp.array, found[1])) if found else (0, carry)
    log, piece = MetricsLog(folder / "metrics.jsonl", step=done), min(training.steps, PIECE)
    probe_every, save_every = max(1, config.epochs // 5), max(1, config.epochs // 20)
    with progress(config.epochs * training.steps, "teacher", done=done * training.steps, phase=COMPILING) as bar:
        for epoch in range(done, config.epochs):
            for block in blocks(training.order(jax.random.fold_in(key, 1), jnp.int32(epoch))):
                for first in range(block.first, block.stop, piece):
                    stop = min(first + piece, block.stop)
                    carry = training.advance(carry, block.items, block.x, *map(jnp.int32, (block.first, first, stop)))
                    bar.advance(stop - first, loss=float(carry.total) / stop)
            if not math.isfinite(loss := float(carry.total) / training.steps):
                raise RunFailed(f"{folder}: the loss of the teacher is not finite in epoch {epoch + 1}; try another --net")
            vars, last = Vars(carry.fit.vars.params["net"], carry.fit.vars.stats), epoch + 1 == config.epochs
            probed = None if last or (epoch + 1) % probe_every else probe_accuracy(read, vars, data, most=PROBED)
            log.add(epoch + 1, loss=loss, **({} if probed is None else {"probe_accuracy": probed}))
            if last or not (epoch + 1) % save_every:
                with defer_interrupt():
                    checkpoints.save(epoch + 1, jax.device_get((jnp.int32(epoch + 1), carry)))
                    held.saved(epoch + 1)
    vars = Vars(carry.fit.vars.params["net"], carry.fit.vars.stats)
    accuracy = log.column("probe_accuracy").get(config.epochs)
    if accuracy is None and (accuracy := probe_accuracy(read, vars, data)) is not None:  # what was trained is safe by now
        log.add(config.epochs, probe_accuracy=accuracy)
    return vars, accuracy


def save_teacher(folder: Path, vars: Vars, preprocess: Preprocess, about: dict[str, Any]) -> None:
    """Writes `teacher.npz`, then `teacher.json` (`about`, kind of preprocessing and digest): a folder with the latter is complete."""
    held = jax.device_get(vars)
    about = about | {"preprocess": preprocess.kind, "digest": digest_of(held)}
    arrays = _named(held) | {f"preprocess/{name}": value for name, value in preprocess._asdict().items()}
    write_npz(folder / "teacher.npz", arrays)
    write_bytes(folder / "teacher.json", (json.dumps(about, indent=1) + "\n").encode())


def load_ssl_teacher(folder: str | Path) -> Representer:
    """Loads the teacher in `folder`. Raises BadInput if there is none, or if its files are damaged or do not belong together."""
    place = Path(folder) / "teacher.json"
    if not place.is_file():
        raise BadInput(f"{folder}: holds no teacher.json; `condense teachers --ssl barlow --data SPEC --out DIR` trains a teacher")
    about = read_record(place, HELD, what="is not a teacher's description", remedy="train it again")
    if about["format"] != FORMAT:
        raise BadInput(f"{place}: is of format {about['format']}, and this version reads {FORMAT}; train the teacher again")
    image, name, kind = tuple(about["image"]), about["net"], KINDS[about["preprocess"]]
    net = nets.build(name, image, about["outputs"])
    with opened(Path(folder) / "teacher.npz") as archive:
        wanted = jax.eval_shape(net.init, jax.random.key(0))
        arrays = {path: _array(archive, path, leaf.shape) for path, leaf in _named(wanted).items()}
        preprocess = kind(*(_array(archive, f"preprocess/{name}") for name in kind._fields))
    if not preprocess.fits(image):
        raise BadInput(f"{archive.path}: its normalisation is not for images of {'x'.join(map(str, image))}; train the teacher again")
    vars = jax.tree.unflatten(jax.tree.structure(wanted), [jnp.asarray(array) for array in arrays.values()])
    found = Representer(net, vars, nets.canonical(name), image, preprocess, about)
    if about.get("digest", found.digest) != found.digest:
        raise BadInput(f"{archive.path}: holds the parameters {found.digest}, and {place.name} names {about['digest']}; train it again")
    return found


def digest_of(vars: Vars) -> str:
    """Sixteen hexadecimal digits that tell weights from others."""
    return digest({name: hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest() for name, leaf in _named(vars).items()})


def _named(tree) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _array(archive: Archive, name: str, *shape: tuple[int, ...]) -> np.ndarray:
    """One array as f32, of the given shape if any, finite."""
    found = archive.members.get(name)
    if found and (found.dtype != np.float32 or (shape and found.shape != shape[0])):
        what = f"'{name}' is {found.dtype}{list(found.shape)}"
        raise BadInput(f"{archive.path}: {what}, not what teacher.json announces; train the teacher again")
    array = archive.read(name)
    if not np.isfinite(array).all():
        raise BadInput(f"{archive.path}: '{name}' holds values that are not finite; train the teacher again")
    return array

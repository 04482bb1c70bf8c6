"""The folder of teachers on disk: `teachers.json` and an npz of variables by path for every member; nothing is ever unpickled."""

import json
import math
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.images import Data
from condense.runtime.log import note
from condense.teachers.sanity import check_sense
from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.files.atomic import write_bytes
from synth.files.npz import opened, write_npz
from synth.files.records import ListOf, Maybe, Real, Table, Text, Whole, read_record
from synth.images import preprocess as pre
from synth.images.preprocess import Preprocess, Standard
from synth.labelling import arrays_by_path, teacher_digest

INDEX, NORMALISATION, FORMAT = "teachers.json", "normalisation.npz", 1
AGAIN = "train the teachers again"
MEMBER = Table({"net": Text(), "accuracy": Maybe(Real(0, 1))}, {"digest": Text()})
HELD = Table(
    {
        "format": Whole(),
        "classes": ListOf(Text(), least=1),
        "image": ListOf(Whole(1, 1 << 20), least=3, most=3),
        "members": ListOf(MEMBER, least=1, most=1000),
        "normalisation": Text(tuple(pre.KINDS)),
        "data_digest": Text(),
    },
    {"split_seed": Whole()},
)


@dataclass(frozen=True, eq=False)
class Teachers:
    """A stored committee.

    Args:
      members: the networks, in the model space of their own data.
      accuracies: share of validation images each classified right at its last epoch; NaN where there were none.
      data_digest, classes, image, preprocess: of the data they were trained on.
      split_seed: of the validation split that their training left out; None where the folder is older than that record.
      folder: where they lie.
    """

    members: tuple[Teacher, ...]
    accuracies: tuple[float, ...]
    data_digest: str
    classes: tuple[str, ...]
    image: tuple[int, int, int]
    preprocess: Preprocess
    split_seed: int | None
    folder: Path


def write_member(path: Path, vars: Vars) -> None:
    """Writes the variables of one network to an npz file, an array for each path, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays_by_path(vars))


def write_index(folder: Path, data: Data, recipe: dict[str, Any], members: list[dict]) -> None:
    """Writes the normalisation of the data and then `teachers.json`. A folder with `teachers.json` is complete. `recipe` and `members` are
    JSON values; each member has at least `net` and `accuracy`."""
    write_npz(folder / NORMALISATION, {name: np.asarray(value) for name, value in data.preprocess._asdict().items()})
    index = {"format": FORMAT, "data": data.spec, "data_digest": data.digest, "classes": data.classes, "image": data.image}
    index |= {"split_seed": data.seed, "normalisation": data.preprocess.kind, "recipe": recipe, "members": members}
    write_bytes(folder / INDEX, (json.dumps(index, indent=1, allow_nan=False) + "\n").encode())


def read_index(folder: str | Path, *, flag: str = "--teachers") -> dict[str, Any]:
    """What `teachers.json` in a committee's folder says. Raises BadInput where it is missing, damaged or of another format."""
    path = Path(folder) / INDEX
    if not path.is_file():
        raise BadInput(f"{flag} {folder}: no {INDEX} there; give the folder of a finished `condense teachers`")
    index = read_record(path, HELD, what="is not a committee's index", remedy=AGAIN, nan_is_null=True)
    if index["format"] != FORMAT:
        raise BadInput(f"{path}: is of format {index['format']}, and this version reads {FORMAT}; {AGAIN}")
    return index


def load_teachers(folder: str | Path, *, flag: str = "--teachers") -> Teachers:
    """Loads a committee from its folder and checks its files. Error messages name the flag `flag`.

    Raises BadInput, naming the file, where one is missing, damaged or not what it should be.
    """
    folder, index = Path(folder), read_index(folder, flag=flag)
    classes, image, split_seed = tuple(index["classes"]), tuple(index["image"]), index.get("split_seed")
    preprocess = read_preprocess(folder / NORMALISATION, pre.KINDS[index["normalisation"]], image)
    members = []
    for number, told in enumerate(index["members"]):
        place, net = folder / "members" / f"{number}.npz", built(told["net"], image, len(classes))
        member = Teacher(net, read_vars(place, net), told["net"], partial(built, told["net"], classes=len(classes)))
        if told.get("digest", teacher_digest(member)) != teacher_digest(member):
            raise BadInput(f"{place}: holds the parameters {teacher_digest(member)}, and {INDEX} names {told['digest']}; {AGAIN}")
        members.append(member)
    accuracies = tuple(math.nan if told["accuracy"] is None else told["accuracy"] for told in index["members"])
    return Teachers(tuple(members), accuracies, index["data_digest"], classes, image, preprocess, split_seed, folder)


def member_bytes(folder: str | Path) -> int:
    """The bytes of all arrays of the networks in a committee's folder, 0 where there are none: the memory that they take while they answer.
    Loads none of them."""
    total = 0
    for path in sorted((Path(folder) / "members").glob("*.npz")):
        with opened(path) as archive:
            total += sum(math.prod(array.shape) * array.dtype.itemsize for array in archive.members.values())
    return total


def read_preprocess(path: Path, kind: type[Preprocess], image: tuple[int, int, int]) -> Preprocess:
    """Reads from an npz file the normalisation of the kind `kind` that leads to the model space of teachers. Raises BadInput where its
    numbers are not finite, impossible, or for images of another shape than `image`, h w c."""
    with opened(path) as archive:
        found = kind(**{name: archive.read(name).astype(np.float32) for name in kind._fields})
    try:
        if not all(np.isfinite(array).all() for array in found):
            raise ValueError("it holds values that are not finite")
        if any(array.ndim != 1 + (name not in ("mean", "std")) for name, array in found._asdict().items()) or not found.fits(image):
            raise ValueError(f"its arrays are not for images of {'x'.join(map(str, image))}")
        if any(array.shape != (len(found[0]),) * array.ndim for array in found):
            raise ValueError("its arrays do not belong together")
        getattr(found, "check", lambda: None)()
    except ValueError as error:
        raise BadInput(f"{path}: is no normalisation of these teachers ({error}); {AGAIN}") from error
    return found


@lru_cache(maxsize=32)
def built(name: str, image: tuple[int, int, int], classes: int) -> Net:
    """Builds a network once for all calls, so that its compiled functions are reused when the folder is read again."""
    return nets.build(name, image, classes)


def read_vars(path: Path, net: Net) -> Vars:
    """Reads the variables of a network from an npz file. Raises BadInput where an array is missing, one too many, of another shape or
    dtype, or not finite."""
    wanted = jax.eval_shape(net.init, jax.random.key(0))
    leaves, _ = jax.tree_util.tree_flatten_with_path(wanted._asdict())
    named = {jax.tree_util.keystr(at, simple=True, separator="/"): leaf for at, leaf in leaves}
    with opened(path) as archive:
        if differ := sorted(named.keys() ^ archive.members.keys()):
            raise BadInput(
                f"{path}: array '{differ[0]}' is {'missing' if differ[0] in named else 'not the network’s'}; train the teacher again"
            )
        for name, leaf in named.items():
            if (archive.members[name].shape, archive.members[name].dtype) != (leaf.shape, leaf.dtype):
                there = archive.members[name]
                raise BadInput(
                    f"{path}: array '{name}' is {there.dtype}{list(there.shape)}, not {leaf.dtype}{list(leaf.shape)}; train it again"
                )
        arrays = [archive.read(name) for name in named]
    if not all(np.isfinite(array).all() for array in arrays):
        raise BadInput(f"{path}: holds values that are not finite; train the teacher again")
    return jax.tree.unflatten(jax.tree.structure(wanted), [jnp.asarray(array) for array in arrays])


def take_teachers(folder: str | Path, data: Data, *, flag: str = "--teachers", split: str = "test") -> tuple[Teacher, ...]:
    """The members of a stored committee, in the model space of `data`; `flag` is what named the folder.

    Notes on stderr say where images that sets are scored on (`split`, `test` or `val`) may be among those that the teachers were trained
    on.

    Raises BadInput where they are for other classes or images, where the normalisations do not lead to each other, or where one is near
    chance on the data.
    """
    stored = load_teachers(folder, flag=flag)
    if stored.classes != data.classes or stored.image != data.image:
        theirs = f"{len(stored.classes)} classes ({', '.join(stored.classes[:4])} ...) of {'x'.join(map(str, stored.image))}"
        raise BadInput(f"{flag} {folder}: trained on {theirs}, which {data.spec} has not; give teachers of this data")
    warn_of_images(f"{flag} {folder}", stored.data_digest, stored.split_seed, data, split)
    members = tuple(between(member, stored.preprocess, data.preprocess, f"{flag} {folder}") for member in stored.members)
    for member, known in zip(members, stored.accuracies, strict=True):
        check_sense(member, data, advice=f"train other teachers than those in {folder}", known=known)
    return members


def warn_of_images(where: str, digest: str, seed: int | None, data: Data, split: str) -> None:
    """Notes on stderr where teachers may have been trained on the validation images of `data`.

    Args:
      where: begins the note.
      digest: of the data that they were trained on. Other data than `data` are noted wherever these have validation images; of the same
        data `warn_of_split` decides.
      seed: of the validation split that their training left out; None where that is not known.
      split: on which sets are scored, `test` or `val`.
    """
    if digest == data.digest:
        warn_of_split(where, seed, data, split)
        return
    if not len(data.val.y):
        return
    what = "validation images may be among theirs, and accuracies on these too high"
    note(f"{where}: trained on other images than those of {data.spec}; {what}")


def warn_of_split(where: str, seed: int | None, data: Data, split: str) -> None:
    """Warns on stderr where sets are scored on validation images that teachers were trained on: where `split` is `val`, and `seed`, of the
    validation split that their training left out, is known (not None) and not that of `data`. `where` begins the warning."""
    if split == "val" and seed not in (None, data.seed):
        what = "validation images here are among those they were trained on, and scores on them too high"
        note(f"warning: {where}: trained without the validation split of seed {seed}, and the data is cut by seed {data.seed}: {what}")


def between(teacher: Teacher, theirs: Preprocess, ours: Preprocess, where: str) -> Teacher:
    """Adapts a teacher to images that are normalised by `ours`: the network converts them to the teacher's own normalisation, `theirs`.
    Where both are equal, it comes back as it is. Raises BadInput, which begins with `where`, where they differ and one is not of mean and
    deviation."""
    if type(theirs) is type(ours) and all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True)):
        return teacher
    if not (isinstance(theirs, Standard) and isinstance(ours, Standard)):
        raise BadInput(f"{where}: trained under normalise={theirs.kind}, the data has {ours.kind} fitted on other images; give others")
    scale, shift = ours.std / theirs.std, (ours.mean - theirs.mean) / theirs.std

    def converting(inner: Net) -> Net:
        def apply(vars, x, *, train=False, key=None):
            moved = x * jnp.asarray(scale, x.dtype)[None, None, None] + jnp.asarray(shift, x.dtype)[None, None, None]
            return inner.apply(vars, moved, train=train, key=key)

        return Net(inner.init, apply)

    resized = teacher.resized
    return teacher._replace(net=converting(teacher.net), resized=resized and (lambda image: converting(resized(image))))

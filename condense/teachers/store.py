"""The folder of teachers on disk: `teachers.json` and an npz of variables by path for every member; nothing is ever unpickled."""

import json
from dataclasses import dataclass
from functools import lru_cache
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
from synth.images import preprocess as pre
from synth.images.preprocess import Preprocess, Standard
from synth.labelling import arrays_by_path

INDEX, NORMALISATION, FORMAT = "teachers.json", "normalisation.npz", 1


@dataclass(frozen=True, eq=False)
class Teachers:
    """A stored committee.

    Args:
      members: the networks, in the model space of their own data.
      accuracies: share of validation images each classified right at its last epoch.
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
    """Writes the variables of one network by path, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(path, arrays_by_path(vars))


def write_index(folder: Path, data: Data, recipe: dict[str, Any], members: list[dict]) -> None:
    """Writes the normalisation and then `teachers.json`. A folder with `teachers.json` is complete."""
    write_npz(folder / NORMALISATION, {name: np.asarray(value) for name, value in data.preprocess._asdict().items()})
    index = {"format": FORMAT, "data": data.spec, "data_digest": data.digest, "classes": data.classes, "image": data.image}
    index |= {"split_seed": data.seed, "normalisation": data.preprocess.kind, "recipe": recipe, "members": members}
    write_bytes(folder / INDEX, (json.dumps(index, indent=1) + "\n").encode())


def load_teachers(folder: str | Path, *, flag: str = "--teachers") -> Teachers:
    """Loads a committee from its folder and checks its files. Error messages name the flag `flag`.

    Raises BadInput, naming the file, where one is missing, damaged or not what it should be.
    """
    folder = Path(folder)
    path = folder / INDEX
    if not path.is_file():
        raise BadInput(f"{flag} {folder}: no {INDEX} there; give the folder of a finished `condense teachers`")
    try:
        index = json.loads(path.read_text())
        assert index["format"] == FORMAT, f"format {index['format']} is not {FORMAT}"
        classes, image = tuple(map(str, index["classes"])), tuple(map(int, index["image"]))
        listed = [(str(member["net"]), float(member["accuracy"])) for member in index["members"]]
        kind, data_digest = pre.KINDS[index["normalisation"]], str(index["data_digest"])
        split_seed = int(index["split_seed"]) if "split_seed" in index else None
        assert listed and len(image) == 3 and min(image) > 0 and classes, "it names no member, class or image size"
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise BadInput(f"{path}: is not a committee's index ({type(error).__name__}: {error}); train the teachers again") from error
    with opened(folder / NORMALISATION) as archive:
        preprocess = kind(**{name: archive.read(name).astype(np.float32) for name in kind._fields})
    members = []
    for number, (name, _) in enumerate(listed):
        net = built(name, image, len(classes))
        members.append(Teacher(net, read_vars(folder / "members" / f"{number}.npz", net), name))
    accuracies = tuple(accuracy for _, accuracy in listed)
    return Teachers(tuple(members), accuracies, data_digest, classes, image, preprocess, split_seed, folder)


@lru_cache(maxsize=32)
def built(name: str, image: tuple[int, int, int], classes: int) -> Net:
    """Builds a network once for all calls, so that its compiled functions are reused when the folder is read again."""
    return nets.build(name, image, classes)


def read_vars(path: Path, net: Net) -> Vars:
    """Variables of a network. Raises BadInput where an array is missing, of another shape or dtype, or not finite."""
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


def take_teachers(folder: str | Path, data: Data, *, flag: str = "--teachers") -> tuple[Teacher, ...]:
    """The members of a stored committee, adapted to the model space of `data`. Error messages name the flag `flag`.

    Raises BadInput where they are for other classes or images, where the normalisations do not lead to each other, or where one is near
    chance on the data.
    """
    stored = load_teachers(folder, flag=flag)
    if stored.classes != data.classes or stored.image != data.image:
        theirs = f"{len(stored.classes)} classes ({', '.join(stored.classes[:4])} ...) of {'x'.join(map(str, stored.image))}"
        raise BadInput(f"{flag} {folder}: trained on {theirs}, which {data.spec} has not; give teachers of this data")
    if stored.data_digest != data.digest:
        what = "validation images may be among theirs, and accuracies on these too high"
        note(f"{flag} {folder}: trained on other images than those of {data.spec}; {what}")
    members = tuple(between(member, stored.preprocess, data.preprocess, f"{flag} {folder}") for member in stored.members)
    for member, known in zip(members, stored.accuracies, strict=True):
        check_sense(member, data, advice=f"train other teachers than those in {folder}", known=known)
    return members


def between(teacher: Teacher, theirs: Preprocess, ours: Preprocess, where: str) -> Teacher:
    """Adapts a teacher to images in our model space: they are converted to the teacher's own normalisation. `where` names the teacher in
    error messages."""
    if type(theirs) is type(ours) and all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True)):
        return teacher
    if not (isinstance(theirs, Standard) and isinstance(ours, Standard)):
        raise BadInput(f"{where}: trained under normalise={theirs.kind}, the data has {ours.kind} fitted on other images; give others")
    scale, shift = ours.std / theirs.std, (ours.mean - theirs.mean) / theirs.std
    inner = teacher.net

    def apply(vars, x, *, train=False, key=None):
        moved = x * jnp.asarray(scale, x.dtype)[None, None, None] + jnp.asarray(shift, x.dtype)[None, None, None]
        return inner.apply(vars, moved, train=train, key=key)

    return teacher._replace(net=Net(inner.init, apply))

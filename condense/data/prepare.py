"""`condense data NAME`: puts a named set under $CONDENSE_DATA, whole or not at all, from files that the user has or by tensorflow_datasets.

The reader of the set says how it is kept: IDX files are copied as they are, others become a TFDS array_record directory of PNGs, in the
order of the files. No pickle is ever read.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from condense.data.named import NAMED, OTHER
from condense.data.readers import READERS
from condense.data.readers.base import Spec, Store
from condense.data.readers.tfds import build
from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL

MOST_SIZE = 4096  # of a picture's side, as the option of the readers has it


def prepare(name: str, *, from_dir: Path | None = None, size: int | None = None, test: float | None = None) -> Path:
    """Makes `--data NAME` work and returns the folder that holds the set.

    Args:
      name: a name of `NAMED`, or a new one of a-z, 0-9 and _ that begins with a letter.
      from_dir: for mnist and fashion_mnist the four IDX files; for cifar10 and cifar100 the unpacked binary version; for any but the IDX
        sets class folders train/CLASS/*.png|jpg and test/CLASS. Without it, a set that is there already is left alone, and another one is
        downloaded by tensorflow_datasets where tensorflow is installed.
      size: cuts the pictures of class folders to one size. test: draws this fraction for the test where there are no folders for it.
        Neither is for other files or a download.

    Raises:
      BadInput: a wrong name, or one of a set that needs no files; files that are missing or refused; `size` or `test` where there are no
        class folders; with `from_dir` a set that is there already; no tensorflow and no `from_dir`.
      RunFailed: the disk is full, or the download failed. The same call goes on with the shards that are missing.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise BadInput(f"data {name}: names are made of a-z, 0-9 and _, as in {', '.join(NAMED)}")
    reader = READERS[NAMED.get(name, OTHER).kind]
    if reader.embedded:
        raise BadInput(f"data {name}: {reader.embedded}; use --data {name}")
    store, place = reader.store, reader.store.place(name)
    there = place.is_dir() and any(place.iterdir())
    if (size is not None and not 1 <= size <= MOST_SIZE) or (test is not None and not 0 < test < 1):
        raise BadInput(f"data {name}: --size is a whole number from 1 to {MOST_SIZE} and --test a fraction such as 0.2; correct them")
    options = {key: value for key, value in (("size", size), ("test", test)) if value is not None}
    if from_dir is None and options:
        raise BadInput(f"data {name}: --size and --test are for class folders; add --from DIR, or leave them out")
    if from_dir is None:
        return place if there else _download(name, store)
    if there:
        raise BadInput(f"data {name}: {place} is there already; remove it to prepare the set again")
    from_dir = Path(from_dir).expanduser()
    spec = f"data {name} --from {from_dir}"
    if not from_dir.is_dir():
        raise BadInput(f"{spec}: there is no such folder; unpack archives first and name the folder that holds the files")
    known = NAMED.get(name, OTHER)
    write = store.load(from_dir, Spec(spec, name, known.kind, str(from_dir), options, known, flags=True))
    with _whole(place) as fresh:
        write(fresh)
    return place


def _download(name: str, store: Store) -> Path:
    place = store.place(name)
    if find_spec("tensorflow") is None:
        other = "or install the extra [tensorflow] and run this again to download it"
        raise BadInput(f"data {name}: not in {place}; run `condense data {name} --from DIR` where DIR holds {store.needs(name)}; {other}")
    import tensorflow_datasets as tfds

    try:
        with _whole(place) as fresh:
            build(tfds.builder(name, data_dir=fresh / "data", file_format="array_record"), fresh)
            store.keep(fresh, name)
    except tfds.core.DatasetNotFoundError:
        folders = "class folders train/CLASS and test/CLASS"
        raise BadInput(f"data {name}: tensorflow_datasets knows no such set; use --from DIR with {folders}") from None
    return place


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A folder that becomes `place` when the block ends well. When it does not, it stays where shards of the set are whole in it, for the
    same call to go on from, and vanishes otherwise."""
    fresh = place.parent / f".{place.name}.partial"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f".{place.name}.{'?' * 8}"):
            _remove_unless_locked(left)
        fresh.mkdir(exist_ok=True)
        lock = _lock(fresh)
    except BlockingIOError:
        raise BadInput(f"data {place.name}: another process is writing {fresh}; wait until it is done") from None
    except OSError as error:
        if error.errno in FULL:
            raise RunFailed(f"cannot write {place.parent} ({error.strerror}); make room and run again") from error
        raise BadInput(f"$CONDENSE_DATA: cannot write {place.parent} ({error.strerror}); name a folder that can be written") from error
    try:
        yield fresh
        os.replace(fresh, place)
    except BadInput:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    except OSError as error:
        raise RunFailed(f"cannot write {place} ({error.strerror or error}); make room or remove what is there") from error
    finally:
        if not next(fresh.glob("*/[!.]*.array_record-*"), None):
            shutil.rmtree(fresh, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int:
    """Opens a folder and locks it until its descriptor is closed. Raises OSError where another process has locked it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_unless_locked(folder: Path) -> None:
    """Removes a folder that a killed process left; one that a process is still filling stays."""
    with suppress(OSError):
        lock = _lock(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)

"""Writes images as a prepared set of tensorflow_datasets in array_record, without TensorFlow: shard by shard, in threads, and so that a
call that was stopped goes on with the shards that are missing.

A PNG or JPEG file that is not cut to a size is stored as it is; other images are stored as PNG.
"""

import hashlib
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from condense.data.readers.encoded import Items, why
from condense.data.readers.kept import Kept
from condense.data.readers.prepared import label_key
from condense.data.readers.scanned import Pictures
from condense.data.readers.source import Source
from condense.data.rows import Rows
from condense.runtime.log import progress
from synth.errors import BadInput, RunFailed

ROWS = 8192  # of a shard
PIECE = 256  # rows that a thread holds
VERSION = "1.0.0"
REQUEST = ".request"  # says for which source the shards beside it are
Encode = Callable[[bytes, int], bytes]  # of an encoded picture and its label
AS_THEY_ARE = (b"\x89PNG", b"\xff\xd8\xff")  # what such files begin with


class Shard(NamedTuple):
    """Rows `first` up to `stop`, without this one, of all rows of a part (`train` or `test`), and the name of the file that they go
    into."""

    part: str
    rows: Rows
    first: int
    stop: int
    name: str


def write_tfds(source: Source, folder: Path) -> None:
    """Writes `folder`/1.0.0 as array_record with the images and the class names, in order. Images must be bytes.

    Shards that an earlier call with the same source finished there stay; else all that `folder` holds is removed first. Raises RunFailed
    where the disk or the encoder fails, and BadInput as the rows do.
    """
    import tensorflow_datasets as tfds

    class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = source.name
        VERSION = tfds.core.Version(VERSION)

        def _info(self):
            image = tfds.features.Image(shape=source.shape, encoding_format="png")
            features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(names=list(source.classes))})
            # examples are shuffled by a hash of their key otherwise
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"), disable_shuffling=True)

        def _split_generators(self, dl_manager):  # never called: the shards are written below, in threads
            raise NotImplementedError

        _generate_examples = _split_generators

    place = begin(source, folder)
    try:
        info = Prepared(data_dir=folder / "data", file_format="array_record").info
        encode = serializer(info.features)
        shards = list(shards_of(source))
        with progress(sum(shard.stop - shard.first for shard in shards), f"writing {source.name}") as bar:
            write_all(shards, place, encode, bar)
        template = tfds.core.ShardedFileTemplate(data_dir=place, dataset_name=source.name, filetype_suffix="array_record")
        splits = []
        for part in ("train", "test"):
            own = [shard for shard in shards if shard.part == part]
            size = sum((place / shard.name).stat().st_size for shard in own)
            lengths = [shard.stop - shard.first for shard in own]
            splits.append(tfds.core.SplitInfo(name=part, shard_lengths=lengths, num_bytes=size, filename_template=template))
        info.set_splits(tfds.core.splits.SplitDict(splits))
        info.write_to_directory(place)
    except (BadInput, RunFailed):
        raise
    except Exception as error:  # it passes on whatever its file and encoding libraries raise
        reason = f"could not be written ({why(error)}); check the disk, then run the same again"
        raise RunFailed(f"data {source.name}: {reason}") from error
    (place / REQUEST).unlink()
    files = tuple(sorted(path for path in place.iterdir() if not path.name.startswith(".")))
    labels = {label_key(part, "label"): rows.y.astype(np.int64) for part, rows in parts_of(source).items()}
    Kept(files, source.spec).put(labels)


def begin(source: Source, folder: Path) -> Path:
    """Makes and returns the folder of the version, with the shards that an earlier, unfinished call with this source has finished. If there
    was none, all that `folder` holds is removed."""
    place, asked = folder / VERSION, request(source)
    if not (place / REQUEST).is_file() or (place / REQUEST).read_text() != asked:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        place.mkdir()
        (place / REQUEST).write_text(asked)
    return place


def request(source: Source) -> str:
    """A digest that tells a source from others, of names and classes, files, labels and no more than the first 256 rows of each part."""
    found = hashlib.sha256("\0".join((source.name, *source.classes)).encode())
    if source.files:
        found.update(Kept(source.files, source.spec).stamp)
    for rows in (source.train, source.test):
        found.update(f"{rows.dtype.str}{rows.shape}".encode() + np.ascontiguousarray(rows.y).tobytes())
        found.update(np.ascontiguousarray(rows.take(np.arange(min(PIECE, rows.shape[0])))).tobytes())
    return found.hexdigest()


def parts_of(source: Source) -> dict[str, Rows]:
    """The rows of `train` and `test`, by these names."""
    return {"train": source.train, "test": source.test}


def shards_of(source: Source) -> Iterator[Shard]:
    """The shards of both parts, in order: 8,192 rows each, the last one of a part what is left."""
    for part, rows in parts_of(source).items():
        n = rows.shape[0]
        ends = [*range(0, n, ROWS), n]
        for number, (first, stop) in enumerate(pairwise(ends)):
            yield Shard(part, rows, first, stop, f"{source.name}-{part}.array_record-{number:05d}-of-{len(ends) - 1:05d}")


def write_all(shards: list[Shard], place: Path, encode: Encode, bar: Any) -> None:
    """Writes the shards that are not there into the folder `place`, in as many threads as there are processors, and moves the bar on by
    their rows."""
    stop, lock = threading.Event(), threading.Lock()

    def tick(rows: int) -> None:
        with lock:
            bar.advance(rows)

    def write(shard: Shard) -> None:
        if (place / shard.name).is_file():
            tick(shard.stop - shard.first)
        elif not stop.is_set():
            write_shard(shard, place, encode, tick, stop)

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        for done in [pool.submit(write, shard) for shard in shards]:
            done.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def write_shard(
    shard: Shard, place: Path, encode: Callable[[bytes, int], bytes], tick: Callable[[int], None], stop: threading.Event
) -> None:
    """Writes one shard into the folder `place`, whole or not at all; nothing once `stop` is set. `tick` is called with a number of rows
    once they are written."""
    from array_record.python.array_record_module import ArrayRecordWriter

    fresh = place / f".{shard.name}.tmp"
    writer = ArrayRecordWriter(str(fresh), "group_size:1")
    for at in range(shard.first, shard.stop, PIECE):
        if stop.is_set():
            writer.close()
            return
        index = np.arange(at, min(at + PIECE, shard.stop))
        for picture, label in zip(encoded(shard.rows, index), shard.rows.y[index].tolist(), strict=True):
            writer.write(encode(picture, label))
        tick(len(index))
    writer.close()
    os.replace(fresh, place / shard.name)


def serializer(features: Any) -> Encode:
    """A function of an encoded picture and its class index to the bytes of a record of these features."""
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    made = ExampleSerializer(features.get_serialized_info())
    return lambda picture, label: made.serialize_example({"image": picture, "label": label})


def encoded(rows: Rows, index: Int[np.ndarray, " m"]) -> list[bytes]:
    """The rows that `index` names as encoded pictures: PNG, or the stored file as it is where that is a PNG or JPEG and not cut to a size.
    All are decoded, so that none is stored that is broken, or of another size than the others."""
    pixels = rows.take(index)
    if isinstance(rows, Pictures) and rows.size is None:
        stored = stored_files(rows.items, index)
        return [raw if raw.startswith(AS_THEY_ARE) else as_png(picture) for raw, picture in zip(stored, pixels, strict=True)]
    return [as_png(picture) for picture in pixels]


def stored_files(items: Items, index: Int[np.ndarray, " m"]) -> list[bytes]:
    """The bytes of the pictures that `index` names, as they are stored."""
    files = [items[at].file for at in index.tolist()]
    return [file.read_bytes() if isinstance(file, Path) else file.getvalue() for file in files]


def as_png(picture: UInt8[np.ndarray, "h w c"]) -> bytes:
    """A picture as PNG."""
    held = io.BytesIO()
    Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(held, "png")
    return held.getvalue()

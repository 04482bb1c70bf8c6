"""One parquet file, a row an example: the picture as `datasets` stores it, the class, and every array of rows as a list of numbers."""

import json
from pathlib import Path

import numpy as np

from condense.data.readers.parquet import BATCH, BUFFER
from condense.exchange.base import REST, Contents, Format, Parcel
from condense.exchange.pictures import contents_of, png, read_rest, stack, write_rest
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

FILE = "data/train-00000-of-00001.parquet"
SHAPES = b"condense_shapes"  # in the file's metadata: the shape of a row of every array


def write(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes one parquet file, a row an example: the picture, the class index and every array of rows; then the other arrays and the header
    to rest.npz. The card is not written here."""
    import pyarrow
    from pyarrow import parquet

    pictures = [{"bytes": png(image), "path": f"{row:05d}.png"} for row, image in enumerate(parcel.images)]
    columns = {"image": pyarrow.array(pictures), "label": pyarrow.array(parcel.label.astype(np.int64))}
    features = {"image": {"_type": "Image"}, "label": {"names": list(parcel.classes), "_type": "ClassLabel"}}
    for name, array in parcel.rows.items():
        numbers, value = pyarrow.array(array.ravel()), {"dtype": array.dtype.name, "_type": "Value"}
        if array.ndim > 1:
            listed = pyarrow.FixedSizeListArray.from_arrays(numbers, array.size // len(array))
            numbers, value = listed.cast(pyarrow.list_(numbers.type)), {"feature": value, "_type": "Sequence"}
        columns[name], features[name] = numbers, value
    shapes = {name: array.shape[1:] for name, array in parcel.rows.items()}
    table = pyarrow.table(columns).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}}), SHAPES: json.dumps(shapes)}
    )
    (folder / "data").mkdir()
    parquet.write_table(table, folder / FILE)
    write_rest(folder, parcel)


def read(folder: Path) -> Contents:
    """Reads the parquet file and rest.npz. Pictures are decoded only where no array holds the images. Raises BadInput where these are
    damaged."""
    import pyarrow
    from pyarrow import parquet

    arrays, header = read_rest(folder / REST)
    path = folder / FILE
    try:
        memory, parts = MemoryBudget(str(path), remedy="export a smaller set"), []
        for batch in parquet.ParquetFile(path, buffer_size=BUFFER).iter_batches(BATCH, use_threads=False):
            memory.take(2 * batch.nbytes, stored=0 if parts else path.stat().st_size)
            parts.append(batch)
        table = pyarrow.Table.from_batches(parts)
        shapes = json.loads(table.schema.metadata[SHAPES])
        for name, shape in shapes.items():
            column = table[name].combine_chunks()
            numbers = (column.flatten() if shape else column).to_numpy(zero_copy_only=False)
            arrays[name] = numbers.reshape(len(table), *shape)
        data = [row["bytes"] for row in table["image"].to_pylist()] if "x_pixels" not in arrays else []
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: is damaged ({' '.join(str(error).split())[:100]}); export the set again") from error
    named = ((picture, f"{path}: picture {row}") for row, picture in enumerate(data))
    images = stack(named, len(data), str(path), stored=sum(map(len, data))) if data else None
    return contents_of(arrays, header, images)


FORMAT = Format(
    "a parquet file as the Hugging Face hub shows it; other arrays in rest.npz",
    write,
    read,
    lambda path: (path / FILE).is_file() and (path / REST).is_file(),
    (
        (
            "numpy",
            f'import numpy, pyarrow.parquet\n\ntable = pyarrow.parquet.read_table("{FILE}")\nlabel = table["label"].to_numpy()\n'
            f'rest = numpy.load("{REST}", allow_pickle=False)',
        ),
        ("PyTorch", 'import os\nimport datasets\n\ndata = datasets.load_dataset(os.getcwd(), split="train").with_format("torch")'),
        ("datasets", 'import os\nimport datasets\n\ndata = datasets.load_dataset(os.getcwd(), split="train")'),
    ),
    files="data/train-*.parquet",
)

"""Sets of vectors as tables of numbers in their own units, or as tensors; `vectors.npz` has all arrays beside a table."""

import csv
import json
from pathlib import Path

import numpy as np

from condense.exchange import torch_file
from condense.exchange.base import Format, Parcel
from condense.exchange.plain import read_arrays, write_arrays
from synth.vectors import read_columns

ARRAYS, TABLE, ROWS = "vectors.npz", "train.csv", "data/train-00000-of-00001.parquet"


def column_names(parcel: Parcel) -> list[str]:
    """A name for every number of a vector: that of its column, with the category where it stands for one; x0, x1, ... where none are known.
    Names that would stand there twice get _ at their end."""
    text = json.loads(parcel.header)["fields"]["x"].get("columns", "")
    found, names = [], []
    for name, *categories in read_columns(text) if text else ():
        found += [f"{name}={category}" for category in categories] or [name]
    for name in found or [f"x{at}" for at in range(parcel.rows["raw"].shape[1])]:
        while name in ("label", *names):
            name += "_"
        names.append(name)
    return names


def write_csv(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes train.csv, a line of names and then a row a vector with the name of its class behind it, and all arrays to vectors.npz. The
    card is not written here."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*column_names(parcel), "label"])
        for row, label in zip(parcel.rows["raw"], parcel.label, strict=True):
            table.writerow([*map(str, row), parcel.classes[label]])
    write_arrays(parcel, folder / ARRAYS)


def write_parquet(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes a parquet file with a column a number and the class indices as `label`, and all arrays to vectors.npz. The card is not written
    here."""
    import pyarrow
    from pyarrow import parquet

    names, raw = column_names(parcel), parcel.rows["raw"]
    features = {name: {"dtype": "float32", "_type": "Value"} for name in names}
    features["label"] = {"names": list(parcel.classes), "_type": "ClassLabel"}
    columns = [pyarrow.array(np.ascontiguousarray(column)) for column in raw.T] + [pyarrow.array(parcel.label.astype(np.int64))]
    table = pyarrow.Table.from_arrays(columns, [*names, "label"])
    (folder / "data").mkdir()
    parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), folder / ROWS)
    write_arrays(parcel, folder / ARRAYS)


NUMPY = f'import numpy\n\nfile = numpy.load("{ARRAYS}", allow_pickle=False)\nx, label = file["raw"], file["label"]'
TORCH = (
    f'import numpy, torch\n\nfile = numpy.load("{ARRAYS}", allow_pickle=False)\n'
    'data = torch.utils.data.TensorDataset(torch.from_numpy(file["raw"]), torch.from_numpy(file["label"]))'
)
DATASETS = 'import os\nimport datasets\n\ndata = datasets.load_dataset(os.getcwd(), split="train")'
FOLDER = Format(
    f"a table, {TABLE}, and all arrays in {ARRAYS}",
    write_csv,
    lambda path: read_arrays(path / ARRAYS),
    lambda path: (path / ARRAYS).is_file() and (path / TABLE).is_file(),
    (("numpy", NUMPY), ("PyTorch", TORCH), ("datasets", DATASETS)),
    files=TABLE,
)
PARQUET = FOLDER._replace(
    about=f"a parquet file with a column a number, and all arrays in {ARRAYS}",
    write=write_parquet,
    finds=lambda path: (path / ARRAYS).is_file() and (path / ROWS).is_file(),
    files="data/train-*.parquet",
)
FILE = f'import torch\n\nfile = torch.load("{torch_file.FILE}", weights_only=True)\n'
TENSORS = torch_file.FORMAT._replace(
    usage=(
        ("numpy", FILE + 'x, label = file["raw"].numpy(), file["label"].numpy()'),
        ("PyTorch", FILE + 'data = torch.utils.data.TensorDataset(file["raw"], file["label"])'),
        (
            "datasets",
            f'import datasets\n{FILE}data = datasets.Dataset.from_dict({{"x": file["raw"].numpy(), "label": file["label"].numpy()}})',
        ),
    ),
)


def formats(parcel: Parcel | None) -> dict[str, Format]:
    """The formats of sets of vectors, by name: the same for every parcel, and for None."""
    return {"folder": FOLDER, "torch": TENSORS, "parquet": PARQUET}

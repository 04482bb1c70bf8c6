"""The reader of data sets of the library `datasets` (Hugging Face): what `save_to_disk` wrote, and objects that somebody holds.

Objects are known by what they offer, so the library itself is imported only to read a folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from condense.data.readers import folder
from condense.data.readers.arrow import values_of
from condense.data.readers.base import Reader, Spec
from condense.data.readers.columnar import ARRAY, CHOICES, CLASS, PICTURE, PLAIN, source_of_columns
from condense.data.readers.encoded import why
from condense.data.readers.parquet import parquet_files, read_parquet
from condense.data.readers.source import Source, regular
from condense.data.readers.vector_source import VectorSource
from condense.runtime.log import note
from synth.errors import BadInput

BATCH = 64
TESTS = ("test", "validation", "valid", "val")  # what the part with the test rows may be called, the best one first
INSTALL = "install it by pip install 'condense-workbench[interop]'"
KINDS = {"Image": PICTURE, "ClassLabel": CLASS, "Value": PLAIN} | dict.fromkeys(
    ("Array2D", "Array3D", "List", "LargeList", "Sequence"), ARRAY
)


def is_dataset(thing: Any) -> bool:
    """Whether something is a data set of the library: columns of declared kinds."""
    return hasattr(thing, "num_rows") and isinstance(getattr(thing, "features", None), Mapping)


def kind_of(feature: Any) -> str:
    """The kind of a column with this feature: `picture`, `array`, `class`, `plain`, or `other`, which is not read. Encoded pictures may lie
    in plain bytes too, or in a record with a field `bytes`."""
    encoded = "bytes" in feature if isinstance(feature, Mapping) else getattr(feature, "dtype", "") in ("binary", "large_binary")
    return PICTURE if encoded else KINDS.get(type(feature).__name__, "other")


class Held:
    """A data set of the library `datasets` as columns; its pictures stay encoded. `stored` are the bytes of its files, None where that says
    nothing."""

    def __init__(self, dataset: Any, shown: str, *, stored: int | None = None):
        self.shown, self.stored = shown, stored
        self.kinds = {name: kind_of(feature) for name, feature in dataset.features.items()}
        for name in self.kinds:
            if type(dataset.features[name]).__name__ == "Image":
                dataset = dataset.cast_column(name, type(dataset.features[name])(decode=False))
        self.dataset = dataset.with_format(None)

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, names: Sequence[str], *, first: int = 0) -> Iterator[dict[str, Sequence]]:
        """The values of these columns from the row `first` on, by name of column, 64 rows at a time."""
        lists = [name for name in names if self.kinds[name] == ARRAY]
        picked, raw = self.dataset.select_columns(list(names)), self.dataset.with_format("arrow").select_columns(lists)
        picked = picked.remove_columns(lists)
        for row in range(first, len(self), BATCH):
            held = {name: values_of(column) for name, column in zip(lists, raw[row : row + BATCH].columns, strict=True)} if lists else {}
            yield held | (picked[row : row + BATCH] if len(lists) < len(names) else {})

    def classes(self, name: str) -> tuple[str, ...]:
        """The names of the classes in a column, in the order of the class indices; () for a column that declares none."""
        return tuple(getattr(self.dataset.features[name], "names", None) or ()) if self.kinds[name] == CLASS else ()


def read_datasets(
    spec: Spec, train: Any, test: Any | None, *, usual: float | None = None, stored: int | None = None, scan: bool = False
) -> Source | VectorSource:
    """The source that two data sets of the library `datasets` are: pictures, arrays or a table. Where `test` is None, a part of `train` is
    drawn for it: the fraction of the option `test`, else `usual`. `stored` are the bytes of their files, if known. With `scan` their rows
    stay where they are, which is a file that is mapped into memory."""
    parts = [None if part is None else Held(part, f"the {word} set", stored=stored) for part, word in ((train, "train"), (test, "test"))]
    return source_of_columns(spec, *parts, usual=usual, scan=scan)


def read(spec: Spec, *, scan: bool = False) -> Source | VectorSource:
    """The data set that was saved in the folder of the spec, or the parquet files or class folders in it. A name that is no folder is asked
    of the Hub. With `scan` rows stay in their files. Raises BadInput, with what to install, where the library is not there, and where the
    folder holds no such thing."""
    try:
        import datasets
    except ImportError:
        raise BadInput(f"{spec.text}: hf: needs the library datasets; {INSTALL}") from None
    place, stored = spec.place(), None
    try:
        if (place / "state.json").is_file() or (place / "dataset_dict.json").is_file():
            stored = saved_bytes(place, spec.text)
            found = datasets.load_from_disk(str(place))
        elif place.is_dir():
            if files := parquet_files(place):
                return read_parquet(spec, files, scan=scan)
            return folder.scan(spec) if scan else folder.read_folder(place, spec)
        elif place.exists() or len(Path(spec.location).parts) > 2 or spec.location.startswith((".", "~", "/")):
            raise BadInput(f"{spec.text}: there is no folder {place}; name one that save_to_disk wrote, or the name of a set on the Hub")
        else:
            note(f"{spec.text}: there is no folder {place}, so the Hub is asked")
            found = datasets.load_dataset(spec.location)
    except BadInput:
        raise
    except Exception as error:  # the library passes on what its file, network and format libraries raise
        raise BadInput(f"{spec.text}: datasets cannot read it ({why(error)}); name a folder that save_to_disk wrote") from error
    train, test = parts_of(spec, found)
    return read_datasets(spec, train, test, stored=stored, scan=scan)


def saved_bytes(place: Path, spec: str) -> int:
    """Bytes of all files in a folder and the folders in it. Raises BadInput for devices and pipes, which would block whoever opens them."""
    files = [path for path in place.rglob("*") if not path.is_dir()]
    return sum(regular(path, spec, remedy="save the data again").stat().st_size for path in files)


def parts_of(spec: Spec, found: Any) -> tuple[Any, Any | None]:
    """The data set to train on and that of the test, None where there is none, in what `datasets` loaded: one set, or sets by name. Raises
    BadInput where several parts are there and none is called train."""
    if is_dataset(found):
        return found, None
    if "train" not in found and len(found) > 1:
        raise BadInput(f"{spec.text}: has the parts {', '.join(map(str, found))[:200]}; one must be called train")
    train = found["train"] if "train" in found else next(iter(found.values()))
    return train, next((found[name] for name in TESTS if name in found), None)


ABOUT = "a folder that save_to_disk of the library datasets wrote, or with parquet files or class folders; needs the extra [interop]"
READER = Reader("hf", ABOUT, read, CHOICES, scan=partial(read, scan=True))

"""The reader of parquet files, through pyarrow: pictures or arrays in a column, or a table of numbers and text, with a column of labels."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from condense.data.readers.arrow import values_of
from condense.data.readers.base import Reader, Spec
from condense.data.readers.columnar import ARRAY, CLASS, PICTURE, PLAIN, WITH_FILE, source_of_columns
from condense.data.readers.encoded import why
from condense.data.readers.source import Source, regular
from condense.data.readers.vector_source import VectorSource
from synth.errors import BadInput
from synth.files.records import ANY, parse_record

BATCH = 64
BUFFER = 1 << 20  # bytes of a file that are read at a time; otherwise all of a column in a group of rows are
TESTS = ("test", "validation", "valid", "val")
INSTALL = "install it by pip install 'condense-workbench[interop]'"


class Files:
    """Parquet files of one part, one after another, as columns. Raises BadInput for a file that is none, and for different columns."""

    def __init__(self, files: Sequence[Path], spec: str):
        self.spec, self.shown = spec, files[0].name if len(files) == 1 else f"{len(files)} files {files[0].name} ..."
        self.files = [open_parquet(path, spec) for path in files]
        self.stored = sum(path.stat().st_size for path in files)
        self.schema = self.files[0].schema_arrow
        self.kinds = {field.name: kind_of(field.type) for field in self.schema}
        self.names = declared_classes(self.schema)
        self.kinds |= {name: CLASS for name in self.names if self.kinds.get(name) == PLAIN}
        for file, path in zip(self.files, files, strict=True):
            if file.schema_arrow.names != self.schema.names:
                raise BadInput(f"{spec}: {path.name} has other columns than {files[0].name}; give files of one table")

    def __len__(self) -> int:
        return sum(file.metadata.num_rows for file in self.files)

    def batches(self, names: Sequence[str], *, first: int = 0) -> Iterator[dict[str, Sequence]]:
        """The values of these columns from the row `first` on, by name of column, no more than 64 rows at a time. Groups of rows before it
        are not read."""
        try:
            for file in self.files:
                counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                groups = [group for group, end in enumerate(accumulate(counts)) if end > first]
                first -= sum(counts[: groups[0]] if groups else counts)
                if not groups:
                    continue
                for batch in file.iter_batches(BATCH, row_groups=groups, columns=list(names), use_threads=False):
                    first, left = max(0, first - len(batch)), batch[first:]
                    if len(left):
                        yield {name: values_of(left.column(left.schema.get_field_index(name))) for name in names}
        except Exception as error:  # it passes on what its format and file libraries raise
            raise BadInput(f"{self.spec}: {self.shown} is damaged ({why(error)}); write it again") from error

    def classes(self, name: str) -> tuple[str, ...]:
        """The names of the classes in a column, as the library datasets notes them in the file; () where it notes none."""
        return self.names.get(name, ())


def open_parquet(path: Path, spec: str) -> Any:
    """A `pyarrow.parquet.ParquetFile`, opened. Raises BadInput where the file is none, or pyarrow is not there."""
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise BadInput(f"{spec}: parquet needs pyarrow; {INSTALL}") from None
    try:
        return parquet.ParquetFile(regular(path, spec, remedy="name a parquet file that is there"), buffer_size=BUFFER)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"{spec}: {path} is no parquet file ({why(error)}); write it again") from error


def kind_of(kind: Any) -> str:
    """The kind of a column of this arrow type: `picture` for bytes or a record with some, `array` for lists, `other`, which is not read,
    for other records, else `plain`."""
    text = str(kind)
    if "binary" in text and (text.startswith("struct<") or text in ("binary", "large_binary")):
        return PICTURE
    if text.startswith(("list<", "large_list<", "fixed_size_list<", "extension<")):
        return ARRAY
    return PLAIN if not text.startswith(("struct<", "map<")) else "other"


def declared_classes(schema: Any) -> dict[str, tuple[str, ...]]:
    """Class names by column, where the file notes them as the library datasets does."""
    try:
        noted = parse_record((schema.metadata or {})[b"huggingface"].decode(), ANY)
        features = noted["info"]["features"].items()
        found = {name: feature.get("names") for name, feature in features if feature.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, AttributeError, TypeError):
        return {}
    return {name: tuple(names) for name, names in found.items() if isinstance(names, list) and all(isinstance(one, str) for one in names)}


def parquet_files(place: Path) -> list[Path]:
    """The parquet files of a folder, sorted, or of `data` in it where it holds none itself; the file itself where it is one."""
    if not place.is_dir():
        return [place]
    return sorted(place.glob("*.parquet")) or sorted(place.glob("data/*.parquet"))


def read_parquet(spec: Spec, files: list[Path], *, scan: bool = False) -> Source | VectorSource:
    """The source in parquet files. Those called `test...` are the test, else those called `validation...`, `valid...` or `val...`; the
    option test=FILE names another. Those called `train...` are for training, or all others if none is; a single file is for training
    whatever its name. Without a test, a part of the rows is drawn. With `scan` rows stay in the files.

    Raises BadInput where there is no file, none for training, or one that cannot be read.
    """
    if not files:
        raise BadInput(f"{spec.text}: there is no parquet file in {spec.location}; name a file, or a folder with train*.parquet")
    asked = spec.options.get("test")
    train = [path for path in files if path.name.lower().startswith("train")]
    tests = next((found for word in TESTS if (found := [path for path in files if path.name.lower().startswith(word)])), [])
    if isinstance(asked, str):
        if "split" in spec.options:
            raise BadInput(f"{spec.text}: test=FILE names the test rows and split=N draws them; leave one out")
        tests, spec = [spec._replace(location=asked).place()], spec._replace(options={k: v for k, v in spec.options.items() if k != "test"})
    elif not train and len(files) == 1:
        tests = []
    train = train or [path for path in files if path not in tests]
    if not train:
        raise BadInput(
            f"{spec.text}: {', '.join(path.name for path in files)[:200]} are all for the test; one must be called train*.parquet"
        )
    return source_of_columns(spec, Files(train, spec.text), Files(tests, spec.text) if tests else None, scan=scan)


def read(spec: Spec, *, scan: bool = False) -> Source | VectorSource:
    """The source in the parquet file that the spec names, or in those of the folder that it names. With `scan` rows stay in the files.
    Raises BadInput where there is no such file, none for training, or one that cannot be read."""
    return read_parquet(spec, parquet_files(spec.place()), scan=scan)


ABOUT = "a file, or a folder with train*.parquet and test*.parquet: a column of pictures, arrays or numbers, and one of labels"
READER = Reader("parquet", ABOUT, read, WITH_FILE, scan=partial(read, scan=True))

"""The reader of CSV files: a row a line, names of the columns in the first, with commas, semicolons or tabs between, plain or .gz.

`condense.data.readers.columns` says what becomes of the cells.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from condense.data.readers.base import FileOrShare, Number, Reader, Spec, Word
from condense.data.readers.columns import LABELS, check_cells, check_names, source_of_table
from condense.data.readers.source import AGAIN, NO_SPLIT, regular
from condense.data.readers.vector_source import VectorSource
from synth.errors import BadInput
from synth.files.format import printable

LONGEST = 1 << 24  # letters of a line
SEPARATORS = ",;\t"
DECIMAL = re.compile(r"[+-]?\d+,\d+")
QUOTES = "; quote cells that hold commas"


class Table(NamedTuple):
    """A CSV file: its path, the user's specification, and the names of its columns in order."""

    path: Path
    spec: str
    names: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The name of the file."""
        return self.path.name

    @property
    def stored(self) -> int:
        """The bytes of the file."""
        return self.path.stat().st_size

    def refuse(self, line: int, what: str) -> BadInput:
        """Returns the BadInput that refuses a line of the file; `what` says what is wrong with it."""
        return BadInput(f"{self.spec}: line {line} of {self.path.name}: {what}")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number (from 1) and cells of every row below the names. Raises BadInput for a row with more or fewer cells than columns, and
        for a cell that is empty, NaN or infinite."""
        cells = read_cells(self.path, self.spec)
        next(cells)
        for line, row in cells:
            yield line, check_cells(self, line, row)


def open_text(path: Path) -> TextIOWrapper:
    """An open text file in UTF-8, plain or .gz; some programs begin a text with a byte order mark, which is left out."""
    return (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="")


def read_cells(path: Path, spec: str) -> Iterator[tuple[int, list[str]]]:
    """Reads line number, from 1, and cells without the space around them of every line that is not empty, including the first, which names
    the columns. The separator is found in the first line. Raises BadInput if the file is not a table."""
    regular(path, spec, remedy="name a CSV file that is there")
    with open_text(path) as file:

        def lines() -> Iterator[str]:
            while line := file.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise BadInput(f"{spec}: line {reader.line_num + 1} of {path.name}: is longer than {LONGEST} letters; split the table")
                yield line

        try:
            separator = separator_of(file.readline(LONGEST))
            file.seek(0)
            reader = csv.reader(lines(), strict=True, skipinitialspace=True, delimiter=separator)
            for row in reader:
                if separator == ";" and (broken := next((cell for cell in row if DECIMAL.fullmatch(cell.strip())), "")):
                    what = f"holds {broken}, a decimal comma; write {broken.replace(',', '.')}"
                    raise BadInput(f"{spec}: line {reader.line_num} of {path.name}: {what}")
                if row:
                    yield reader.line_num, [cell.strip() for cell in row]
        except csv.Error as error:
            raise BadInput(f"{spec}: line {reader.line_num} of {path.name}: is no row of a table ({error}){QUOTES}") from None
        except UnicodeDecodeError:
            raise BadInput(f"{spec}: {path} is no text in UTF-8; convert it") from None
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(f"{spec}: {path} is damaged ({error}); {AGAIN}") from None


def separator_of(line: str) -> str:
    """What stands between the columns of a table with this first line: a comma if there is one, else a semicolon or tab, whichever is more
    frequent; a comma if there is none of them."""
    return max(SEPARATORS, key=line.count) if "," not in line else ","


def open_table(path: Path, spec: str, label: str) -> Table:
    """The table in a file; of this only the names of the columns are read. Raises BadInput for names that are missing or there twice, and
    where none is `label`."""
    _, names = next(read_cells(path, spec), (1, []))
    return Table(path, spec, check_names(spec, path.name, [printable(name) for name in names], label))


def label_of(spec: Spec) -> str:
    """The name of the label's column: the one that the option `label` asks for, else a usual name such as `class` or `target` that is
    there, else `label`, which need not be there."""
    _, names = next(read_cells(spec.place(), spec.text), (1, []))
    there = {name.lower(): printable(name) for name in reversed(names)}
    return printable(spec.options.get("label") or next((there[word] for word in LABELS if word in there), "label"))


def read(spec: Spec, *, scanned: bool = False) -> VectorSource:
    """Reads the table in the file that the spec names: vectors f32[n d] and class indices. A column whose training rows hold text becomes
    one number a category (see `condense.data.readers.columns`).

    Test rows are those of the table test=FILE. Without one they are drawn from the rows: a fifth, or the fraction test=F, by the seed
    split=N (0). Where `scanned`, rows stay in their files: each is read here once, to check it, and again whenever it is taken.

    Raises BadInput where a file is no such table, with the line where there is one: another number of cells, an empty cell, a label that is
    no whole number among numbers, too many categories, text where all training rows hold numbers, or a number beyond float32. Also for
    test=FILE together with split=N.
    """
    label, test = label_of(spec), spec.options.get("test")
    other = test if isinstance(test, str) else None
    if other is not None and "split" in spec.options:
        raise BadInput(f"{spec.text}: test=FILE names the test rows and split=N draws them; leave one out")
    table = open_table(spec.place(), spec.text, label)
    beside = None if other is None else open_table(spec._replace(location=other).place(), spec.text, label)
    return source_of_table(spec, table, beside, label, scanned=scanned)


def scan(spec: Spec) -> VectorSource:
    """Reads the table in the file that the spec names as vectors f32[n d] and class indices, with the options of `read` and refusing the
    same, but keeps no row in memory: rows stay in their files and are read again whenever they are taken, quickly only in their order."""
    return read(spec, scanned=True)


ABOUT = "vectors: a table (.csv, .tsv, .gz) with the names of its columns in the first line, one of them the label's; text is categories"
OPTIONS = {"label": Word(), "test": FileOrShare(), "split": Number(least=0, most=10**6), "limit": Number()} | NO_SPLIT
READER = Reader("csv", ABOUT, read, OPTIONS, scan=scan)

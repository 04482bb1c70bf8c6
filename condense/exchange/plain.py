"""All arrays of a set that makes no pictures, in one archive of numpy beside what other libraries read."""

from pathlib import Path

import numpy as np

from condense.exchange.base import Contents, Parcel
from condense.exchange.pictures import contents_of, read_rest
from synth.files.npz import write_npz


def write_arrays(parcel: Parcel, path: Path) -> None:
    """Writes every array of the parcel but its pictures, the header and the names of the classes into the npz archive `path`."""
    text = {"header": np.array(parcel.header), "classes": np.array(parcel.classes)}
    write_npz(path, {**parcel.numbers(), **parcel.whole, **text})


def read_arrays(path: Path) -> Contents:
    """Reads the npz archive that `write_arrays` wrote. Raises BadInput for a damaged one."""
    arrays, header = read_rest(path)
    return contents_of(arrays, header, None)

"""Data frames, known by what they offer: names of columns, a length, and columns by number."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from condense.data.readers.columnar import ARRAY, PICTURE, PLAIN

BATCH = 1000


def is_frame(thing: Any) -> bool:
    """Whether something is a data frame."""
    return hasattr(thing, "columns") and hasattr(thing, "iloc")


class Frame:
    """A data frame as columns. `shown` is what messages call it. The kinds of columns are told by the first row."""

    stored = None

    def __init__(self, frame: Any, shown: str):
        self.frame, self.shown = frame, shown
        self.names = [str(name) for name in frame.columns]
        self.kinds = {name: kind_of(frame.iloc[0, at]) if len(frame) else PLAIN for at, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.frame)

    def batches(self, names: Sequence[str], *, first: int = 0) -> Iterator[dict[str, Sequence]]:
        """The values of these columns from the row `first` on, as lists by name of column, 1,000 rows at a time."""
        at = {name: self.names.index(name) for name in names}
        for row in range(first, len(self), BATCH):
            yield {name: list(self.frame.iloc[row : row + BATCH, column]) for name, column in at.items()}

    def classes(self, name: str) -> tuple[str, ...]:
        """Always (), as the values of a frame's column of categories are their names."""
        return ()


def kind_of(value: Any) -> str:
    """The kind of a column with such values: `picture` for bytes or a record, `array` for arrays and lists, else `plain`, a number or
    text."""
    if isinstance(value, bytes | dict):
        return PICTURE
    return ARRAY if isinstance(value, np.ndarray | list | tuple) else PLAIN

"""Columns of arrow as values of Python and numpy. Lists of one shape become arrays without a Python object for every number."""

from typing import Any

import numpy as np

LISTS = ("list<", "large_list<", "fixed_size_list<")


def values_of(column: Any) -> list | np.ndarray:
    """The values of an arrow array: one array where they are lists of numbers, all of one shape, and as Python has them otherwise."""
    column = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    stacked = _stacked(column)
    return column.to_pylist() if stacked is None else stacked


def _stacked(column: Any) -> np.ndarray | None:
    """Lists of numbers, all of one shape, as an array; None for anything else."""
    n, shape = len(column), []
    column = getattr(column, "storage", column)  # of an extension type
    if not str(column.type).startswith(LISTS) or not n:
        return None
    while str(column.type).startswith(LISTS):
        lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
        if column.null_count or len(lengths) != 1 or not lengths[0]:
            return None
        shape.append(int(lengths[0]))
        column = column.flatten()
    if column.null_count or not str(column.type).startswith(("int", "uint", "float", "double", "halffloat", "bool")):
        return None
    return column.to_numpy(zero_copy_only=False).reshape(n, *shape)

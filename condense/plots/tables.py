"""Tables on terminals: names and numbers stay whole, and texts fold at words."""

from collections.abc import Iterator
from typing import Any

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


class WholeTable(Table):
    """A table whose columns are never narrower than their longest word, or than their numbers, which stand on the right.

    Where the lines between columns take the room that words need, there is only space between them. Where even that is too wide, the table
    is wider than the terminal, and `print_table` leaves nothing of it out.

    Args:
      heads: of the first columns. title: above the table, taken as it is. ruled: whether there may be lines between columns.
    """

    def __init__(self, *heads: str, title: str, ruled: bool = True):
        super().__init__(*heads, title=Text(title))
        self.ruled = ruled

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        least, most = zip(*map(extents, self.columns), strict=True)
        gaps = (3, 2, 1) if self.ruled else (2, 1)  # between two cells: a line with a space on both sides, or spaces alone
        gap = next((gap for gap in gaps if sum(least) + around(len(least), gap) <= options.max_width), 1)
        if gap == 3:
            self.box, self.show_edge, self.pad_edge, self.padding, self.title_justify = HEAVY_HEAD, True, True, (0, 1), "center"
        else:
            self.box, self.show_edge, self.pad_edge, self.padding, self.title_justify = (
                SIMPLE_HEAD,
                False,
                False,
                (0, gap - 1, 0, 0),
                "left",
            )
        rest = around(len(least), gap)
        widths = fit(least, most, options.max_width - rest)
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        yield from super().__rich_console__(console, options.update_width(sum(widths) + rest))

    def __str__(self) -> str:
        """The table as plain text, which is what `print` shows."""
        console = Console(color_system=None)
        with console.capture() as caught:
            console.print(self, crop=False)
        return caught.get()


def around(columns: int, gap: int) -> int:
    """The width, in letters, of all that is not a cell, for gaps of this width between cells; a gap of 3 is one with a line, and then the
    table has a line at each end."""
    return gap * (columns - 1) + (4 if gap == 3 else 0)


def extents(column: Column) -> tuple[int, int]:
    """The least width in letters that tears no word, and no cell where the column stands on the right or does not wrap; and the width at
    which nothing folds."""
    whole, cells = column.no_wrap or column.justify == "right", [str(cell) for cell in column.cells]
    lines = [line for text in (str(column.header), *cells) for line in text.splitlines()]
    words = [word for text in (str(column.header), *([] if whole else cells)) for word in text.split()]
    least = [*words, *(line for cell in cells for line in cell.splitlines() if whole)]
    return max(map(cell_len, least), default=1), max(map(cell_len, lines), default=1)


def fit(least: tuple[int, ...], most: tuple[int, ...], room: int) -> list[int]:
    """A width for each column, between its `least` and its `most`, that together take no more than `room`, if there are such: the widest
    column gives way first. Else all that can have given way, and the widths take more."""
    widths = [*most]
    while sum(widths) > room and (spare := [at for at, width in enumerate(widths) if width > least[at]]):
        widths[max(spare, key=lambda at: widths[at])] -= 1
    return widths


def print_table(shown: Any) -> None:
    """Prints a table or several (what rich can show) to stdout, and nothing of them is left out, even where the terminal is too narrow."""
    Console().print(shown, crop=False)

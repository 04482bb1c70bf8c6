"""The two ways in which work ends early. Each message is one line that names the flag or file, what was wrong and what would be right.

Messages show text from files, names and command lines. So whatever a message holds is made fit for a terminal here, where all of them pass.
"""

import difflib
import re
from collections.abc import Iterable

LINE, WORD = 1000, 420  # letters of a line, and of a word in it


def one_line(text: str) -> str:
    """The text in one line of at most LINE (1,000) letters: what a terminal would obey is escaped, and a text or word too long loses its
    middle."""
    text = text if len(text) <= 16 * LINE else f"{text[: 8 * LINE]} ... {text[-8 * LINE :]}"  # what follows takes time for every letter
    shown = "".join(letter if letter.isprintable() else " " if letter.isspace() else ascii(letter)[1:-1] for letter in text)
    shown = re.sub(rf"\S{{{WORD + 1},}}", lambda word: f"{word[0][:300]}...{word[0][-80:]}", shown)
    return shown if len(shown) <= LINE else f"{shown[:700]} ... {shown[-290:]}"


class BadInput(ValueError):
    """A wrong call or bad input; the command line exits with 2."""

    def __init__(self, text: str = ""):
        super().__init__(one_line(text))


class RunFailed(RuntimeError):
    """A run that could not go on (NaN, disk full, memory refused); the command line exits with 1."""

    def __init__(self, text: str = ""):
        super().__init__(one_line(text))


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean NAME?" of the known one most like it, or "" where none is like it."""
    near = difflib.get_close_matches(word[:200], list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""

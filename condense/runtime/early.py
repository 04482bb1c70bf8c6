"""Ctrl-C before the program has begun: while its first modules load there is nothing yet that could say a line. To be imported first."""

import _signal as signal  # what `signal` wraps in enumerations, whose import would take longer than all that is protected here
import os
import sys

INTERRUPTED = 130
BEFORE = signal.getsignal(signal.SIGINT)


def leave(number: int, frame: object) -> None:
    """Handles Ctrl-C: says on stderr that the program was interrupted, and ends the process at once with exit code 130."""
    if sys.stderr is not None:
        os.write(2, b"condense: interrupted\n")
    os._exit(INTERRUPTED)


def restore() -> None:
    """Ctrl-C does again what it did before this module was imported."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, BEFORE)


if BEFORE is signal.default_int_handler:
    try:  # noqa: SIM105 (as little as possible is imported here)
        signal.signal(signal.SIGINT, leave)
    except ValueError:  # not the main thread: whoever imports this there has Ctrl-C in hand
        pass

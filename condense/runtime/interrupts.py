"""Handles Ctrl-C: delays it where it would leave something half done, and raises it again where Python would drop it."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


def reraise_interrupts() -> None:
    """Installs a hook that raises a Ctrl-C again, in the main thread, if it arrived where Python drops exceptions.

    JAX runs a Python function at every garbage collection. Python prints and forgets an exception inside it, and most interruptions arrive
    there while a step is traced.
    """
    before = sys.unraisablehook

    def hook(dropped) -> None:
        if dropped.exc_type is KeyboardInterrupt:
            # not at once: that would be in here, and lost again
            later = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            later.daemon = True
            later.start()
        else:
            before(dropped)

    sys.unraisablehook = hook


@contextlib.contextmanager
def defer_interrupt() -> Iterator[None]:
    """Delays Ctrl-C until the block ends, so that the block is done as a whole. A second Ctrl-C takes effect at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = []

    def ask(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt

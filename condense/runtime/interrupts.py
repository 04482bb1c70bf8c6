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
            _again(signal.SIGINT)  # not at once: that would be in here, and lost again
        else:
            before(dropped)

    sys.unraisablehook = hook


def wait_for_imports() -> None:
    """Lets Ctrl-C wait until no module is being imported: an extension module that is interrupted while it loads ends in a traceback, or
    worse. Elsewhere it raises KeyboardInterrupt as ever."""

    def interrupt(number, frame) -> None:
        at = frame
        while at is not None:
            if at.f_code.co_filename.startswith("<frozen importlib"):
                _again(signal.SIGINT)
                return
            at = at.f_back
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)


def _again(number: int) -> None:
    later = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, number))
    later.daemon = True
    later.start()


@contextlib.contextmanager
def defer_interrupt() -> Iterator[None]:
    """Delays Ctrl-C until the block ends, so that the block is done as a whole. A second Ctrl-C takes effect at once. Outside the main
    thread it changes nothing."""
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

"""The console script: runs a verb, turns every failure into one line and an exit code."""

import logging
import os
import signal
import sys
import warnings

from condense.runtime.interrupts import reraise_interrupts
from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
SMALLER = "use a smaller budget, --net width or --batch"


def main(argv: list[str] | None = None) -> None:
    """Exits with 0 done, 1 the run failed, 2 a wrong call or bad input, 130 interrupted."""
    hush()
    reraise_interrupts()
    code = run(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # what is left is to leave, with this code
    sys.exit(code)


def hush() -> None:
    """Keeps warnings and log lines of the libraries off the terminal, unless python was asked for them (-W, PYTHONWARNINGS)."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        logging.getLogger().addHandler(logging.NullHandler())
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's too
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="replace")  # a terminal without ± gets a question mark, not a failure after the work is done


def run(argv: list[str]) -> int:
    """Runs a command line and returns its exit code. A failure prints one line on stderr, and a traceback only if CONDENSE_DEBUG is set."""
    try:
        from condense.cli.app import call

        call(argv)
        sys.stdout.flush()
        return DONE
    except SystemExit as stop:  # help was shown
        return stop.code or DONE
    except KeyboardInterrupt:
        from condense.cli.app import LASTING

        resumes = argv[:1] and argv[0] in LASTING
        return say("interrupted" + "; the same command goes on where it stopped" * bool(resumes), INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing more can be said to it
        return DONE
    except BadInput as error:
        return say(str(error), WRONG)
    except RunFailed as error:
        return say(str(error), FAILED)
    except MemoryError:
        return say(f"memory refused; {SMALLER}", FAILED)
    except OSError as error:
        full = error.errno in FULL
        remedy = "make room and run again" if full else "give a place that may be read and written"
        return say(f"{error.filename or 'file system'}: {error.strerror or error}; {remedy}", FAILED if full else WRONG)
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return say(f"the device has no memory left; {SMALLER}", FAILED)
        if os.environ.get("CONDENSE_DEBUG"):
            raise
        return say(f"{type(error).__name__}: {error}; CONDENSE_DEBUG=1 shows where", FAILED)


def say(message: str, code: int) -> int:
    """Prints one line on stderr and returns the exit code `code`."""
    print("condense: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()

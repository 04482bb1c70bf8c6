"""The console script: runs a verb, turns every failure into one line and an exit code."""

from condense.runtime import early

# isort: split
import contextlib
import logging
import os
import signal
import sys
import warnings

from condense.runtime import processes, watch
from condense.runtime.interrupts import reraise_interrupts, wait_for_imports
from synth.errors import BadInput, RunFailed, one_line
from synth.files.atomic import FULL

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, early.INTERRUPTED
SMALLER = "use a smaller budget, --net width or --batch"


def main(argv: list[str] | None = None) -> None:
    """Runs a command line, by default that of the process, and exits with 0 done, 1 the run failed, 2 a wrong call or bad input, 130
    interrupted. `argv` are the words behind `condense`."""
    wait_for_imports()
    hush()
    reraise_interrupts()
    argv = sys.argv[1:] if argv is None else argv
    if shared := bool(argv) and argv[0] in processes.VERBS:
        argv = processes.take_flags(argv)
    if shared and processes.asked() and not {"-h", "--help"} & set(argv):
        code, message = watch.watched(lambda: run(argv))
        code = say(message, code) if message else code
    else:
        code = run(argv)
    try:
        sys.stdout.flush()
    except OSError:  # what could not be written stays in the buffer, and python would try once more and exit with a code of its own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    signal.signal(signal.SIGINT, lambda number, frame: None)  # what is left is to leave, with this code
    sys.exit(code)


def hush() -> None:
    """Keeps warnings and log lines of the libraries off the terminal, unless python was asked for them (-W, PYTHONWARNINGS). Outputs that
    the caller has closed go nowhere, and letters that a terminal cannot show become question marks."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        logging.getLogger().addHandler(logging.NullHandler())
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA's too
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # the caller has closed it, and the next file to be opened would take its number
            _fill_descriptor(number)
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the program runs)
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="replace")  # a terminal without ± gets a question mark, not a failure after the work is done


def _fill_descriptor(number: int) -> None:
    opened = os.open(os.devnull, os.O_WRONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def run(argv: list[str]) -> int:
    """Runs a command line, the words behind `condense`, and returns its exit code: 0 done, 1 the run failed, 2 a wrong call or bad input,
    130 interrupted. A failure prints one line on stderr; one that nobody foresaw is raised if CONDENSE_DEBUG is set."""
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
        if processes.is_loss(error):
            return say(processes.LOST, FAILED)
        if "RESOURCE_EXHAUSTED" in str(error):
            return say(f"the device has no memory left; {SMALLER}", FAILED)
        if os.environ.get("CONDENSE_DEBUG"):
            raise
        if (platforms := os.environ.get("JAX_PLATFORMS")) and not _has_device():
            return say(f"JAX_PLATFORMS={platforms}: there is no such device here; unset it, or set it to cpu", WRONG)
        return say(f"{type(error).__name__}: {error}; CONDENSE_DEBUG=1 shows where", FAILED)


def _has_device() -> bool:
    """Whether JAX finds a device of the platform that it was told to use."""
    import jax

    try:
        return bool(jax.devices())
    except Exception:  # JAX says so in several ways
        return False


def say(message: str, code: int) -> int:
    """Prints a message in one line on stderr, or has the process print it that watches this one, and returns the code. A Ctrl-C that
    arrives meanwhile changes nothing: the program ends anyway."""
    with contextlib.suppress(KeyboardInterrupt):
        if watch.tell(message=message):
            return code
        print("condense: " + " ".join(one_line(message).split()), file=sys.stderr)
    return code


early.restore()
if __name__ == "__main__":
    main()

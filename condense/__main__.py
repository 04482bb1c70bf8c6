"""The console script: runs a verb, turns every failure into one line and an exit code."""

import errno
import os
import sys

from synth.errors import BadInput, RunFailed

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
FULL = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}


def main(argv: list[str] | None = None) -> None:
    """Exits with 0 done, 1 the run failed, 2 a wrong call or bad input, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: list[str]) -> int:
    """The exit code of a command line; failures leave one line on stderr, and a traceback only under CONDENSE_DEBUG=1."""
    try:
        from condense.cli import call

        call(argv)
        return DONE
    except KeyboardInterrupt:
        return say("interrupted; the same command goes on where it stopped", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing more can be said to it
        return DONE
    except BadInput as error:
        return say(str(error), WRONG)
    except RunFailed as error:
        return say(str(error), FAILED)
    except MemoryError:
        return say("memory refused; use a smaller --net width or --batch", FAILED)
    except OSError as error:
        return say(f"{error.filename or 'file system'}: {error.strerror or error}", FAILED if error.errno in FULL else WRONG)
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            return say("the device has no memory left; use a smaller --net width or --batch", FAILED)
        if os.environ.get("CONDENSE_DEBUG"):
            raise
        return say(f"{type(error).__name__}: {error}; CONDENSE_DEBUG=1 shows where", FAILED)


def say(message: str, code: int) -> int:
    """One line on stderr; gives the code back."""
    print("condense: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()

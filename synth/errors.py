"""The two ways in which work ends early. Each message is one line: the flag or file, what was wrong, and what would be right."""


class BadInput(ValueError):
    """A wrong call or bad input; the command line exits with 2."""


class RunFailed(RuntimeError):
    """A run that could not go on (NaN, disk full, memory refused); the command line exits with 1."""

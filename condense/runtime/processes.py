"""Several processes on one run: how they meet, and how each learns what another has found on its disk.

Every process runs the same command. `condense.runtime.devices` spreads what is computed. What is read from files that may change, and what
is written, is decided by one process and told to the others here, through the service where JAX's processes meet: unlike devices, which
give up on each other or wait for ever, it may be waited for as long as the work of the other takes.

Where `jax.distributed` is not in use there is one process, and everything here does nothing else than call what it is given.
"""

import contextlib
import itertools
import json
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from synth.errors import BadInput, RunFailed

A = TypeVar("A")
VERBS = ("distill", "evaluate", "experts", "teachers", "suite")  # those whose work is shared
PROCESSES, PROCESS, COORDINATOR = "CONDENSE_PROCESSES", "CONDENSE_PROCESS", "CONDENSE_COORDINATOR"
FLAGS = {"--processes": PROCESSES, "--process": PROCESS, "--coordinator": COORDINATOR}  # behind a verb, in place of the environment
AUTO = "auto"
WAIT = 60  # seconds in which all processes must meet
SILENT = 60  # seconds without a sign of life after which a process counts as lost
ALONE = 300  # seconds in which the others fail too, where one failed and not alone
LEAVING = 5  # seconds that a failed process waits for others that fail with it
TOLD = {kind.__name__: kind for kind in (BadInput, RunFailed)}  # errors that all processes end with if one does
LOSS = re.compile(r"gloo|nccl|socket closed|connection|unavailable|coordination service|heartbeat", re.IGNORECASE)
LOST = "another process of this run was lost, or has failed; start all of them again: the same command goes on from what is saved"


class Meeting(NamedTuple):
    """Where processes meet: the address of the first one, how many there are, and the number of this one, from 0. All are None where the
    environment of a cluster says it."""

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None

    def __str__(self) -> str:
        return f"{PROCESSES}={AUTO}" if self.coordinator is None else f"{COORDINATOR}={self.coordinator}"


def take_flags(argv: Sequence[str]) -> list[str]:
    """The words of a command line without the flags that say how processes meet (`--processes N`, `--process K`, `--coordinator
    HOST:PORT`), whose values are put into the environment. A flag without a value stays, and is refused as an unknown one."""
    left, words = [], iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name in FLAGS and (equals or (value := next(words, None)) is not None):
            os.environ[FLAGS[name]] = value
        else:
            left.append(word)
    return left


def asked(*, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says anything of several processes."""
    return any(environment.get(name) for name in (PROCESSES, PROCESS, COORDINATOR))


def read_meeting(*, environment: Mapping[str, str] = os.environ) -> Meeting | None:
    """Reads from environment variables where processes meet; None where there is one process.

    `CONDENSE_PROCESSES` is how many there are, `CONDENSE_PROCESS` the number of this one and `CONDENSE_COORDINATOR` the address HOST:PORT
    at which the first one waits for the others. `CONDENSE_PROCESSES=auto` alone leaves all three to the environment of the cluster, as
    `jax.distributed.initialize` reads it. Raises BadInput for values that are wrong or do not go together.
    """
    count, number, place = (environment.get(name) or None for name in (PROCESSES, PROCESS, COORDINATOR))
    if count is None and (number or place):
        name, value = (COORDINATOR, place) if place else (PROCESS, number)
        raise BadInput(f"{name}={value}: does not say how many processes there are; set {PROCESSES}=N too, or unset it")
    if count == AUTO and (number or place):
        raise BadInput(f"{PROCESSES}={AUTO}: the cluster's environment says the rest; unset {PROCESS} and {COORDINATOR}, or give a number")
    if count in (None, AUTO):
        return Meeting() if count else None
    total = _whole(PROCESSES, count, least=1)
    if missing := [name for name, value in ((PROCESS, number), (COORDINATOR, place)) if value is None]:
        if total == 1:
            return None
        raise BadInput(f"{PROCESSES}={total}: set {' and '.join(missing)} too, or {PROCESSES}={AUTO} in the job of a cluster")
    process = _whole(PROCESS, number, least=0)
    if process >= total:
        raise BadInput(f"{PROCESS}={process}: processes are numbered from 0, so of {total} it is at most {total - 1}")
    if not re.fullmatch(r"\S+:\d{1,5}", place):
        raise BadInput(f"{COORDINATOR}={place}: give HOST:PORT, a free port of the machine of process 0")
    return None if total == 1 else Meeting(place, total, process)


def _whole(name: str, text: str, *, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        more = f", or {AUTO}" if name == PROCESSES else ""
        raise BadInput(f"{name}={text}: give a whole number of at least {least}{more}")
    return int(text)


def join(meeting: Meeting) -> None:
    """Meets the other processes, before JAX is asked for its first device. All but the first process print nothing from then on but errors.

    Raises BadInput where no cluster says who is there, RunFailed where not all have met within a minute; there JAX may end the process.
    """
    global _met
    import jax

    from condense.runtime.log import mute

    known = {} if meeting.coordinator is None else {"cluster_detection_method": "deactivate"}
    times = {"initialization_timeout": WAIT, "heartbeat_timeout_seconds": SILENT, "shutdown_timeout_seconds": WAIT}
    try:
        jax.distributed.initialize(*meeting, **known, **times)
    except (ValueError, RuntimeError) as error:
        if meeting.coordinator is None and not jax.distributed.is_initialized() and isinstance(error, ValueError):
            raise BadInput(
                f"{meeting}: JAX finds no cluster that says how many processes there are and where they meet;"
                f" set {PROCESSES}=N, {PROCESS} and {COORDINATOR}"
            ) from error
        raise RunFailed(not_met(meeting)) from error
    _met = True
    if not is_first():
        mute()
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for as long as the program runs)


def not_met(meeting: Meeting | None) -> str:
    """What is said where processes did not meet."""
    return f"{meeting}: the processes did not all meet there within {WAIT} s; start all of them at one time, and look at the address"


_NUMBERS = itertools.count()  # of the exchanges of this process, which are those of the others
_STEPS = itertools.count()  # of the calls of `in_step`, after which the others are known to be where this one is
_alone = _met = False  # whether others are left out for a while; whether `join` has met them


def count() -> int:
    """How many processes work on the run."""
    jax = sys.modules.get("jax")
    return jax.process_count() if jax and not _alone and jax.distributed.is_initialized() else 1


def index() -> int:
    """The number of this process, from 0."""
    return sys.modules["jax"].process_index() if count() > 1 else 0


def is_first() -> bool:
    """Whether this process is the one that writes what all have made."""
    return index() == 0


def gather(work: Callable[[], A]) -> list[A]:
    """Calls `work` on every process, and gives on all of them what each has returned, by their numbers. Values go through JSON.

    Nobody goes on before all have come here. What one raises of BadInput and RunFailed, all raise.
    """
    return _exchange(work, range(count()))


def on_first(work: Callable[[], A]) -> A:
    """Calls `work` on the first process alone, and gives on all of them what it has returned, which goes through JSON. The others wait for
    it. What it raises of BadInput and RunFailed, all raise."""
    return _exchange(work, (0,))[0]


def first_then_others(work: Callable[[], A]) -> A:
    """Calls `work` on the first process, and then on the others, which find the files as the first one has left them. Gives to each process
    what its own call returned."""
    made: list[A] = []
    on_first(lambda: made.append(work()))
    return made[0] if made else work()


def one_by_one(work: Callable[[], A]) -> A:
    """Calls `work` on one process after another, each as if there were no others. Gives to each process what its own call returned. It is
    for work that is not shared: the first one does it, and the others find it done."""
    made: list[A] = []

    def by_itself() -> None:
        with _by_itself():
            made.append(work())

    for turn in range(count()):
        _exchange(by_itself, (turn,))
    return made[0]


def in_step(work: Callable[[], str]) -> str:
    """Calls `work` on every process and gives on all of them why it failed: what it returned on the first of those where that is not empty.

    Raises RunFailed where processes have not exchanged the same things by then, and where it failed on this one and another does not come
    here within five minutes: that one waits for what this one should have said.
    """
    failed = work()
    if count() == 1:
        return failed
    step = f"condense/step/{next(_STEPS)}"
    _service().key_value_set_bytes(f"{step}/{index()}", _packed([failed, next(_NUMBERS)]))
    try:
        heard = [_hear(f"{step}/{other}", ALONE if failed else None) for other in range(count())]
    except TimeoutError:
        heard = []
    if len({number for _, number in heard}) != 1:
        reason = next(filter(None, (failed, *(reason for reason, _ in heard))), "it went another way than the others")
        raise RunFailed(f"{reason}; not all processes failed: start all again, and the same command goes on from what is saved")
    return next(filter(None, (reason for reason, _ in heard)), "")


@contextlib.contextmanager
def _by_itself() -> Iterator[None]:
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def _exchange(work: Callable[[], Any], speakers: Sequence[int]) -> list[Any]:
    if count() == 1:
        return [work()]
    number, error = next(_NUMBERS), None
    if index() in speakers:
        try:
            answer = {"value": work()}
        except tuple(TOLD.values()) as raised:
            error, kind = raised, next(name for name, kind in TOLD.items() if isinstance(raised, kind))
            answer = {"error": kind, "message": str(raised)}
        _service().key_value_set_bytes(f"condense/{number}/{index()}", _packed(answer))
    answers = [_hear(f"condense/{number}/{speaker}") for speaker in speakers]
    if error:
        raise error
    for answer in answers:
        if "error" in answer:
            raise TOLD[answer["error"]](answer["message"])
    return [answer["value"] for answer in answers]


def _packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


def _hear(name: str, limit: float | None = None) -> Any:
    began = time.monotonic()
    while limit is None or time.monotonic() - began < limit:  # for a second at a time, so that Ctrl-C is heard
        try:
            return json.loads(zlib.decompress(_service().blocking_key_value_get_bytes(name, 1000)))
        except Exception as error:  # jaxlib's, of no public class
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
    raise TimeoutError(f"nobody has said {name}")


def _service():
    # JAX has no public way to tell the other hosts something without their devices, which cannot wait.
    from jax._src.distributed import global_state

    return global_state.client


def is_loss(error: Exception) -> bool:
    """Whether an error says that another process is gone."""
    return _met and not isinstance(error, BadInput | RunFailed) and bool(LOSS.search(str(error)))


def leave(code: int) -> None:
    """Ends this process with its exit code. One that has done its work waits until the others have done theirs, and one that failed waits
    for a few seconds, so that others that fail for the same reason can say it themselves."""
    with contextlib.suppress(Exception):
        if _met and code == 0:
            sys.modules["jax"].distributed.shutdown()
        elif _met:
            _service().wait_at_barrier("condense/leave", LEAVING * 1000)
    os._exit(code)

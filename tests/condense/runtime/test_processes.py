"""Several processes: what the environment may say, and how one tells the others what it found. Real ones are in tests/contract."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from condense.__main__ import run
from condense.runtime import processes
from condense.runtime.processes import Meeting, read_meeting
from synth.errors import BadInput, RunFailed

NAMES = {"n": "CONDENSE_PROCESSES", "i": "CONDENSE_PROCESS", "at": "CONDENSE_COORDINATOR"}


def said(**values: str) -> dict[str, str]:
    return {NAMES[name]: value for name, value in values.items()}


def test_what_the_environment_says():
    assert read_meeting(environment={}) is None is read_meeting(environment=said(n="1"))
    assert read_meeting(environment=said(n="1", i="0", at="here:7000")) is None
    assert read_meeting(environment=said(n="auto")) == Meeting()
    assert read_meeting(environment=said(n="4", i="3", at="10.0.0.1:7000")) == Meeting("10.0.0.1:7000", 4, 3)
    assert not processes.asked(environment={"PATH": "x"}) and processes.asked(environment=said(at="x"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n": "2", "i": "2", "at": "here:7000"}, "CONDENSE_PROCESS=2: processes are numbered from 0, so of 2 it is at most 1"),
        ({"n": "2", "i": "-1", "at": "here:7000"}, "CONDENSE_PROCESS=-1: give a whole number of at least 0"),
        ({"n": "0", "i": "0", "at": "here:7000"}, "CONDENSE_PROCESSES=0: give a whole number of at least 1, or auto"),
        ({"n": "two"}, "CONDENSE_PROCESSES=two: give a whole number of at least 1, or auto"),
        ({"n": "2"}, "CONDENSE_PROCESSES=2: set CONDENSE_PROCESS and CONDENSE_COORDINATOR too"),
        ({"n": "2", "i": "0"}, "CONDENSE_PROCESSES=2: set CONDENSE_COORDINATOR too"),
        ({"at": "here:7000"}, "CONDENSE_COORDINATOR=here:7000: does not say how many processes there are; set CONDENSE_PROCESSES=N too"),
        ({"i": "1"}, "CONDENSE_PROCESS=1: does not say how many processes there are"),
        ({"n": "2", "i": "0", "at": "here"}, "CONDENSE_COORDINATOR=here: give HOST:PORT"),
        ({"n": "auto", "i": "0"}, "CONDENSE_PROCESSES=auto: the cluster's environment says the rest; unset CONDENSE_PROCESS"),
    ],
)
def test_what_it_may_not_say(values, words):
    with pytest.raises(BadInput) as error:
        read_meeting(environment=said(**values))
    assert words in str(error.value)


def test_verbs_whose_work_is_not_shared_say_so(monkeypatch, capsys):
    monkeypatch.setenv("CONDENSE_PROCESSES", "2")
    assert run(["rank", "--data", "digits", "--out", "s"]) == 2
    assert "CONDENSE_PROCESSES: `condense rank` works in one process (in several: distill, evaluate," in capsys.readouterr().err
    assert run(["list", "recipes"]) == 0  # nothing to share


class Service:
    """The store through which processes tell each other, for threads that stand for them."""

    def __init__(self):
        self.held, self.changed = {}, threading.Condition()

    def key_value_set_bytes(self, name: str, value: bytes) -> None:
        with self.changed:
            assert name not in self.held, "told twice"
            self.held[name] = value
            self.changed.notify_all()

    def blocking_key_value_get_bytes(self, name: str, milliseconds: int) -> bytes:
        with self.changed:
            if not self.changed.wait_for(lambda: name in self.held, 0.01):
                raise RuntimeError("DEADLINE_EXCEEDED: nobody has said it yet")
            return self.held[name]


class Numbers:
    """Counts the exchanges of every thread for itself."""

    def __init__(self, me: threading.local, numbers: dict):
        self.me, self.numbers = me, numbers

    def __next__(self) -> int:
        return next(self.numbers.setdefault(self.me.index, iter(range(99))))


@pytest.fixture
def three(monkeypatch):
    """Calls a function in three threads that take themselves for processes, and gives for each what it returned or raised."""
    me, service, numbers = threading.local(), Service(), {}
    monkeypatch.setattr(processes, "count", lambda: 3)
    monkeypatch.setattr(processes, "index", lambda: me.index)
    monkeypatch.setattr(processes, "_service", lambda: service)
    monkeypatch.setattr(processes, "_NUMBERS", Numbers(me, numbers))
    monkeypatch.setattr(processes, "_STEPS", Numbers(me, {}))

    def call(work):
        def as_process(number: int):
            me.index = number
            try:
                return work(number)
            except (BadInput, RunFailed) as error:
                return error

        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(as_process, range(3)))

    return call


def test_all_hear_what_each_found(three):
    assert three(lambda number: processes.gather(lambda: {"found": [number]})) == [[{"found": [0]}, {"found": [1]}, {"found": [2]}]] * 3


def test_the_first_decides_for_all(three):
    asked = []
    assert three(lambda number: processes.on_first(lambda: asked.append(number) or "so")) == ["so"] * 3
    assert asked == [0]


def test_what_one_refuses_all_refuse(three):
    def work(number: int):
        def mine():
            if number == 1:
                raise RunFailed("no room")
            return number

        return processes.gather(mine)

    assert [(type(error), str(error)) for error in three(work)] == [(RunFailed, "no room")] * 3


def test_the_first_goes_before_the_others(three):
    order = []
    assert three(lambda number: processes.first_then_others(lambda: order.append(number) or number)) == [0, 1, 2]
    assert order[0] == 0 and sorted(order) == [0, 1, 2]


def test_without_others_everything_is_a_call():
    assert processes.gather(lambda: {1}) == [{1}] and processes.on_first(lambda: {1}) == {1}  # not through JSON
    assert processes.one_by_one(lambda: json) is json is processes.first_then_others(lambda: json)
    with pytest.raises(RunFailed, match="no room"):
        processes.on_first(fails)
    assert not processes.is_loss(RuntimeError("Gloo all-reduce failed"))


def fails():
    raise RunFailed("no room")


def test_flags_stand_for_the_environment(monkeypatch):
    for name in NAMES.values():
        monkeypatch.setenv(name, "")  # so that what the flags set goes when the test ends
    words = ["suite", "a.toml", "--processes", "2", "--out", "x", "--process=1", "--coordinator", "here:7000"]
    assert processes.take_flags(words) == ["suite", "a.toml", "--out", "x"]
    assert processes.read_meeting() == ("here:7000", 2, 1)
    assert processes.take_flags(["dm", "--processes"]) == ["dm", "--processes"]


def test_why_one_failed_is_why_all_failed(three):
    assert three(lambda number: processes.in_step(lambda: "no room" if number == 1 else "")) == ["no room"] * 3
    assert three(lambda number: processes.in_step(lambda: "")) == [""] * 3


def test_who_fails_alone_does_not_wait_for_ever(three, monkeypatch):
    """The others wait for its part of the work, and none of them comes in time."""
    monkeypatch.setattr(processes, "ALONE", 0.1)
    found = three(lambda number: processes.in_step(lambda: "no room") if number == 1 else None)
    assert isinstance(found[1], RunFailed) and "no room; not all processes failed" in str(found[1])


def test_who_fails_alone_is_not_taken_for_one_that_answers(three, monkeypatch):
    """It leaves out an exchange of the work. The others are let go here, as they are when it is gone."""
    monkeypatch.setattr(processes, "ALONE", 0.1)
    gone = threading.Event()

    def hear(name, limit=None, *, ask=processes._hear):
        while True:
            try:
                return ask(name, limit or 0.05)
            except TimeoutError:
                if limit or gone.is_set():
                    raise

    monkeypatch.setattr(processes, "_hear", hear)

    def work(number: int) -> str:
        if number == 1:
            return "no room"
        return str(processes.gather(lambda: number))

    def call(number: int):
        try:
            return processes.in_step(lambda: work(number))
        except TimeoutError:
            return "lost"
        finally:
            if number == 1:
                gone.set()

    found = three(call)
    assert isinstance(found[1], RunFailed) and "no room" in str(found[1]) and found[0] == found[2] == "lost"


def test_who_went_another_way_is_found_out(three):
    """Another one failed at an earlier place, where it left out an exchange that it alone would have spoken in."""

    def work(number: int) -> str:
        if number == 1:
            return "no room"
        processes.on_first(lambda: number)
        return ""

    found = three(lambda number: processes.in_step(lambda: work(number)))
    assert all(isinstance(one, RunFailed) and "no room; not all processes failed" in str(one) for one in found)

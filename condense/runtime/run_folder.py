"""The run folder: its record, its lock, and the decision whether a command resumes it, is done, or belongs to another run.

`run.json` is the record: the command and configuration (with digest), versions, revision, backend, devices and threads, the data's digest,
the state (`running` until `done` or `failed`; an interrupted run stays `running`), steps, wall seconds, processor seconds (of all threads)
and peak memory, all over all its processes.
"""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from condense.runtime import processes
from condense.runtime.lock import LOCK, closed, locked, sign
from condense.runtime.surroundings import SURROUNDINGS, note_surroundings, surroundings
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.owned import check_owned
from synth.files.records import Maybe, Real, Table, Text, Whole, read_record

RECORD = "run.json"
OWNED = (
    "set.npz",
    "best.npz",
    "grid.png",
    "metrics.jsonl",
    "checkpoints",
    "history",
    "experts.json",
    "expert_*.npy",
    ".expert_*.npy.partial",
    "teacher.json",
    "teacher.npz",
    "members",
    "priors",
    "priors.json",
    "teachers.json",
    "normalisation.npz",
    "ranks.json",
    "rank_*.npy",
)  # what --force may remove, as patterns of names
LEFT = ".*.tmp"  # of a process that was killed while it wrote a file
# made before a run's record, and kept by --force where they fit
MADE = ("experts", "teachers", "teacher", "distilled", "ranks", ".labels.partial", ".rounds.partial")
LONG = Text(most=1 << 20)
NEEDED = {"config": Table(), "seed": Whole(), "data_digest": Text(), "steps": Whole(1), "finished": Whole()}
NEEDED |= {"wall_seconds": Real(0), "peak_memory_bytes": Whole()}
OPTIONAL = {"step": Whole(), "processor_seconds": Real(0), "state": Text(("running", "done", "failed"))}
OPTIONAL |= {"command": LONG, "error": LONG, "digest": Text()}
OPTIONAL |= {"threads": Maybe(Whole()), "xla_flags": LONG}
OPTIONAL |= {"versions": Table(rest=Maybe(Text())), "revision": Maybe(Text()), "backend": Text(), "devices": Whole(), "processes": Whole()}


def digest(config: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that identify a configuration: the start of the SHA-256 of its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]


class Run:
    """A run folder that this process has locked, or the first of several processes, which alone writes there. `done` tells whether it was
    already finished with at least the steps asked for.

    Nothing in the folder changes before `begin`, but for inputs that are made before a run begins, such as experts and teachers.
    """

    def __init__(self, folder: Path, record: dict[str, Any], fresh: dict[str, Any], *, done: bool, replaces: dict[str, Any] | None):
        self.folder, self.record, self.done, self.begun = folder, record, done, False
        self._fresh, self._replaces = fresh, replaces
        self._began, self._before = time.monotonic(), (record["wall_seconds"], record["peak_memory_bytes"])
        self._worked = record.get("processor_seconds", 0.0) - time.process_time()

    @property
    def owner(self) -> str:
        """What tells this run from others, in sixteen hexadecimal digits: the `digest` of its configuration, seed and data digest.
        Checkpoints are marked with it."""
        return digest({name: self.record.get(name) for name in ("config", "seed", "data_digest")})

    def begin(self) -> None:
        """Call it after all checks and before the first file is written. It removes the run that this one replaces."""
        if not self.begun:
            processes.on_first(self._begin)
            self.begun = True

    def _begin(self) -> None:
        for place in self.folder.iterdir():
            if place.match(LEFT):
                place.unlink()
            elif any(place.match(pattern) for pattern in (RECORD, *OWNED)):
                check_owned(place)
        if self._replaces:
            _clear(self.folder, self._replaces)
        self.begun = True
        self.record.pop("error", None)
        self.record |= {name: value for name, value in self._fresh.items() if name not in self.record}  # an older version's lacks some
        self._write(**{name: self._fresh[name] for name in ("command", *SURROUNDINGS, "revision", "threads", "state", "steps")})

    def saved(self, step: int) -> None:
        """Records that the state at `step` is on disk, with the time and memory used so far."""
        if processes.is_first():
            self._write(step=step)

    def _write(self, **fields) -> None:
        assert self.begun, "a run was written to before it began"
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        wall = round(self._before[0] + time.monotonic() - self._began, 3)
        worked = round(self._worked + time.process_time(), 3)
        self.record |= {**fields, "wall_seconds": wall, "processor_seconds": worked, "peak_memory_bytes": max(self._before[1], peak)}
        write_bytes(self.folder / RECORD, (json.dumps(self.record, indent=1) + "\n").encode())


@contextlib.contextmanager
def open_run(
    folder: str | os.PathLike,
    config: dict[str, Any],
    *,
    steps: int,
    seed: int = 0,
    command: str = "",
    data_digest: str = "",
    beside: dict[str, Any] | None = None,
    shown: dict[str, Any] | None = None,
    spent: Sequence[str] = (),
    force: bool = False,
) -> Iterator[Run]:
    """Opens and locks the run in `folder` for a block. The run is new, resumed, continued to more steps, or done (then nothing in it
    changes).

    The block calls `begin` before it writes. The run is `done` when the block ends, `failed` when it raises, and goes on another time when
    it is interrupted or killed; a block that raises before `begin` leaves the run that was there as it was.

    Args:
      config: every choice that makes it this run and no other, as JSON values by field; `steps` is not among them.
      steps: how many it shall have done in all.
      seed, data_digest: of the run, and of its data; others make it another run.
      command: what the record calls its command.
      beside: choices that change what lies beside the result and not the result, by field; part of no digest. They too make it another
        run, where its record has them: older ones lack them.
      shown: what the record says besides, by field, and what tells no run from another.
      spent: names of folders that nobody needs once the run is done. They are removed then, and where it is found done: a process may die
        between its last record and that.
      force: replaces another run, and one that is done, when this one begins. An unfinished run of the same choices goes on all the same.

    Of several processes the first one holds the folder, for all. Raises BadInput where a process of another command does, and where it
    holds something else than a run, a run of another config, seed or data, or one that is past `steps` and not done.
    """
    config = json.loads(json.dumps(config))
    named = {"steps": steps, "seed": seed, "command": command, "data_digest": data_digest, "beside": beside, "shown": shown}
    held: list[Run] = []
    processes.gather(lambda: None)  # nobody looks into the folder any more that this call may change
    with contextlib.ExitStack() as stack:

        def hold() -> tuple[dict[str, Any], bool]:
            held.append(stack.enter_context(_held(Path(folder), config, **named, spent=spent, force=force)))
            return held[0].record, held[0].done

        record, done = processes.on_first(hold)
        yield held[0] if held else Run(Path(folder), record, {}, done=done, replaces=None)
        processes.on_first(stack.close)


@contextlib.contextmanager
def _held(folder, config, *, steps, seed, command, data_digest, beside, shown, spent, force) -> Iterator[Run]:
    """The run that this process opens and locks, as `open_run` says."""
    identity = {"config": config, "seed": seed, "data_digest": data_digest, **(beside or {})}
    fresh = {"command": command, "digest": digest(config), **identity, **(shown or {}), **surroundings()}
    fresh |= {"state": "running", "steps": steps}
    fresh |= {"step": 0, "finished": 0, "wall_seconds": 0.0, "peak_memory_bytes": 0}
    with locked(folder, reading=True) as lock:
        if lock is None and not (folder / RECORD).exists():
            raise closed(folder, "it is read-only")
        old = _read(folder)
        differ = _differences(old, identity) if old else []
        replaces = old if old and force and (differ or old.get("state") == "done") else None
        if differ and not force:
            raise BadInput(_other(folder, differ))
        held = fresh if replaces or not old else old
        if held["finished"] < steps < held.get("step", 0):
            at = held["step"]
            raise BadInput(f"--steps {steps}: the run in {folder} is past that, at step {at}; give more, or another --out")
        run = Run(folder, held, fresh, done=held["finished"] >= steps, replaces=replaces)
        if run.done:
            _remove(folder, spent)
            yield run
            return
        if lock is None:
            raise closed(folder, "it is read-only, and its run is not done")
        sign(lock)
        note_surroundings(None if replaces else old, fresh)
        try:
            yield run
        except Exception as error:
            if isinstance(error, BadInput) and not old and not run.record["step"]:
                if run.begun:  # a wrong call is no run: the right one may have the folder; where data fail after some steps, it is one
                    _clear(folder, run.record)
                (folder / RECORD).unlink(missing_ok=True)
                (folder / LOCK).unlink()
                with contextlib.suppress(OSError):  # it is empty where this call made it
                    folder.rmdir()
            elif run.begun or not old:
                with contextlib.suppress(BadInput, RunFailed):  # on a full disk the first failure is the one to tell
                    run.begun or run._begin()  # not `begin`: other processes may not be here
                    run._write(state="failed", error=str(error).splitlines()[0] if str(error) else type(error).__name__)
            raise
        run._write(state="done", finished=steps, step=steps)
        _remove(folder, spent)


def check_there(folder: Path, name: str) -> None:
    """Raises BadInput where the folder of a run that is done lacks the file `name` that the run made."""
    if not (folder / name).is_file():
        raise BadInput(f"--out {folder}: its run is done, and its {name} is gone; --force makes it anew")


def check_same(folder: Path, config: dict[str, Any]) -> None:
    """Raises BadInput if the folder holds a run of other choices. It is called before a run makes its inputs, which takes long; choices
    that are not known yet are compared later, by `open_run`."""
    if (folder / RECORD).exists():
        old, config = _read(folder)["config"], json.loads(json.dumps(config))
        if differ := _differences({"config": {name: old.get(name) for name in config}}, {"config": config}):
            raise BadInput(_other(folder, differ))


def foresee(folder: Path, config: dict[str, Any], *, whole: bool, steps: int, force: bool, **beside: Any) -> str:
    """What a run of these choices will find in its folder, in words. Nothing is written.

    `whole` says whether `config` is all of it, or the part that is known before the inputs of the run are there; `beside` are further
    fields of the record.
    """
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file: refused; give a folder that is new or holds a run"
    if not (folder / RECORD).exists():
        others = _others(folder) if folder.exists() else []
        return f"{folder} holds files but no run (such as {others[0]}): refused; give another folder" if others else f"{folder}, new"
    try:
        old = _read(folder)
    except BadInput as error:
        return f"refused: {error}"
    identity = {"config": json.loads(json.dumps(config)), **beside}
    there = old if whole else old | {"config": {name: old["config"].get(name) for name in config}}
    if differ := _differences(there, identity):
        return (
            f"{folder} holds another run ({'; '.join(differ)}): {'--force replaces it' if force else 'refused; --force would replace it'}"
        )
    if force and old.get("state") == "done":
        return f"{folder} is done: {old['finished']} steps; --force makes it anew"
    if old["finished"] >= steps:
        return f"{folder} is done: {old['finished']} steps; nothing to do"
    return f"{folder}, goes on at step {old.get('step', 0)}"


def _others(folder: Path) -> list[str]:
    """Names of what is in a folder and belongs to no run that is to begin there."""
    return sorted(place.name for place in folder.iterdir() if place.name not in (LOCK, *MADE) and not place.match(LEFT))


def _other(folder: Path, differ: list[str]) -> str:
    return f"--out {folder}: holds another run ({'; '.join(differ)}); give another folder, or --force to remove it and start anew"


def _read(folder: Path) -> dict[str, Any] | None:
    if not os.path.lexists(folder / RECORD):
        if others := _others(folder):
            (folder / LOCK).unlink()
            raise BadInput(f"--out {folder}: holds files but no run (such as {others[0]}); give a folder that is new, empty or holds a run")
        return None
    what, remedy = "is not a run's record, or cannot be read", "remove the folder or give another --out"
    return read_record(folder / RECORD, Table(NEEDED, OPTIONAL), what=what, remedy=remedy)


def _remove(folder: Path, spent: Sequence[str]) -> None:
    for name in spent:
        shutil.rmtree(folder / name, ignore_errors=True)


def _clear(folder: Path, old: dict[str, Any]) -> None:
    # The old record goes last and says `running` meanwhile: whoever dies here leaves a run without results, not a run with another's.
    write_bytes(folder / RECORD, json.dumps(old | {"state": "running", "step": 0, "finished": 0}).encode())
    for place in list(folder.iterdir()):
        if not any(place.match(pattern) for pattern in OWNED):
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()


def _differences(old: dict[str, Any], identity: dict[str, Any]) -> list[str]:
    """What makes a run another one, in words, a field each."""
    others = [name for name in identity if name != "config" and name in old]
    before, now = (record["config"] | {name: record[name] for name in others} for record in (old, identity))
    fields = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    return [f"{name} was {before.get(name)!r}, now {now.get(name)!r}" for name in fields]

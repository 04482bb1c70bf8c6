"""The command line: finds the verb, reads its flags, acts. A verb is one file in `condense.cli` and one line in VERBS."""

from collections.abc import Sequence

import condense
from condense.cli import (
    compare,
    data,
    demo,
    describe,
    distill,
    evaluate,
    experts,
    export,
    import_set,
    list,
    rank,
    relabel,
    report,
    show,
    suite,
    teachers,
    transfer,
    tune,
)
from condense.cli.completion import WORDS, script
from condense.cli.flags import aligned, parse
from condense.runtime import processes, watch
from condense.runtime.kept_programs import keep_programs
from synth.errors import BadInput, nearest

VERBS = {
    "distill": distill,
    "evaluate": evaluate,
    "experts": experts,
    "teachers": teachers,
    "rank": rank,
    "relabel": relabel,
    "transfer": transfer,
    "tune": tune,
    "suite": suite,
    "compare": compare,
    "report": report,
    "show": show,
    "describe": describe,
    "export": export,
    "import": import_set,
    "list": list,
    "data": data,
    "demo": demo,
}
COMPILING = (
    "distill",
    "evaluate",
    "experts",
    "teachers",
    "rank",
    "relabel",
    "transfer",
    "tune",
    "suite",
    "compare",
    "show",
    "export",
    "demo",
)
NO_CACHE = "--no-cache"  # behind a verb that compiles: programs are compiled anew, and none is kept
LASTING = ("distill", "demo", "experts", "teachers", "rank", "relabel", "suite", "tune")  # verbs that go on where they were interrupted


def call(argv: Sequence[str]) -> None:
    """Runs one command line, whose words behind `condense` are given. Raises BadInput for a wrong call, and SystemExit after a verb's
    help."""
    if argv and argv[0] == "help":  # of a verb, and of a method
        argv = [*argv[1:], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        if not argv:
            raise BadInput(f"give a verb: {', '.join(VERBS)}")
        return
    if argv[0] in ("--version", "-V"):
        print(f"condense {condense.__version__}")
        return
    verb, rest = argv[0], [*argv[1:]]
    if verb == "completion":
        print(script(" ".join(rest), VERBS), end="")
        return
    if verb not in VERBS:
        raise BadInput(f"unknown verb '{verb}' (known: {', '.join(VERBS)}){nearest(verb, (*VERBS, *WORDS))}")
    record, act = VERBS[verb].RECORD, VERBS[verb].act
    if verb in COMPILING and not {"-h", "--help"} & set(rest):
        if NO_CACHE in rest:
            rest = [word for word in rest if word != NO_CACHE]
        else:
            keep_programs()
        meet(verb)
    act(rest if record is None else parse(record, rest, f"condense {verb}"))


def meet(verb: str) -> None:
    """Meets the other processes of a run, where the environment says that there are some (`condense.runtime.processes`). Raises BadInput
    for a verb whose work is not shared, and where they do not meet."""
    if processes.asked() and verb not in processes.VERBS:
        name = processes.PROCESSES
        raise BadInput(f"{name}: `condense {verb}` works in one process (in several: {', '.join(processes.VERBS)}); unset {name}")
    if (meeting := processes.read_meeting()) is not None:
        processes.join(meeting)
        watch.tell(met=True)


def usage() -> str:
    """Returns the first page of help: every verb with a line about it."""
    verbs = {verb: (module.RECORD or module.act).__doc__.splitlines()[0] for verb, module in VERBS.items()}
    more = "`condense help VERB` explains a verb, `condense help distill METHOD` a method, as --help behind them does.\n"
    shared = f"{', '.join(processes.VERBS[:-1])} or {processes.VERBS[-1]}"
    more += f"`--processes N --process K --coordinator HOST:PORT` behind {shared}: process K of N on the same work.\n"
    more += "`--no-cache` behind a verb compiles anew, and keeps no compiled programs for the next command.\n"
    more += "`condense completion bash|zsh|fish` prints a script for a shell, `condense --version` the version."
    return f"usage: condense VERB ...\n\n{aligned(verbs)}\n\n{more}"

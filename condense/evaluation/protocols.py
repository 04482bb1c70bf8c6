"""What a call of `condense.workflows.transfer` asks for, read and checked: protocols, draws of labels, choices that go together."""

from collections.abc import Sequence

from condense.runtime.checks import check_whole
from synth.errors import BadInput
from synth.set import SyntheticSet

PROTOCOLS = ("probe", "finetune")


def read_protocols(given: Sequence[str], fraction: float) -> list[tuple[str, float]]:
    """(protocol, fraction of the labels) of every `NAME[:FRACTION]`, once each. Raises BadInput for an unknown name, a fraction not in
    (0, 1], and a common one that none takes."""
    ways = []
    for one in given:
        name, _, part = one.partition(":")
        if name not in PROTOCOLS:
            raise BadInput(f"--protocol: unknown protocol '{name}' (known: {', '.join(PROTOCOLS)})")
        try:
            value = float(part) if part else fraction
        except ValueError:
            raise BadInput(f"--protocol {one}: {part!r} is no number; give a fraction above 0 and at most 1, as in {name}:0.01") from None
        if not 0 < value <= 1:
            raise BadInput(f"{f'--protocol {one}' if part else f'--fraction {fraction}'}: give a number above 0 and at most 1")
        ways.append((name, value))
    if not ways:
        raise BadInput(f"--protocol: names none (known: {', '.join(PROTOCOLS)})")
    if fraction != 1 and all(one.partition(":")[2] for one in given):
        raise BadInput(f"--fraction {fraction}: every protocol names its own; leave it out")
    return list(dict.fromkeys(ways))


def read_draws(given: Sequence[int], targets: int, ways: Sequence[tuple[str, float]]) -> list[int]:
    """Draws of labels for every target. Raises BadInput where there is no target, no number for each, or nothing to draw."""
    if not targets:
        raise BadInput("--to: names no data; give one set or more")
    shown = " ".join(map(str, given))
    if len(given) not in (1, targets):
        raise BadInput(f"--draws {shown}: give one number, or one for each of the {targets} targets")
    draws = [check_whole("draws", number) for number in given]
    if max(draws) > 1 and all(fraction == 1 for _, fraction in ways):
        raise BadInput(f"--draws {shown}: all labels are one draw; give a --fraction below 1, or more --seeds")
    return draws * (targets // len(draws))


def check_possible(synth: SyntheticSet, ways: Sequence[tuple[str, float]], split: str, steps: int | None) -> None:
    """Raises BadInput for a set without target representations, and for choices that are unknown or idle."""
    if not hasattr(synth.y, "values"):
        raise BadInput(f"the set's labels are of kind {synth.y.kind}: transfer needs target representations, such as krrst learns")
    if split not in ("test", "val"):
        raise BadInput(f"--split: unknown split '{split}' (known: test, val)")
    if steps is not None and all(name == "probe" for name, _ in ways):
        raise BadInput(f"--steps {steps}: a probe is solved, not stepped; leave it out, or give --protocol finetune")

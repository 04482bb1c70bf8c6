"""What a call of `condense.workflows.transfer` asks for, read and checked: protocols, draws of labels, choices that go together."""

from collections.abc import Sequence

from condense.evaluation.choices import check_split
from condense.runtime.checks import check_whole
from evals.transfer import ADAPTATIONS, Adaptation
from synth.errors import BadInput, nearest
from synth.set import SyntheticSet


def read_protocols(given: Sequence[str], fraction: float) -> list[tuple[str, float]]:
    """(protocol, fraction of the labels) of every `NAME[:FRACTION]`, once each; `fraction` is that of names without one of their own.
    Raises BadInput for an unknown name, none, a fraction not in (0, 1], and a `fraction` other than 1 that no name takes."""
    ways = []
    for one in given:
        name, _, part = one.partition(":")
        if name not in ADAPTATIONS:
            raise BadInput(f"--protocol: unknown protocol '{name}' (known: {', '.join(ADAPTATIONS)}){nearest(name, ADAPTATIONS)}")
        try:
            value = float(part) if part else fraction
        except ValueError:
            raise BadInput(f"--protocol {one}: {part!r} is no number; give a fraction above 0 and at most 1, as in {name}:0.01") from None
        if not 0 < value <= 1:
            raise BadInput(f"{f'--protocol {one}' if part else f'--fraction {fraction}'}: give a number above 0 and at most 1")
        ways.append((name, value))
    if not ways:
        raise BadInput(f"--protocol: names none (known: {', '.join(ADAPTATIONS)})")
    if fraction != 1 and all(one.partition(":")[2] for one in given):
        raise BadInput(f"--fraction {fraction}: every protocol names its own; leave it out")
    return list(dict.fromkeys(ways))


def read_draws(given: Sequence[float], targets: int, ways: Sequence[tuple[str, float]]) -> list[int]:
    """The number of draws of labels for every target: `given` holds one for all, or one for each of the `targets`.

    Raises BadInput if there is no target, if the numbers do not match the targets or are below 1, and for several draws where every
    fraction in `ways`, pairs of protocol and fraction, is 1, so that nothing is random.
    """
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
    """Raises BadInput if the set holds no images or has no target representations, for a split other than `test` and `val`, and for `steps`
    where no protocol in `ways`, pairs of protocol and fraction, takes steps."""
    if synth.x.modality != "images":
        raise BadInput(f"the set holds {synth.x.modality}, and transfer is for images; `condense evaluate` scores it")
    if not hasattr(synth.y, "values"):
        raise BadInput(f"the set's labels are of kind {synth.y.kind}: transfer needs target representations, such as krrst learns")
    check_split(split)
    if steps is not None and not any(ADAPTATIONS[name].stepped for name, _ in ways):
        stepped = " or ".join(name for name, known in ADAPTATIONS.items() if known.stepped)
        raise BadInput(f"--steps {steps}: a {ways[0][0]} is solved, not stepped; leave it out, or give --protocol {stepped}")


def make_adaptation(name: str, steps: int | None) -> Adaptation:
    """Makes the adaptation of this name. `steps` sets its number of steps, if it has steps and `steps` is given."""
    known = ADAPTATIONS[name]
    return known(steps=check_whole("steps", steps)) if known.stepped and steps is not None else known()

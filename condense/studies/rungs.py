"""The plan of a search by successive halving: which trials there are, how many each rung keeps, and how long its runs are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.stats import qmc

from condense.workflows.lengths import length_of, two_digits
from condense.workflows.plan import Plan
from matchers.inputs import option_parameters
from synth.errors import BadInput
from synth.options import Span, span_of

KEEP = 3  # a rung keeps one of so many trials, and its runs are so many times as long as those before
LAST = 2  # trials that are left for the last rung, about


class Rung(NamedTuple):
    """One round of a search: how many trials run, and for how many steps."""

    trials: int
    steps: int


def spans_of(made: Plan, vary: Sequence[str] | None) -> dict[str, Span]:
    """Where a search looks for each option that it varies, by name: the options in `vary`, where that is None those of the method's
    record. Raises BadInput for unknown ones, for those without a range, and where there are none."""
    parameters, method = option_parameters(made.factory), made.method
    names = tuple(dict.fromkeys(method.tuned if vary is None else vary))
    if not names:
        known = ", ".join(parameters) or "none"
        raise BadInput(f"--vary: {method.name} does not say what to vary; name options that have a range, of {known}")
    if unknown := [name for name in names if name not in parameters]:
        raise BadInput(f"--vary {unknown[0]}: {method.name} has no such option (known: {', '.join(parameters) or 'none'})")
    return {name: span_of(name, made.settings.options[name], parameters[name].annotation) for name in names}


def draw(options: int, trials: int) -> list[tuple[float, ...] | None]:
    """Where each of the trials lies in the unit cube of so many options, a share in [0, 1] for each: points of Halton, which spread evenly
    however many there are. The first trial is None, for the options as they are. Nothing is random."""
    if trials == 1:
        return [None]
    points = qmc.Halton(options, scramble=False).fast_forward(1).random(trials - 1)
    return [None, *(tuple(float(one) for one in point) for point in points)]


def options_at(made: Plan, spans: Mapping[str, Span], point: tuple[float, ...] | None, steps: int) -> dict[str, Any]:
    """The options of a trial in a run of so many steps, by name: those that the method's rule sets for that length, and the varied ones.

    Args:
      spans: where to look for each varied option.
      point: a share in [0, 1] of each span, in their order: 0.5 is the rule's or the call's own value where a span goes by factors. None
        leaves all options at these values.
    """
    settled = made.settings.options
    options = {**{name: settled[name] for name in spans}, **length_of(made, steps).options}
    if point is not None:
        for (name, span), share in zip(spans.items(), point, strict=True):
            options[name] = span.at(share, centre=options[name])
    return options


def counts_of(trials: int) -> list[int]:
    """How many trials run in every rung, the first first: a third is kept, rounded to the nearest and at least 1, until LAST or fewer are
    left."""
    counts = [trials]
    while counts[-1] > LAST:
        counts.append(max(1, round(counts[-1] / KEEP)))
    return counts


def rungs_of(trials: int, *, seconds: float, run: float, step: float) -> list[Rung]:
    """The rungs that fit into so many seconds. The runs of each are KEEP times as long as those before; of a number of steps two digits
    stay, the rest is rounded down.

    Args:
      trials: how many run in the first rung.
      seconds: for all runs together.
      run: seconds of a run beside its steps, its score among them. step: seconds of one step.

    Raises BadInput where the first rung's runs would have no step.
    """
    counts = counts_of(trials)
    shares = [1 / KEEP ** (len(counts) - 1 - at) for at in range(len(counts))]
    weight = sum(count * share for count, share in zip(counts, shares, strict=True))
    longest = (seconds - run * sum(counts)) / (step * weight)
    if longest * shares[0] < 1:
        least = (run * sum(counts) + step * weight / shares[0]) / 60
        raise BadInput(f"--minutes: {trials} trials need at least {least:.2g} minutes here beside measuring; give more, or fewer --trials")
    return [Rung(count, two_digits(int(longest * share))) for count, share in zip(counts, shares, strict=True)]


def best_of(rows: Sequence[dict[str, Any]], steps: int) -> list[int]:
    """The numbers of the trials of the rung of so many steps, that with the best mean accuracy first; of equal ones the smaller number.
    Trials that failed are not among them."""
    scored = [row for row in rows if row["steps"] == steps and row["accuracy"] is not None]
    return [row["trial"] for row in sorted(scored, key=lambda row: (-row["mean"], row["trial"]))]

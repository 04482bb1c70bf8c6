"""What a search found: all trials, and the best one as a preset."""

from pathlib import Path
from typing import Any, NamedTuple

from condense.engine.storage import flags_of
from condense.plots.tables import WholeTable
from condense.presets import Preset
from condense.studies.rungs import Rung, best_of, options_at
from condense.studies.trials import Search
from synth.errors import RunFailed
from synth.options import flag_of

PRESET = "preset.json"


class Tuned(NamedTuple):
    """The result of a search.

    Args:
      out: its folder. preset: the settings of the best trial, as preset.json holds them.
      rungs: how many trials ran for how many steps.
      rows: a dict for every run: `trial` (its number), `steps`, `options`, `accuracy` (a list, one a network) and `mean`, both None where
        it failed, and then its `reason`.
      best: the row of the best trial, of those that ran longest.
      places: the folders of the inputs that all trials worked from, such as experts, by the name of their flag: those that the call or its
        preset names, and those that the search made. The preset does not name them.
      seed: of the trials, which the preset does not hold either.
    """

    out: Path
    preset: Preset
    rungs: tuple[Rung, ...]
    rows: tuple[dict[str, Any], ...]
    best: dict[str, Any]
    places: dict[str, str]
    seed: int

    def next_words(self, data: str) -> list[str]:
        """The words of the command that distils with the best settings, inputs and seed of the trials; `data` is the specification of the
        call. DIR stands for the folder of the run."""
        words = ["condense", "distill", self.preset.method, "--data", data, "--preset", str(self.out / PRESET)]
        for name, place in self.places.items():
            words += [flag_of(name), place]
        return [*words, *(["--seed", str(self.seed)] if self.seed else []), "--out", "DIR"]

    def as_json(self) -> dict[str, Any]:
        """The document `trials.json`: `method`, `data`, `rungs`, `rows` and `best`; accuracies are fractions of the validation split."""
        rungs = [rung._asdict() for rung in self.rungs]
        return {"method": self.preset.method, "data": self.preset.data, "rungs": rungs, "rows": list(self.rows), "best": self.best}

    def table(self) -> WholeTable:
        """A line for every run: those of the most steps first, of equal steps the best first, accuracies in per cent. A trial has a line
        for every rung that it ran in. Of a run that failed the reason stands in place of its accuracy."""
        found = WholeTable(title=f"{self.preset.method} on {self.preset.data}: accuracy on validation in %")
        for name in ("trial", "steps", *self.best["options"]):
            found.add_column(name, justify="right")
        found.add_column("accuracy")  # or why there is none
        for row in sorted(self.rows, key=lambda row: (-row["steps"], -(row["mean"] or 0), row["trial"])):
            score = row["reason"] or f"{100 * row['mean']:.1f}"
            found.add_row(str(row["trial"]), f"{row['steps']:,}", *map(str, row["options"].values()), score)
        return found


def conclude(search: Search, rungs: list[Rung], rows: list[dict[str, Any]], command: str) -> Tuned:
    """Chooses the best trial of the longest runs that did not all fail, and makes a preset of it. Nothing is written. Raises RunFailed
    where every trial failed.

    Args:
      rows: one for every run, as `condense.studies.trials.climb` gives them.
      command: what the preset says that it is from.
    """
    made = search.made
    steps, number = next(((rung.steps, best[0]) for rung in reversed(rungs) if (best := best_of(rows, rung.steps))), (0, 0))
    if not steps:
        raise RunFailed(f"tune: all {len(rows)} trials failed, such as the first: {rows[0]['reason']}; give other values to look around")
    row = next(row for row in rows if (row["trial"], row["steps"]) == (number, steps))
    options = made.settings.options | options_at(made, search.spans, search.points[number], steps)
    name, value = made.budget.given() or ("", 0)
    settings = {
        **({name: value} if name else {}),
        "net": made.net,
        "steps": steps,
        **({"start": made.start} if made.start else {}),
        **flags_of(made.stored),
        **options,
    }
    claim = f"{100 * row['mean']:.1f} % of validation examples after a short retraining of {search.seeds}"
    return Tuned(
        search.out,
        Preset(f"{made.method.name}_tuned", made.method.name, made.data.spec, claim, command, f"{steps:,} steps", settings),
        tuple(rungs),
        tuple(rows),
        row,
        made.settings.places,
        made.seed,
    )

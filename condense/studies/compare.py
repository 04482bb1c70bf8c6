"""Compares methods by their scores: a table for each data set, budget, network, recipe and variant, as label regimes are.

A method is better than another where its sets are, not where its networks are: the test pairs the sets of the same distillation seed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Group

from condense.nets import brief
from condense.plots.charts import Plot, accuracies
from condense.studies.results import UNSIZED
from condense.studies.sources import read_rows
from condense.studies.statistics import LEAST_SETS, LEVEL, holm, paired_p, unbeaten
from condense.studies.texts import check_file, rich_tables, write_comparison
from synth.errors import BadInput, nearest


class Line(NamedTuple):
    """One method in one table, or real examples.

    Args:
      data, split, net, recipe, budget: of the table. digest: of the data. variant: what else the table is of, in words, such as
        the label regime; empty where an evaluation names none.
      name: the method's label, with `#2` and so on behind it for another one of the same label; of real examples with `(real)` behind it,
        and before that the score by which they are chosen, where there is one.
      labels: the kind of labels. real: whether these are real examples.
      sets: distillation seeds; 0 for real examples, which are drawn anew for every network: tables say `fresh`. seeds: networks a set.
      mean: accuracy, a fraction. spread: the population's standard deviation over the sets' means, of one set and of real examples over
        networks; None of one network.
      bytes: of the largest of the sets, labels included; of real examples, of the smallest set that they stand beside. None where that says
        nothing, as of all examples. label_bytes: of the largest labels; None of real examples. teacher_bytes: of teachers that must answer
        while networks train; 0 where there are none.
      steps: of the distillation of the first set. seconds: of a distillation, the mean over sets. None where not known.
      front: whether no set of fewer or equal bytes does better, on these data, network, recipe and variant; None without bytes.
      better: the methods of the table that it is better than.
      draws: the mean accuracy of each set by its distillation seed.
      drawn: how the test split was drawn, where the data came without one.
    """

    data: str
    digest: str
    split: str
    budget: str
    net: str
    recipe: str
    variant: str
    name: str
    labels: str
    real: bool
    sets: int
    seeds: int
    mean: float
    spread: float | None
    bytes: int | None
    label_bytes: int | None
    steps: int | None
    seconds: float | None
    draws: dict[int, float]
    front: bool | None = None
    better: tuple[str, ...] = ()
    drawn: str = ""
    teacher_bytes: int = 0

    def place(self) -> tuple[str, ...]:
        """What the lines of one table share: data, digest, split, budget, network, recipe, variant."""
        return self.data, self.digest, self.split, self.budget, self.net, self.recipe, self.variant

    def recipe_text(self) -> str:
        """The recipe and the variant in words."""
        return ", ".join(filter(None, [self.recipe, self.variant]))

    def title(self) -> str:
        """What the table is of, in words."""
        split = "" if self.split == "test" else f", {self.split} split"
        drawn = f"; test: {self.drawn}" if self.drawn else ""
        return f"{self.data}{split}, {self.budget}, {self.net}, recipe {self.recipe_text()}{drawn}"


class Comparison(NamedTuple):
    """Methods side by side.

    Args:
      lines: table by table.
      tests: of two methods of a table each: its title under `table`, the names `better` and `worse` (by mean alone), how many `sets` of
        each were paired, the p-value `p` as it is, and `adjusted` by Holm's correction over the tests of the table.
      failed: a text for each run that has no scores.
    """

    lines: tuple[Line, ...]
    tests: tuple[dict[str, Any], ...]
    failed: tuple[str, ...]

    def __repr__(self) -> str:
        count = len(self.tables())
        return f"Comparison({len(self.lines)} lines in {count} table{'s' * (count != 1)}, {len(self.tests)} tests)"

    def plot(self) -> Plot:
        """A chart of accuracy against bytes. Raises BadInput where the extra `report` is not installed, and where no line has bytes."""
        if not (points := [point_of(line) for line in self.lines if line.bytes]):
            raise BadInput("plot: no line of the comparison has bytes")
        return Plot(accuracies(points, x="bytes", title="accuracy against bytes", axis="bytes of the set, labels included"))

    def tables(self) -> list[tuple[Line, ...]]:
        """The lines of each table, a tuple a table, in the order of `lines`."""
        found: dict[tuple[str, ...], list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.place(), []).append(line)
        return [tuple(lines) for lines in found.values()]

    def notes(self) -> list[str]:
        """What a reader must know of the numbers, a text each: what they and the spread are, what claims rest on, and the runs that
        failed."""
        many = any(line.sets > 1 for line in self.lines)
        spread = "± over the means of the sets, where there are several, else over networks" if many else "± over networks"
        claim = f"better: paired t-test over {LEAST_SETS} sets or more of the same distillation seeds, Holm-corrected in a table, {LEVEL:g}"
        front = "front: no set of fewer or equal bytes scores higher on these data, network, recipe and labels"
        return [f"accuracy in %; {spread}; {front}", claim if many else "one set a method: nothing is claimed", *self.failed]

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON values under `lines`, `tests` and `notes`; accuracies are fractions."""
        lines = [
            {**line._asdict(), "better": list(line.better), "draws": {str(at): v for at, v in line.draws.items()}} for line in self.lines
        ]
        return {"lines": lines, "tests": list(self.tests), "notes": self.notes()}

    def table(self) -> Group:
        """All tables with their claims and the notes, as something for rich to print on a terminal; nothing is printed here."""
        return rich_tables(self)


def point_of(line: Line) -> dict[str, Any]:
    """A line as a point of a chart: a dict with `group` (data, network, recipe and variant), `method`, `mean`, `low` and `high` (a spread
    below and above it, as fractions), `bytes` and `steps`."""
    spread = line.spread or 0.0
    group = f"{line.data}, {brief(line.net)}, recipe {line.recipe_text()}"
    sizes = {"bytes": line.bytes, "steps": line.steps}
    return {"group": group, "method": line.name, "mean": line.mean, "low": line.mean - spread, "high": line.mean + spread, **sizes}


def compare(what: str | Path | Sequence[str | Path], *, to: str | Path | None = None, against: str | None = None) -> Comparison:
    """Compares the methods of suites and runs, at each budget on each data set under each network and recipe.

    A claim that one method is better than another is one over sets: it needs three distillation seeds or more that both have, pairs the
    sets of the same seed in a t-test, and corrects it after Holm for all pairs of a table.

    Args:
      what: folders of suites and of runs, and files of `evaluate --json`; one or several. A run is scored as `evaluate` does.
      to: a file that it is written to, by its ending: .md, .csv, .tex or .json.
      against: the label of a method that all others are tested against, and nothing else is: fewer tests than all pairs. Choose it before
        looking at scores.

    Example:
      >>> import condense, json, tempfile, pathlib
      >>> file = pathlib.Path(tempfile.mkdtemp()) / "scores.json"
      >>> synth = condense.distill("random", "digits", ipc=1)
      >>> scored = condense.evaluate(synth, recipe="krr-ntk", seeds=1, rows="distilled")
      >>> _ = file.write_text(json.dumps(scored.as_json()))
      >>> len(condense.compare(file).lines)
      1

    Raises BadInput where there are no scores, for an ending that is not known, and where no method is called `against`.
    """
    if to is not None:
        check_file(to)
    places = [what] if isinstance(what, str | Path) else list(what)
    if not places:
        raise BadInput("compare: names nothing; give runs, suites or files of scores")
    read = [read_rows(place) for place in places]
    found = compare_rows([row for rows, _ in read for row in rows], [line for _, failed in read for line in failed], against=against)
    if to is not None:
        write_comparison(found, to)
    return found


def compare_rows(rows: Iterable[dict[str, Any]], failed: Sequence[str], *, against: str | None = None) -> Comparison:
    """Compares rows of scores, each of a set or of real examples under one network and recipe.

    Args:
      rows: as `condense.studies.sources.read_rows` gives them.
      failed: a text for each run that has no scores, for the notes.
      against: the label of a method: only pairs with it are tested.

    Raises BadInput where no method is called `against`.
    """
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        if row["set_kind"] == "distilled":
            own = ("", str(row["key"]))
        else:  # the same trainings stand once
            own = (row["set_kind"], str(row["accuracy"]), str(row.get("score")))
        groups.setdefault((*_table_of(row), row["label"], row["labels"], *own), []).append(row)
    made: dict[tuple, list[Line]] = defaultdict(list)
    for group in groups.values():
        line = _line(group)
        same = sum(other.name.split(" #")[0] == line.name and other.labels == line.labels for other in made[line.place()])
        made[line.place()].append(line._replace(name=f"{line.name} #{same + 1}") if same else line)
    if against is not None and against not in (names := {line.name for lines in made.values() for line in lines if not line.real}):
        raise BadInput(f"--against {against}: no method is called that (known: {', '.join(sorted(names))}){nearest(against, names)}")
    lines, tests = [], []
    for table in made.values():
        claims = _tests(table, against)
        tests += claims
        for line in table:
            better = tuple(one["worse"] for one in claims if one["better"] == line.name and one["adjusted"] < LEVEL)
            lines.append(line._replace(better=better))
    return Comparison(tuple(_with_front(lines)), tuple(tests), tuple(failed))


def _table_of(row: dict[str, Any]) -> tuple[str, ...]:
    if row.get("ipc"):
        budget = f"{row['ipc']} a class"
    else:
        budget = f"at most {row['max_bytes']:,} bytes" if row.get("max_bytes") else "sizes of their own"
    return row["data"], row["digest"], row.get("split", "test"), budget, row["net"], row["recipe"], variant_of(row)


def variant_of(row: dict[str, Any]) -> str:
    """In which variant of its evaluation a row was scored, in words: what the call asked for. What validation chose for a set is left out,
    so that sets of several draws stand in one line."""
    alpha, temperature = row.get("alpha"), (row.get("scoring") or {}).get("temperature")
    words = [f"{row['labels']} labels" if "label_bytes" in row else ""]
    words.append("alpha chosen" if row.get("alpha_chosen") else "" if alpha in (None, 1) else f"alpha {alpha:g}")
    taught = row.get("temperature") is not None  # an alpha is there under blended answers alone
    words.append(f"temperature {temperature:g}" if taught and temperature is not None else "")
    words.append(f"augmentation {row['augmentation']}" if row.get("augmentation") else "")
    words.append("step size chosen" if row.get("step_size") is not None else "")
    return ", ".join(filter(None, words))


def _line(group: Sequence[dict[str, Any]]) -> Line:
    """The line of the sets of one method, or of real examples."""
    first, real = group[0], group[0]["set_kind"] != "distilled"
    sets: dict[Any, dict[str, Any]] = {}
    for row in group:
        sets.setdefault(row["draw"], row)  # the same set may be in two sources
    means = [float(np.mean(row["accuracy"])) for row in sets.values()]
    if len(means) > 1:
        spread = float(np.std(means))
    else:
        spread = float(np.std(first["accuracy"])) if len(first["accuracy"]) > 1 else None
    sized = first["set_kind"] not in UNSIZED
    total = min(row["bytes"]["total"] for row in group) if real else max(row["bytes"]["total"] for row in group)
    seconds = [row["distill_seconds"] for row in sets.values() if row.get("distill_seconds") is not None]
    return Line(
        *_table_of(first),
        name=f"{first['label']}{f' by {by}' if (by := first.get('score')) else ''} (real)" if real else first["label"],
        labels=first["labels"],
        real=real,
        sets=0 if real else len(sets),
        seeds=len(first["accuracy"]),
        mean=float(np.mean(means)),
        spread=spread,
        bytes=total if sized else None,
        label_bytes=None if real else max(row["bytes"]["labels"] for row in group),
        steps=first.get("steps"),
        seconds=float(np.mean(seconds)) if seconds else None,
        draws={} if real else {draw: mean for draw, mean in zip(sets, means, strict=True) if draw is not None},
        drawn=str(first.get("test") or ""),
        teacher_bytes=max(row.get("teacher_bytes", 0) for row in group),
    )


def _tests(table: Sequence[Line], against: str | None) -> list[dict[str, Any]]:
    """The tests of one table, over the distillation seeds that two methods share."""
    methods, made = [line for line in table if not line.real], []
    for one, other in combinations(methods, 2):
        if against is not None and against not in (one.name, other.name):
            continue
        shared = sorted(one.draws.keys() & other.draws.keys())
        scores = [np.array([line.draws[draw] for draw in shared]) for line in (one, other)]
        if (p := paired_p(*scores)) is not None:
            better, worse = (one, other) if scores[0].mean() > scores[1].mean() else (other, one)
            made.append({"table": one.title(), "better": better.name, "worse": worse.name, "sets": len(shared), "p": p})
    for test, adjusted in zip(made, holm([test["p"] for test in made]), strict=True):
        test["adjusted"] = adjusted
    return made


def _with_front(lines: Sequence[Line]) -> list[Line]:
    """The lines with their flags: each is held against all budgets on the same data, network, recipe and variant."""
    together = defaultdict(list)
    for at, line in enumerate(lines):
        if line.bytes is not None:
            together[line.data, line.digest, line.split, line.net, line.recipe, line.variant].append(at)
    flags: dict[int, bool] = {}
    for at in together.values():
        front = unbeaten(*(np.array([getattr(lines[i], name) for i in at], np.float64) for name in ("bytes", "mean")))
        flags |= {i: bool(flag) for i, flag in zip(at, front, strict=True)}
    return [line._replace(front=flags.get(i)) for i, line in enumerate(lines)]

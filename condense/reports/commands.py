"""The commands of a report that make a run's set and its scores again."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from condense.evaluation.report import Evaluation
from condense.reports.material import Subject
from condense.studies.scorings import listed
from evals.recipes import recipe as find_recipe
from synth.options import flag_of

PLACES = ("teachers", "ranks")  # in a scoring, relative to the suite's folder, or absolute
UNKNOWN = "DIR"  # stands for the folder of a log of proxies that no record names


def commands_of(one: Subject) -> list[str]:
    """The commands that make the run's set and its scores again: first that of the run, then one for each evaluation that is kept, and of a
    suite's run one for each of the suite's scorings."""
    scorings = [scoring(one, scored) for scored in one.evaluations] if one.suite is None else suite_scorings(one)
    return [str(one.run.record.get("command", "")), *scorings]


def scoring(one: Subject, scored: Evaluation) -> str:
    """The command that scores the run's set as an evaluation did, with recipe and number of seeds of its first row that is not `full`."""
    nets = list(dict.fromkeys(report.net for report in scored.reports))
    kinds = list(dict.fromkeys(report.set_kind for report in scored.reports))
    own = [report for report in scored.reports if report.set_kind != "full"] or list(scored.reports)
    words = ["condense", "evaluate", str(one.run.folder), "--data", scored.spec, "--net", *nets, "--recipe", own[0].recipe]
    words += ["--seeds", str(len(own[0].accuracy)), "--rows", ",".join(kinds), "--split", scored.split]
    words += ["--ranks", UNKNOWN] if any(report.score for report in scored.reports) else []
    return shlex.join([*words, *(["--seed", str(scored.seed)] if scored.seed else [])])


def suite_scorings(one: Subject) -> list[str]:
    """The commands that score a suite's run as the suite did, one for each scoring under which its set has a row."""
    ways: dict[str, list[dict[str, Any]]] = {}
    for row in one.rows:
        way = row.get("scoring", {"recipe": row["recipe"]})  # which older suites did not say
        ways.setdefault(json.dumps(way, sort_keys=True), []).append(row)
    return [suite_scoring(one, rows) for rows in ways.values() if any(row["set_kind"] == "distilled" for row in rows)]


def suite_scoring(one: Subject, rows: Sequence[dict[str, Any]]) -> str:
    """The command that scores a suite's run as one of its scorings did. `rows` are the suite's results under it, of the set and of real
    examples at its budget. Where the scoring names no recipe, the command leaves it to the set, as the suite did."""
    own = [row for row in rows if row["set_kind"] == "distilled"]
    way = own[0].get("scoring", {"recipe": own[0]["recipe"]})
    words = ["condense", "evaluate", str(one.run.folder), "--data", own[0]["data"]]
    if not find_recipe(own[0]["recipe"]).own_net:
        words += ["--net", *dict.fromkeys(row["net"] for row in own)]
    scored = any(row.get("score") for row in rows)  # a log of proxies is refused where no row reads it
    for name, value in way.items():
        if name == "ranks" and not scored:
            continue
        if name in PLACES:
            words += [flag_of(name), str(one.suite / value)]
        elif value is not False:
            words += [flag_of(name), *([] if value is True else [",".join(map(str, listed(value)))])]
    kinds = list(dict.fromkeys(row["set_kind"] for row in (*own, *rows)))
    words += ["--seeds", str(len(own[0]["accuracy"])), "--rows", ",".join(kinds), "--split", own[0]["split"]]
    words += ["--ranks", UNKNOWN] if scored and "ranks" not in way else []
    return shlex.join(words)

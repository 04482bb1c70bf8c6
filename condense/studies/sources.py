"""What a comparison is made from: suites, runs, and files of `evaluate --json`. All become rows, one a set, network,
recipe and variant (label regime, augmentation)."""

from pathlib import Path
from typing import Any

from condense.evaluation.report import shown_set
from condense.runtime.run_folder import RECORD
from condense.studies import results, suite
from condense.studies.results import scored_row, set_facts
from condense.workflows.evaluate import evaluate
from synth.errors import BadInput
from synth.files.format import load_set
from synth.files.records import ANY, Either, ListOf, Maybe, Real, Table, Text, Whole, read_record

ROW = Table({"net": Text(), "recipe": Text(), "set_kind": Text(), "accuracy": ListOf(Real(0, 1), least=1)}, rest=ANY)
BYTES = Table({"total": Whole(), "labels": Whole()}, rest=ANY)
SCORED = Table({"set": Text(), "data": Table({"spec": Text(), "digest": Text()}), "bytes": BYTES, "results": ListOf(ROW)})
IN_SUITE = Table({"label": Text(), "data": Text(), "bytes": BYTES, "labels": Text()}, {"method": Maybe(Text()), "draw": Maybe(Whole())})
WORDS = {"what": "holds no scores", "remedy": "give a run, a suite, or what `evaluate --json` or a suite wrote"}


def read_rows(what: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of scores of one source, and a text for each run that failed. A row is a dict about one set or real examples, under one
    network and recipe. A run's folder is scored as `condense evaluate` does, and what is finished there is not trained again.

    Args:
      what: the folder of a suite or of a run, or a file that `evaluate --json` or a suite wrote.

    Raises BadInput for anything else, and for a suite that is not done.
    """
    path = Path(what)
    if path.is_dir() and (path / suite.RECORD).is_file():
        if not (path / results.FILE).is_file():
            raise BadInput(f"{path}: the suite is not done, it has no {results.FILE} yet; run it to its end")
        return suite_rows(path / results.FILE)
    if path.is_dir() and (path / RECORD).is_file():
        return evaluated_rows(evaluate(path).as_json()), []
    if not path.is_file():
        raise BadInput(f"{path}: no run, suite or file of scores there; give one")
    held = read_record(path, Either((Table(), ListOf(Table()))), **WORDS)
    if isinstance(held, dict) and "runs" in held:
        return suite_rows(path)
    read_record(path, Either((SCORED, ListOf(SCORED))), **WORDS)
    return [row for one in (held if isinstance(held, list) else [held]) for row in evaluated_rows(one)], []


def suite_rows(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of scores in a suite's file `results.json`, each with a `key` of method and options, and a text for each run that failed.
    Raises BadInput where the file is damaged."""
    found = results.read_results(path)
    for row in found.results:
        try:
            IN_SUITE.check(row, "a row")
            ROW.check(row, "a row")
        except ValueError as error:
            raise BadInput(f"{path}: {WORDS['what']} ({error}); {WORDS['remedy']}") from error
    return [{**row, "key": [row.get("method"), row.get("options")]} for row in found.results], list(found.failed)


def evaluated_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of scores in a document of `evaluate --json` about one set. What made the set is read from its file and run, where these are
    still there; else it is None, and the row's label is the set's file."""
    path = Path(document["set"])
    facts = {"method": None, "draw": None, "labels": "", "steps": None, "distill_seconds": None}
    facts |= {"label": shown_set(document["set"]) or "set", "key": document["set"]}
    real = "hard"
    if path.is_file():
        synth = load_set(path)
        info = synth.info
        facts |= {"labels": synth.y.kind, "max_bytes": None}
        if info is not None and info.method:
            facts |= {"method": info.method, "label": info.method, "key": [info.method, info.config], "draw": info.seed}
        if (path.parent / RECORD).is_file():
            known = set_facts(path.parent)
            real = known.pop("real_labels")
            facts |= known
    common = {"data": document["data"]["spec"], "digest": document["data"]["digest"], "split": document.get("split", "test")}
    common |= {"test": document["data"].get("test", ""), "ipc": document.get("ipc"), "bytes": document["bytes"], "max_bytes": None}
    rows = []
    for row in document["results"]:
        own = dict(facts)
        if row["set_kind"] != "distilled":
            own |= {"method": None, "label": row["set_kind"], "key": None, "draw": None, "steps": None, "distill_seconds": None}
            own |= {"labels": real}
        rows.append(scored_row({**own, **common}, row))
    return rows

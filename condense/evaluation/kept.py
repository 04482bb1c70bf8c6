"""The scores that an evaluation has left in cells, read without training anything. They are what was scored, whichever version did it."""

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from condense.evaluation.cells import FOLDER
from condense.evaluation.counts import images_a_class
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.report import Evaluation
from evals.report import Report
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.files.records import ANY, ListOf, Real, Table, Text, Whole, read_record
from synth.set import SyntheticSet

NAMED = Table({"name": Text()}, rest=ANY)
FACTS = Table(
    {
        "data": Table({"digest": Text()}, rest=ANY),
        "split": Text(),
        "seed": Whole(),
        "network": NAMED,
        "recipe": NAMED,
        "row": Table({"kind": Text()}, {"by": Text(), "ranks": Text()}, rest=ANY),
        "networks": ListOf(Whole(), least=1),
    },
    rest=ANY,
)
CELL = Table({"facts": FACTS, "scores": Table({"accuracy": ListOf(Real(0, 1), least=1), "seconds": Real(0)}, rest=ANY)}, rest=ANY)


def read_cells(folder: Path) -> list[dict[str, Any]]:
    """All finished cells in a folder, the oldest file first, each a dict with `facts` (all that its scores depend on) and `scores`. Files
    that hold no cell are passed over."""
    found = []
    for file in sorted(folder.glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name)):
        with contextlib.suppress(BadInput):
            found.append(read_record(file, CELL, what="is no finished cell", remedy="it is passed over"))
    return found


def kept_evaluations(synth: SyntheticSet, path: Path, *, cells: Sequence[dict[str, Any]] | None = None) -> list[Evaluation]:
    """The evaluations of a set whose scores are kept in cells, one for each digest of data, split, seed, precision and recipe. Nothing
    is trained. Rows that choose by a score are apart for every score and log of proxies.
    Empty where the set has no `info`. Cells of label regimes, augmentations and chosen step sizes are left out.

    Args:
      path: of the set's file.
      cells: as `read_cells` gives them; by default those beside the set.

    Of a network that was trained twice, as by two versions, the later scores count.
    """
    found: dict[tuple, dict[int, tuple]] = defaultdict(dict)
    if synth.info is None:
        return []
    rows = row_facts(synth)
    alone = {name for name, row in EVALUATORS[synth.x.modality].baselines.items() if row.recipe or row.protocol}  # of a recipe of their own
    for held in read_cells(path.parent / FOLDER) if cells is None else cells:
        facts = held["facts"]
        kind, digest = facts["row"]["kind"], facts["data"]["digest"]
        if (
            kind not in rows
            or not all(facts["row"].get(name) == value for name, value in rows[kind].items())
            or synth.info.data_digest not in ("", digest)
            or "variant" in facts  # of a comparison of labels, augmentations or step sizes, which has a table of its own
            or (kind not in alone and not labelled_alike(synth, facts.get("labels"), real=kind != "distilled"))
        ):
            continue
        recipe = facts["recipe"]
        table = digest, facts["split"], facts["seed"], recipe.get("precision", "f32")
        log = facts["row"].get("by"), facts["row"].get("ranks")  # what rows that choose by a score were chosen by
        at = *table, recipe["name"] if kind not in alone else "", facts["network"]["name"], kind, log
        for place, number in enumerate(facts["networks"]):
            found[at][number] = held["scores"], place, len(facts["networks"]), recipe["name"]
    return evaluations(synth, path, found)


def labelled_alike(synth: SyntheticSet, labels: Any, *, real: bool) -> bool:
    """Whether examples of a cell, by its facts about `labels`, had the set's own kind of labels, and not those of a comparison of label
    regimes. `real` says whether they are real examples."""
    known = labels if isinstance(labels, dict) else {}
    return "regime" not in known and not (real and synth.y.taught and known.get("kind") != synth.y.kind)


def row_facts(synth: SyntheticSet) -> dict[str, dict[str, Any]]:
    """By which facts a kept score is known to belong to this set, for each kind of row in an evaluation's table, such as `distilled`,
    `random` and `full`.

    A score belongs to the set only if the `row` of its cell has all these values: the `kind`, and what the examples of such a row depend
    on. For the set itself that is its digest; for real images or vectors, how many there are of every class and what they are stored as;
    for graphs, the set's bytes; for all training examples, nothing more. Kinds whose scores are never kept are left out. Values are as
    JSON has them. Raises TypeError where the set holds functions or the like.
    """
    baselines = EVALUATORS[synth.x.modality].baselines
    return {kind: {"kind": kind, **row.facts(synth)} for kind, row in baselines.items() if row.facts}


def evaluations(synth: SyntheticSet, path: Path, found: dict[tuple, dict[int, tuple]]) -> list[Evaluation]:
    """Joins networks to rows, and rows to evaluations, one for each digest of data, split, seed, precision and recipe. A row of all data,
    whose recipe is its own, stands in each of its data, split, seed and precision.

    Args:
      path: of the set's file.
      found: (digest of the data, split, seed, precision, recipe, network, kind of row, (full name of the score, identity of the log) by
        which the row chooses) -> number of a network -> (scores of its cell, its place in that cell, how many networks the cell has,
        recipe). The recipe in the key is empty for rows that have one of their own; score and log are None for rows that read none.
    """
    order, nets = list(EVALUATORS[synth.x.modality].baselines), list(dict.fromkeys(at[5] for at in found))
    tables: dict[tuple, list[Report]] = defaultdict(list)
    recipes = {at[:4]: list(dict.fromkeys(other[4] for other in found if other[:4] == at[:4] and other[4])) for at in found}
    for at, networks in sorted(found.items(), key=lambda one: (nets.index(one[0][5]), order.index(one[0][6]))):
        for recipe in [at[4]] if at[4] else recipes[at[:4]]:
            tables[*at[:4], recipe].append(report_of(networks, at[5], at[6])._replace(score=at[7][0]))
    sizes, ipc = count_bytes(synth, file=path), images_a_class(synth)
    more = {"modality": synth.x.modality, "classes": tuple(synth.info.classes)}
    return [
        Evaluation(str(path), synth.info.data, digest, split, ipc, sizes, tuple(reports), seed, **more)
        for (digest, split, seed, *_), reports in tables.items()
    ]


def report_of(networks: dict[int, tuple], net: str, kind: str) -> Report:
    """The report on all networks of a row, in the order of their numbers: `networks` has for each number (scores of its cell, its place in
    that cell, how many networks the cell has, recipe). A measure that some of them lack is left out. The seconds are the sum over networks
    of an equal share of their cell's."""
    each = [networks[number] for number in sorted(networks)]

    def column(name: str) -> tuple | None:
        return tuple(scores[name][place] for scores, place, _, _ in each) if all(name in scores for scores, *_ in each) else None

    areas, taken = column("auc"), column("confusion")
    return Report(
        net,
        each[0][3],
        kind,
        column("accuracy") or (),
        sum(scores["seconds"] / size for scores, _, size, _ in each),
        None if areas is None else tuple(float("nan") if area is None else area for area in areas),
        column("epochs"),
        column("best_on_test"),
        None if taken is None else tuple(tuple(map(tuple, matrix)) for matrix in taken),
    )

"""The result of a transfer, as JSON and as a table."""

from typing import Any, NamedTuple

from rich.text import Text

from condense.evaluation.report import per_cent
from condense.plots.tables import WholeTable
from evals.report import Report


class TransferResult(NamedTuple):
    """Reports on one target by one protocol on a part of its labels.

    Args:
      target, target_digest: the target's specification, and the digest of its contents.
      fraction: of the training labels that were read, in (0, 1].
      protocol: its name, without the fraction.
      reports: one for every network and row; each has an accuracy for every seed and draw of labels, seed by seed.
      drawn: how the target's test split was drawn, where it came without one.
    """

    target: str
    target_digest: str
    fraction: float
    protocol: str
    reports: tuple[Report, ...]
    drawn: str = ""


class Transfer(NamedTuple):
    """How much pre-training on one set helps, for every target and protocol.

    Args:
      set: the set's file; empty for a value.
      spec, digest: of the data that the set was made from.
      split: on which networks are scored. seed: of the call.
      size: images of the set. bytes: as `evals.storage.count_bytes` counts them.
      results_by_target: target by target, of each the protocols.
    """

    set: str
    spec: str
    digest: str
    split: str
    seed: int
    size: int
    bytes: dict[str, int | None]
    results_by_target: tuple[TransferResult, ...]

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports of all targets and protocols in one sequence, in the order of `results_by_target`."""
        return tuple(report for result in self.results_by_target for report in result.reports)

    def as_json(self) -> dict[str, Any] | list[dict[str, Any]]:
        """The document of `transfer --json`, or a list of them where there are several targets or protocols: targets in the order given,
        of each the protocols.

        Accuracies are fractions in [0, 1], std the population's; scores on val say so. The seconds of the pre-training, which all documents
        share, are in the first one's.
        """
        documents = [
            {
                "set": self.set,
                "data": {"spec": self.spec, "digest": self.digest},
                "target": {"spec": result.target, "digest": result.target_digest, **({"test": result.drawn} if result.drawn else {})},
                **({} if self.split == "test" else {"split": self.split}),
                "seed": self.seed,
                "fraction": result.fraction,
                "protocol": result.protocol,
                "ipc": None,
                "size": self.size,
                "bytes": self.bytes,
                "results": [report.as_json() for report in result.reports],
            }
            for result in self.results_by_target
        ]
        return documents[0] if len(documents) == 1 else documents

    def table(self) -> WholeTable:
        """Rows by network and what it was pre-trained on, a column a target and protocol, accuracies in per cent with the population's
        standard deviation."""
        title = f"{self.spec}, {self.split} accuracy in %, {self.size} images, {self.bytes['total']:,} bytes"
        table = WholeTable("pre-trained on", title=title)
        for result in self.results_by_target:
            scores = len(result.reports[0].accuracy)
            how = f"{result.protocol} on {100 * result.fraction:g} % of the labels, {scores} scores"
            how += f"; test: {result.drawn}" if result.drawn else ""
            table.add_column(Text(f"{result.target}: {how}"), justify="right")
        several = len({report.net for report in self.reports}) > 1
        for row in zip(*(result.reports for result in self.results_by_target), strict=True):
            name = f"{row[0].set_kind}, {row[0].net}" if several else row[0].set_kind
            table.add_row(name, *(per_cent(report.mean, report.std, len(report.accuracy)) for report in row))
        return table

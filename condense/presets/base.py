"""A preset: one published claim, or one experiment of this project, as a record of where its numbers come from."""

import shlex
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """Where the settings and the score of a preset were read, and how the score was taken.

    Args:
      files: repository and file of the settings, or what else they were read in; says so where nobody has seen them.
      kind: of the published number, such as the best over checkpoints, or the last epoch.
      recipe: the recipe here that is nearest to the published evaluation; empty for the one that the set names.
      net: the network that the source retrains; empty for the one that the set names.
      transfer: flags of `condense transfer`, as in `--to mnist --protocol probe:0.01`, where sets are scored on the labels of other data
        because theirs hold representations; empty where they are scored on their own classes.
      looks: how often the source looks at the test images before it names its number.
    """

    files: str
    kind: str
    recipe: str = ""
    looks: str = "not seen"
    net: str = ""
    transfer: str = ""


@dataclass(frozen=True)
class Preset:
    """The settings of one experiment. A flag beats a preset beats a default.

    Args:
      name: METHOD_DATA_BUDGET.
      method, data: what was distilled by what.
      claim: its score in words, as in `70.5 %`; `no published score` where there is none.
      source: the paper, or what else the settings are from.
      cost: what the run takes.
      settings: the other flags: budget, network, number of steps, the method's own.
      first: the command that makes what the run works from, into a folder X that a flag then names; empty where the run may make its own.
      origin: where settings and score were read; None where a table of `condense.presets.origins` says it.
      ours: this project's own result, with commit, device and date; empty where there is none.
    """

    name: str
    method: str
    data: str
    claim: str
    source: str
    cost: str
    settings: dict[str, Any]
    first: str = ""
    origin: Origin | None = None
    ours: str = ""

    def flags(self) -> dict[str, Any]:
        """The values that the preset gives to flags, by name without dashes: the data, and all settings."""
        return {"data": self.data, **self.settings}

    def run(self) -> str:
        """The command of the run as text, in which DIR stands for the folder of the run and X for that which the command `first` makes."""
        place = f" --{self.flag()} X" if self.first else ""
        return f"condense distill {self.method} --preset {self.name}{place} --out DIR"

    def evaluation(self) -> str:
        """The command of the evaluation as text, with the network and under the recipe that are nearest to the published ones: `condense
        transfer` for sets whose labels are representations, which `condense evaluate` refuses. DIR stands for the folder of the run, X for
        that which the command `first` makes."""
        net = f" --net {self.origin.net}" if self.origin and self.origin.net else ""
        named = f" --recipe {self.origin.recipe}" if self.origin and self.origin.recipe else ""
        if self.origin and self.origin.transfer:
            teacher = f" --{self.flag()} X" if self.first else ""  # else it lies in DIR, where it is found
            return f"condense transfer DIR {self.origin.transfer}{teacher}{net}"
        asked = " --teachers X" if self.settings.get("labels") == "online" and self.first else ""
        return f"condense evaluate DIR --data {shlex.quote(self.data)}{asked}{net}{named}"

    def record(self) -> str:
        """The experiment in one line: score, source, commands and cost."""
        before = f"first {self.first}; then " if self.first else ""
        return f"{self.claim}, {self.source}: {before}{self.run()} ({self.cost})"

    def rows(self) -> tuple[tuple[str, str], ...]:
        """All that the preset says, as (name, text); what is empty is left out."""
        origin = self.origin or Origin("not seen", "not seen")
        stated = {name: value for name, value in self.settings.items() if value is not None}
        rows = (
            ("method", self.method),
            ("data", self.data),
            ("record", self.record()),
            ("score", f"{self.claim} ({origin.kind})"),
            ("source", self.source),
            ("values", origin.files),
            ("first", self.first),
            ("run", self.run()),
            ("evaluate", self.evaluation()),
            ("looks", origin.looks),
            ("cost", self.cost),
            ("ours", self.ours or "none yet"),
            ("settings", ", ".join(f"{name}={value}" for name, value in stated.items())),
            ("unset", ", ".join(name for name, value in self.settings.items() if value is None)),
        )
        return tuple((name, text) for name, text in rows if text)

    def flag(self) -> str:
        """The flag, without dashes, of the folder that the command `first` makes, such as `teachers`; `teacher` for a self-supervised one.
        Not to be asked where `first` is empty."""
        verb = self.first.split()[1]
        return "teacher" if "--ssl" in self.first else {"rank": "ranks"}.get(verb, verb)

"""A preset: one published claim, or one experiment of this project, with its source, command, cost and score."""

from dataclasses import dataclass
from typing import Any


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
    """

    name: str
    method: str
    data: str
    claim: str
    source: str
    cost: str
    settings: dict[str, Any]
    first: str = ""

    def flags(self) -> dict[str, Any]:
        """The values that the preset gives to flags, by name."""
        return {"data": self.data, **self.settings}

    def record(self) -> str:
        """The experiment in one line: score, source, commands and cost."""
        before, given = (f"first {self.first}; then ", f" --{self.flag()} X") if self.first else ("", "")
        return f"{self.claim}, {self.source}: {before}condense distill {self.method} --preset {self.name}{given} --out DIR ({self.cost})"

    def flag(self) -> str:
        """The flag of the folder that the command `first` makes, such as `teachers`; `teacher` for a self-supervised one."""
        verb = self.first.split()[1]
        return "teacher" if "--ssl" in self.first else {"rank": "ranks"}.get(verb, verb)

"""Kinds of labels; each kind that teachers make has its own file. `KINDS` lists all, and `synth.labels.contract` is their contract.

May import `synth.images`, `base`, `options` and `errors`.
"""

from synth.errors import BadInput, nearest
from synth.labels.committee import Committee
from synth.labels.contract import Labels, label_kind, option_parameters, targets_of
from synth.labels.distances import Distances
from synth.labels.online import Online
from synth.labels.plain import Hard, Runs, Soft, Target
from synth.labels.recorded import Recorded
from synth.labels.static import Interpolated, Static

__all__ = ["KINDS", "Labels", "find_kind", "label_kind", "made_kinds", "option_parameters", "targets_of"]

KINDS: dict[str, type[Labels]] = {
    "hard": Hard,
    "soft": Soft,
    "target": Target,
    "runs": Runs,
    "static": Static,
    "interpolated": Interpolated,
    "committee": Committee,
    "online": Online,
    "distances": Distances,
    "recorded": Recorded,
}


def made_kinds() -> list[str]:
    """Names of the kinds that `synth.labelling.label` makes."""
    return [name for name, kind in KINDS.items() if kind.make]


def find_kind(name: str) -> type[Labels]:
    """The class of a label kind that `synth.labelling.label` can make. Raises BadInput for any other name, also of kinds it cannot make."""
    if name not in made_kinds():
        raise BadInput(f"--kind: unknown kind of labels '{name}' (known: {', '.join(made_kinds())}){nearest(name, made_kinds())}")
    return KINDS[name]

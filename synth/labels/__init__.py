"""synth.labels."""

from synth.labels.online import OnlineWithTeachers
from synth.labels.plain import Hard, Runs, Soft, Target
from synth.labels.teacher import TEACHER_KINDS, Committee, Distances, Interpolated, Online, Static

Labels = Hard | Soft | Target | Runs | Static | Interpolated | Committee | Online | Distances | OnlineWithTeachers
KINDS = {kind.kind: kind for kind in (Hard, Soft, Target, Runs, *TEACHER_KINDS)}

"""What a notebook imports: `load_data`, `distill`, `evaluate`, `load_set`, `save_set`, `train_teacher`, `load_teacher`, `transfer`."""

from condense.data.load import load_data
from condense.evaluation.report import Evaluation
from condense.evaluation.transfer_report import Transfer
from condense.teachers.self_supervised import load_teacher, train_teacher
from condense.workflows.distill import distill
from condense.workflows.evaluate import evaluate
from condense.workflows.transfer import transfer
from synth.files.format import load_set, save_set

__all__ = [
    "Evaluation",
    "Transfer",
    "distill",
    "evaluate",
    "load_data",
    "load_set",
    "load_teacher",
    "save_set",
    "train_teacher",
    "transfer",
]

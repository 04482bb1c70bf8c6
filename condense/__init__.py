"""A workbench for dataset distillation in JAX: distil a data set to a budget, score synthetic sets honestly, look at what was learned.

Its rooms are layers, and may import those below them and the packages `matchers`, `evals` and `synth`.

All of the public interface is here, under `INTERFACE`; each name is imported when it is first used, so that `import condense` is quick.
"""

import sys
from importlib import import_module

TYPE_CHECKING = False  # a type checker takes it for true; `typing` takes longer to import than all of this file

if TYPE_CHECKING:  # the same table, for type checkers and editors
    from condense.data.load import from_arrays, load_data
    from condense.data.trees import count_trees
    from condense.evaluation.report import Evaluation, Evaluations
    from condense.evaluation.transfer_report import Transfer
    from condense.experts import train_experts
    from condense.experts.store import load_experts
    from condense.ranking.train import rank
    from condense.reports.write import report
    from condense.studies.compare import Comparison, compare
    from condense.studies.foresight import preview_suite
    from condense.studies.results import SuiteResults
    from condense.studies.shipped import list_suites
    from condense.studies.suite import suite
    from condense.studies.tune import tune
    from condense.studies.tuned import Tuned
    from condense.teachers.self_supervised import load_ssl_teacher, train_ssl_teacher
    from condense.teachers.store import load_teachers
    from condense.teachers.train import train_teachers
    from condense.workflows.describe import Description, describe
    from condense.workflows.distill import distill
    from condense.workflows.evaluate import evaluate
    from condense.workflows.export import Exported, export
    from condense.workflows.import_set import import_set
    from condense.workflows.leakage import measure_leakage
    from condense.workflows.lists import list_data, list_methods, list_nets, list_presets, list_recipes
    from condense.workflows.plan import plan
    from condense.workflows.preview import preview
    from condense.workflows.relabel import relabel
    from condense.workflows.runs import SavedRun, load_run, show, show_table
    from condense.workflows.transfer import transfer
    from evals.leakage import Leakage
    from synth.errors import BadInput, RunFailed
    from synth.files.format import load_set, save_set
    from synth.selection.ranks import read_ranks
    from synth.selection.scores import scores
    from synth.set import SyntheticSet

    __version__: str

INTERFACE = {  # name -> the module that defines it
    "BadInput": "synth.errors",
    "Comparison": "condense.studies.compare",
    "Description": "condense.workflows.describe",
    "Evaluation": "condense.evaluation.report",
    "Evaluations": "condense.evaluation.report",
    "Exported": "condense.workflows.export",
    "Leakage": "evals.leakage",
    "RunFailed": "synth.errors",
    "SavedRun": "condense.workflows.runs",
    "SuiteResults": "condense.studies.results",
    "SyntheticSet": "synth.set",
    "Transfer": "condense.evaluation.transfer_report",
    "Tuned": "condense.studies.tuned",
    "compare": "condense.studies.compare",
    "count_trees": "condense.data.trees",
    "describe": "condense.workflows.describe",
    "distill": "condense.workflows.distill",
    "evaluate": "condense.workflows.evaluate",
    "from_arrays": "condense.data.load",
    "export": "condense.workflows.export",
    "import_set": "condense.workflows.import_set",
    "list_data": "condense.workflows.lists",
    "list_methods": "condense.workflows.lists",
    "list_nets": "condense.workflows.lists",
    "list_presets": "condense.workflows.lists",
    "list_recipes": "condense.workflows.lists",
    "list_suites": "condense.studies.shipped",
    "load_data": "condense.data.load",
    "load_experts": "condense.experts.store",
    "load_run": "condense.workflows.runs",
    "load_set": "synth.files.format",
    "load_ssl_teacher": "condense.teachers.self_supervised",
    "load_teachers": "condense.teachers.store",
    "measure_leakage": "condense.workflows.leakage",
    "plan": "condense.workflows.plan",
    "preview": "condense.workflows.preview",
    "preview_suite": "condense.studies.foresight",
    "rank": "condense.ranking.train",
    "read_ranks": "synth.selection.ranks",
    "relabel": "condense.workflows.relabel",
    "report": "condense.reports.write",
    "save_set": "synth.files.format",
    "scores": "synth.selection.scores",
    "show": "condense.workflows.runs",
    "show_table": "condense.workflows.runs",
    "suite": "condense.studies.suite",
    "train_experts": "condense.experts",
    "train_ssl_teacher": "condense.teachers.self_supervised",
    "train_teachers": "condense.teachers.train",
    "transfer": "condense.workflows.transfer",
    "tune": "condense.studies.tune",
}

__all__ = [
    "BadInput",
    "Comparison",
    "Description",
    "Evaluation",
    "Evaluations",
    "Exported",
    "Leakage",
    "RunFailed",
    "SavedRun",
    "SuiteResults",
    "SyntheticSet",
    "Transfer",
    "Tuned",
    "__version__",
    "compare",
    "count_trees",
    "describe",
    "distill",
    "evaluate",
    "export",
    "from_arrays",
    "import_set",
    "list_data",
    "list_methods",
    "list_nets",
    "list_presets",
    "list_recipes",
    "list_suites",
    "load_data",
    "load_experts",
    "load_run",
    "load_set",
    "load_ssl_teacher",
    "load_teachers",
    "measure_leakage",
    "plan",
    "preview",
    "preview_suite",
    "rank",
    "read_ranks",
    "relabel",
    "report",
    "save_set",
    "scores",
    "show",
    "show_table",
    "suite",
    "train_experts",
    "train_ssl_teacher",
    "train_teachers",
    "transfer",
    "tune",
]


if not TYPE_CHECKING:  # to which any name would seem to be there

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import PackageNotFoundError, version  # takes as long as all the rest of this file

            try:
                return version("condense-workbench")
            except PackageNotFoundError:  # a checkout on PYTHONPATH
                return "unknown"
        if name not in INTERFACE:
            raise AttributeError(f"module 'condense' has no attribute '{name}'")
        found = globals()[name] = getattr(import_module(INTERFACE[name]), name)
        return found


def _register_displays() -> None:
    """Inside IPython: says how it displays values of this project."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        import_module("condense.notebook").register(shell)


_register_displays()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

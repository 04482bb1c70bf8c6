"""How Jupyter displays the values of this project. May import every other room of `condense` but the command line.

`import condense` inside IPython registers a formatter for each; what they show is imported when something is displayed.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

DISPLAYED = {  # (module, class) -> function of `condense.notebook.html`
    ("condense.data.images", "Data"): "data_html",
    ("condense.data.graphs", "GraphData"): "data_html",
    ("synth.set", "SyntheticSet"): "set_html",
    ("condense.workflows.plan", "Plan"): "plan_html",
    ("condense.workflows.runs", "SavedRun"): "run_html",
    ("condense.workflows.describe", "Description"): "description_html",
    ("condense.evaluation.report", "Evaluation"): "evaluation_html",
    ("condense.evaluation.report", "Evaluations"): "evaluations_html",
    ("condense.studies.compare", "Comparison"): "comparison_html",
}


def register(shell: Any) -> None:
    """Registers in a shell of IPython what displays each class of `DISPLAYED` as HTML; none of these classes is imported for it."""
    html = shell.display_formatter.formatters["text/html"]
    for (module, name), function in DISPLAYED.items():
        html.for_type_by_name(module, name, partial(display, function))


def display(function: str, value: Any) -> str:
    """The HTML of a value, as a text, by the function of this name in `condense.notebook.html`."""
    shown: Callable[[Any], str] = getattr(import_module("condense.notebook.html"), function)
    return shown(value)

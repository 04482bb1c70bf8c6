"""The facts that a method may know about its run."""

from functools import partial
from typing import Any

from condense.inputs.context import Context, Input, Provider
from condense.runtime.partial import Partial, open_partial
from condense.teachers.labelling import PARTIAL_LABELS_DIR, label_in_pieces, plan_of
from evals.recipes import recipe
from matchers.base import Task

PARTIAL_ROUNDS_DIR = ".rounds.partial"  # in a run's folder: what the finished rounds of a selection chose


def task_of(context: Context) -> Task:
    """Builds the `Task` of a run. If the run writes to a folder, its labelling keeps the teachers' answers there, and a method the parts of
    its work that are done."""
    data = context.data
    task = Task(data.image, data.flips, context.steps, lambda name: plan_of(recipe(name), data.image, data.flips))
    if context.out is None:
        return task
    label = partial(label_in_pieces, folder=context.out / PARTIAL_LABELS_DIR)
    return task._replace(label=label, keep=partial(kept_rounds, context))


def kept_rounds(context: Context, request: dict[str, Any], rounds: int) -> Partial:
    """The rounds of a run that are done. Those of another method, network, seed or data, or of another request, are removed."""
    facts = {"method": context.method.name, "net": context.net, "seed": context.seed}
    facts |= {"data": context.data.digest, "split_seed": context.data.seed}
    return open_partial(context.out / PARTIAL_ROUNDS_DIR, {**facts, **request}, rounds, what="rounds")


PROVIDER = Provider(lambda context: Input(task_of(context)))

"""The facts that a method may know about its run."""

from functools import partial

from condense.inputs.context import Context, Input, Provider
from condense.teachers.labelling import PARTIAL_LABELS_DIR, label_in_pieces, plan_of
from evals.recipes import recipe
from matchers.base import Task


def task_of(context: Context) -> Task:
    """Builds the `Task` of a run. If the run writes to a folder, its labelling keeps the teachers' answers there."""
    data = context.data
    task = Task(data.image, data.flips, context.steps, lambda name: plan_of(recipe(name), data.image, data.flips))
    return task._replace(label=partial(label_in_pieces, folder=context.out / PARTIAL_LABELS_DIR)) if context.out else task


PROVIDER = Provider(lambda context: Input(task_of(context)))

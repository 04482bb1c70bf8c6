"""What a method may know of its run."""

from functools import partial

from condense.inputs.context import Context


def task_of(context: Context):
    """What a method may be told of its run."""
    from condense.teachers.labelling import FOLDER, label_in_pieces, plan_of
    from evals.recipes import recipe
    from matchers.base import Task

    data = context.data
    told = Task(data.image, data.flips, context.steps, lambda name: plan_of(recipe(name), data.image, data.flips))
    return told._replace(label=partial(label_in_pieces, folder=context.out / FOLDER)) if context.out else told

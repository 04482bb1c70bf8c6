"""The budget, for a method that counts itself what its set may cost."""

from condense.inputs.context import Context, Input, Provider


def find(context: Context) -> Input:
    """Name and value of the budget; None where the workbench counts for the method, and where the call gives none."""
    return Input(context.budget)


PROVIDER = Provider(find)

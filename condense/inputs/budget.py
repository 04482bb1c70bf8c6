"""The budget as an input, for a method that counts its own bytes."""

from condense.inputs.context import Context, Input, Provider


def find(context: Context) -> Input:
    """Name and value of the budget, as in `("bytes", 200)`. None if the workbench computes the number of examples for the method, or if the
    call gives no budget."""
    return Input(context.budget)


PROVIDER = Provider(find)

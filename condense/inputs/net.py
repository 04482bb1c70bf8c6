"""The network that a method matches with."""

from condense import nets
from condense.inputs.context import Context, Input, Provider


def find(context: Context) -> Input:
    """The network of the run, built for its data."""
    return Input(nets.build(context.net, context.data.image, len(context.data.classes)))


PROVIDER = Provider(find)

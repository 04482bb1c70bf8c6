"""The siamese augmentation of a method: all operations of DSA that keep the labels of the data."""

from condense.data.modality import augmentation
from condense.inputs.context import Context, Input, Provider


def find(context: Context) -> Input:
    """DSA, without the flip if a mirrored image means something else; for examples other than images the identity."""
    return Input(augmentation(context.data))


PROVIDER = Provider(find)

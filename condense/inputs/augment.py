"""The siamese augmentation of a method: all operations of DSA that keep the labels of the data."""

from condense.inputs.context import Context, Input, Provider
from synth.images.augment import dsa, dsa_strategy


def find(context: Context) -> Input:
    """DSA, without the flip where a mirrored image means something else."""
    return Input(dsa(dsa_strategy(context.data.flips)))


PROVIDER = Provider(find)

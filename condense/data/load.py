"""Data by specification."""

from collections.abc import Callable
from typing import Any, NamedTuple

from condense.data import graphs, images, vectors
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.readers import READERS
from condense.data.spec import parse_spec
from synth.errors import BadInput
from synth.set import SyntheticSet


class Builder(NamedTuple):
    """How data of one modality are made and compared.

    Args:
      build: (spec, source, *, seed, validation) -> data, split and normalised.
      differ: (set, data) -> in words, how the set's examples differ from the data's; empty if they do not.
    """

    build: Callable[..., Data | GraphData]
    differ: Callable[[SyntheticSet, Any], str]


BUILDERS = {
    "images": Builder(images.build, images.check_examples),
    "graphs": Builder(graphs.build, graphs.check_examples),
    "vectors": Builder(vectors.build, images.check_examples),
}  # by modality of what a reader returns


def load_data(spec: str, *, seed: int = 0, validation: float = 0.1) -> Data | GraphData:
    """Reads, checks, splits and normalises.

    Args:
      spec: NAME or `kind:location`, with options `?key=value&...`: normalise=standard|zca (standard), flip=true|false, limit=N (the first N
        training images with the classes in proportion), and for folders size=N (shorter side, then centre crop) and grey=true;
        for graphs fold=K or split=N, and degree=true|false; for tables label=COLUMN, and test=FILE or split=N.
      seed: draws the validation split.
      validation: fraction of the training examples in [0, 1) that go there, every class in proportion and none emptied.

    Example:
      >>> import condense
      >>> data = condense.load_data("digits?limit=500")
      >>> len(data.train), len(data.val), data.image
      (450, 50, (8, 8, 1))

    Raises:
      BadInput: an unknown name, kind or option; files that are missing, damaged or hostile; contents that the source refuses.
    """
    parsed = parse_spec(spec)
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    if not 0 <= validation < 1:
        raise BadInput(f"validation={validation}: must be a fraction in [0, 1)")
    source = READERS[parsed.kind].read(parsed)
    return BUILDERS[source.modality].build(parsed, source, seed=seed, validation=validation)

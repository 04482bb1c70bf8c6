"""Data by specification."""

from collections.abc import Callable

from condense.data import graphs, images, vectors
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.readers import READERS
from condense.data.spec import parse_spec
from synth.errors import BadInput

# modality of what a reader returns -> (spec, source, seed=, validation=) -> data
BUILDERS: dict[str, Callable[..., Data | GraphData]] = {"images": images.build, "graphs": graphs.build, "vectors": vectors.build}


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
    return BUILDERS[source.modality](parsed, source, seed=seed, validation=validation)

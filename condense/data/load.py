"""Data by specification."""

from pathlib import Path

import numpy as np

from condense.data import graphs as graph_data
from condense.data.graphs import GraphData
from condense.data.images import Data, digest, fitted, limited
from condense.data.readers.encoded import read_folder, read_tfds
from condense.data.readers.idx import IDX, read_digits, read_idx_folder
from condense.data.readers.npz import read_npz
from condense.data.readers.source import Source, stratified
from condense.data.spec import NAMED, TRUTH, Named, Spec, home, parse_spec
from synth.errors import BadInput
from synth.images import preprocess as pre


def read(spec: Spec) -> Source:
    """The raw data of a specification, of a folder with a limit a part of them. Raises BadInput as its reader does."""
    text, name = spec.text, spec.name
    named = NAMED.get(name, Named(spec.kind, "")) if not spec.location else Named(spec.kind, "")
    place = Path(spec.location)
    try:
        place = place.expanduser()
        place.exists()
    except (OSError, RuntimeError) as error:  # the latter for ~NAME without such a user
        why = getattr(error, "strerror", error)
        raise BadInput(f"{text}: cannot use {str(place)[:200]} ({why}); name a file or folder that can be read") from None
    if spec.kind == "digits":
        return read_digits(text)
    if spec.kind == "idx":
        files = f"the four files {', '.join(IDX)}, each plain or .gz"
        remedy = f"it must hold {files}" if spec.location else f"`condense data {name} --from DIR` copies there {files}"
        place = place if spec.location else home() / name
        return read_idx_folder(place, text, name=name, classes=named.classes, flips=named.flips, remedy=remedy)
    if spec.kind == "npz":
        return read_npz(place, text, name=name)
    if spec.kind == "folder":
        grey = spec.choice("grey", TRUTH, False)
        limit = spec.number("limit")  # a part of what could not be held whole
        return read_folder(place, text, name=name, size=spec.number("size", most=4096), grey=grey, limit=limit)
    stored, remedy = spec.location or name, "give a folder that tensorflow_datasets prepared as array_record"
    if not spec.location or (stored.isidentifier() and not place.is_dir()):
        place, named, name = home() / "tfds" / stored, NAMED.get(stored, named), stored
        remedy = f"`condense data {name} --from DIR` prepares it from files; with tensorflow installed, `condense data {name}` downloads it"
    return read_tfds(place, text, name=name, remedy=remedy, flips=named.flips)


def load_data(spec: str, *, seed: int = 0, validation: float = 0.1) -> Data | GraphData:
    """Reads, checks, splits and normalises.

    Args:
      spec: NAME or `kind:location`, with options `?key=value&...`: normalise=standard|zca (standard), flip=true|false, limit=N (the first N
        training images with the classes in proportion), and for folders size=N (shorter side, then centre crop) and grey=true;
        for graphs fold=K or split=N, and degree=true|false.
      seed: draws the validation split.
      validation: fraction of the training images in [0, 1) that go there, every class in proportion and none emptied.

    Raises:
      BadInput: an unknown name, kind or option; files that are missing, damaged or hostile; contents that `Source` refuses.
    """
    parsed = parse_spec(spec)
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    if not 0 <= validation < 1:
        raise BadInput(f"validation={validation}: must be a fraction in [0, 1)")
    if parsed.kind in graph_data.KINDS:
        return graph_data.load(parsed, seed=seed, validation=validation)
    kind = parsed.choice("normalise", {name: name for name in pre.KINDS}, "standard")
    flips, limit = parsed.choice("flip", TRUTH, None), parsed.number("limit")
    source = limited(read(parsed), limit)
    held = stratified(source.y_train, round(validation * len(source.y_train)), seed=seed)
    rest = np.setdiff1d(np.arange(len(source.y_train)), held)
    if len(np.unique(source.y_train[rest])) < len(source.classes):
        raise BadInput(f"{spec}: validation={validation} leaves a class without training images; use a smaller fraction or more images")
    return Data(
        spec=spec,
        name=parsed.name,
        classes=source.classes,
        image=source.x_train.shape[1:],
        flips=source.flips if flips is None else flips,
        digest=digest(source),
        seed=seed,
        preprocess=fitted(kind, source.x_train[rest], spec),
        source=source,
        rows=(rest, held),
    )

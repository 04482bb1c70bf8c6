"""Puts a set where others work: pictures, tensors and tables of other libraries, with a card."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from condense.data.images import Data
from condense.exchange import find_format
from condense.exchange.base import Clipping, Format, Parcel
from condense.exchange.card import write_card
from condense.exchange.parcel import pack, to_pictures, unpack
from condense.exchange.pictures import MODES
from condense.exchange.place import CARD, whole
from condense.runtime.log import note
from condense.workflows.evaluate import evaluate
from condense.workflows.runs import SavedRun, set_of
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.set import SyntheticSet


class Exported(NamedTuple):
    """An export that was written.

    Args:
      path: the folder or file.
      clipped: what its pictures lose of the images; None where it holds no pictures.
      accuracy: mean test accuracies in [0, 1] by what networks were trained on: `set`, `export` (what was read back) and, where pictures
        lose something, `pictures`; empty where nothing was checked.
    """

    path: Path
    clipped: Clipping | None
    accuracy: dict[str, float]


def export(
    what: SyntheticSet | SavedRun | str | Path,
    out: str | Path,
    *,
    to: str = "folder",
    check: bool = False,
    data: Data | str | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    seeds: int = 3,
    force: bool = False,
) -> Exported:
    """Writes a set in the form that another library reads, whole or not at all, with a card that says how it is loaded.

    Args:
      what: a set, its file, a run's folder, or an opened run.
      out: the new folder; for `torch` a path that ends in `.pt` gives the one file.
      to: a name in `condense.exchange.FORMATS`: `folder`, `torch`, `parquet`, or for images `tfds` or `webdataset`.
      check: whether networks are trained on the set and on what the export holds, to compare accuracies.
      data, recipe, epochs, seeds: of that check, as `evaluate` takes them.
      force: whether an older export at `out` is replaced.

    Example:
      >>> import condense, pathlib, tempfile
      >>> made = condense.export(condense.distill("random", "digits", ipc=1), pathlib.Path(tempfile.mkdtemp(), "digits"))
      >>> sorted(path.name for path in made.path.iterdir())
      ['README.md', 'labels.npz', 'train']

    Raises:
      BadInput: an unknown format, one that makes no sense for the set, images that make no pictures, a place that is taken, a library that
        is missing.
      RunFailed: the disk is full; a training diverged.
    """
    find_format(to)
    synth, out = set_of(what), Path(out)
    parcel = pack(synth)
    how = find_format(to, parcel=parcel)
    if how.pictures and parcel.images is not None and parcel.images.shape[-1] not in MODES:
        raise BadInput(f"--to {to}: pictures have 1, 3 or 4 channels, the set's images {parcel.images.shape[-1]}; use --to torch")
    alone = how.file if how.file and out.suffix == Path(how.file).suffix else ""
    with whole(out, file=alone, force=force) as fresh:
        card = write_card(synth, parcel, to, how)
        (fresh / CARD).write_text(card)
        how.write(parcel, fresh, card)
    accuracy = check_export(synth, out, how, parcel, data=data, recipe=recipe, epochs=epochs, seeds=seeds) if check else {}
    return Exported(out, parcel.clipped, accuracy)


def check_export(synth: SyntheticSet, out: Path, how: Format, parcel: Parcel, **asked) -> dict[str, float]:
    """Mean accuracies in [0, 1] of networks by what they are trained on: `set`, `export` for what is read back from `out`, and, where
    pictures lose something, `pictures` for these alone.

    `parcel` is the set as it was exported. `asked` are arguments of `condense.evaluate`.
    """
    sets = {"set": synth, "export": unpack(how.read(out), str(out))}
    if how.pictures and parcel.clipped and (parcel.clipped.outside or parcel.clipped.rounding):
        sets["pictures"] = as_pictures(synth, parcel)
    found = {}
    for name, one in sets.items():
        note(f"training on the {name}")
        (report, *_) = evaluate(one, rows=("distilled",), **asked).reports
        found[name] = report.mean
    return found


def as_pictures(synth: SyntheticSet, parcel: Parcel) -> SyntheticSet:
    """The set with its images as pictures show them, rounded to 8 bits and cut off outside [0, 1], in model space again. `parcel` is the
    set as it was exported, with raw images."""
    raw = to_pictures(parcel.rows["raw"]).astype(np.float32) / 255
    return replace(synth, x=Pixels(jnp.asarray(synth.info.preprocess.apply(raw))))

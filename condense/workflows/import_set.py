"""Takes in sets that others made, and exports of this workbench."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from condense.data.for_set import fit_together
from condense.data.images import Data, has_published
from condense.data.load import load_data
from condense.data.modality import check_modality
from condense.exchange import all_formats
from condense.exchange.base import Format
from condense.exchange.parcel import unpack
from condense.exchange.released import Found, build
from condense.exchange.releases import RELEASES, Asked
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.format import save_set
from synth.set import SyntheticSet


def import_set(
    paths: str | Path | Sequence[str | Path],
    *,
    data: Data | str | None = None,
    out: str | Path | None = None,
    normalise: str | None = None,
    seed: int = 42,
    temperature: float = 20.0,
    epochs: int | None = None,
) -> SyntheticSet:
    """Reads a set that others released, or an export, as a set that can be scored.

    Args:
      paths: files or folders of one set.
      data: what it was made from: its classes and the size of its images. A release needs it; an export says that itself.
      out: the file to write, if any.
      normalise: what the float images of a release have gone through: `standard`, `zca` or `zca_relative`, fitted to the data; `published`
        or `imagenet`, known numbers; `none` for images in [0, 1]; or the numbers, MEAN,.../STD,... a channel. By default `published` for
        files of PyTorch where such numbers are known of the data, else `standard`.
      seed: of the sampler that recorded views were drawn by.
      temperature: of recorded labels, whose files do not say it (> 0).
      epochs: how many recorded epochs to read; by default all.

    Raises BadInput for what is no such set, for one that does not fit the data, and where a library is missing.
    """
    listed = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not listed:
        raise BadInput("import: give the files or folders of a set")
    if missing := [path for path in listed if not path.exists()]:
        raise BadInput(f"{missing[0]}: does not exist; give the files or folders of a set")
    if not temperature > 0:
        raise BadInput(f"--temperature {temperature}: give a number above 0")
    own = exported(listed)
    if own is not None:
        synth = unpack(own.read(listed[0]), str(listed[0]))
        if data is not None:
            source = load_data(data)
            fit_together(synth, source)
            synth = replace(synth, info=replace(synth.info, data=source.spec, data_path=source.located))
    else:
        release = next((release for release in RELEASES if release.finds(listed)), None)
        if release is None:
            known = "; ".join(release.about for release in RELEASES)
            raise BadInput(f"{listed[0]}: is neither an export nor a release of a known layout (known: {known})")
        if data is None:
            raise BadInput("--data: a release does not say what it was made from; give a data specification")
        source = cache(lambda: check_modality(load_data(data), "images", flag="--data"))
        found = release.read(listed, Asked(source, seed, temperature, epochs))
        synth = build(found, source(), normalise or usual(release.normalise, found, source()), str(listed[0]))
    if out:
        save_set(out, synth)
    return synth


def usual(normalise: str, found: Found, data: Data) -> str:
    """What float images of a release are taken to have gone through where a call does not say: `published` only where numbers are known of
    the data. A note says what was taken."""
    taken = "standard" if normalise == "published" and not has_published(data.spec, data.image[-1]) else normalise
    if found.images.dtype.kind == "f":
        note(f"pixels are taken as normalised by `{taken}` numbers of {data.spec}; --normalise says another")
    return taken


def exported(paths: Sequence[Path]) -> Format | None:
    """The format of the export that lies at the path; None where it is no export, or where there are several paths."""
    return next((how for how in all_formats() if len(paths) == 1 and how.finds(paths[0])), None)

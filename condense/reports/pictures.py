"""Pictures of a report, as PNG in the page itself. Images keep their raw pixels, and the page enlarges them.

All pictures of a run share a number of letters, so that a report of many runs stays small. What does not fit is left out and counted.
"""

import base64
import io
from collections import Counter
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from condense.data.neighbours import find_nearest
from condense.plots.frames import COLUMNS, find_frames, with_gaps
from condense.plots.images import bytes_of
from condense.workflows.runs import SavedRun
from synth.set import SyntheticSet

NEAREST, BARS = 3, 20  # real images beside each, and classes of a label that are drawn
CLEAR = 0.999  # a larger share of one class is a hard label
MOST = 300  # images that are shown
FRAMES = (21, 11, 6, 3)  # frames of a run, as many as fit


class Card(NamedTuple):
    """A synthetic image with what stands beside it. Pictures are PNG in an address that begins with `data:`.

    Args:
      picture: the image. text: its number and class.
      nearest: real images as (picture, text), the nearest first; empty where there are no data.
      label: (class, share) of a soft label; empty for a hard one.
    """

    picture: str
    text: str
    nearest: list[tuple[str, str]]
    label: list[tuple[str, float]]


class Images(NamedTuple):
    """The images of a set that a report shows.

    Args:
      rows: (name of a class, its cards); the name is empty where labels are representations.
      shown, count: how many images are shown, and how many the set has.
      seen: how many real images were looked at for the nearest; 0 without data.
    """

    rows: list[tuple[str, list[Card]]]
    shown: int
    count: int
    seen: int


class Evolution(NamedTuple):
    """The frames of a run as (step, PNG in an address that begins with `data:`), and the names of the classes of their rows."""

    frames: list[tuple[int, str]]
    names: list[str]


def uri(picture: Image.Image) -> str:
    """A picture as PNG in an address that begins with `data:`. One whose three channels are equal is stored with a single one."""
    held = io.BytesIO()
    pixels = np.asarray(picture)
    grey = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
    (picture.convert("L") if grey else picture).save(held, "PNG", optimize=True)
    return uri_of(held.getvalue())


def uri_of(png: bytes) -> str:
    """The bytes of a PNG file as an address that begins with `data:`."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def one_image(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """An image of raw pixels as PNG in an address that begins with `data:`."""
    return uri(Image.fromarray(pixels))


def images_of(synth: SyntheticSet, data: Any, *, room: int) -> Images:
    """The images of a set beside the nearest real ones in model space, the first of every class before the second of any. At most COLUMNS
    of a class and MOST in all are shown.

    Args:
      synth: with `info`.
      data: where real images come from; None where they are not there.
      room: how many letters all pictures may take together; an image that does not fit any more is passed over.
    """
    x, names = np.asarray(synth.x.decode(), np.float32), synth.info.classes
    probs = None if synth.represents else np.asarray(synth.y.probs(), np.float32)
    of = np.zeros(len(x), np.int64) if probs is None else probs.argmax(1)
    order = np.array(in_turn(of))
    raw = bytes_of(synth.info.preprocess.undo(x[order]))
    found = None if data is None else find_nearest(x[order], data.train, count=NEAREST)
    cards: dict[int, list[Card]] = {}
    used = 0
    for number, at in enumerate(order.tolist()):
        beside = []
        if found is not None:
            real = data.train.take(found.index[number])
            pixels = bytes_of(synth.info.preprocess.undo(np.asarray(real.x, np.float32)))
            texts = [f"{names[int(c)]}, distance {apart:.3g}" for c, apart in zip(real.y, found.distance[number], strict=True)]
            beside = [(one_image(one), text) for one, text in zip(pixels, texts, strict=True)]
        text = f"image {at}" if probs is None else f"image {at}, {names[of[at]]}"
        card = Card(one_image(raw[number]), text, beside, [] if probs is None else shares(probs[at], names))
        size = len(card.picture) + sum(len(picture) for picture, _ in beside)
        if used + size <= room:
            used += size
            cards.setdefault(int(of[at]), []).append(card)
    rows = [("" if probs is None else names[c], cards[c]) for c in sorted(cards)]
    return Images(rows, sum(len(row) for _, row in rows), len(x), 0 if found is None else found.seen)


def in_turn(of: Int[np.ndarray, " n"]) -> list[int]:
    """The indices of the examples that are shown, in that order, by the class `of` each: the first of every class, then the second, and so
    on; at most COLUMNS of a class, and at most MOST in all."""
    place, met = [], Counter()
    for c in of.tolist():
        place.append(met[c])
        met[c] += 1
    return [int(at) for at in np.lexsort((of, place)) if place[at] < COLUMNS][:MOST]


def shares(probs: np.ndarray, names: tuple[str, ...]) -> list[tuple[str, float]]:
    """(class, share rounded to three digits) of a soft label, in the order of the classes; of more than BARS classes the BARS largest, the
    largest first. Empty for a hard label, one share above CLEAR. `names` are those of the classes."""
    if probs.max() > CLEAR:
        return []
    chosen = range(len(names)) if len(names) <= BARS else np.argsort(-probs, kind="stable")[:BARS]
    return [(names[c], round(float(probs[c]), 3)) for c in chosen]


def evolution_of(run: SavedRun, *, room: int) -> Evolution | None:
    """The frames of a run, as many of them, and as many images of each class in them, as `room` letters hold; at most 21, evenly chosen,
    the first and the last among them. None where there are no frames or no set, and where not even three frames fit."""
    found, synth = find_frames(run.folder), run.set
    if synth is None or not found:
        return None
    image = tuple(map(int, synth.x.decode().shape[1:3])) if synth.x.modality == "images" else None
    for columns in (COLUMNS, COLUMNS // 2, 2, 1) if image else (COLUMNS,):
        picture = cache(lambda at, columns=columns: framed(found[at].path, image, columns))  # the tries share most of their frames
        for count in FRAMES:
            at = sorted({round(place) for place in np.linspace(0, len(found) - 1, min(count, len(found)))})
            sizes = accumulate(len(picture(one)) for one in at)
            if all(size <= room for size in sizes):  # encoding takes long: it stops at the frame that does not fit
                frames = [(found[one].step, picture(one)) for one in at]
                with Image.open(found[0].path) as first:
                    rows = first.height // image[0] if image else 0
                return Evolution(frames, [] if synth.represents else list(synth.info.classes[:rows]))
    return None


def framed(path: Path, image: tuple[int, int] | None, columns: int) -> str:
    """A frame as an address that begins with `data:`; of images, which are of the size `image`, with lines between them and with the first
    `columns` of a row."""
    with Image.open(path) as picture:
        return uri(with_gaps(picture, image, columns=columns)) if image else uri_of(path.read_bytes())

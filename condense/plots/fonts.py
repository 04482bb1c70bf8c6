"""Fonts for the names in pictures. Pillow brings one with Latin letters; those of the machine are asked for others.

Where no font has a letter, accents are dropped, and a name in another script gives way to what stands for it.
"""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from PIL import ImageFont

# with letters of many scripts, as Linux, macOS and Windows have them; the first that has all letters is taken
FILES = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "DroidSansFallbackFull.ttf")
FILES += ("wqy-zenhei.ttc", "wqy-microhei.ttc", "ipag.ttf", "NanumGothic.ttf", "Arial Unicode.ttf", "PingFang.ttc", "Hiragino Sans GB.ttc")
FILES += ("AppleSDGothicNeo.ttc", "msyh.ttc", "simsun.ttc", "msgothic.ttc", "malgun.ttf", "arial.ttf", "unifont.otf", "unifont.ttf")
SIZE = 10  # of Pillow's own
UNKNOWN = "\uffff"  # no letter: drawn as every letter is that a font lacks
LETTERS_WITHOUT_PARTS = dict(zip("ßøØłŁæÆœŒđĐıð", ("ss", "o", "O", "l", "L", "ae", "AE", "oe", "OE", "d", "D", "i", "d"), strict=True))


def write_names(names: Iterable[tuple[str, str]]) -> tuple[list[str], Any]:
    """Names as they can be drawn, in the same order, and the font for them. Where a font has the letters of all names, they stay as they
    are; else each is brought to plain letters.

    Args:
      names: each with a text in plain letters that stands for it where plain letters cannot write it.
    """
    pairs = list(names)
    letters = frozenset(letter for name, _ in pairs for letter in name)
    if (found := font_with(letters)) is not None:
        return [name for name, _ in pairs], found
    own = ImageFont.load_default()
    return [drawable(name, instead) for name, instead in pairs], own


@lru_cache(64)
def font_with(letters: frozenset[str]) -> Any:
    """A font that has all of these letters, Pillow's own if it can be; None where this machine has none."""
    own = ImageFont.load_default()
    if all(letter.isascii() for letter in letters) or has_all(own, letters):
        return own
    for file in FILES:
        try:
            font = ImageFont.truetype(file, SIZE)
        except OSError:  # not on this machine
            continue
        if has_all(font, letters):
            return font
    return None


def has_all(font: Any, letters: Iterable[str]) -> bool:
    """Whether a font has all letters: none is drawn as one that it lacks."""
    lacking = glyph(font, UNKNOWN)
    return all(letter.isspace() or ((drawn := glyph(font, letter)) != lacking and any(drawn[1])) for letter in letters)


def glyph(font: Any, letter: str) -> tuple[tuple[int, int], bytes]:
    """A letter as a font draws it: (width, height) in pixels, and the bytes of these."""
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def drawable(name: str, instead: str) -> str:
    """A name in ASCII letters: accents are dropped; for a name that is still not ASCII, as in another script, `instead`."""
    plain = unicodedata.normalize("NFKD", "".join(LETTERS_WITHOUT_PARTS.get(letter, letter) for letter in name))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return plain if plain.isascii() else instead

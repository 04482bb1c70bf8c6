"""What a set of images is stored as, where a call says so: `--store`, `--factor` and `--bases`.

A choice has a name: `u8` or `f16`; with tiles of a factor `u8x2` or `f32x2`; `bases=16`. The name is empty for single precision, as which
sets are stored where nothing is said.
"""

from collections.abc import Callable, Mapping
from typing import Any

from condense.data.modality import MODALITIES
from matchers.base import Matcher
from matchers.inputs import option_parameters
from synth.errors import BadInput
from synth.images.bases import shared
from synth.images.coded import coded
from synth.images.quantise import bits_of

FLAGS = {"store": str | None, "factor": int | None, "bases": int | None}
FACTORS = (1, 2, 3)


def take_storage(factory: Callable[..., Any], options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the flags of storage by name, None where a call does not give one, and the options that are left for the method. A flag
    that the method has as an option of its own, such as the `factor` of a collage, is left to it. Values are not checked here."""
    flags = [name for name in FLAGS if name not in option_parameters(factory)]
    return {name: options.get(name) for name in flags}, {name: value for name, value in options.items() if name not in flags}


def name_of(store: Any, factor: int | None, bases: int | None) -> str:
    """The name of what the flags --store, --factor and --bases choose together, as in `u8x2` or `bases=16`; empty for single precision at
    full size. None is a flag that is not given. Raises BadInput for unknown values, for two factors, and for bases beside one of the
    others."""
    if bases is not None:
        if others := [flag for flag, value in (("--store", store), ("--factor", factor)) if value is not None]:
            raise BadInput(f"--bases {bases}: bases and coefficients are stored in single precision and full size; leave {others[0]} out")
        return f"bases={bases}"
    code, _, tiles = ("f32" if store is None else str(store)).partition("x")  # a file may hold a number
    if tiles and factor is not None:
        raise BadInput(f"--factor {factor}: --store {store} says the factor as well; leave one of the two out")
    if tiles and not (tiles.isascii() and tiles.isdigit()):
        raise BadInput(f"--store {store}: unknown; give f32, f16, or u2 to u8, and a factor behind an x, as in u8x2")
    divisor = int(tiles) if tiles else 1 if factor is None else factor
    if divisor not in FACTORS:
        raise BadInput(f"--factor {divisor}: unknown; give one of {', '.join(map(str, FACTORS))}")
    bits_of(code)
    return "" if (code, divisor) == ("f32", 1) else code + f"x{divisor}" * (divisor > 1)


def flags_of(name: str) -> dict[str, Any]:
    """The values of flags, by their names, that choose what `name_of` calls so; none for the empty name."""
    if name.startswith("bases="):
        return {"bases": int(name.removeprefix("bases="))}
    return {"store": name} if name else {}


def content_named(name: str) -> Any:
    """What encodes images (a class or an instance of `synth.content.Content`) as a name of `name_of` says; None for the empty name."""
    if name.startswith("bases="):
        return shared(int(name.removeprefix("bases=")))
    code, _, factor = name.partition("x")
    return coded(code, int(factor or 1)) if name else None


def take_content(name: str, method: str, matcher: Matcher, data: Any) -> Any:
    """What encodes the first set of a run (a class or an instance of `synth.content.Content`).

    `name` says how, as `name_of` gives it. Where it is empty, examples are stored as they are; None for graphs, whose sets methods start.
    Raises BadInput where a name is given and the data are no images or too small, or the method stores images in its own way.
    """
    flag = f"--{name.replace('=', ' ')}" if name.startswith("bases=") else f"--store {name}"
    usual = MODALITIES[data.modality].content
    if not name:
        return usual and usual(data)
    if data.modality != "images":
        raise BadInput(f"{flag}: is for images, and {data.spec} holds {data.modality}; leave it out")
    if matcher.own_content:
        raise BadInput(f"{flag}: {method} stores images in a way of its own; leave it out")
    content = content_named(name)
    if min(data.image[:2]) < 2 * round(getattr(content, "per_image", 1) ** 0.5):
        raise BadInput(f"{flag}: images of {data.image[0]}x{data.image[1]} are too small for that; give a smaller --factor")
    return content


def check_bases(name: str, per_class: int | None, classes: int) -> None:
    """Raises BadInput where a set of `per_class` images a class would have more bases than images. `name` is as `name_of` gives it; others
    than bases are always right, and so is None for `per_class`."""
    if name.startswith("bases=") and per_class is not None and int(name.removeprefix("bases=")) > per_class * classes:
        few = f"the set has {per_class * classes} images, which need no more bases than that"
        raise BadInput(f"--{name.replace('=', ' ')}: {few}; give a smaller number")


def stored_as(stored: Any) -> str:
    """The name, as `name_of` gives it, of what the content of a set is stored as; empty where no flag leads to it."""
    like = stored.like() if hasattr(stored, "like") else None
    if like is None:
        return ""
    return f"bases={len(like.bases)}" if hasattr(like, "bases") else name_of(like.code, like.factor, None)

"""Specifications of data: a name, `kind:location`, or the path of a file or folder, each with options `?key=value&...`."""

import re
from pathlib import Path
from typing import Any

from condense.data.named import NAMED, OTHER, Named
from condense.data.places import kind_of
from condense.data.readers import READERS
from condense.data.readers.base import HELD, Reader, Spec
from synth.errors import BadInput, nearest

KIND = re.compile(r"[a-z0-9_+-]*", re.IGNORECASE)


def parse_spec(text: str) -> Spec:
    """Takes a specification apart, the values of its options too: NAME, `kind:location`, or the path of a file or folder that is there,
    each with `?key=value&...`. Nothing is read. What lies at the location behind a kind is not looked at.

    Raises BadInput for an unknown set, kind, option or value, naming the known ones, and for `arrays:...`, which no file holds.
    """
    head, mark, query = text.partition("?")
    kind, colon, location = head.partition(":")
    kinds = [reader.kind for reader in READERS.values() if not reader.embedded]
    if colon and KIND.fullmatch(kind):
        if kind == HELD:
            again = "give them again in Python, as in data=condense.from_arrays(...), or save them by numpy.savez and give --data npz:FILE"
            raise BadInput(f"data '{text}': these were arrays, which no file holds; {again}")
        if kind not in kinds or not location:
            right = f"use a name or KIND:LOCATION with one of the kinds {', '.join(kinds)}"
            raise BadInput(f"data '{text}': not a specification; {right}{'' if kind in kinds else nearest(kind, kinds)}")
        name, named = Path(location).stem, Named(kind, "")
    elif head in NAMED or (head.isidentifier() and READERS[OTHER.kind].store.place(head).is_dir()):
        name, location, named = head, "", NAMED.get(head, OTHER)
    elif (path := there(head)) is not None:
        name, location, named = path.stem, head, Named(kind_of(path, text), "")
    else:
        right = f"use one of {', '.join(NAMED)}, KIND:LOCATION of {', '.join(kinds)}, or the path of a file or folder that is there"
        raise BadInput(f"data '{text}': unknown set; {right}{nearest(head, NAMED)}")
    return Spec(text, name, named.kind, location, parse_options(text, READERS[named.kind], query if mark else None), named)


def there(head: str) -> Path | None:
    """The path, with ~ replaced, where something lies at it; None where nothing does, or where the text is no possible path."""
    try:
        path = Path(head).expanduser()
        return path if head and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long a name, no such user, a null byte
        return None


def parse_options(text: str, reader: Reader, query: str | None) -> dict[str, Any]:
    """The values of the options `key=value&...` in `query`, by name, each turned into what the reader's option of that name makes of it;
    none for None. `text` is the whole specification, for messages.

    Raises BadInput for an unknown option, one that is there twice or without a value, and for an impossible value.
    """
    known, options = reader.options, {}
    for part in () if query is None else query.split("&"):
        key, _, word = part.partition("=")
        if key not in known or key in options or not word:
            right = f"use each of {', '.join(f'{key}=...' for key in known)} at most once"
            raise BadInput(f"data '{text}': no option '{part}'; {right}{'' if key in known else nearest(key, known)}")
        options[key] = known[key].parse(text, key, word)
    return options


def absolute(spec: Spec) -> str:
    """The specification as `kind:location?options` with absolute paths: of the location, and of a file in `test=FILE`. Empty where all of
    them are absolute already, and where nothing lies at the location, as for a set that is known by name."""
    _, mark, query = spec.text.partition("?")
    parts = []
    for part in query.split("&"):
        key, _, word = part.partition("=")
        file = key == "test" and isinstance(spec.options.get(key), str)
        parts.append(f"{key}={Path(word).expanduser().absolute()}" if file else part)
    place = there(spec.location)
    if place is None:
        return ""
    same = Path(spec.location).is_absolute() and "&".join(parts) == query
    return "" if same else f"{spec.kind}:{place.absolute()}{mark}{'&'.join(parts)}"

"""Specifications of data: a name, or `kind:location`, either with options `?key=value&...`."""

from pathlib import Path

from condense.data.named import NAMED, OTHER, Named
from condense.data.readers import READERS
from condense.data.readers.base import Spec
from synth.errors import BadInput


def parse_spec(text: str) -> Spec:
    """Takes a specification apart. Raises BadInput naming the known sets, kinds, options or values of an option."""
    head, mark, query = text.partition("?")
    kind, colon, location = head.partition(":")
    kinds = [reader.kind for reader in READERS.values() if not reader.embedded]
    if colon:
        name, named = Path(location).stem, Named(kind, "")
        if kind not in kinds or not location:
            raise BadInput(f"data '{text}': not a specification; use a name or KIND:LOCATION with one of the kinds {', '.join(kinds)}")
    else:
        name = head
        if name not in NAMED and not (name.isidentifier() and READERS[OTHER.kind].store.place(name).is_dir()):
            raise BadInput(f"data '{text}': unknown set; use one of {', '.join(NAMED)}, or KIND:LOCATION of {', '.join(kinds)}")
        named = NAMED.get(name, OTHER)
    known, options = READERS[named.kind].options, {}
    for part in query.split("&") if mark else ():
        key, _, word = part.partition("=")
        if key not in known or key in options or not word:
            raise BadInput(f"data '{text}': no option '{part}'; use each of {', '.join(f'{key}=...' for key in known)} at most once")
        options[key] = known[key].parse(text, key, word)
    return Spec(text, name, named.kind, location if colon else "", options, named)

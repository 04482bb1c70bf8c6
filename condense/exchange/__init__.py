"""Ways out and in: export formats, and readers of sets that others released. May import `data`, `runtime`, and `synth`.

`FORMATS` lists the formats as text, and `condense.exchange.base` is their contract; `condense.exchange.releases` lists the readers.
"""

from collections.abc import Iterator
from importlib import import_module

from condense.exchange.base import Format, Parcel
from synth.errors import BadInput, nearest

FORMATS = {  # name -> the module that has its FORMAT
    "folder": "condense.exchange.folder",
    "torch": "condense.exchange.torch_file",
    "parquet": "condense.exchange.parquet",
    "tfds": "condense.exchange.prepared",
    "webdataset": "condense.exchange.tars",
}


OTHERS = {"vectors": "condense.exchange.of_vectors", "graphs": "condense.exchange.of_graphs"}  # modality -> the module with its formats


def find_format(name: str, *, parcel: Parcel | None = None) -> Format:
    """The export format of a name in `FORMATS`, for a parcel: that of images without one.

    Raises BadInput for an unknown name, and for one that makes no sense for what the parcel holds.
    """
    if name not in FORMATS:
        raise BadInput(f"--to {name}: unknown format (known: {', '.join(FORMATS)}){nearest(name, FORMATS)}")
    if parcel is None or parcel.modality == "images":
        return import_module(FORMATS[name]).FORMAT
    known = import_module(OTHERS[parcel.modality]).formats(parcel)
    if name not in known:
        raise BadInput(f"--to {name}: is not for {parcel.modality} such as these; use --to {' or '.join(known)}")
    return known[name]


def all_formats() -> Iterator[Format]:
    """The formats of all modalities, those of images first."""
    for name in FORMATS:
        yield find_format(name)
    for module in OTHERS.values():
        yield from import_module(module).formats(None).values()

"""Ways out and in: export formats, and readers of sets that others released. May import `data`, `runtime`, and `synth`.

`FORMATS` lists the formats as text, and `condense.exchange.base` is their contract; `condense.exchange.releases` lists the readers.
"""

from importlib import import_module

from condense.exchange.base import Format
from synth.errors import BadInput

FORMATS = {  # name -> the module that has its FORMAT
    "folder": "condense.exchange.folder",
    "torch": "condense.exchange.torch_file",
    "parquet": "condense.exchange.parquet",
    "tfds": "condense.exchange.prepared",
    "webdataset": "condense.exchange.tars",
}


def find_format(name: str) -> Format:
    """The export format of a name in `FORMATS`. Raises BadInput for an unknown one."""
    if name not in FORMATS:
        raise BadInput(f"--to {name}: unknown format (known: {', '.join(FORMATS)})")
    return import_module(FORMATS[name]).FORMAT

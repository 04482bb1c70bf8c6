"""What lies at a path that no kind was named for."""

from pathlib import Path

from condense.data.readers.idx import IDX
from condense.data.readers.npz import KEYS
from condense.data.readers.prepared import prepared
from synth.errors import BadInput

SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` of datasets leaves
FILES = {".npz": "npz", ".csv": "csv", ".tsv": "csv", ".csv.gz": "csv", ".tsv.gz": "csv", ".parquet": "parquet", ".txt": "tu"}
INSTEAD = {
    ".pt": "it is a PyTorch file; load it in Python and hand its arrays to condense.from_arrays, or save them by numpy.savez",
    ".npy": "it holds one array; name the folder of x_train.npy and y_train.npy, or save them together by numpy.savez",
    ".zip": "unpack it and name the folder",
    ".tar": "unpack it and name the folder",
    ".gz": "unpack it and name what was in it",
    ".json": "it is no data; name the file or folder that holds them",
}
INSTEAD |= {".pth": INSTEAD[".pt"], ".tgz": INSTEAD[".tar"], ".jsonl": INSTEAD[".json"]}


def kind_of(path: Path, spec: str) -> str:
    """The kind of the reader (such as `npz`, `csv` or `folder`) for a file or folder that is there: of a file by its ending, of a folder by
    what it holds, `folder` where that shows no other. Raises BadInput for a file whose ending no reader knows. `spec` is the whole
    specification, for messages."""
    if path.is_dir():
        return _kind_of_folder(path)
    name = path.name.lower()
    if found := next((kind for end, kind in FILES.items() if name.endswith(end)), None):
        return found
    remedy = next((words for end, words in INSTEAD.items() if name.endswith(end)), f"files are {', '.join(FILES)}")
    raise BadInput(f"data '{spec}': cannot tell what {path.name} holds; {remedy}")


def _kind_of_folder(path: Path) -> str:
    if any((path / name).is_file() for name in SAVED):
        return "hf"
    if any((path / f"{name}{end}").is_file() for name in IDX for end in ("", ".gz")):
        return "idx"
    if any(all((path / f"{name}.npy").is_file() for name in names[:2]) for names in KEYS):
        return "npz"
    if (place := prepared(path)) is not None and (place / "features.json").is_file():
        return "tfds"
    if next(path.glob("*_A.txt"), None) or next(path.glob("raw/*_A.txt"), None):
        return "tu"
    return "parquet" if next(path.glob("*.parquet"), None) or next(path.glob("data/*.parquet"), None) else "folder"

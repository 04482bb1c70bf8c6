"""Small data in many forms: each of `WAYS` writes or makes them and says what they are, a specification or a thing that Python holds."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from condense.data.readers.idx import IDX, write_idx
from condense.data.readers.shards import write_tfds
from condense.data.readers.source import arrays

NAMES = ("ape", "bee", "cow")
RNG = np.random.default_rng(0)
N, M = 24, 9
Y = np.arange(N) % 3
YT = np.arange(M) % 3
X = RNG.integers(0, 256, (N, 9, 7, 3), np.uint8)
XT = RNG.integers(0, 256, (M, 9, 7, 3), np.uint8)


def npz(folder: Path, **other: Any) -> str:
    np.savez(folder / "a.npz", **({"x_train": X, "y_train": Y, "x_test": XT, "y_test": YT} | other))
    return f"npz:{folder}/a.npz"


def save(x: np.ndarray, path: Path, **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(x.squeeze()).save(path, **how)


def npy(folder: Path, *, order: str = "C", **other: Any) -> str:
    """The same arrays as in `npz`, each in a file of its own."""
    for name, array in ({"x_train": X, "y_train": Y, "x_test": XT, "y_test": YT} | other).items():
        np.save(folder / f"{name}.npy", np.asarray(array, order=order))
    return f"npz:{folder}"


def folders(folder: Path, *, parts: dict[str, str] | None = None, inside: str = "", end: str = "png", **how: Any) -> str:
    """Class folders; `parts` says what train and test are called."""
    for part, (x, y) in {"train": (X, Y), "test": (XT, YT)}.items():
        called = (parts or {"train": "train", "test": "test"}).get(part)
        for at in range(len(x) if called is not None else 0):
            save(x[at], folder / called / NAMES[y[at]] / inside / f"{at:02}.{end}", **how)
    return f"folder:{folder}"


def stray(folder: Path) -> str:
    folders(folder)
    for place in ("train/ape/notes.txt", "train/readme.md", "test/bee/model.bin", "about.txt"):
        (folder / place).write_text("x")
    return f"folder:{folder}"


def flat(folder: Path, *, head: str = "file_name,label", table: str = "labels.csv", suffix: str = ".png") -> str:
    for at in range(N):
        save(X[at], folder / f"p{at:02}.png")
    rows = [f"p{at:02}{suffix},{NAMES[Y[at]]}" for at in range(N)]
    (folder / table).write_text("\n".join([head, *rows]) + "\n")
    return f"folder:{folder}?test=0.25"


def flat_parts(folder: Path) -> str:
    for part, x, y in (("train", X, Y), ("test", XT, YT)):
        for at in range(len(x)):
            save(x[at], folder / part / f"{at:02}.png")
        (folder / part / "metadata.csv").write_text("file_name,label\n" + "".join(f"{at:02}.png,{NAMES[y[at]]}\n" for at in range(len(x))))
    return f"folder:{folder}"


def tiny_imagenet(folder: Path) -> str:
    """As Tiny ImageNet lies: a folder `images` in each class, boxes beside it, validation with a table, and a test without classes."""
    for at in range(N):
        save(X[at], folder / "train" / NAMES[Y[at]] / "images" / f"{NAMES[Y[at]]}_{at}.png")
        (folder / "train" / NAMES[Y[at]] / f"{NAMES[Y[at]]}_boxes.txt").write_text("x\t0\t0\t8\t6\n")
    for at in range(M):
        save(XT[at], folder / "val" / "images" / f"val_{at}.png")
        save(XT[at], folder / "test" / "images" / f"test_{at}.png")
    (folder / "val" / "val_annotations.txt").write_text("".join(f"val_{at}.png\t{NAMES[YT[at]]}\t0\t0\t8\t6\n" for at in range(M)))
    (folder / "wnids.txt").write_text("\n".join(NAMES))
    return f"folder:{folder}"


def imagenet(folder: Path, *, deep: bool = True) -> str:
    """As ImageNet's contest has it: class folders, a validation that a table tells the classes of, with boxes, and a test without classes;
    or without the folders around these."""
    place = folder / "ILSVRC" / "Data" / "CLS-LOC" if deep else folder
    for at in range(N):
        save(X[at], place / "train" / NAMES[Y[at]] / f"{NAMES[Y[at]]}_{at}.PNG")
    for at in range(M):
        save(XT[at], place / "val" / f"ILSVRC2012_val_{at:08}.PNG")
        save(XT[at], place / "test" / f"ILSVRC2012_test_{at:08}.PNG")
    rows = [f"ILSVRC2012_val_{at:08},{NAMES[YT[at]]} 1 2 5 6 {NAMES[YT[at]]} 0 0 3 3 \n" for at in reversed(range(M))]
    (folder / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))
    (folder / "LOC_synset_mapping.txt").write_text("".join(f"{name} some, {name}\n" for name in NAMES))
    return f"folder:{folder}"


def idx(folder: Path) -> str:
    """One level down, with labels from 1."""
    inner = folder / "raw"
    inner.mkdir()
    for name, array in zip(IDX, (X[..., 0], Y + 1, XT[..., 0], YT + 1), strict=True):
        write_idx(inner / f"{name}.gz", array.astype(np.uint8))
    return f"idx:{folder}"


def tfds(folder: Path) -> str:
    write_tfds(arrays("tiny", "x", X, Y.astype(np.int32), XT, YT.astype(np.int32), NAMES), folder)
    return f"tfds:{folder}"


def tfds_alone(folder: Path) -> str:
    """Pictures of several sizes, and a train split alone."""
    import tensorflow_datasets as library

    class Sizes(library.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION = "sizes", library.core.Version("1.0.0")

        def _info(self):
            image, label = library.features.Image(encoding_format="png"), library.features.ClassLabel(names=list(NAMES))
            return library.core.DatasetInfo(builder=self, features=library.features.FeaturesDict({"image": image, "label": label}))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for at in range(N):
                yield at, {"image": Image.fromarray(np.repeat(X[at], 1 + at % 3, 0)), "label": int(Y[at])}

    builder = Sizes(data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    return f"tfds:{builder.data_dir}?size=7&test=0.25"


def rows(**columns: Any) -> dict[str, list]:
    return {"a": [float(at) for at in range(N)], "kind": ["pq"[at % 2] for at in range(N)], **columns}


def csv(folder: Path, *, separator: str = ",", zipped: bool = False, label: str = "label") -> str:
    text = (
        separator.join(("a", "kind", label))
        + "\n"
        + "".join(separator.join((str(at / 2), "pq"[at % 2], NAMES[Y[at]])) + "\n" for at in range(N))
    )
    path = folder / ("t.csv.gz" if zipped else "t.csv")
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    return f"csv:{path}"


def encoded(x: np.ndarray) -> bytes:
    held = io.BytesIO()
    Image.fromarray(x.squeeze()).save(held, "PNG")
    return held.getvalue()


def parquet(folder: Path, **columns: Any) -> str:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), folder / "t.parquet")
    return f"parquet:{folder}/t.parquet?test=0.25"


def parquet_parts(folder: Path) -> str:
    arrow, files = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (folder / "data").mkdir()
    for part, x, y in (("train", X, Y), ("test", XT, YT)):
        table = {"image": [{"bytes": encoded(one), "path": None} for one in x], "label": [NAMES[label] for label in y]}
        files.write_table(arrow.table(table), folder / "data" / f"{part}-00000-of-00001.parquet")
    return f"parquet:{folder}"


def dataset(x: np.ndarray = X, y: np.ndarray = Y) -> Any:
    library = pytest.importorskip("datasets")
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=list(NAMES))})
    return library.Dataset.from_dict({"image": [Image.fromarray(one) for one in x], "label": y.tolist()}, features=features)


def dataset_of_bytes() -> Any:
    """Pictures as files of bytes, which no feature says to be pictures."""
    return pytest.importorskip("datasets").Dataset.from_dict({"image": [{"bytes": encoded(x)} for x in X], "label": TEXT.tolist()})


def dataset_dict() -> Any:
    return pytest.importorskip("datasets").DatasetDict({"train": dataset(), "test": dataset(XT, YT)})


def saved(folder: Path) -> str:
    dataset_dict().save_to_disk(str(folder / "saved"))
    return str(folder / "saved")


def hub_layout(folder: Path) -> str:
    pytest.importorskip("datasets")
    parquet_parts(folder)
    return f"hf:{folder}"


def image_folder(folder: Path) -> str:
    pytest.importorskip("datasets")
    return folders(folder).replace("folder:", "hf:")


def frame() -> Any:
    return pytest.importorskip("pandas").DataFrame(rows(species=[NAMES[label] for label in Y]))


class MapStyle:
    """What PyTorch calls a map-style data set, with names of classes as torchvision's have them."""

    classes = NAMES

    def __init__(self, give: Callable[[np.ndarray], Any], x: np.ndarray = X, y: np.ndarray = Y):
        self.give, self.x, self.y = give, x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: int) -> tuple[Any, int]:
        if at >= len(self.x):
            raise IndexError
        return self.give(self.x[at]), int(self.y[at])


def tensors() -> Any:
    torch = pytest.importorskip("torch")
    return torch.utils.data.TensorDataset(torch.tensor(chw(X).astype(np.float32) / 255), torch.tensor(Y))


def vectors_dataset() -> Any:
    return pytest.importorskip("datasets").Dataset.from_dict({"embedding": V.tolist(), "label": TEXT.tolist()})


def chw(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, -3)


TEXT = np.array(NAMES)[Y]
TEXT_TEST = np.array(NAMES)[YT]
FLOAT, FLOAT_TEST = X.astype(np.float32) / 255, XT.astype(np.float32) / 255
V = RNG.normal(size=(N, 5))
IMAGES = ("images", (9, 7, 3))
# name -> (what makes it in a folder, its modality and shape, class names, rows of the test)
WAYS: dict[str, tuple[Callable[[Path], Any], tuple[str, tuple[int, ...]], tuple[str, ...], int]] = {
    "npz": (npz, IMAGES, ("0", "1", "2"), M),
    "npz, channels first": (lambda f: npz(f, x_train=chw(X), x_test=chw(XT)), IMAGES, ("0", "1", "2"), M),
    "npz, text labels": (lambda f: npz(f, y_train=TEXT, y_test=TEXT_TEST), IMAGES, NAMES, M),
    "npz, bytes labels": (lambda f: npz(f, y_train=TEXT.astype("S"), y_test=TEXT_TEST.astype("S")), IMAGES, NAMES, M),
    "npz, bytes names": (lambda f: npz(f, class_names=np.array(NAMES, "S")), IMAGES, NAMES, M),
    "npz, from 1": (lambda f: npz(f, y_train=Y + 1, y_test=YT + 1, class_names=np.array(NAMES)), IMAGES, NAMES, M),
    "npz, gaps": (lambda f: npz(f, y_train=Y * 10 + 3, y_test=YT * 10 + 3), IMAGES, ("3", "13", "23"), M),
    "npz, one-hot": (lambda f: npz(f, y_train=np.eye(3)[Y], y_test=np.eye(3)[YT]), IMAGES, ("0", "1", "2"), M),
    "npz, unused names": (lambda f: npz(f, class_names=np.array([*NAMES, "dog"])), IMAGES, NAMES, M),
    "npz, 16 bits": (lambda f: npz(f, x_train=X.astype(np.uint16) * 257, x_test=XT.astype(np.uint16) * 257), IMAGES, ("0", "1", "2"), M),
    "npz, int64": (lambda f: npz(f, x_train=X.astype(int), x_test=XT.astype(int)), IMAGES, ("0", "1", "2"), M),
    "npz, no test": (lambda f: np.savez(f / "b.npz", x_train=X, y_train=Y) or f"{f}/b.npz?test=0.25", IMAGES, ("0", "1", "2"), 6),
    "npz, MedMNIST": (
        lambda f: (
            np.savez(
                f / "m.npz",
                **dict.fromkeys(("train_images", "val_images", "test_images"), X),
                **dict.fromkeys(("train_labels", "val_labels", "test_labels"), Y[:, None]),
            )
            or f"npz:{f}/m.npz"
        ),
        IMAGES,
        ("0", "1", "2"),
        N,
    ),
    "npz, compressed": (
        lambda f: np.savez_compressed(f / "c.npz", x_train=FLOAT, y_train=Y, x_test=FLOAT_TEST, y_test=YT) or f"{f}/c.npz",
        IMAGES,
        ("0", "1", "2"),
        M,
    ),
    "npy": (npy, IMAGES, ("0", "1", "2"), M),
    "npy, by columns, and text": (lambda f: npy(f, order="F", y_train=TEXT, y_test=TEXT_TEST), IMAGES, NAMES, M),
    "npz, vectors": (lambda f: npz(f, x_train=V, x_test=V[:M], y_train=TEXT, y_test=TEXT_TEST), ("vectors", (5,)), NAMES, M),
    "idx, one level down, from 1": (idx, ("images", (9, 7, 1)), ("1", "2", "3"), M),
    "folder": (folders, IMAGES, NAMES, M),
    "folder, valid": (lambda f: folders(f, parts={"train": "train", "test": "valid"}), IMAGES, NAMES, M),
    "folder, no test": (lambda f: folders(f, parts={"train": "train"}) + "?test=0.25&split=4", IMAGES, NAMES, 6),
    "folder, classes alone": (lambda f: folders(f, parts={"train": ""}) + "?test=0.25", IMAGES, NAMES, 6),
    "folder, nested": (lambda f: folders(f / "archive") and f"folder:{f}", IMAGES, NAMES, M),
    "folder, nested classes": (lambda f: folders(f, inside="images"), IMAGES, NAMES, M),
    "folder, stray files": (stray, IMAGES, NAMES, M),
    "folder, flat": (flat, IMAGES, NAMES, 6),
    "folder, flat, ids": (lambda f: flat(f, head="id,category", suffix=""), IMAGES, NAMES, 6),
    "folder, flat parts": (flat_parts, IMAGES, NAMES, M),
    "folder, Tiny ImageNet": (tiny_imagenet, IMAGES, NAMES, M),
    "folder, ImageNet as its contest has it": (imagenet, IMAGES, NAMES, M),
    "folder, ImageNet without the folders around it": (lambda folder: imagenet(folder, deep=False), IMAGES, NAMES, M),
    "folder, webp": (lambda f: folders(f, end="webp", lossless=True), IMAGES, NAMES, M),
    "folder, bmp": (lambda f: folders(f, end="bmp"), IMAGES, NAMES, M),
    "folder, tiff": (lambda f: folders(f, end="TIFF"), IMAGES, NAMES, M),
    "folder, gif": (lambda f: folders(f, end="gif"), IMAGES, NAMES, M),
    "folder, ppm": (lambda f: folders(f, end="ppm"), IMAGES, NAMES, M),
    "tfds": (tfds, IMAGES, NAMES, M),
    "tfds, sizes and no test": (tfds_alone, ("images", (7, 7, 3)), NAMES, 6),
    "csv": (csv, ("vectors", (3,)), NAMES, 5),
    "csv, labels of a usual name": (lambda f: csv(f, label="Species"), ("vectors", (3,)), NAMES, 5),
    "csv, share": (lambda f: csv(f) + "?test=0.5", ("vectors", (3,)), NAMES, 12),
    "csv, semicolons": (lambda f: csv(f, separator=";"), ("vectors", (3,)), NAMES, 5),
    "csv, tabs": (lambda f: csv(f, separator="\t"), ("vectors", (3,)), NAMES, 5),
    "csv, gz": (lambda f: csv(f, zipped=True), ("vectors", (3,)), NAMES, 5),
    "parquet, pictures": (lambda f: parquet(f, img=[encoded(x) for x in X], label=TEXT.tolist()), IMAGES, NAMES, 6),
    "parquet, arrays": (lambda f: parquet(f, image=X.tolist(), label=TEXT.tolist()), IMAGES, NAMES, 6),
    "parquet, vectors": (lambda f: parquet(f, embedding=V.tolist(), label=Y.tolist()), ("vectors", (5,)), ("0", "1", "2"), 6),
    "parquet, table": (lambda f: parquet(f, **rows(target=TEXT.tolist())), ("vectors", (3,)), NAMES, 6),
    "parquet, parts": (parquet_parts, IMAGES, NAMES, M),
    "hf, saved": (saved, IMAGES, NAMES, M),
    "hf, layout of the Hub": (hub_layout, IMAGES, NAMES, M),
    "hf, image folder": (image_folder, IMAGES, NAMES, M),
    "path of a file": (lambda f: npz(f).removeprefix("npz:"), IMAGES, ("0", "1", "2"), M),
    "path of a folder": (lambda f: folders(f).removeprefix("folder:"), IMAGES, NAMES, M),
    "path of parquet": (lambda f: parquet_parts(f).removeprefix("parquet:"), IMAGES, NAMES, M),
    "pair": (lambda f: (X, TEXT), IMAGES, NAMES, 5),
    "four": (lambda f: (X, Y, XT, YT), IMAGES, ("0", "1", "2"), M),
    "four, as scikit-learn has them": (lambda f: (V, V[:M], Y, YT), ("vectors", (5,)), ("0", "1", "2"), M),
    "four, with columns of labels": (lambda f: (V, V[:M], Y[:, None], YT[:, None]), ("vectors", (5,)), ("0", "1", "2"), M),
    "mapping of columns": (lambda f: {"image": X, "label": TEXT}, IMAGES, NAMES, 5),
    "TensorDataset": (lambda f: tensors(), IMAGES, ("0", "1", "2"), 5),
    "Dataset of vectors": (lambda f: vectors_dataset(), ("vectors", (5,)), NAMES, 5),
    "frame of arrays": (lambda f: pytest.importorskip("pandas").DataFrame({"image": list(X), "label": TEXT}), IMAGES, NAMES, 5),
    "pairs": (lambda f: ((chw(FLOAT), Y), (chw(FLOAT_TEST), YT)), IMAGES, ("0", "1", "2"), M),
    "mapping": (lambda f: {"x_train": X, "y_train": TEXT, "x_test": XT, "y_test": TEXT_TEST}, IMAGES, NAMES, M),
    "lists": (lambda f: ([[1.0, 2.0, 3.0, float(at)] for at in range(N)], TEXT.tolist()), ("vectors", (4,)), NAMES, 5),
    "Dataset": (lambda f: dataset(), IMAGES, NAMES, 5),
    "Dataset of bytes": (lambda f: dataset_of_bytes(), IMAGES, NAMES, 5),
    "DatasetDict": (lambda f: dataset_dict(), IMAGES, NAMES, M),
    "frame": (lambda f: frame(), ("vectors", (3,)), NAMES, 5),
    "map-style, arrays": (lambda f: MapStyle(lambda x: chw(x).astype(np.float32) / 255), IMAGES, NAMES, 5),
    "map-style, pictures": (lambda f: (MapStyle(Image.fromarray), MapStyle(Image.fromarray, XT, YT)), IMAGES, NAMES, M),
}

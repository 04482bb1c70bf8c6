"""A set as tensorflow_datasets prepares one, in array_record files; neither writing nor reading it needs TensorFlow."""

from pathlib import Path

import numpy as np
from PIL import Image

from condense.data.readers.prepared import prepared, trusted
from condense.data.readers.source import regular
from condense.data.readers.tfds import build
from condense.exchange.base import REST, Contents, Format, Parcel
from condense.exchange.pictures import MODES, contents_of, read_rest, stack, write_rest
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

NAME = "distilled"


def write(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes `1.0.0`, a set as tensorflow_datasets prepares it, with the split train: picture, class and every array of rows; then the
    other arrays and the header to rest.npz. The card is not written here. Raises RunFailed where the library fails."""
    import tensorflow_datasets as tfds

    numbers = {name: tfds.features.Tensor(shape=array.shape[1:], dtype=array.dtype.type) for name, array in parcel.rows.items()}

    class Distilled(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = NAME
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=parcel.images.shape[1:], encoding_format="png")
            features = {"image": image, "label": tfds.features.ClassLabel(names=list(parcel.classes)), **numbers}
            more = {"supervised_keys": ("image", "label"), "disable_shuffling": True}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), **more)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for row, image in enumerate(parcel.images):
                shown = Image.fromarray(
                    image[..., 0] if image.shape[-1] == 1 else image, MODES[image.shape[-1]]
                )  # encoded without tensorflow
                yield row, {"image": shown, "label": int(parcel.label[row]), **{name: parcel.rows[name][row] for name in numbers}}

    build(Distilled(data_dir=folder / "data", file_format="array_record"), folder)
    write_rest(folder, parcel)


def read(folder: Path) -> Contents:
    """Reads the records of the split train and rest.npz. Raises BadInput where these are damaged."""
    import tensorflow_datasets as tfds

    arrays, header = read_rest(folder / REST)
    place = prepared(folder)
    trusted(place, str(folder))
    try:
        builder = tfds.builder_from_directory(place)
        source = builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()})
        stored = sum(regular(path, str(folder), remedy="export the set again").stat().st_size for path in place.iterdir())
        if not 0 < len(source) <= stored:
            raise BadInput(f"{place} declares {len(source)} examples in {stored} bytes; export the set again")
        memory, rows = MemoryBudget(str(folder), remedy="export a smaller set"), []
        for row in range(len(source)):
            rows.append(source[row])
            memory.take(sum(np.asarray(value).nbytes for value in rows[-1].values()), stored=0 if row else stored)
        kinds = {name: kind.np_dtype for name, kind in builder.info.features.items() if name not in ("image", "label")}
        arrays |= {name: np.stack([row[name] for row in rows]).astype(kind) for name, kind in kinds.items()}  # single numbers come wider
    except BadInput:
        raise
    except Exception as error:  # the library names no exceptions of its own
        raise BadInput(f"{folder}: is damaged ({' '.join(str(error).split())[:100]}); export the set again") from error
    named = ((row["image"], f"{folder}: picture {i}") for i, row in enumerate(rows))
    return contents_of(arrays, header, stack(named, len(rows), str(folder), stored=stored))


READ = 'import tensorflow_datasets as tfds\n\nbuilder = tfds.builder_from_directory("1.0.0")\ndata = builder.as_data_source("train")'
FORMAT = Format(
    "what tensorflow_datasets prepares, in array_record files; other arrays in rest.npz",
    write,
    read,
    lambda path: prepared(path) is not None and (path / REST).is_file(),
    (
        ("numpy", f'{READ}\nlabel = [example["label"] for example in data]'),
        ("PyTorch", f"import torch\n{READ}  # a map-style data set\nloader = torch.utils.data.DataLoader(data, batch_size=None)"),
        ("datasets", f'import datasets\n{READ}\nrows = datasets.Dataset.from_list([{{"label": int(row["label"])}} for row in data])'),
    ),
)

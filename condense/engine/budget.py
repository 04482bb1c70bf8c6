"""How large a set may be, and how many examples fit into that."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from condense.data.images import Data
from condense.data.modality import MODALITIES, Modality
from evals.storage import count_bytes
from matchers.base import Matcher
from matchers.method import Method
from synth.content import images_for
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.options import flag_of
from synth.set import SyntheticSet

LABEL = 4  # bytes of a class index


@dataclass(frozen=True)
class Budget:
    """How large a set may be; exactly one of the four is given.

    Args:
      ipc: examples a class (>= 1). Where a content has several examples in the room of one, this counts the rooms, as IDC does.
      size: examples in all, a multiple of the number of classes, counted likewise.
      bytes: payload bytes, content and labels together.
      fraction: examples in all, as a share of the training examples in (0, 1], rounded down to a multiple of the number of classes.
    """

    ipc: int | None = None
    size: int | None = None
    bytes: int | None = None
    fraction: float | None = None

    def choices(self) -> dict[str, int | float | None]:
        """The fields by name as records hold them, None for those not given; `fraction` only where it is given, because older records lack
        it."""
        return {name: value for name, value in asdict(self).items() if name != "fraction" or value is not None}

    def given(self) -> tuple[str, int | float] | None:
        """Name and value of the one that is given, or None if none is. Raises BadInput for several."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            raise BadInput(f"give exactly one of --ipc, --size, --bytes and --fraction (given: {', '.join(map(flag_of, given))})")
        return next(iter(given.items()), None)

    def check(self) -> tuple[str, int | float]:
        """Name and value of the one that is given. Raises BadInput for none and for several."""
        if (given := self.given()) is None:
            raise BadInput("give exactly one of --ipc, --size, --bytes and --fraction (given: none)")
        return given

    def of(self, modality: Modality) -> tuple[str, int | float] | None:
        """Name and value of the one that is given; None where none is and methods of the modality make their own start. Raises BadInput for
        several, for none of a modality with starts, and for a fraction of one without."""
        given = self.check() if modality.starts else self.given()
        if self.fraction is not None and not modality.starts:
            raise BadInput(f"--fraction {self.fraction:g}: is for images and vectors; give --ipc, --size or --bytes")
        return given

    def per_class(self, image: tuple[int, ...], classes: int, *, content: Any = Pixels, example: str = "image", examples: int = 0) -> int:
        """How many examples of every class this budget allows, rounded down, when `content` stores them and labels are class indices.

        Args:
          image: the shape of an example.
          content: a class or an instance of `synth.content.Content`. By `ipc` and `size` it stores `per_image` examples in the room of
          each. example: what messages call one example.
          examples: number of training examples, of which `fraction` is a share.

        Raises BadInput if the budget allows none, or `size` is no multiple of the classes.
        """
        name, value = self.check()
        if name == "fraction":
            count = int(value * examples + 1e-9)  # 0.29 of 100 are 29, whatever their product rounds to
            if count < classes:
                raise BadInput(f"--fraction {value:g}: {count} of {examples:,}, and one {example} a class needs at least {classes}")
            return count // classes
        least = {"ipc": 1, "size": classes, "bytes": content.bytes_for(classes, image) + classes * LABEL}[name]
        if value < least:
            raise BadInput(f"{flag_of(name)} {value}: one {example} a class needs at least {least}")
        if name == "size" and value % classes:
            near = f"{value // classes * classes} and {(value // classes + 1) * classes}"
            raise BadInput(f"--size {value}: not a multiple of the {classes} classes; the nearest are {near}")
        if name == "bytes":
            return images_for(content, value, image, classes=classes, label_bytes=LABEL)
        return value // least * getattr(content, "per_image", 1)


def budget_of(config: dict[str, Any]) -> str:
    """The name of the budget in a run's configuration: `ipc`, `size`, `bytes` or `fraction`; an empty text if there is none."""
    return next((name for name in Budget.__dataclass_fields__ if config.get(name) is not None), "")


def images_a_class(method: Method, matcher: Matcher, budget: Budget, data: Data, eval_every: int | None, *, content: Any = Pixels) -> int:
    """How many examples of every class the budget allows when `content` stores them; for a method that reads no labels, or keeps no balance
    between classes, how many in all.

    Raises BadInput if it allows none, if a flag (--ipc, --eval-every) needs classes and the method's sets have none, for bytes that are not
    known before the method is done, and for a fraction that takes more of a class than there are.
    """
    if not method.labelled and budget.ipc:
        raise BadInput(f"--ipc {budget.ipc}: {method.name} reads no labels; give --size N or --bytes N")
    if budget.bytes and not matcher.counts_bytes:
        raise BadInput(f"--bytes {budget.bytes}: what {method.name} stores is not known before it is done; give --ipc N or --size N")
    if not method.labelled and eval_every:
        raise BadInput(
            f"--eval-every {eval_every}: {method.name} reads no labels, so its sets classify nothing; `condense transfer` scores them"
        )
    classes, examples = len(data.classes), len(data.train.y)
    if not matcher.balanced and budget.ipc:
        return budget.ipc * classes * getattr(content, "per_image", 1)
    more = {"content": content, "example": MODALITIES[data.modality].example, "examples": examples}
    count = budget.per_class(data.image, classes if method.labelled and matcher.balanced else 1, **more)
    if budget.fraction and method.labelled and matcher.balanced:
        sizes = np.bincount(data.train.y, minlength=classes)
        if count > (fewest := int(sizes.min())):
            short = f"{count} of every class, and {data.classes[int(sizes.argmin())]} has {fewest}"
            raise BadInput(f"--fraction {budget.fraction:g}: {short}; give at most {fewest * classes / examples:.3g}")
    return count


def fit_to_budget(budget: Budget, make: Callable[[int | None], SyntheticSet], per_class: int | None) -> SyntheticSet:
    """Returns `make(per_class)`. If its labels make the set larger than the budget in bytes, returns a smaller set from `make`, of so many
    a class as fit in proportion; raises BadInput where none fits. For a method that counts bytes itself `per_class` is None, and the set is
    returned as it is."""
    synth = make(per_class)
    if per_class is None:
        return synth
    took = count_bytes(synth)["total"]
    if budget.bytes is None or took <= budget.bytes:
        return synth
    if not (fewer := per_class * budget.bytes // took):
        raise BadInput(f"--bytes {budget.bytes}: one image a class with this method's labels needs at least {-(-took // per_class)}")
    return make(fewer)

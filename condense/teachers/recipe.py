"""How members of a committee of teachers are trained, and how they are written on a command line."""

import math
from typing import Annotated, NamedTuple, get_type_hints

from condense import nets
from condense.data.images import Data
from condense.nets.precision import in_precision
from condense.runtime.checks import check_whole
from synth.base import Net
from synth.errors import BadInput
from synth.options import Positive, Precision, check_option
from synth.training.fit import adam, sgd


class TeacherRecipe(NamedTuple):
    """How a teacher is trained: by SGD with momentum 0.9, or by Adam with the decay added to the gradient. The step size follows a cosine
    over all steps. Mini-batches are shifted by up to an eighth of the side and, if labels allow, flipped. `precision` is that of the
    products in the network (`condense.nets.precision`)."""

    epochs: int
    lr: float
    batch: int
    optimizer: str = "sgd"
    decay: float = 5e-4
    precision: str = "f32"

    def checked(self) -> "TeacherRecipe":
        """Returns the recipe with numbers of the right types. Raises BadInput, naming the flag, if one is out of range."""
        lr = check_option("lr", self.lr, Annotated[float, Positive])
        numbers = check_whole("epochs", self.epochs), lr, check_whole("batch", self.batch, least=2)
        if self.optimizer not in ("sgd", "adam") or not 0 <= self.decay < math.inf:
            raise BadInput(f"--optimizer {self.optimizer} --decay {self.decay}: give sgd or adam, and a weight decay of at least 0")
        return TeacherRecipe(*numbers, self.optimizer, float(self.decay), check_option("precision", self.precision, Precision))

    def optimiser(self, factor):
        """The optimiser at `factor` times the step size; `factor` may be traced."""
        if self.optimizer == "adam":
            return adam(self.lr * factor, weight_decay=self.decay)
        return sgd(self.lr * factor, momentum=0.9, weight_decay=self.decay)

    def as_record(self) -> dict:
        """The recipe as records store it. Settings that older versions did not have are left out at their defaults, so that older folders
        still match."""
        known = TeacherRecipe._field_defaults
        return {name: value for name, value in self._asdict().items() if name not in known or value != known[name]}


class CommitteeMember(NamedTuple):
    """A network to be trained: its full specification and its recipe."""

    net: str
    recipe: TeacherRecipe

    def build(self, data: Data) -> Net:
        """The network for these data, its products in the recipe's precision. Raises BadInput where it does not take them."""
        return in_precision(nets.build(self.net, data.image, len(data.classes)), self.recipe.precision, self.net)

    def as_text(self, shared: TeacherRecipe) -> str:
        """The member as text, from which `member_of` reads it: `NET`, with `@key=value,...` behind it for what differs from `shared`, the
        recipe of the committee."""
        own = self.recipe._asdict()
        changed = [f"{name}={value}" for name, value in own.items() if value != getattr(shared, name)]
        return self.net + "@" * bool(changed) + ",".join(changed)


def member_of(text: str, shared: TeacherRecipe) -> CommitteeMember:
    """Reads a member from text: `NET`, trained by the committee's recipe `shared`, or `NET@key=value,...`, where these keys of it differ.
    Raises BadInput for an unknown network or key, a key given twice, and a value out of range."""
    net, _, rest = text.partition("@")
    kinds, changed = get_type_hints(TeacherRecipe), {}
    for item in rest.split(",") if rest else ():
        key, _, value = item.partition("=")
        if key not in kinds or key in changed:
            raise BadInput(f"--net {text}: give each of {', '.join(kinds)} at most once behind the @, as in @lr=0.1,epochs=9; got '{item}'")
        try:
            changed[key] = kinds[key](value)
        except ValueError:
            raise BadInput(f"--net {text}: {key} must be a number, got '{value}'") from None
    try:
        own = shared._replace(**changed).checked()
    except BadInput as error:
        raise BadInput(f"--net {text}: {error}") from error
    return CommitteeMember(nets.canonical(net), own)

"""Experts: networks trained on real data, their parameters recorded before training and after each epoch, for trajectory matching.

May import `engine`, `data`, `nets`, `runtime` and the packages below.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from condense import nets
from condense.data.images import Data, say_whole
from condense.data.load import Given, load_data
from condense.data.modality import MODALITIES, augmentation, check_modality, usual_net
from condense.experts.base import ExpertRecipe
from condense.experts.flat import flat
from condense.experts.sgd import sgd
from condense.experts.smooth import smooth
from condense.experts.store import RECORD, Experts, Header, load_experts
from condense.experts.train import ExpertTraining, make_expert_trainer
from condense.nets.precision import in_precision
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import note
from condense.runtime.run_folder import check_there, open_run
from synth.base import Net
from synth.errors import BadInput, nearest
from synth.files.memory import forcible
from synth.images.preprocess import Preprocess
from synth.options import Precision, check_option, flag_of

__all__ = ["RECIPES", "Experts", "complete_recipe", "load_experts", "preprocess_digest", "train_experts"]

RECIPES: dict[str, Callable[..., ExpertRecipe]] = {"sgd": sgd, "flat": flat, "smooth": smooth}
EXPERTS = 5  # key stream of the experts, beside those of a distillation with the same seed


@forcible
def train_experts(
    data: Given,
    *,
    count: int,
    epochs: int,
    out: str | Path,
    net: str | None = None,
    recipe: str = "sgd",
    precision: str = "f32",
    ends: bool = False,
    seed: int = 0,
    force: bool = False,
    command: str = "",
    **options: Any,
) -> Experts:
    """Trains networks and records their parameters before training and after each epoch. The same call resumes; more `count` adds experts.

    Expert i is a function of (seed, i) and of nothing that is trained beside it.

    Args:
      data: data as `load_data` takes them; the validation split stays out.
      count, epochs: how many networks, and passes over the training images of each.
      out: folder of `experts.json`, `expert_0000.npy` ..., run.json, metrics.jsonl.
      net: specification of a network without batch statistics; by default `condense.data.modality.usual_net`.
      recipe: a name in `RECIPES`; `options` are its keyword arguments.
      precision: of the products in the networks while they are trained and scored, `f32` or `bf16`; what is recorded is f32.
      ends: whether the parameters before training and after the last epoch alone are recorded, all that `path="straight"` reads.
      seed: of everything drawn, and of the validation split where `data` is a specification.
      force: starts anew where `out` holds another run, or this one and it is done.
      command: what run.json records as the command.

    Raises:
      BadInput: a wrong call. RunFailed: a training diverges, or the disk has no room.
    """
    options, seed, precision = complete_recipe(recipe, options), check_seed(seed), check_option("precision", precision, Precision)
    count, epochs = check_whole("count", count), check_whole("epochs", epochs)
    data = load_data(data, seed=seed)
    net, built = settle_network(data, net, precision)
    classes, out = len(data.classes), Path(out)
    config = {"task": "experts", "data": data.spec, "net": net, "recipe": recipe, "epochs": epochs, **options}
    config |= {} if data.seed == seed else {"split_seed": data.seed}
    config |= {} if precision == "f32" else {"precision": precision}
    config |= {"ends": True} if check_option("ends", ends, bool) else {}
    asked = {"steps": count * epochs, "seed": seed, "command": command, "data_digest": data.digest, "force": force}
    with open_run(out, config, spent=("checkpoints",), **asked) as held:
        if held.done:
            check_there(out, RECORD)
            note(f"{out} is done: {held.record['finished'] // epochs} experts; nothing to do")
            return load_experts(out)
        length, how = {"asked": count, "epochs": epochs, "size": nets.count(built)}, {"seed": seed, "precision": precision, "ends": ends}
        header = new_header(data, net, recipe, options, **length, **how)
        trainer = make_expert_trainer(built, RECIPES[recipe](**options), augmentation(data), classes, epochs=epochs)
        held.begin()
        say_whole(data.train, "experts")
        training = ExpertTraining(held, header, trainer, data.train, data.val)
        training.run(jax.random.fold_in(jax.random.key(seed), EXPERTS))
    return load_experts(out)


def complete_recipe(recipe: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of a recipe: the given ones, checked, and defaults for the others. Raises BadInput for an unknown recipe or option, and
    for a value of the wrong type or out of range."""
    if recipe not in RECIPES:
        raise BadInput(f"--recipe: unknown recipe '{recipe}' of experts (known: {', '.join(RECIPES)}){nearest(recipe, RECIPES)}")
    known = inspect.signature(RECIPES[recipe], eval_str=True).parameters
    if unknown := [name for name in options if name not in known]:
        raise BadInput(f"--recipe {recipe}: has no option {flag_of(unknown[0])} (known: {', '.join(map(flag_of, known))})")
    options = {name: check_option(name, options.get(name, p.default), p.annotation) for name, p in known.items()}
    RECIPES[recipe](**options)  # a recipe refuses what its types cannot say
    return options


def settle_network(data: Data, net: str | None, precision: Precision) -> tuple[str, Net]:
    """The full specification of the network of experts on data, by default the usual one, and the network itself, its products in a
    precision. Raises BadInput for data of which there are no experts, and a network that does not take the data or has batch statistics."""
    check_modality(data, *(name for name, modality in MODALITIES.items() if modality.starts), flag="--data")
    net = nets.named(net or usual_net(data), data.image, len(data.classes))
    built = in_precision(nets.build(net, data.image, len(data.classes)), check_option("precision", precision, Precision), net)
    check_no_statistics(net, built)
    return net, built


def check_no_statistics(spec: str, net: Net) -> None:
    """Raises BadInput for a network with running statistics, because a trajectory records only parameters."""
    if jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0)).stats):
        raise BadInput(
            f"--net {spec}: has batch statistics, which a trajectory of parameters does not hold; use norm=instance, group or none"
        )


def preprocess_digest(preprocess: Preprocess) -> str:
    """Sixteen hexadecimal digits that identify a preprocessing."""
    whole = hashlib.sha256(preprocess.kind.encode())
    for name, array in sorted(preprocess._asdict().items()):
        whole.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return whole.hexdigest()[:16]


def new_header(
    data: Data,
    net: str,
    recipe: str,
    options: dict[str, Any],
    *,
    asked: int,
    epochs: int,
    size: int,
    seed: int,
    precision: Precision,
    ends: bool,
) -> Header:
    """The header of a training that has not begun: no expert is done."""
    return Header(
        net=net,
        recipe=recipe,
        options=options,
        asked=asked,
        count=0,
        epochs=epochs,
        size=size,
        image=tuple(map(int, data.image)),
        classes=data.classes,
        data=data.spec,
        data_digest=data.digest,
        preprocess=preprocess_digest(data.preprocess),
        seed=seed,
        split_seed=data.seed,
        accuracy=(),
        precision=precision,
        ends=ends,
    )

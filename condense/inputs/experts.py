"""The experts of a distillation: loaded and checked, or a few small ones made in its folder."""

import tempfile
from pathlib import Path

from condense.data.images import Data
from condense.experts import Experts, load_experts, preprocess_digest, train_experts
from condense.inputs.context import Context
from condense.runtime.log import note
from synth.errors import BadInput

COUNT, EPOCHS = 4, 8  # enough for a first look on two cores; the papers train 100 experts for 50 epochs
RECIPES = {"mtt": "sgd", "ftd": "flat", "datm": "flat", "ast": "smooth"}  # as published, by method


def provide(context: Context) -> Experts:
    """The experts that `--experts` names; without it, `COUNT` of them, made in OUT/experts by the recipe of the method's paper.

    Raises BadInput for a folder without experts, or experts of other data or another validation split.
    """
    if context.given is not None:
        experts = load_experts(context.given)
        check_same_data(experts, context.data)
        return experts
    recipe = RECIPES.get(context.method, "sgd")
    note(
        f"no --experts: {COUNT} are trained for {EPOCHS} epochs with recipe {recipe}; `condense experts` makes more, and longer trained,"
        " which one run after another may use"
    )
    if context.out is None:
        with tempfile.TemporaryDirectory(prefix="experts.") as folder:
            return _make(context, Path(folder), recipe)  # mapped files outlive their names
    try:
        return _make(context, context.out / "experts", recipe)
    except BadInput:
        if not context.force:
            raise
        return _make(context, context.out / "experts", recipe, force=True)


def _make(context: Context, out: Path, recipe: str, *, force: bool = False) -> Experts:
    command = f"made for {context.method}"
    settings = {"net": context.net or "convnet", "recipe": recipe, "seed": context.seed}
    return train_experts(context.data, count=COUNT, epochs=EPOCHS, out=out, **settings, force=force, command=command)


def check_same_data(experts: Experts, data: Data) -> None:
    """Raises BadInput where experts saw other images than the run will, or saw those it sets aside."""
    header, at = experts.header, f"--experts {experts.folder}"
    if header.data_digest != data.digest:
        made, here = header.data_digest[:12], data.digest[:12]
        raise BadInput(f"{at}: trained on {header.data} of digest {made}, and {data.spec} has {here}; give --data {header.data}")
    if header.preprocess != preprocess_digest(data.preprocess) or header.split_seed != data.seed:
        cut = f"cut by seed {header.split_seed}, here {data.spec}, cut by {data.seed}"
        raise BadInput(f"{at}: trained on {header.data}, {cut}: normalisation or validation split are not the same")

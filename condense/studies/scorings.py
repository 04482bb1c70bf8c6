"""The scorings of a suite: for which data each is, whose answers it needs, how many networks it trains.

A scoring is a dict of arguments of `condense.evaluate`, as a `[[scoring]]` of the file names them; a recipe alone is one too.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from condense.data.modality import MODALITIES
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.regimes import ALPHAS, BEST, HARD, REGIMES, temperatures
from condense.evaluation.variants import STEP_SIZES
from evals.recipes import recipe as find_recipe
from synth.errors import BadInput
from synth.labels import KINDS


def in_words(way: dict[str, Any]) -> str:
    """A scoring as messages call it, as in `recipe quick, regimes hard, steps 100`."""
    return ", ".join(f"{name} {', '.join(map(str, listed(value)))}" for name, value in way.items()) or "as the sets name it"


def listed(value: Any) -> list[Any]:
    """One value or a list of them as a list; None as no value."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def asks_teachers(way: dict[str, Any]) -> bool:
    """Whether label regimes of a scoring need teachers."""
    return bool(set(listed(way.get("regimes"))) - {HARD})


def serves(way: dict[str, Any], modality: str) -> bool:
    """Whether a scoring is for sets of this modality (`images`, `graphs` or `vectors`): its recipe must be; label regimes and augmentations
    are for images, and a step size is not chosen where epochs are."""
    if modality not in MODALITIES:
        return False
    takes, evaluator = find_recipe(way["recipe"]).modalities if "recipe" in way else None, EVALUATORS[modality]
    of_images = {"regimes", "augmentations"} & set(way)
    tunes = way.get("tune_lr") and evaluator.chooses_epoch
    return (takes is None or modality in takes) and not (of_images and not evaluator.trained_nets) and not tunes


def with_teachers(way: dict[str, Any], *, spec: str, known: dict[str, str], rows: Sequence[str], validated: bool) -> dict[str, Any]:
    """The scoring with the place of the teachers that its regimes ask, relative to the suite's folder or absolute; unchanged where they ask
    none.

    Args:
      spec: of the data. known: places of the teachers that methods make or are given on these data, by the method's label.
      rows: of the suite. validated: whether the data have validation examples.

    Raises BadInput where it is not clear which teachers are asked, or where they cannot answer.
    """
    if not asks_teachers(way):
        return way
    at, asked = f"scoring on {spec}", way.get("teachers")
    if asked in known:
        place = known[asked]
    elif asked is not None:
        if not Path(asked).is_dir():
            raise BadInput(f"{at}: teachers {asked}: no such folder, and no method of that label has teachers{known_labels(known)}")
        place = str(Path(asked).absolute())
    elif len(set(known.values())) > 1:
        raise BadInput(f"{at}: several methods have teachers{known_labels(known)}; say whose answer by teachers = '{next(iter(known))}'")
    elif not known:
        raise BadInput(f"{at}: its labels are answers of teachers; give teachers = 'DIR', or add a [[method]] rded, which makes some")
    else:
        place = next(iter(known.values()))
    if "random_2x2" in rows and any(not KINDS[REGIMES[one].kind].sees for one in listed(way["regimes"]) if one != HARD):
        raise BadInput(f"{at}: stored answers are to whole images, and random_2x2 shows one cell at a time; leave that row out")
    if not validated and way.get("alpha") == BEST:
        raise BadInput(f"{at}: there are no validation images to choose alpha by; give a number")
    if not validated and any(len(tried(way, regime)) > 1 for regime in listed(way["regimes"])):
        raise BadInput(f"{at}: there are no validation images to choose a temperature by; give temperature = 4, say")
    return {**way, "teachers": place}


def known_labels(known: Iterable[str]) -> str:
    """Labels of methods in brackets, for a message; empty where there are none."""
    return f" ({', '.join(known)})" * bool(known)


def tried(way: dict[str, Any], regime: str) -> tuple[float, ...]:
    """The temperatures of teachers' answers that an evaluation would choose from under a regime, where it names the recipe or that of the
    sets has no loss of its own; none under class indices."""
    if regime == HARD:
        return ()
    own_loss = "recipe" in way and find_recipe(way["recipe"]).own_loss
    fixed, alpha = way.get("temperature"), 1.0 if way.get("alpha") in (None, BEST) else way["alpha"]
    return temperatures(regime, alpha, own_loss=own_loss) if fixed is None else (fixed,)


def trials(way: dict[str, Any], regime: str) -> int:
    """How many networks an evaluation trains to choose temperature and weight of teachers' answers under a regime. The weight 1 is tried
    with every temperature already."""
    count = len(tried(way, regime))
    weights = len(ALPHAS) if count and way.get("alpha") == BEST else 0
    return count + max(0, weights - 1) if count > 1 else weights


def trainings(way: dict[str, Any], seeds: int, *, whole: bool) -> int:
    """How many networks a scoring trains for a row and a network: `seeds` for each regime and augmentation, and one for each temperature,
    weight and step size that is tried. The row of all examples (`whole`) has its own labels and recipe."""
    steps = len(STEP_SIZES) if way.get("tune_lr") else 0
    if whole:
        return seeds + steps
    chosen = sum(trials(way, regime) for regime in listed(way.get("regimes")))
    regimes = len(listed(way.get("regimes"))) or 1
    augmentations = len(listed(way.get("augmentations"))) or 1
    return augmentations * (regimes * (seeds + steps) + chosen)

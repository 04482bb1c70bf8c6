"""The file of a suite: read, checked and completed."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from condense.evaluation.regimes import check_alpha, check_regimes
from condense.runtime.checks import check_whole
from condense.studies.scorings import asks_teachers, in_words
from condense.studies.shipped import find_suite
from condense.workflows.methods import find_method
from evals.augmentations import check_augmentations
from evals.recipes import recipe as find_recipe
from synth.errors import BadInput, nearest
from synth.options import Positive, Precision, check_option

KEYS = ("about", "data", "ipc", "bytes", "seeds", "draws", "nets", "recipe", "scoring", "rows", "minutes", "method")
OF_METHOD = ("name", "label", "preset", "net", "ipc", "bytes")  # all others are flags of `condense distill METHOD`
SUITES_OWN = ("data", "seed", "out", "force", "command", "size", "dry_run")  # flags of a run that a suite settles itself
BUDGETS = ("ipc", "bytes")
USUAL = ("distilled", "random", "kmeans")
Texts = str | list[str]
OF_SCORING: dict[str, Any] = {  # arguments of `condense.evaluate` in a `[[scoring]]`
    "recipe": str,
    "epochs": int,
    "steps": int,
    "regimes": Texts,
    "alpha": Any,  # a number or `best`, which `check_regimes` looks at
    "temperature": Annotated[float, Positive],
    "augmentations": Texts,
    "tune_lr": bool,
    "precision": Precision,
    "teachers": str,  # a folder, or the label of a method that has some
}

Size = tuple[str, int] | None  # name and value of a budget; None where the method or its preset says it


@dataclass(frozen=True)
class Entry:
    """One `[[method]]` of a suite.

    Args:
      name: the method. label: what tables call it, unique in the suite.
      preset, net: as flags of a run; None where the file says nothing.
      budgets: in place of the suite's; None where the file says nothing.
      options: further flags of its runs, by name.
    """

    name: str
    label: str
    preset: str | None = None
    net: str | None = None
    budgets: tuple[Size, ...] | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """What a suite's file asks for.

    Args:
      name, about: the file's name and its line about itself.
      data: specifications.
      budgets: name and value of each; a single None where the methods or their presets say it.
      seeds: networks a row; None for the evaluation's own number. draws: distillation seeds, 0, 1, ...
      nets: that score; those that do not take some data are left out there. None where the sets say it.
      scorings: ways to score every set, each the arguments of `condense.evaluate` that a `[[scoring]]` names, or a recipe alone; those that
        are not for some data are left out there. A single empty one where the sets say it.
      rows: of an evaluation.
      methods: in the order of the file.
      minutes: of the runs of methods that name neither steps nor minutes; None where steps say how long they are.
    """

    name: str
    about: str
    data: tuple[str, ...]
    budgets: tuple[Size, ...]
    seeds: int | None
    draws: int
    nets: tuple[str, ...] | None
    scorings: tuple[dict[str, Any], ...]
    rows: tuple[str, ...]
    methods: tuple[Entry, ...]
    minutes: float | None = None

    def as_json(self) -> dict[str, Any]:
        """All fields by name, as values that JSON can hold."""
        return asdict(self)


def read_suite(what: str | Path | Mapping[str, Any]) -> Suite:
    """Reads a suite: a TOML file, the name of a shipped one, or the contents of a file by key. The options of methods are not checked yet.
    Raises BadInput, naming file and key, for anything else that is unknown."""
    if isinstance(what, Mapping):
        return take_suite(what, "suite", "suite")
    path = find_suite(what)
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is no TOML ({error}); mend that line") from error
    return take_suite(held, path.stem, str(path))


def take_suite(held: Mapping[str, Any], name: str, at: str) -> Suite:
    """Checks the contents of a suite's file and completes them by defaults. `name` is the suite's, `at` what messages call the file. Raises
    BadInput for unknown keys and values, where data or methods are missing, and where two methods have one label."""
    if unknown := [key for key in held if key not in KEYS]:
        raise BadInput(f"{at}: unknown key '{unknown[0]}' (known: {', '.join(KEYS)}){nearest(unknown[0], KEYS)}")
    if not (data := texts(held, "data", at)):
        raise BadInput(f"{at}: names no data; give data = ['digits'], say")
    entries = held.get("method")
    if not isinstance(entries, list) or not entries or not all(isinstance(one, Mapping) for one in entries):
        raise BadInput(f"{at}: names no method; give a [[method]] table with a name for each")
    methods = tuple(take_entry(one, f"{at}: [[method]] {number}") for number, one in enumerate(entries, 1))
    labels = [one.label for one in methods]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise BadInput(f"{at}: two methods are called '{twice[0]}'; give each a label of its own")
    seeds, about = held.get("seeds"), held.get("about", "")
    if not isinstance(about, str):
        raise BadInput(f"{at}: about {about!r}: give text")
    return Suite(
        name,
        about,
        data,
        take_budgets(held, at) or (None,),
        None if seeds is None else within(at, check_whole, "seeds", seeds),
        within(at, check_whole, "draws", held.get("draws", 1)),
        texts(held, "nets", at),
        take_scorings(held, at),
        texts(held, "rows", at) or USUAL,
        methods,
        within(at, check_option, "minutes", held.get("minutes"), Annotated[float, Positive] | None),
    )


def take_entry(held: Mapping[str, Any], at: str) -> Entry:
    """Checks a `[[method]]` table; `at` is what messages call it. A label that is not given is the preset's or method's name. Keys that the
    suite does not know become options, which only the plans of its runs check. Raises BadInput for the rest."""
    name = held.get("name")
    if not isinstance(name, str):
        raise BadInput(f"{at}: has no name; give name = 'dm', say")
    within(at, find_method, name)
    given = {}
    for key in ("label", "preset", "net"):
        given[key] = held.get(key)
        if given[key] is not None and (not isinstance(given[key], str) or not given[key].strip()):
            raise BadInput(f"{at}: {key} {given[key]!r}: give text")
    given["label"] = given["label"] or given["preset"] or name
    options = {key.replace("-", "_"): value for key, value in held.items() if key not in OF_METHOD}
    if taken := [key for key in options if key in SUITES_OWN]:
        raise BadInput(f"{at} ({name}): {taken[0]} is not a method's; data, budgets and draws stand at the top of the file")
    return Entry(name=name, budgets=take_budgets(held, at), options=options, **given)


def take_scorings(held: Mapping[str, Any], at: str) -> tuple[dict[str, Any], ...]:
    """The ways to score every set that a file names: a dict of arguments of `condense.evaluate` for each `[[scoring]]` or each recipe, and
    a single empty one where it names neither. `at` is what messages call the file. Raises BadInput where it names both, for keys that are
    not in `OF_SCORING`, and for values that an evaluation would refuse."""
    recipes, tables = texts(held, "recipe", at), held.get("scoring")
    if tables is None:
        return tuple({"recipe": within(at, find_recipe, one) and one} for one in recipes or ()) or ({},)
    if recipes is not None:
        raise BadInput(f"{at}: gives recipe and [[scoring]]; move the recipe into a [[scoring]]")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, Mapping) for one in tables):
        raise BadInput(f"{at}: scoring {tables!r}: give a [[scoring]] table for each way to score")
    found = tuple(take_scoring(one, f"{at}: [[scoring]] {number}") for number, one in enumerate(tables, 1))
    if twice := [one for number, one in enumerate(found) if one in found[:number]]:
        raise BadInput(f"{at}: two scorings are alike ({in_words(twice[0])}); leave one out")
    return found


def take_scoring(held: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Checks a `[[scoring]]` table, `at` in messages, and returns its values by key. Raises BadInput for unknown keys, and for values that
    an evaluation would refuse."""
    if unknown := [key for key in held if key not in OF_SCORING]:
        raise BadInput(f"{at}: unknown key '{unknown[0]}' (known: {', '.join(OF_SCORING)}){nearest(unknown[0], OF_SCORING)}")
    for key, kind in OF_SCORING.items():
        if kind is Texts and texts(held, key, at) and len(set(held[key])) < len(held[key]) and not isinstance(held[key], str):
            raise BadInput(f"{at}: {key} {held[key]!r}: names one twice")
        if key in held and kind in (str, bool) and not isinstance(held[key], kind):
            raise BadInput(f"{at}: {key} {held[key]!r}: give {'a text' if kind is str else 'true or false'}")
    if "epochs" in held and "steps" in held:
        raise BadInput(f"{at}: gives epochs and steps; give one of them")
    given = {
        key: value if OF_SCORING[key] is Texts else within(at, check_option, key, value, OF_SCORING[key]) for key, value in held.items()
    }
    within(at, check_recipe, given)
    within(at, check_regimes, given.get("regimes"), given.get("alpha"), given.get("temperature"))
    within(at, check_augmentations, given.get("augmentations"))
    return given


def check_recipe(way: Mapping[str, Any]) -> None:
    """Raises BadInput for an unknown recipe of a scoring, where it trains nothing and the scoring says how to train, where one says of
    teachers whom nobody asks, and for a weight of their answers that the recipe does not read."""
    chosen = find_recipe(way.get("recipe", "full"), epochs=way.get("epochs"))
    of_training = [key for key in way if key not in ("recipe", "teachers") and way[key] not in (False, "f32")]
    if of_training and not chosen.trains:
        raise BadInput(f"{of_training[0]}: is of a training, and recipe {chosen.name} {chosen.does}; leave it out")
    if "teachers" in way and not asks_teachers(way):
        raise BadInput(f"teachers {way['teachers']}: no regime asks them; give regimes = 'online', or leave it out")
    check_alpha(way.get("alpha"), chosen)


def take_budgets(held: Mapping[str, Any], at: str) -> tuple[Size, ...] | None:
    """The budgets of a table, (`ipc` or `bytes`, number) each: None where it names none, and a single None for an empty list, runs without
    a budget. `at` is what messages call the table. Raises BadInput where both are named, and for a number below 1."""
    given = [key for key in BUDGETS if key in held]
    if len(given) > 1:
        raise BadInput(f"{at}: gives {' and '.join(given)}; give one of them")
    if not given:
        return None
    values = held[given[0]] if isinstance(held[given[0]], list) else [held[given[0]]]
    sizes = [(given[0], within(at, check_whole, given[0], value)) for value in values]
    return tuple(dict.fromkeys(sizes)) or (None,)


def texts(held: Mapping[str, Any], name: str, at: str) -> tuple[str, ...] | None:
    """The text or list of texts of this name in a table, each once; None where there is none. `at` is what messages call the table. Raises
    BadInput for an empty list or text, and for other values."""
    if (value := held.get(name)) is None:
        return None
    each = value if isinstance(value, list | tuple) else [value]
    if not each or not all(isinstance(one, str) and one.strip() for one in each):
        raise BadInput(f"{at}: {name} {value!r}: give a text or a list of texts")
    return tuple(dict.fromkeys(each))


def within(at: str, check: Any, *arguments: Any) -> Any:
    """The result of `check(*arguments)`. Where that raises BadInput, `at`, the place in the file, is put in front of its message."""
    try:
        return check(*arguments)
    except BadInput as error:
        raise BadInput(f"{at}: {error}") from error

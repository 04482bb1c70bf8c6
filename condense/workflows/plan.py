"""The plan of a distillation: one call, resolved once, before anything is made or written.

`plan` reads the data and the folders that the call names, and writes nothing. An input that is not there yet stands in it as something
to make, so that a wrong call is refused before an hour of training, and `--dry-run` can show all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import Given, load_data
from condense.data.modality import MODALITIES, Modality
from condense.engine.budget import Budget, fit_to_budget, images_a_class
from condense.engine.initial import check_start, initial_set, set_info
from condense.engine.schedule import Schedule, make_schedule
from condense.engine.storage import FLAGS, check_bases, name_of, take_content, take_storage
from condense.inputs.context import Context
from condense.inputs.priors import Unmeasured
from condense.inputs.registry import Resolved, resolve_inputs, split_seed
from condense.presets import find_preset
from condense.runtime.checks import check_seed, check_validation
from condense.runtime.run_folder import check_same
from condense.workflows.calls import call_of
from condense.workflows.methods import find_method, known_methods
from condense.workflows.options import Settings, settle
from evals.recipes import recipe
from matchers.base import Matcher, Shuffled
from matchers.method import Method
from synth.base import Net
from synth.errors import BadInput, nearest
from synth.files.memory import forcible
from synth.options import Positive, Share, check_option, flag_of
from synth.selection.choose import STARTS, starts_for
from synth.set import SyntheticSet

FIRST = "noise"  # of sets that a plan measures: neither their time nor their bytes depend on the images
COUNTS = ("ipc", "size", "bytes", "fraction", "steps", "eval_every", "checkpoint_every")
BUDGETS = len(Budget.__dataclass_fields__)  # the first of them
KINDS = dict.fromkeys(COUNTS, int | None) | {"fraction": Annotated[float, Share] | None}
KINDS |= {"minutes": Annotated[float, Positive] | None, **FLAGS}


class Length(NamedTuple):
    """What a run's minutes come to on a machine.

    Args:
      steps: as many as fit. options: those of the method that its rule sets for so many steps, by name.
    """

    steps: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One distillation with all choices resolved.

    Args:
      method, factory: the method's record, and its factory, loaded once.
      data: what is distilled. modality: facts of its kind.
      settings: options and flags with their sources.
      budget: how large the set may be. per_class: how many examples that buys a class; None where the method counts itself.
      start: what the first examples are; None where the method makes its own.
      schedule: steps, and what happens every so many of them.
      context: what inputs depend on. resolved: the inputs, or what stands in for them, and the network.
      matcher: the method, built from these.
      seed, out, force, command: of the run; `out` is None where nothing is written.
      remarks: lines that the user should see before the work begins.
      stored: what the set is stored as (`condense.engine.storage`), empty for the usual. content: what encodes its first examples so.
      minutes: how long compilation and steps may take; None where steps are given. length: what that comes to, once it is measured; until
        then the schedule is the method's usual one.
    """

    method: Method
    factory: Callable[..., Matcher] = field(repr=False)
    data: Data | GraphData
    modality: Modality
    settings: Settings
    budget: Budget
    per_class: int | None
    start: str | None
    schedule: Schedule
    context: Context = field(repr=False)
    resolved: Resolved = field(repr=False)
    matcher: Matcher = field(repr=False)
    seed: int
    out: Path | None
    force: bool
    command: str
    remarks: tuple[str, ...]
    stored: str
    content: Any = field(repr=False)
    minutes: float | None = None
    length: Length | None = None

    def __repr__(self) -> str:
        sized = "" if (given := self.budget.given()) is None else f", {given[0]}={given[1]}"
        return f"Plan({self.method.name} of {self.data.spec}{sized}, {self.schedule.steps:,} steps, {self.net}, out={self.out})"

    @property
    def net(self) -> str:
        """The network that the method matches with, a canonical specification."""
        return self.resolved.net

    @property
    def usual_net(self) -> str:
        """Specification of the network that the method uses if nothing else names one; empty where it has none of its own."""
        return self.method.net.format(**self.settings.options)

    @property
    def recipe(self) -> str:
        """Name of the evaluation recipe that the set will record: the method's if it has one and that recipe scores this modality, else the
        modality's. It ends in `:epochs=N` where option `label_epochs` sets other epochs; BadInput where that recipe cannot have them."""
        own = self.matcher.recipe or self.modality.recipe
        takes = recipe(own).modalities
        serves = takes is None or self.modality.name in takes
        return recipe(own if serves else self.modality.recipe, epochs=self.settings.options.get("label_epochs")).name

    def to_make(self) -> list:
        """A `ToMake` for each input that does not exist yet, in the order in which they are made."""
        waiting = [one for one in self.resolved.inputs.values() if one.to_make]
        return [one.to_make for one in waiting if not isinstance(one.value, Unmeasured) or one.value.asked]

    def choices(self) -> dict[str, Any]:
        """The choices that are known before the inputs are there, by name: method, data, budget, options, and `store` where given."""
        stored = {"store": self.stored} if self.stored else {}
        return {"method": self.method.name, "data": self.data.spec, **self.budget.choices(), **self.settings.options, **stored}

    def beside(self) -> dict[str, Any]:
        """Choices that change what lies beside the set and not the set, as `run.json` records them."""
        return {"eval_every": self.schedule.eval_every or None, "trained_on": self.data.trained_on}

    def config(self) -> dict[str, Any]:
        """All choices that identify this run, as `run.json` records them. It is complete once all inputs exist."""
        config = {"method": self.method.name, "data": self.data.spec, "net": self.net}
        config |= {"start": self.start} if self.modality.starts else {}
        config |= {**self.choices(), **self.resolved.identity()}
        return config | ({} if self.data.seed == self.seed else {"split_seed": self.data.seed})


@forcible
def plan(
    method: str | Method,
    data: Given | None,
    *,
    ipc: int | None = None,
    size: int | None = None,
    bytes: int | None = None,
    fraction: float | None = None,
    out: str | Path | None = None,
    net: str | Net | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    start: str | None = None,
    eval_every: int | None = None,
    checkpoint_every: int | None = None,
    preset: str | None = None,
    force: bool = False,
    command: str = "",
    **options: Any,
) -> Plan:
    """Resolves a call of `condense.distill`, whose arguments these are; None is one that is not given. Data and the folders that the call
    names are read; nothing is made or written. Raises BadInput for a wrong call or bad data.
    """
    method = find_method(method) if isinstance(method, str) else method
    counts = dict(zip(COUNTS, (ipc, size, bytes, fraction, steps, eval_every, checkpoint_every), strict=True))
    said = {"method": method, "data": data, **counts, "minutes": minutes, "out": out, "net": net, "seed": seed}
    said |= {"start": start, "preset": preset, "force": force}
    factory, seed, place = method.load(), check_seed(seed), folder_of(out)
    storage, own = take_storage(factory, options)
    settings = settle(method, factory, preset, {"data": data, "net": net, "start": start, "minutes": minutes, **counts, **storage}, own)
    common = {name: check_option(name, value, KINDS[name]) if name in KINDS else value for name, value in settings.common.items()}
    data = take_data(method, factory, common["data"], settings, seed)
    modality, budget, start = MODALITIES[data.modality], Budget(*(common[name] for name in COUNTS[:BUDGETS])), common["start"]
    stored = name_of(*(common.get(name) for name in FLAGS))
    settings = fitted(settings, method.defaults.get(modality.name, {}))
    check_start_name(start, modality, data.image)
    given, steps = budget.of(modality), common["steps"] or method.usual_steps(len(data.train.y))
    spec = None if common["net"] is None else nets.named(common["net"], data.image, len(data.classes))
    counted = {"budget": None if modality.starts else given, "places": settings.places}
    context = Context(method, data, spec, seed, place, steps, force, **counted)
    resolved = resolve_inputs(factory, context, usual=method.net.format(**settings.options), make=False)
    if spec is not None:
        nets.build(spec, data.image, len(data.classes))  # refuses one that takes other data, though the method may not ask for it
    settings, matcher, cut = build_matcher(factory, resolved, settings, data)
    check_start(method.name, matcher, start)
    schedule = make_schedule(matcher, steps=steps, **{name: common[name] for name in COUNTS[BUDGETS + 1 :]})
    check_validation(schedule.eval_every, data)
    content = take_content(stored, method.name, matcher, data)
    per_class = images_a_class(method, matcher, budget, data, common["eval_every"], content=content) if modality.starts else None
    if usual := method.scale(common["steps"] or method.steps, settings.options, per_class):
        settings, matcher, _ = build_matcher(factory, resolved, fitted(settings, usual), data)
    check_bases(stored, per_class, len(data.classes) if method.labelled else 1)
    start = None if matcher.own_start is not None or not modality.starts else start or matcher.start
    said["data"] = said["data"] if isinstance(said["data"], str | Path | None) else data
    command = command or call_of(said, options, spec, data.seed)
    of_run = seed, place, force, command, (*remarks(method, matcher, preset, settings, common), *cut), stored, content
    of_run = *of_run, None if matcher.host else common["minutes"]
    made = Plan(method, factory, data, modality, settings, budget, per_class, start, schedule, context, resolved, matcher, *of_run)
    if budget.bytes is not None and modality.starts:
        stand_in_set(made)  # refuses a budget that does not hold the labels of one image a class
    return made


def stand_in_set(made: Plan) -> SyntheticSet:
    """A set of noise as large as the plan's set, for measuring a step. Missing inputs are replaced by stand-ins."""
    info = set_info(made.data, {"method": made.method.name, "net": made.net}, seed=made.seed, recipe=made.recipe)
    start = FIRST if made.modality.starts else None

    def first(count: int | None) -> SyntheticSet:
        key = jax.random.key(made.seed)
        return initial_set(key, made.matcher, start, made.data, count, info, labelled=made.method.labelled, content=made.content)

    return fit_to_budget(made.budget, first, made.per_class)


def check_start_name(start: str | None, modality: Modality, example: tuple[int, ...]) -> None:
    """Raises BadInput for an unknown start, for one that makes no examples of the shape `example`, and for any start if the methods of this
    modality make their own. None is always right."""
    if start is not None and start not in STARTS:
        raise BadInput(f"--start: unknown start '{start}' (known: {', '.join(STARTS)}){nearest(start, STARTS)}")
    if start is not None and not modality.starts:
        raise BadInput(f"--start {start}: methods for {modality.name} make their own start; leave it out")
    if start is not None and start not in (known := starts_for(example)):
        raise BadInput(f"--start {start}: makes no {modality.name}; use one of {', '.join(known)}")


def folder_of(out: str | Path | None) -> Path | None:
    """The run's folder; None if nothing is written. Raises BadInput for an empty name, which an unset shell variable gives."""
    if out is not None and not str(out):
        raise BadInput("--out: is empty; give the name of a folder")
    return None if out is None else Path(out)


def take_data(method: Method, factory: Callable, data: Any, settings: Settings, seed: int) -> Data | GraphData:
    """Loads the data of a call; loaded ones come back as they are. The validation split is drawn by the seed that the inputs named by
    `settings` were trained with, else by `seed`. Raises BadInput for None, and for data that the method does not take."""
    if data is None:
        raise BadInput("--data: say what is distilled; give a data specification")
    data = load_data(data, seed=split_seed(factory, settings.places, seed))
    if data.modality not in method.modalities:
        takes, sources = " or ".join(method.modalities), "; ".join(MODALITIES[name].sources for name in method.modalities)
        others = ", ".join(name for name, known in known_methods().items() if data.modality in known.modalities)
        raise BadInput(f"{method.name}: takes {takes}, and {data.spec} holds {data.modality}; {sources}; or use one of {others}")
    return data


def fitted(settings: Settings, usual: Mapping[str, Any]) -> Settings:
    """The settings, in which options that stand at their defaults get the values in `usual`, which are by name."""
    options = {name: value for name, value in usual.items() if settings.sources.get(name) == "default"}
    return settings._replace(options=settings.options | options)


def build_matcher(
    factory: Callable[..., Matcher], resolved: Resolved, settings: Settings, data: Data | GraphData
) -> tuple[Settings, Matcher, list[str]]:
    """The settings, the method built from them, and lines to tell the user. A default `batch` above the number of training examples is cut
    to it, in the settings too, with a line. Raises BadInput where the call or a preset names such a batch."""
    matcher, count = factory(**resolved.values(), **settings.options), len(data.train.y)
    if not isinstance(matcher.feed, Shuffled) or matcher.feed.n <= count or "batch" not in settings.options:
        return settings, matcher, []
    if settings.sources["batch"] != "default":
        of_preset = " of the preset" if settings.sources["batch"] == "preset" else ""
        few = f"the data has {count} training examples, fewer than the {matcher.feed.n} of one batch{of_preset}"
        raise BadInput(f"--batch {matcher.feed.n}: {few}; give at most {count}")
    line = f"the data has {count} training examples, fewer than the usual batch of {matcher.feed.n}: all of them make a batch"
    settings = settings._replace(options={**settings.options, "batch": count})
    return settings, factory(**resolved.values(), **settings.options), [line]


def remarks(method: Method, matcher: Matcher, preset: str | None, settings: Settings, common: dict[str, Any]) -> list[str]:
    """Lines that warn the user before the work begins: of flags that change nothing, and of inputs that do not fit the preset."""
    said, idle = [], [flag_of(name) for name in (*COUNTS[BUDGETS:], "minutes") if common[name] is not None]
    if matcher.host and idle:
        said.append(f"{method.name} selects in one step: {', '.join(idle)} changes nothing")
    if preset is not None and (first := find_preset(preset).first) and find_preset(preset).flag() not in settings.places:
        flag = find_preset(preset).flag()
        said.append(f"--preset {preset}: it is meant for other {flag} than the small ones that this run makes; first {first}")
    return said


def realise(made: Plan) -> Plan:
    """Returns the plan with all inputs and the method built from them. Makes missing inputs, which can take hours.

    Raises BadInput where the run's folder holds another run, before anything is made, and as the inputs do; RunFailed as a training does.
    """
    if any(one.to_make for one in made.resolved.inputs.values()):
        if made.out and not made.force:
            check_same(made.out, made.choices())
        resolved = resolve_inputs(made.factory, made.context, usual=made.usual_net, make=True)
        matcher = made.factory(**resolved.values(), **made.settings.options)
        made = replace(made, resolved=resolved, matcher=matcher)
    return made

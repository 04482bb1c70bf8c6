"""The inputs of a run: a provider for every parameter name by which a factory may ask for an input."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from condense import nets
from condense.data.modality import usual_net
from condense.inputs import augment, budget, distilled, experts, net, priors, ranks, task, teacher, teachers
from condense.inputs.context import Context, Input, Provider
from matchers.inputs import flagged_inputs, input_names
from synth.errors import BadInput

PROVIDERS: dict[str, Provider] = {
    "net": net.PROVIDER,
    "augment": augment.PROVIDER,
    "experts": experts.PROVIDER,
    "teacher": teacher.PROVIDER,
    "teachers": teachers.PROVIDER,
    "distilled": distilled.PROVIDER,
    "ranks": ranks.PROVIDER,
    "task": task.PROVIDER,
    "priors": priors.PROVIDER,
    "budget": budget.PROVIDER,
}


class Resolved(NamedTuple):
    """The inputs of a run by name, and the network, a canonical specification."""

    inputs: dict[str, Input]
    net: str

    def values(self) -> dict[str, Any]:
        """The values that the factory gets, by parameter name."""
        return {name: found.value for name, found in self.inputs.items()}

    def identity(self) -> dict[str, Any]:
        """What `run.json` records of the inputs that have a flag, by name: JSON values that tell one input from another."""
        return {name: identify(found.value) for name, found in self.inputs.items() if (identify := PROVIDERS[name].identity)}


def split_seed(factory: Callable, places: Mapping[str, str | None], seed: int) -> int:
    """The seed of the validation split: that of the first input whose training left such a split out, else the run's seed.

    Args:
      factory: of the method. places: folders of inputs that the call names, by input; others are not looked at.
      seed: of the run.
    """
    for name in flagged_inputs(factory):
        split = PROVIDERS[name].split
        if places.get(name) is not None and (found := split(places[name])) is not None:
            return found
    return seed


def resolve_inputs(factory: Callable, context: Context, *, usual: str, make: bool) -> Resolved:
    """Finds or makes all inputs that a factory asks for. Inputs with a flag come first, because they can decide the network.

    Args:
      factory: of the method.
      context: with the network that the call names, or None, and the places that its flags name.
      usual: the method's own network where nothing else says one; empty where it has none.
      make: True makes missing inputs; False gives stand-ins for them.

    Raises BadInput where the call names another network than an input is made for, and as the providers do.
    """
    found, spec = {}, context.net
    for name in flagged_inputs(factory):
        provider = PROVIDERS[name]
        one = context._replace(given=context.places.get(name))
        found[name] = (provider.make if make and provider.make else provider.find)(one)
        if settled := found[name].net:
            if spec not in (None, settled):
                raise BadInput(f"--net {spec}: the {name} are of {settled}; leave --net out, or give other {name}")
            spec = settled
    spec = spec or next((one.usual_net for one in found.values() if one.usual_net), None)
    spec = spec or (nets.canonical(usual) if usual else usual_net(context.data))
    context = context._replace(net=spec, values={name: one.value for name, one in found.items()})
    for name in input_names(factory):
        if name not in found:
            provider = PROVIDERS[name]
            found[name] = (provider.make if make and provider.make else provider.find)(context)
    return Resolved(found, spec)

"""Estimates of what a run takes on a machine that is not at hand. Its programs are traced and counted here, by the choices that are made
there, and never run."""

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.engine.machines import HERE, SHARES, Machine, Span, machine_of, together
from condense.engine.operations import repeated
from condense.inputs.context import ToMake
from condense.runtime.checkpoint import KEEP
from condense.runtime.log import duration, note
from condense.workflows.calibration import calibrate
from condense.workflows.forecast import forecast, training_work
from condense.workflows.plan import Plan, stand_in_set
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.files.memory import megabytes


def estimate_for(made: Plan, waiting: list[ToMake], device: str) -> list[str]:
    """Estimates what the inputs in `waiting` and all steps of a plan's method take on another machine, of time, of the memory of a device
    and of disk, as lines. `device` names it as `machine_of` reads it; `here` is this machine, by what was measured of other networks.

    Raises BadInput for an unknown machine.
    """
    machine = find_machine(device)
    lines = input_lines(waiting, made.data, machine)
    disk = {one.kind: one.disk for one in waiting}
    if made.matcher.host:
        return [*lines, f"{made.method.name}: works once, on the host", *disk_lines(disk | {"set": set_bytes(made)})]
    note(f"tracing a step of {made.method.name} as for {machine}")
    step = forecast(made, machine.device.platform, machine.count)
    work, memory, steps = step.work(), step.memory(), made.schedule.steps
    part = "" if machine.count == 1 else "; the devices share each batch" if step.split else "; each device has the whole batch"
    each = f"each {operations(work.flops)} and {megabytes(work.bytes)} of operands and results a device{part}"
    lines.append(f"{made.method.name}: {spoken(machine.device.seconds(repeated(work, steps)))} on {machine}: {steps:,} steps, {each}")
    if work.open_loops:
        lines.append(f"{made.method.name}: {work.open_loops} loops of unknown length are counted as if they ran once")
    verdict = "" if memory <= machine.device.memory else ", which is not enough"
    lines.append(f"memory: about {megabytes(memory)} of the {megabytes(machine.device.memory)} of a device{verdict}")
    disk |= {"set": set_bytes(made), "checkpoints": KEEP * step.state()}
    return [*lines, *disk_lines(disk), caution(machine)]


def input_lines(waiting: list[ToMake], data: Data | GraphData, machine: Machine) -> list[str]:
    """Estimates how long the inputs in `waiting` take on a machine, a line each."""
    return [
        f"{one.kind}, {', '.join(one.net)}: {spoken(input_span(one, data, machine))} on {machine}{sharing(one, data, machine)}"
        for one in waiting
    ]


def set_bytes(made: Plan) -> int:
    """Payload bytes of a plan's set; without the labels where they are made at the end."""
    synth = stand_in_set(made)
    return count_bytes(synth)["total"] if made.matcher.counts_bytes and made.method.labelled else synth.x.store().nbytes()


def step_span(made: Plan, machine: Machine) -> Span:
    """How long a step of a plan's method takes on a machine."""
    return machine.device.seconds(forecast(made, machine.device.platform, machine.count).work())


def find_machine(device: str) -> Machine:
    """The machine of this name, `here` measured first. Raises BadInput for an unknown one."""
    if device != HERE:
        return machine_of(device)
    note("timing steps of small networks on this machine")
    return calibrate()


def input_span(one: ToMake, data: Data | GraphData, machine: Machine) -> Span | None:
    """How long it takes to make an input on a machine: its networks one mini-batch after another. Devices share out the networks, where
    there are several of each kind, or every mini-batch. None where no training is what takes the time."""
    if not one.gradients:
        return None
    rounds = -(-one.networks // machine.count) * one.batches // one.networks * one.gradients
    batch = min(one.batch, len(data.train.y)) // (machine.count if is_split(one, data, machine) else 1)
    spans = [machine.device.seconds(repeated(training_work(name, data, batch, machine.device.platform), rounds)) for name in one.net]
    return together(spans)


def is_split(one: ToMake, data: Data | GraphData, machine: Machine) -> bool:
    """Whether the devices of a machine share the mini-batches that an input is made of."""
    return one.split and min(one.batch, len(data.train.y)) % machine.count == 0


def sharing(one: ToMake, data: Data | GraphData, machine: Machine) -> str:
    """Says, for more than one device, how they share the making of an input."""
    if machine.count == 1 or not one.gradients:
        return ""
    if is_split(one, data, machine):
        return ", which share every mini-batch"
    return f", which share the {one.networks} networks" if one.networks > 1 else ", of which one works"


def check_device(device: str | None, *, minutes: float | None = None) -> None:
    """Raises BadInput for an unknown machine, and for another than this one beside minutes, which are of this one. None is always right."""
    if device in (None, HERE):
        return
    machine_of(device)
    if minutes is not None:
        raise BadInput(f"--device {device}: --minutes {minutes:g} are of this machine; give --steps N")


def spoken(span: Span | None) -> str:
    """A span of time in words."""
    if span is None:
        return "not estimated"
    least, most = map(duration, span)
    return f"about {least}" if least == most else f"{least} to {most}"


def operations(flops: int) -> str:
    """Floating-point operations in words, to three digits."""
    return f"{flops / 1e12:.3g} TFLOP" if flops >= 1e12 else f"{flops / 1e9:.3g} GFLOP"


def disk_lines(disk: dict[str, int]) -> list[str]:
    """The bytes that a folder takes on disk in all, and of what, as a line; what takes 0 is not known and left out. No line where all
    is."""
    known = {name: size for name, size in disk.items() if size}
    parts = ", ".join(f"{name} {megabytes(size)}" for name, size in known.items())
    return [f"disk: about {megabytes(sum(known.values()))}: {parts}"] if known else []


def caution(machine: Machine) -> str:
    """Says in a line what the estimates for a machine stand on."""
    beside = "compiling, what is no product, reading data and traffic between devices are not in it"
    if machine.kind == HERE:
        return f"fitted to measured steps of convolutional networks on this machine; {beside}"
    least, most = (f"{100 * share:g}" for share in SHARES)
    return f"not measured: products at {least} to {most} % of the speed that the maker states, which is an assumption; {beside}"

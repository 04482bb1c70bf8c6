"""Lowers programs for accelerators on a machine that has none, and says what in them would not run, or not well, there.

Nothing is compiled or run: what comes out is the program that XLA's compiler for the accelerator would be given.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import jax
from jax import export
from jax._src.interpreters import pxla
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from synth.numerics import backend

PLATFORMS = ("cuda", "tpu")
OWN_CALLS = {  # what a program may call that XLA does not define, by platform: anything else is not known to be there
    "cuda": re.compile(r"(cu|cusolver|cusparse|cublas|cudnn)_\w+|__(gpu|cublas|cudnn)\$.*"),
    "tpu": re.compile(r"Eigh|Qr|ProductOfElementaryHouseholderReflectors|LuDecomposition|ApproxTopK|tpu_custom_call"),
}
CALL = re.compile(r'custom_call @(?:"([^"]+)"|([\w.$]+))')
# what is filled with one number takes no room
CONSTANT = re.compile(r'constant dense(?:<"0x[^"]*"|<\[[^>]*\]|_resource<[^>]*)> : tensor<((?:\d+x)*)([^>]*)>')


def lower(compiled: Callable, *args: Any, platform: str) -> export.Exported:
    """The program of a jitted function for a platform, traced under the choices made there. Arguments are arrays, or their shapes."""
    with backend.supposing(platform):
        return export.export(compiled, platforms=[platform])(*args)


def constant_bytes(text: str) -> int:
    """Bytes of all constants that a program holds as arrays of their own."""
    numbers = ((prod(map(int, sizes.split("x")[:-1])), int(re.search(r"\d+", kind).group())) for sizes, kind in CONSTANT.findall(text))
    return sum(count * max(1, bits // 8) for count, bits in numbers)


def faults(program: export.Exported, platform: str, *, most: int) -> list[str]:
    """What is wrong with a program for a platform: calls that only a CPU has, and more than `most` bytes of constants."""
    text = program.mlir_module()
    calls = sorted({quoted or plain for quoted, plain in CALL.findall(text)})
    wrong = [f"calls {call}" for call in calls if not OWN_CALLS[platform].fullmatch(call)]
    return wrong + [f"{held} bytes of constants" for held in (constant_bytes(text),) if held > most]


def faults_on_accelerators(compiled: Callable, *args: Any, most: int) -> dict[str, list[str]]:
    """What is wrong with the program of a jitted function, by platform; JAX's own refusal to lower it counts. Empty where nothing is."""
    found = {}
    for platform in PLATFORMS:
        try:
            found[platform] = faults(lower(compiled, *args, platform=platform), platform, most=most)
        except (NotImplementedError, ValueError) as refusal:
            found[platform] = [str(refusal)]
    return {platform: wrong for platform, wrong in found.items() if wrong}


class Program(NamedTuple):
    """A program that JAX was about to compile: its name, and what it computes."""

    name: str
    jaxpr: ClosedJaxpr

    def faults(self, *, most: int) -> dict[str, list[str]]:
        """As `faults_on_accelerators`."""
        return faults_on_accelerators(jax.jit(jaxpr_as_fun(self.jaxpr)), *self.jaxpr.in_avals, most=most)


@contextmanager
def compiled_meanwhile(monkeypatch) -> Iterator[list[Program]]:
    """Records every program that is compiled inside the block, and has it traced under the choices of an accelerator; it still runs here.

    For work on the host that calls compiled pieces as it goes, and has no step of its own. What the process has compiled under these
    choices before is not compiled again.
    """
    lower_here, found = pxla.lower_sharding_computation, []

    def record(jaxpr, api_name, name, *args, **named):
        found.append(Program(name, jaxpr))
        return lower_here(jaxpr, api_name, name, *args, **named)

    with monkeypatch.context() as patch, backend.supposing("cuda"):
        patch.setattr(pxla, "lower_sharding_computation", record)
        yield found

"""Where a compiled function's time goes, from the profiler's record of every operation and the scope that it was traced in."""

import collections
import glob
import re
import tempfile
import time

import jax

PARTS = {
    "conv_out_wide": "wide convolution",
    "conv_image_wide": "its image gradient",
    "conv_kernel_wide": "its kernel gradient",
    "conv_out_thin": "first layer",
    "conv_image_thin": "its image gradient (first layer)",
    "conv_kernel_thin": "its kernel gradient (first layer)",
}
REST = "norm, ReLU, pooling and the rest"


def shares(work) -> tuple[dict[str, float], float, int]:
    """({part: share of the threads' time}, seconds of a call, bytes of temporaries) for a `functools.partial` of a jitted function."""
    compiled = work.func.lower(*work.args).compile()
    text = compiled.as_text()
    scopes = {m[1]: m[2] for m in re.finditer(r'%([\w.\-]+) = [^\n]*op_name="([^"]*)"', text)}
    jax.block_until_ready(work())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            began = time.perf_counter()
            jax.block_until_ready(work())
            seconds = time.perf_counter() - began
        record = jax.profiler.ProfileData.from_file(glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)[0])
    spent = collections.Counter()
    for event in (event for plane in record.planes for line in plane.lines if "XLA" in line.name for event in line.events):
        if event.name in scopes and not event.name.startswith("while"):
            part = next((text for scope, text in PARTS.items() if scope in scopes[event.name]), REST)
            spent[part] += event.duration_ns
    total = sum(spent.values())
    return {part: time / total for part, time in spent.most_common()}, seconds, compiled.memory_analysis().temp_size_in_bytes

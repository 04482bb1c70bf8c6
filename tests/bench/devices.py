"""How near an estimate for this machine comes: rates are fitted on narrow networks, and steps of a wider one are predicted and timed.

    taskset -c 1 python -m tests.bench.devices --out docs/experiments/device_here.json

Times are processor seconds, because other work may run beside; so the process should have one core. The network that is predicted is twice
as wide as the widest that is fitted.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import time
from datetime import date
from pathlib import Path

from condense.engine.machines import Machine
from condense.workflows.calibration import BATCH, CLASSES, IMAGE, STEPS, WIDTHS, calibrate, problem
from condense.workflows.forecast import forecast
from condense.workflows.lengths import step_cost

PREDICTED = 128
NEAR = 0.4  # of what was measured


def compare(machine: Machine, width: int) -> dict:
    """What a step of a network of this width takes by the estimate and by the clock."""
    made = problem(width)
    work = forecast(made, machine.device.platform, machine.count).work()
    measured, predicted = step_cost(made, most=STEPS, clock=time.process_time).seconds, machine.device.seconds(work).least
    row = {"width": width, "fitted": width in WIDTHS, "gflop": round(work.flops / 1e9, 3), "megabytes": round(work.bytes / 1e6, 1)}
    return row | {"predicted": round(predicted, 4), "measured": round(measured, 4), "ratio": round(predicted / measured, 3)}


def main() -> None:
    """Fits, predicts, measures and writes the record; ends with 1 where the prediction is not near."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    out, began = parser.parse_args().out, time.process_time()
    machine = calibrate(clock=time.process_time)
    rows = [compare(machine, width) for width in (*WIDTHS, PREDICTED)]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    image = "x".join(map(str, IMAGE))
    record = {
        "what": f"Seconds of a step of `dm` on random images {image}, {BATCH} of each of {CLASSES} classes, by ConvNets of several widths:"
        " predicted by the rates that `--device here` fits to those of the fitted widths, and measured. Processor seconds.",
        "commands": ["taskset -c 1 python -m tests.bench.devices --out docs/experiments/device_here.json"],
        "gflop_per_second": None if math.isinf(machine.device.flops) else round(machine.device.flops / 1e9, 2),
        "gigabytes_per_second": None if math.isinf(machine.device.bandwidth) else round(machine.device.bandwidth / 1e9, 2),
        "commit": commit,
        "date": date.today().isoformat(),
        "device": f"cpu, {len(os.sched_getaffinity(0))} core, {platform.machine()}",
        "processor_seconds": round(time.process_time() - began, 1),
        "rows": rows,
    }
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    if abs(rows[-1]["ratio"] - 1) > NEAR:
        raise SystemExit(f"width {PREDICTED} is not predicted within {100 * NEAR:g} %")


if __name__ == "__main__":
    main()

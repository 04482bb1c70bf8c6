"""Estimates for other machines: what is counted for a step by hand, how devices share it, and what the commands say."""

import jax
import numpy as np
import pytest

from condense import nets
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.engine.loop import initial_state
from condense.engine.machines import HERE, Fitted, Machine, machine_of
from condense.engine.operations import Work, repeated
from condense.experts.store import bytes_needed
from condense.inputs.context import ToMake
from condense.inputs.experts import COUNT, pace_of, plan_experts
from condense.runtime.devices import batch_shapes, place_batch
from condense.workflows import elsewhere
from condense.workflows.elsewhere import estimate_for, input_span
from condense.workflows.forecast import forecast, training_work
from condense.workflows.plan import plan, stand_in_set
from synth.base import Examples

NET = "convnet:width=4,depth=1"
CONVOLUTION = 2 * (3 * 8 - 2) ** 2 * 1 * 4  # operations of the convolution of an 8x8 image of one channel
SCALE = 2 * (2 * 8 * 8 * 8)  # of the augmentation that scales it: 8x8 matrices from both sides
IMAGE = CONVOLUTION + SCALE
CLASSES = 10


def dm(**more):
    return plan("dm", "digits", ipc=1, **{"net": NET, "batch": 4, "steps": 50} | more)


@pytest.mark.parametrize(("count", "real", "split"), [(1, 4, False), (2, 2, True), (4, 1, True), (3, 4, False)])
def test_a_step_of_dm_counted_by_hand(count, real, split):
    """Features of 4 real images a class, shared where the devices divide them, and of one of the set, whose gradient by its pixels is as
    much again; the layer behind the features is not computed. Several classes at a time go through all augmentations, of which one has
    products."""
    one = forecast(dm(), "cuda", count)
    assert one.work().flops == CLASSES * (real + 1 + 1) * IMAGE
    assert one.split == split


def test_the_count_is_that_of_an_accelerator_on_every_platform():
    works = {forecast(dm(), platform, 1).work() for platform in ("cuda", "tpu", "cpu")}
    assert len(works) == 1


def test_training_a_linear_network_counted_by_hand():
    """b x d times d x c, and the gradient by the weights: 2 b d c each."""
    data = load_data("digits")
    assert training_work("linear", data, 32, "tpu") == Work(2 * 2 * 32 * 64 * 10, 2 * 4 * (32 * 64 + 64 * 10 + 32 * 10))


def test_devices_would_get_what_they_get_of_a_batch():
    """Four simulated devices."""
    rows = Examples(np.zeros((8, 2, 2, 1), np.float32), np.zeros(8, np.int32))
    for batch in (np.zeros((3, 8, 5), np.float32), np.zeros((3, 6, 5), np.float32), rows, (rows, np.zeros((2, 4), np.float32)), None):
        placed = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data, place_batch(batch))
        there = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), placed)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), batch_shapes(batch, 4)) == there


def test_a_checkpoint_is_as_large_as_the_state():
    made = dm()
    state = initial_state(jax.random.key(0), made.matcher, stand_in_set(made))
    one = forecast(made, "cuda", 1)
    assert one.state() == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert one.memory() > one.state() + CLASSES * 4 * 64 * 4, "the batch is held too"


def test_inputs_are_shared_out_among_devices():
    data, machines = load_data("digits"), [machine_of("v4"), machine_of("v4x2"), machine_of("v4x4"), machine_of("v4x9")]
    made = plan_experts(data, NET, "flat", None, count=3, epochs=5, batch=32)
    one, two, four, nine = (input_span(made, data, machine) for machine in machines)
    batches = 5 * -(-len(data.train.y) // 32)
    work = training_work(NET, data, 32, "tpu")
    assert one == pytest.approx(machines[0].device.seconds(repeated(work, 3 * batches * 2))), "two gradients a step"
    assert two == pytest.approx([seconds * 2 / 3 for seconds in one]) and four == nine == pytest.approx([seconds / 3 for seconds in one])
    assert made.disk == 3 * 6 * 4 * nets.count(nets.build(NET, data.image, CLASSES))


def test_devices_share_the_mini_batches_of_a_teacher_where_they_divide_them():
    data, machines = load_data("digits"), [machine_of("v4"), machine_of("v4x4"), machine_of("v4x3")]
    made = ToMake("teachers", (NET,), "", None, 10, 32, split=True)
    one, four, three = (input_span(made, data, machine) for machine in machines)
    whole, part = (repeated(training_work(NET, data, batch, "tpu"), 10) for batch in (32, 8))
    assert one == three == machines[0].device.seconds(whole) and four == machines[1].device.seconds(part) and four < one


def test_a_dry_run_for_another_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call = f"distill dm --data digits --ipc 1 --net {NET} --batch 4 --steps 50 --out run --dry-run --device h100x2"
    assert command(call.split()) == 0
    lines = [line[10:] for line in capsys.readouterr().out.splitlines() if line.startswith("estimate")]
    assert list(tmp_path.iterdir()) == []
    flops, state = CLASSES * 4 * IMAGE, forecast(dm(), "cuda", 2).state()
    assert lines[0].startswith("dm: about 0 s on 2 x h100: 50 steps, each ") and lines[0].endswith("a device; the devices share each batch")
    assert f"{flops / 1e9:.3g} GFLOP" in lines[0]
    assert lines[1].startswith("memory: about ") and lines[1].endswith("of the 80 GB of a device")
    assert lines[2].startswith("disk: about ") and lines[2].endswith(f"set 0.0026 MB, checkpoints {2 * state / 1e6:.3g} MB")
    assert lines[3].startswith("not measured: products at 5 to 50 % of the speed that the maker states, which is an assumption; ")


def test_memory_that_does_not_suffice_is_said(monkeypatch):
    small = Machine("h100", 1, machine_of("h100").device._replace(memory=1e3))
    monkeypatch.setattr(elsewhere, "machine_of", lambda text: small)
    assert any(line.endswith("of the 0.001 MB of a device, which is not enough") for line in estimate_for(dm(), [], "h100"))


def test_inputs_and_their_disk_stand_in_the_estimate():
    made = plan("mtt", "digits", ipc=1, net=NET, steps=50, inner_steps=2)
    (waiting,) = made.to_make()
    batch, epochs = pace_of(len(made.data.train.y))
    assert (waiting.networks, waiting.batch) == (COUNT, batch)
    assert waiting.disk == bytes_needed(COUNT, epochs, nets.count(nets.build(NET, made.data.image, CLASSES)))


def test_this_machine_is_measured(monkeypatch):
    """A device that takes a second for 1e9 operations."""
    monkeypatch.setattr(elsewhere, "calibrate", lambda: Machine(HERE, 1, Fitted(1e9, 1e12, np.inf, "cpu")))
    lines = estimate_for(dm(steps=10_000), [], HERE)
    assert lines[0].startswith(f"dm: about {10_000 * CLASSES * 6 * IMAGE / 1e9:.0f} s on this machine: 10,000 steps")
    assert lines[-1].startswith("fitted to measured steps of convolutional networks on this machine")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (
            "distill dm --data digits --ipc 1 --out x --device h100",
            "--device h100: names the machine of an estimate; add --dry-run, or leave it out",
        ),
        ("experts --data digits --count 1 --epochs 1 --out x --device h100", "--device h100: names the machine of an estimate"),
        ("teachers --data digits --out x --device h100", "--device h100: names the machine of an estimate"),
        ("suite digits --out x --device h100", "--device h100: names the machine of an estimate"),
        ("distill dm --data digits --ipc 1 --out x --dry-run --device m1", "--device m1: is not known"),
        ("distill dm --data digits --ipc 1 --out x --dry-run --device h100 --minutes 3", "--device h100: --minutes 3 are of this machine"),
        ("experts --data digits --count 1 --epochs 1 --out x --dry-run --device m1", "--device m1: is not known"),
        ("suite digits --dry-run --device m1", "--device m1: is not known"),
    ],
)
def test_a_wrong_call_gets_one_line(words, refusal, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert refusal in line and list(tmp_path.iterdir()) == []


def test_experts_and_teachers_have_a_dry_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shared = ["--data", "digits", "--epochs", "2", "--out", "there", "--dry-run", "--device", "v5ex4"]
    assert command(["experts", "--count", "8", "--net", NET, *shared]) == 0
    out = capsys.readouterr().out
    assert "input     experts: to make, in there: 8 networks, 2 epochs of " in out and " on 4 x v5e, which share the 8 networks" in out
    assert f"disk: about {bytes_needed(8, 2, nets.count(nets.build(NET, (8, 8, 1), 10))) / 1e6:.3g} MB" in out
    assert command(["teachers", "--net", f"{NET},norm=batch", "mlp:width=4@epochs=9", *shared]) == 0
    out = capsys.readouterr().out
    assert (
        out.count("input     teachers: to make, in there: ") == 2
        and "9 epochs of" in out
        and " on 4 x v5e, which share every mini-batch" in out
    )
    assert command(["teachers", "--ssl", "barlow", *shared]) == 0
    out = capsys.readouterr().out
    assert "Barlow Twins, 2 epochs" in out and " on 4 x v5e, of which one works" in out
    assert list(tmp_path.iterdir()) == []


def test_a_suite_is_estimated_for_another_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.toml").write_text(
        f'data = "digits"\nipc = [1, 2]\nnets = "{NET}"\nrecipe = "quick"\nseeds = 2\ndraws = 3\n'
        f'[[method]]\nname = "mtt"\nnet = "{NET}"\nsteps = 1000000000\nmax_start = 1\n[[method]]\nname = "random"\n'
    )
    assert command(["suite", "f.toml", "--dry-run", "--device", "v5ex2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["input", "run", "run", "run", "run", "runs", "scorings", "estimate", "estimate"]
    machine, made = machine_of("v5ex2"), plan("mtt", "digits", ipc=2, net=NET, steps=10**9, max_start=1)
    least, most = machine.device.seconds(repeated(forecast(made, "tpu", 2).work(), 10**9))
    assert most / 3600 > 1, "long enough to tell"
    (waiting,) = made.to_make()
    inputs = input_span(waiting, made.data, machine)
    hours = (f"{(seconds + 6 * each) / 3600:.2f}" for seconds, each in zip(inputs, (least, most), strict=True))
    assert lines[-2].startswith("estimate  {} to {} hours on 2 x v5e, a run at a time".format(*hours)), "two budgets, three draws"
    cells = int(lines[-3].split()[1])
    assert f"{cells} networks, of which {cells} are not timed" in lines[-3] and lines[-1].startswith("estimate  not measured")
    assert [path.name for path in tmp_path.iterdir()] == ["f.toml"]

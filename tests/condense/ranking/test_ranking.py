"""Ranking: the fields of the log against numpy and per-example gradients, its bytes; a stopped ranking goes on to the same bits."""

import inspect
import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from condense import nets
from condense.__main__ import run as command
from condense.cli.rank import Flags
from condense.ranking.log import LastLogits
from condense.ranking.measure import Seen, gradient_norms, make_measure, measure_epoch
from condense.ranking.train import rank
from condense.runtime.checkpoint import Checkpoints
from synth.base import Examples, Vars
from synth.errors import BadInput, RunFailed
from synth.selection.ranks import DTYPES, FULL, PER_EPOCH, read_ranks
from synth.selection.scores import scores
from synth.training import stream
from tests.support.methods import arrays

KEY = jax.random.key(0)
SMALL = {"net": "mlp:width=4", "networks": 2, "epochs": 3, "batch": 16}


def test_the_fields_of_an_epoch_are_their_definitions():
    rng = np.random.default_rng(0)
    now, before = rng.normal(0, 2, (2, 7, 4)).astype(np.float32)
    norms, y = rng.uniform(1, 2, 7).astype(np.float32), rng.integers(0, 4, 7)
    found = measure_epoch(Seen(jnp.asarray(now), jnp.asarray(norms)), jnp.asarray(before), jnp.asarray(y))
    p, q = (np.exp(z.astype(float)) / np.exp(z.astype(float)).sum(1, keepdims=True) for z in (now, before))
    for i, c in enumerate(y):
        onehot = np.eye(4)[c]
        wanted = {"probability": p[i, c], "margin": now[i, c] - max(now[i, k] for k in range(4) if k != c), "correct": now[i].argmax() == c}
        wanted |= {"error": np.linalg.norm(p[i] - onehot), "gradient": np.linalg.norm(p[i] - onehot) * norms[i]}
        wanted |= {"entropy": -(p[i] * np.log(p[i])).sum(), "divergence": (p[i] * np.log(p[i] / q[i])).sum()}
        assert set(wanted) == set(PER_EPOCH) == set(found)
        for name, value in wanted.items():
            np.testing.assert_allclose(float(found[name][i]), value, rtol=2e-3 if name == "entropy" else 1e-4, atol=1e-6, err_msg=name)
    assert {name: np.asarray(value).dtype for name, value in found.items()} == {name: np.dtype(PER_EPOCH[name]) for name in found}


def test_fields_are_measured_piece_by_piece_against_the_logits_of_the_epoch_before(whole, tmp_path, monkeypatch):
    """Of 300 examples that no piece holds together, and three states of a network."""
    monkeypatch.setattr(stream, "PIECE", 1)
    net, header = nets.build("mlp:width=4", (8, 8, 1), 3), replace(whole[0].header, examples=300)
    examples = Examples(jax.random.normal(KEY, (300, 8, 8, 1)), jnp.arange(300) % 3)
    measure, last = make_measure(net), LastLogits(tmp_path, header)
    states = [net.init(jax.random.fold_in(KEY, at)) for at in range(3)]
    measure.see(states[0], examples, last)
    for earlier, state in pairwise(states):
        found, out = measure.fields(state, examples, last), net.apply(state, examples.x)
        seen = Seen(out.logits, jnp.sqrt(1 + jnp.sum(jnp.square(out.embed), 1)))
        for name, values in measure_epoch(seen, net.apply(earlier, examples.x).logits, examples.y).items():
            np.testing.assert_allclose(found[name], values, rtol=2e-3 if name == "entropy" else 1e-4, atol=1e-5, err_msg=name)
    assert not [*tmp_path.iterdir()]
    last.close()


def test_a_disk_that_refuses_the_logits_is_told(whole, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    last = LastLogits(tmp_path, whole[0].header)
    file = last._file
    monkeypatch.setattr(last, "_file", SimpleNamespace(seek=file.seek, read=file.read, write=full, close=full))
    with pytest.raises(RunFailed, match="No space left on device"):
        last.swap(0, np.zeros((2, len(whole[0].header.classes)), np.float32))
    last.close()
    file.close()
    with pytest.raises(RunFailed, match="cannot write"):
        LastLogits(tmp_path / "none", whole[0].header)


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["mlp:width=5", pytest.param("convnet:width=3,depth=2", marks=pytest.mark.slow)])
def test_the_full_gradient_is_that_of_every_example_alone(spec):
    """Per-example gradients one by one; those of the last layer alone are `error` times the norm of its input, 1 included."""
    net = nets.build(spec, (8, 8, 1), 3)
    vars = net.init(KEY)
    x, y = jax.random.normal(KEY, (6, 8, 8, 1)), jnp.arange(6) % 3

    def loss(params, i):
        logits = net.apply(Vars(params, vars.stats), x[i][None]).logits[0]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[i])

    slope = jax.jit(jax.grad(loss))
    grads = [slope(vars.params, jnp.int32(i)) for i in range(6)]
    np.testing.assert_allclose(gradient_norms(net, vars, x, y), [jnp.linalg.norm(ravel_pytree(g)[0]) for g in grads], rtol=1e-4)
    out = net.apply(vars, x)
    seen = Seen(out.logits, jnp.sqrt(1 + jnp.sum(jnp.square(out.embed), 1)))
    last = [jnp.linalg.norm(ravel_pytree(g["head"])[0]) for g in grads]
    np.testing.assert_allclose(measure_epoch(seen, out.logits, y)["gradient"], last, rtol=1e-4)


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **arrays())
    return f"npz:{path}"


@pytest.fixture(scope="module")
def whole(spec, tmp_path_factory):
    """A ranking that nothing stopped."""
    folder = tmp_path_factory.mktemp("ranks") / "r"
    return rank(spec, folder, **SMALL, full_gradient=True), folder


def test_the_log_holds_every_example_network_and_epoch_in_few_bytes(whole):
    ranks, folder = whole
    assert (ranks.networks, ranks.epochs, ranks.examples) == (2, 3, 54)
    each = sum(ranks.read(name).nbytes for name in (*PER_EPOCH, *FULL)) / (2 * 3 * 54)
    assert each == 27 <= 30 and sum(np.dtype(DTYPES[name]).itemsize for name in PER_EPOCH) == 23
    for name in ranks.fields:
        array = ranks.read(name)
        assert isinstance(array, np.memmap) and np.isfinite(array.astype(float)).all() and array.any()
    for name in ("probability", "error"):
        values = ranks.read(name)
        assert len({row.tobytes() for row in values.reshape(6, -1)}) == 6, "every network and epoch is its own"
    assert ((ranks.read("margin") > 0) == ranks.read("correct")).all()
    record = json.loads((folder / "run.json").read_text())
    assert record["processor_seconds"] > 0 and record["finished"] == 6 and not (folder / "checkpoints").exists()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [(row["network"], row["epoch"]) for row in rows] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    np.testing.assert_allclose([row["train_accuracy"] for row in rows], ranks.read("correct").mean(2).ravel())
    assert scores(ranks, "grand").shape == (54,)


@pytest.mark.parametrize("stop", [4, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (1, 3))])
def test_a_stopped_ranking_goes_on_to_the_same_bits(whole, spec, tmp_path, monkeypatch, stop):
    """Stopped before, or just after, a state is on the disk; at the end of the first network, and in the second."""
    ranks, folder = whole
    save, calls = Checkpoints.save, []

    def die(self, step, tree):
        calls.append(step)
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        save(self, step, tree)
        if len(calls) == stop and stop == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", die)
    with pytest.raises(KeyboardInterrupt):
        rank(spec, tmp_path / "r", **SMALL, full_gradient=True)
    with pytest.raises(BadInput, match=r"no ranks.json there"):
        read_ranks(tmp_path / "r")
    monkeypatch.setattr(Checkpoints, "save", save)
    again = rank(spec, tmp_path / "r", **SMALL, full_gradient=True)
    for name in ranks.fields:
        assert again.read(name).tobytes() == ranks.read(name).tobytes(), name
    assert again.header == ranks.header
    assert (tmp_path / "r" / "metrics.jsonl").read_text() == (folder / "metrics.jsonl").read_text()


def test_a_finished_ranking_is_found_and_another_refused(whole, spec, capsys):
    ranks, folder = whole
    before = (folder / "run.json").read_bytes()
    assert rank(spec, folder, **SMALL, full_gradient=True).identity() == ranks.identity()
    assert (folder / "run.json").read_bytes() == before and "nothing to do" in capsys.readouterr().err
    with pytest.raises(BadInput, match="networks was 2, now 3"):
        rank(spec, folder, **SMALL | {"networks": 3}, full_gradient=True)


def test_a_damaged_log_is_refused(whole, tmp_path):
    _, folder = whole
    for name in ("ranks.json", "rank_error.npy"):
        for path in folder.glob("rank*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:-3] + b"abc")
        with pytest.raises(BadInput, match=f"{name}: is no"):
            scores(read_ranks(tmp_path), "el2n")
    (tmp_path / "ranks.json").write_bytes((folder / "ranks.json").read_bytes())
    (tmp_path / "rank_error.npy").write_bytes((folder / "rank_error.npy").read_bytes()[:-3])
    with pytest.raises(BadInput, match=r"rank_error.npy: has .* bytes, not the .* of its array; rank the examples again"):
        read_ranks(tmp_path)
    with pytest.raises(BadInput, match=r"--ranks nowhere: no ranks.json there; give the folder that `condense rank --out DIR` made"):
        read_ranks("nowhere")


def test_the_flags_have_the_defaults_of_the_function():
    known = inspect.signature(rank).parameters
    assert all(getattr(Flags, name) == known[name].default for name in ("networks", "epochs", "lr", "batch", "full_gradient", "seed"))


def test_a_dry_run_writes_nothing_and_says_what_a_log_takes(spec, tmp_path, capsys):
    out = tmp_path / "r"
    assert command(["rank", "--data", spec, "--out", str(out), "--net", "mlp:width=4", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "23 bytes an example, epoch and network" in said and "54 training examples" in said and "estimate  about" in said
    assert not out.exists()
    assert command(["rank", "--data", spec, "--out", str(out), "--networks", "0"]) == 2
    assert capsys.readouterr().err == "condense: --networks 0: give a whole number of at least 1\n"

"""The loop: bitwise resume, stops of every kind, one compilation, four devices as one."""

import errno
import io
import json
import logging
import os
import resource
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from condense.engine import loop
from condense.runtime import checkpoint
from condense.runtime import devices as mesh
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.log import COMPILING, MetricsLog, progress
from matchers.base import Matcher, Shuffled, descend, once
from matchers.distribution.dm import dm
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set
from synth.images import augment
from synth.images.content import Pixels
from tests.support import toy_run as toy
from tests.support.toy_data import smooth_net


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """12 steps in one go: the set and its folder."""
    folder = tmp_path_factory.mktemp("straight")
    return toy.run(12, folder=folder), folder


def test_the_toy_descends_as_a_plain_loop_would(straight):
    """Oracle: the same mathematics by numpy-free eager jax, no loop, no jit, no feed cache."""
    method, synth = toy.matcher(), toy.start()
    key = jax.random.key(0)
    drawn = toy.make_feed(method.feed, toy.data(), toy.CLASSES, seed=0)
    state = method.init(jax.random.fold_in(key, loop.INIT), synth)
    for step in range(12):
        synth, state, _ = method.step(jax.random.fold_in(jax.random.fold_in(key, loop.STEP), step), state, synth, jnp.asarray(drawn(step)))
    np.testing.assert_allclose(straight[0].x.pixels, synth.x.pixels, rtol=2e-4, atol=1e-5)
    assert straight[0].info.data == "toy"


@pytest.mark.parametrize("cut", [1, 5, 7])
def test_resuming_gives_the_bits_of_one_run(straight, tmp_path, cut, monkeypatch):
    toy.run(cut, folder=tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == cut
    monkeypatch.setattr(loop, "initial_state", lambda *args: pytest.fail("a start was made that is thrown away"))
    assert toy.pixels(toy.run(12, folder=tmp_path)) == toy.pixels(straight[0])
    every = {row["step"]: row for row in lines(tmp_path)}
    assert all(every[row["step"]] == row for row in lines(straight[1]))


def test_checkpoints_of_another_run_are_refused_and_those_of_before_resume(straight, tmp_path):
    store = Checkpoints(tmp_path / "checkpoints", owner="one")
    toy.run(5, folder=tmp_path)  # as older versions left it: nothing says whose it is
    found = store.restore(jax.eval_shape(lambda: loop._initial_state(jax.random.key(0), toy.matcher(), toy.start())))
    store.save(6, jax.tree.map(np.asarray, found._replace(step=np.int32(6))))
    with pytest.raises(BadInput, match=r"000000006: is of another run \(one, this run is two\); remove .*checkpoints to start anew"):
        Checkpoints(tmp_path / "checkpoints", owner="two").restore(found)
    assert int(store.restore(found).step) == int(Checkpoints(tmp_path / "checkpoints").restore(found).step) == 6


def test_another_seed_gives_other_bits(straight):
    assert toy.pixels(toy.run(12, seed=1)) != toy.pixels(straight[0])


def test_metrics_are_lines_of_finite_numbers(straight):
    rows = lines(straight[1])
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    assert all(set(row) == {"step", "loss", "age"} and row["age"] == row["step"] - 1 for row in rows)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_the_latest_two_checkpoints_stay(straight):
    assert Checkpoints(straight[1] / "checkpoints").steps() == [10, 12]


def test_a_step_is_compiled_once(caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        toy.run(6, log_every=2, method=toy.matcher(lr=0.04))
    assert caplog.text.count("Finished XLA compilation of jit(_advance)") == 1


def test_the_start_stays_usable_and_untouched():
    method, synth = toy.matcher(), toy.start()
    before = toy.pixels(synth)
    loop.run(jax.random.key(0), method, synth, toy.make_feed(method.feed, toy.data(), 2, seed=0), loop.Schedule(2))
    assert toy.pixels(synth) == before


@pytest.mark.parametrize("feed", [toy.PerClass(8), Shuffled(8), Shuffled(6)])
def test_four_devices_give_what_one_gives(monkeypatch, feed):
    """The mean over a batch is split over the devices, where it divides (8), and whole on each where it does not (6)."""

    def loss(key, synth, aux, batch):
        images = batch if isinstance(feed, toy.PerClass) else batch.x[None] + batch.y[None, :, None, None, None].astype(jnp.float32)
        return ((synth.x.decode() - images.mean(1)) ** 2).sum(), {}

    method = descend(loss, optax.sgd(0.05, momentum=0.5), feed=feed)
    assert len(mesh.devices()) == 4
    several = toy.run(5, method=method)
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    single = toy.run(5, method=method)
    np.testing.assert_allclose(several.x.pixels, single.x.pixels, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("harm", ["truncate", "remove", "half"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(straight, tmp_path, capsys, harm):
    toy.run(10, folder=tmp_path)
    last = tmp_path / "checkpoints" / "000000010"
    victim = largest(last)
    if harm == "truncate":
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    else:
        for path in [victim] if harm == "remove" else set(last.rglob("*")) - {victim}:
            path.unlink() if path.is_file() else None
    seen = []
    feed = toy.make_feed(toy.PerClass(8), toy.data(), 2, seed=0)
    assert toy.pixels(toy.run(12, folder=tmp_path, feed=lambda step: seen.append(step) or feed(step))) == toy.pixels(straight[0])
    assert seen[0] == 5
    assert [row["step"] for row in lines(tmp_path)] == [3, 6, 9, 12]
    assert "000000010 is damaged; going on from step 5" in capsys.readouterr().err.replace("\n", "")


def test_a_flipped_bit_is_never_restored(tmp_path):
    """Any bit of any file: either nothing that is read has changed, or the checkpoint before is taken."""
    store, before, last = Checkpoints(tmp_path), {"a": np.zeros(40, np.float32)}, {"a": np.arange(40, dtype=np.float32)}
    rng, fell_back = np.random.default_rng(0), 0
    store.save(1, before)
    store.save(2, last)
    whole = {path: path.read_bytes() for path in (tmp_path / "000000002").rglob("*") if path.is_file()}
    for victim, content in whole.items():
        for place in rng.integers(0, len(content), 3) if content else ():
            for path, kept in whole.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(kept)
            victim.write_bytes(content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :])
            found = store.restore(last)["a"].tobytes()
            assert found in (before["a"].tobytes(), last["a"].tobytes())
            fell_back += found == before["a"].tobytes()
    assert fell_back >= 5


def test_a_checkpoint_that_cannot_be_read_now_is_not_given_up(tmp_path, monkeypatch):
    def refuse(place):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    store, tree = Checkpoints(tmp_path), {"a": np.arange(4, dtype=np.float32)}
    store.save(1, tree)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_sums", refuse)
        with pytest.raises(RunFailed, match=r"000000001: cannot be read \(Permission denied\); make it readable and run again"):
            store.restore(tree)
    np.testing.assert_array_equal(store.restore(tree)["a"], tree["a"])


def test_with_every_checkpoint_damaged_the_run_starts_anew(straight, tmp_path, capsys):
    toy.run(10, folder=tmp_path)
    for step in ("000000005", "000000010"):
        largest(tmp_path / "checkpoints" / step).write_bytes(b"")
    assert toy.pixels(toy.run(12, folder=tmp_path)) == toy.pixels(straight[0])
    assert "going on from the start" in capsys.readouterr().err


def test_a_checkpoint_of_another_state_is_refused(tmp_path):
    toy.run(5, folder=tmp_path)
    other = toy.matcher()._replace(init=lambda key, synth: {"map": jnp.zeros((2, 2))})
    with pytest.raises(BadInput, match=r"remove .*checkpoints to start anew"):
        toy.run(10, folder=tmp_path, method=other)


def test_a_checkpoint_that_died_while_written_is_swept(tmp_path):
    store = Checkpoints(tmp_path)
    left = tmp_path / ".7.tmp.orbax-checkpoint-tmp"
    left.mkdir()
    (left / "x").write_text("half")
    assert store.restore({"a": np.zeros(2, np.float32)}) is None
    store.save(8, {"a": np.arange(2, dtype=np.float32)})
    assert not left.exists() and [path.name for path in tmp_path.iterdir()] == ["000000008"]
    np.testing.assert_array_equal(store.restore({"a": jax.ShapeDtypeStruct((2,), np.float32)})["a"], [0, 1])


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32", "bool", "float16", "bfloat16", "uint8", "int8"])
def test_dtypes_survive_a_checkpoint(tmp_path, dtype):
    tree = {
        "scalar": np.asarray(jnp.ones((), dtype)),
        "rows": np.asarray(jnp.arange(6).reshape(2, 3).astype(dtype)),
        "none": np.zeros((0,), dtype),
    }
    Checkpoints(tmp_path).save(1, tree)
    back = Checkpoints(tmp_path).restore(tree)
    assert all(
        back[name].dtype == leaf.dtype and back[name].tobytes() == leaf.tobytes() and back[name].shape == leaf.shape
        for name, leaf in tree.items()
    )


def test_a_state_with_a_key_is_refused(tmp_path):
    method = toy.matcher()._replace(init=lambda key, synth: {"key": key})
    with pytest.raises(TypeError, match="state/key is a PRNG key"):
        toy.run(5, folder=tmp_path, method=method)


def test_saving_leaves_little_time_unused(tmp_path):
    """The smaller of three saves of a small state: about 0.07 s on a quiet machine."""
    store, state, spans = Checkpoints(tmp_path), {"a": np.ones((100, 28, 28, 1), np.float32)}, []
    for step in range(1, 4):
        began = os.times().elapsed
        store.save(step, state)
        spans.append(os.times().elapsed - began)
    assert min(spans) < 0.5


def test_nan_stops_the_run_and_is_never_stored(tmp_path):
    with pytest.raises(RunFailed, match=r"not finite at step 8; the last good checkpoint is of step 5"):
        toy.run(20, folder=tmp_path, method=toy.matcher(poison=7), log_every=10)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [5]
    assert [row["step"] for row in lines(tmp_path)] == []
    with pytest.raises(RunFailed, match="at step 8; there is no checkpoint"):
        toy.run(9, method=toy.matcher(poison=7), log_every=100)


def test_a_set_that_is_not_finite_stops_the_run_though_its_loss_is(tmp_path):
    def step(key, state, synth, batch):
        return loop.replace(synth, x=Pixels(synth.x.pixels / (state - 2).astype(jnp.float32))), state + 1, {"loss": jnp.float32(0)}

    with pytest.raises(RunFailed, match="not finite at step 3"):
        toy.run(4, folder=tmp_path, method=Matcher(lambda key, synth: jnp.int32(0), step), checkpoint_every=1)


def test_a_state_with_nan_is_not_stored(tmp_path):
    def step(key, state, synth, batch):
        return synth, state * jnp.nan, {"loss": jnp.float32(0)}

    with pytest.raises(RunFailed, match="state holds NaN at step 2"):
        toy.run(4, folder=tmp_path, method=Matcher(lambda key, synth: jnp.float32(1), step), checkpoint_every=2)
    assert Checkpoints(tmp_path / "checkpoints").steps() == []


@pytest.mark.parametrize("moment", ["feed", "trace", "score"])
def test_ctrl_c_saves_the_last_complete_step(straight, tmp_path, moment):
    method, feed, more, expected = toy.matcher(), None, {}, 0
    if moment == "feed":
        inner, expected = toy.make_feed(method.feed, toy.data(), 2, seed=0), 7
        feed = lambda step: (signal.raise_signal(signal.SIGINT) if step == 7 else None, inner(step))[1]  # noqa: E731
    elif moment == "trace":  # inside the compiled step's first call, which is waited for
        expected = 1
        method = method._replace(step=lambda *args: (signal.raise_signal(signal.SIGINT), toy.matcher().step(*args))[1])
    else:
        more, expected = {"eval_every": 4, "evaluate": lambda synth: signal.raise_signal(signal.SIGINT)}, 4
    with pytest.raises(KeyboardInterrupt):
        toy.run(12, folder=tmp_path, method=method, feed=feed, checkpoint_every=100, **more)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [expected]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert toy.pixels(toy.run(12, folder=tmp_path)) == toy.pixels(straight[0])
    assert lines(tmp_path) == lines(straight[1])


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def impatient(*args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        toy.run(3, folder=tmp_path, method=toy.matcher()._replace(step=impatient))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def score(synth) -> float:
    """Falls after step 8, so that the best is not the last."""
    return float(-jnp.abs(synth.x.pixels.mean() - BEST.mean()))


BEST = np.zeros(1)


def test_the_best_set_on_validation_data_is_kept_beside_the_last(straight, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.condense.engine.test_loop.BEST", np.asarray(toy.run(8).x.pixels))
    last = toy.run(12, folder=tmp_path, eval_every=4, evaluate=score)
    assert toy.pixels(last) == toy.pixels(straight[0])  # scoring changes nothing
    values = {row["step"]: row["val_accuracy"] for row in lines(tmp_path) if "val_accuracy" in row}
    assert list(values) == [4, 8, 12] and max(values, key=values.get) == 8
    best = load_set(tmp_path / "best.npz")
    np.testing.assert_array_equal(best.x.pixels, BEST)
    assert best.info.data == "toy"
    toy.run(16, folder=tmp_path, eval_every=4, evaluate=score)  # the best is known to the run that goes on
    np.testing.assert_array_equal(load_set(tmp_path / "best.npz").x.pixels, BEST)


def test_a_score_that_was_interrupted_is_made_up_for(tmp_path):
    with pytest.raises(ZeroDivisionError):
        toy.run(10, folder=tmp_path, eval_every=5, evaluate=lambda synth: 1 / 0)
    asked = []
    toy.run(10, folder=tmp_path, eval_every=5, evaluate=lambda synth: asked.append(toy.pixels(synth)) or 0.5)
    assert asked == [toy.pixels(toy.run(5)), toy.pixels(toy.run(10))]


def test_the_bar_of_a_host_method_counts_its_parts(capsys):
    def solve(key, synth, examples, done):
        done()
        done()
        return synth

    toy.run(1, method=once(solve, parts=lambda synth: 3), feed=lambda step: toy.data())
    assert "3/3" in capsys.readouterr().err


def test_a_host_method_runs_once_outside_compiled_code(tmp_path):
    calls = []

    def solve(key, synth, examples):
        calls.append(type(examples.x))
        return loop.replace(synth, x=Pixels(jnp.asarray(examples.x[:2])))

    method = once(solve)
    out = toy.run(1, method=method, feed=lambda step: toy.data(), folder=tmp_path)
    assert calls == [np.ndarray] and out.info.data == "toy"
    np.testing.assert_array_equal(out.x.pixels, toy.data().x[:2])
    bad = once(lambda key, synth, examples: loop.replace(synth, x=Pixels(synth.x.pixels * jnp.nan)))
    with pytest.raises(RunFailed, match="not finite"):
        toy.run(1, method=bad, feed=lambda step: toy.data())


def test_a_method_that_changes_a_type_is_named():
    method = Matcher(
        lambda key, synth: {"pool": jnp.zeros((2, 3))}, lambda key, state, synth, batch: (synth, {"pool": jnp.zeros((2, 4))}, {})
    )
    with pytest.raises(TypeError, match=r"state/pool from float32\[2, 3\] to float32\[2, 4\]"):
        toy.run(2, method=method)


def test_memory_of_a_method_that_draws_networks_does_not_grow_with_steps():
    """Bytes of all live arrays whenever `dm` is fed: the most in sixty steps is the most in six."""
    method = dm(smooth_net(toy.SHAPE, toy.CLASSES), augment.none, batch=8)

    def most(steps):
        seen, drawn = [], toy.make_feed(method.feed, toy.data(), toy.CLASSES, seed=0)

        def feed(step):
            seen.append(sum(array.nbytes for array in jax.live_arrays()))
            return drawn(step)

        toy.run(steps, method=method, feed=feed)
        return max(seen)

    most(6)
    few = most(6)
    assert most(60) <= few + 64


def test_memory_refused_is_one_line():
    def refuse(step):
        raise MemoryError

    with pytest.raises(RunFailed, match="memory does not suffice"):
        toy.run(2, feed=refuse)


@pytest.fixture
def small_disk():
    """No file can grow past 2 kB: writes fail as on a full disk, in every library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_refuses_is_one_line_and_harms_nothing(straight, tmp_path, small_disk):
    toy.run(5, folder=tmp_path)
    big = {"a": np.random.default_rng(0).normal(size=9000).astype(np.float32)}
    store = Checkpoints(tmp_path / "checkpoints")
    small_disk()
    with pytest.raises(RunFailed, match=r"cannot write the checkpoint of step 6 \(File too large\); that of step 5 is intact") as failure:
        store.save(6, big)
    assert "\n" not in str(failure.value)
    log = MetricsLog(tmp_path / "metrics.jsonl", step=5)
    with pytest.raises(RunFailed, match=r"metrics.jsonl: cannot write"):
        for step in range(6, 200):
            log.add(step, loss=0.5)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000000005"]
    assert toy.pixels(toy.run(12, folder=tmp_path)) == toy.pixels(straight[0])


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    class Full:
        def save(self, *args):
            raise ValueError("RESOURCE_EXHAUSTED: Error writing: No space left on device [OS error 28]\nmore")

    monkeypatch.setattr(checkpoint, "_orbax", lambda: Full())
    with pytest.raises(RunFailed, match=r"step 5 \(.*No space left on device.*\); there is none before it"):
        toy.run(6, folder=tmp_path)


def test_metrics_are_cut_back_and_a_torn_line_goes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 2, "loss": 1.5}\n{"step": 4, "loss": 1.0}\n{"step": 4, "val_accuracy": 0.5}\n{"step": 6, "loss": 0.7}\n{"step": 8, "lo'
    )
    log = MetricsLog(path, step=4)
    assert log.column("loss") == {2: 1.5, 4: 1.0} and log.column("val_accuracy") == {4: 0.5}
    log.add(5, loss=float("nan"), other=np.float32(2))
    assert path.read_text().splitlines()[-1] == '{"step": 5, "loss": null, "other": 2.0}'
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [2, 4, 4, 5]


def test_lines_that_are_no_metrics_go(tmp_path):
    path, good = tmp_path / "metrics.jsonl", b'{"step": 1, "loss": null}\n{"step": 2, "loss": 0.5}\n'
    bad = (b'{"step": 1, "loss": "high"}', b'{"step": "one"}', b'{"loss": 1}', b"[" * 10**5, b"\xff", b'{"step": 1, "loss": 1e400}', b"3")
    path.write_bytes(b"\n".join(bad) + b"\n" + good)
    assert MetricsLog(path, step=4).rows == [json.loads(line) for line in good.splitlines()] and path.read_bytes() == good


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_metrics_are_not_written_through_what_is_no_ordinary_file(tmp_path, kind):
    path, target = tmp_path / "metrics.jsonl", tmp_path / "precious"
    log = MetricsLog(path)
    target.write_text("precious")
    path.unlink()
    path.symlink_to(target) if kind == "link" else os.mkfifo(path)
    for act in (lambda: MetricsLog(path), lambda: log.add(1, loss=1.0)):
        with pytest.raises(BadInput, match=f"is a {kind}, no ordinary file"):
            act()
    assert target.read_text() == "precious"


def test_progress_without_a_terminal_is_few_lines(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("condense.runtime.log.time.monotonic", lambda: now[0])
    with progress(100, "distill toy", done=40) as bar:
        for _ in range(60):
            now[0] += 0.5
            bar.advance(1, loss=0.25)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "distill toy 60/100  2.0 it/s  0:00:10 elapsed  0:00:20 left  loss 0.25",
        "distill toy 80/100  2.0 it/s  0:00:20 elapsed  0:00:10 left  loss 0.25",
        "distill toy 100/100  2.0 it/s  0:00:30 elapsed  loss 0.25",
    ]


def test_compiling_is_said_at_once_and_no_time_left_before_a_second_step(capsys, monkeypatch):
    """What the first step took says nothing of the others."""
    now = [0.0]
    monkeypatch.setattr("condense.runtime.log.time.monotonic", lambda: now[0])
    with progress(100, "dm", phase=COMPILING) as bar:
        assert capsys.readouterr().err == "dm 0/100  compiling\n"
        for span in (14.0, 10.0, 10.0):
            now[0] += span
            bar.advance(1, loss=0.25)
    assert capsys.readouterr().err.splitlines() == [
        "dm 1/100  0:00:14 elapsed  loss 0.25",
        "dm 2/100  10.0 s/it  0:00:24 elapsed  0:16:20 left  loss 0.25",
        "dm 3/100  10.0 s/it  0:00:34 elapsed  0:16:10 left  loss 0.25",
    ]
    with progress(5, "done", done=5, phase=COMPILING):
        pass
    assert "compiling" not in capsys.readouterr().err


def test_a_bar_says_compiling_until_the_first_step(monkeypatch):
    heard = io.StringIO()
    console = Console(force_terminal=True, file=heard, width=120)
    monkeypatch.setattr("condense.runtime.log._console", lambda: console)
    with progress(9, "dm", phase=COMPILING) as bar:
        assert "compiling" in heard.getvalue() and "-:--:--" in heard.getvalue()
        said = len(heard.getvalue())
        bar.advance(1)
    assert "compiling" not in heard.getvalue()[said:] and "-:--:--" in heard.getvalue()[said:], "one step foresees nothing"


def test_a_bar_inside_a_bar_shares_the_terminal_and_shows_names_as_they_are(monkeypatch):
    heard = io.StringIO()
    monkeypatch.setattr("condense.runtime.log._console", lambda console=Console(force_terminal=True, file=heard, width=120): console)
    with progress(3, "distill") as outer, progress(2, "reading folder:[v2]/[/old]") as inner:
        inner.advance(2)
        outer.advance(1)
    assert "reading folder:[v2]/[/old]" in heard.getvalue() and "1/3" in heard.getvalue() and "2/2" in heard.getvalue()

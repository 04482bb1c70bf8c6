"""The training of experts: what is recorded, that a stopped one goes on to the same bits, and what is refused."""

import json
import logging
import shutil
from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense import experts, nets
from condense.data.load import load_data
from condense.experts import EXPERTS, load_experts, store, train
from condense.runtime import devices as mesh
from synth.base import Vars, take_all
from synth.errors import BadInput, RunFailed
from synth.images import augment
from synth.training.fit import epoch_items
from tests.support.toy_experts import EPOCHS, KEY, LR, NET, arrays, made


def test_snapshot_0_is_the_network_as_drawn_and_consecutive_ones_differ(trained):
    found, net = load_experts(trained), nets.build(NET, (4, 4, 1), 3)
    assert (found.count, found.epochs, found.size, found.net) == (3, EPOCHS, nets.count(net), NET)
    for number in range(3):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), number), 0)
        np.testing.assert_array_equal(found.first(number), ravel_pytree(net.init(key).params)[0])
        rows = found.read(number, range(EPOCHS + 1))
        assert (np.abs(np.diff(rows, axis=0)).max(1) > 0).all(), "two snapshots are the same: do they share memory?"
    assert len({found.last(number).tobytes() for number in range(3)}) == 3


def test_a_trajectory_is_that_of_a_plain_loop(spec, trained):
    """ExpertRecipe sgd, written out: theta - lr grad of the mean cross entropy of augmented batches."""
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 1)
    view, flat = augment.dsa(augment.dsa_strategy(data.flips)), load_experts(trained).read(1, range(3))
    params, unravel = ravel_pytree(net.init(jax.random.fold_in(key, 0)).params)

    @jax.jit
    def gradient(params, item):
        x = view(jax.random.split(item.key)[0], jnp.asarray(take_all(data.train).x)[item.index], siamese=False)
        chosen = jax.nn.one_hot(jnp.asarray(data.train.y)[item.index], 3)

        def loss(params):
            entropy = -jnp.sum(chosen * jax.nn.log_softmax(net.apply(Vars(unravel(params)), x).logits), 1)
            return jnp.sum(entropy * item.counts) / jnp.sum(item.counts)

        return jax.grad(loss)(params)

    for epoch in range(2):
        items = epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=32)
        for place in range(len(items.index)):
            params = params - jnp.float32(LR) * gradient(params, jax.tree.map(lambda leaf, at=place: leaf[at], items))
        np.testing.assert_allclose(flat[epoch + 1], params, rtol=0, atol=2e-6)


def test_the_accuracies_are_those_of_the_snapshots_on_the_validation_split(spec, trained):
    data, net, found = load_data(spec), nets.build(NET, (4, 4, 1), 3), load_experts(trained)
    unravel = ravel_pytree(net.init(KEY).params)[1]
    for number in range(3):
        for epoch, stated in enumerate(found.header.accuracy[number]):
            vars = Vars(unravel(jnp.asarray(found.read(number, [epoch])[0])))
            guess = net.apply(vars, jnp.asarray(take_all(data.val).x)).logits.argmax(-1)
            assert stated == pytest.approx(np.mean(np.asarray(guess) == data.val.y))
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * EPOCHS and {(row["expert"], row["epoch"]) for row in rows} == {
        (e, t + 1) for e in range(3) for t in range(EPOCHS)
    }
    assert all(row["val_accuracy"] == pytest.approx(found.header.accuracy[int(row["expert"])][int(row["epoch"])]) for row in rows)


def test_training_again_gives_the_same_bits_and_another_seed_others(spec, trained, tmp_path):
    made(spec, tmp_path / "again")
    assert arrays(tmp_path / "again") == arrays(trained)
    made(load_data(spec), tmp_path / "other", seed=1)
    assert not np.array_equal(load_experts(tmp_path / "other").first(0), load_experts(trained).first(0))


@pytest.mark.slow
def test_more_experts_are_added_to_those_there(spec, trained, tmp_path):
    made(spec, tmp_path, count=1)
    made(spec, tmp_path, count=3)
    assert arrays(tmp_path) == arrays(trained)
    assert asdict(load_experts(tmp_path).header) == asdict(load_experts(trained).header)


def test_the_same_call_again_changes_nothing(spec, tmp_path, capsys):
    made(spec, tmp_path, count=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    found = made(spec, tmp_path, count=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before and found.count == 1
    assert "is done: 1 experts; nothing to do" in capsys.readouterr().err
    with pytest.raises(BadInput, match="epochs was 4, now 2"):
        made(spec, tmp_path, count=1, epochs=2)


@pytest.mark.parametrize("moment", ["in the third epoch", "before its row", "before its checkpoint", "before the files have names"])
@pytest.mark.parametrize("kind", ["trained", "ends"])
def test_a_stopped_training_goes_on_to_the_same_bits(spec, kind, request, tmp_path, monkeypatch, moment):
    """Stopped at a point of the third epoch, or after the last; what was done before is not done again."""
    trained, more = request.getfixturevalue(kind), {"ends": True} if kind == "ends" else {}

    def stop(*args, **named):
        raise KeyboardInterrupt

    once, calls = experts.make_expert_trainer, []

    def counting(*args, **named):
        trainer = once(*args, **named)

        def advance(states, keys, examples, epoch):
            calls.append(int(epoch))
            if moment == "in the third epoch" and len(calls) == 3:
                stop()
            return trainer.advance(states, keys, examples, epoch)

        return trainer._replace(advance=advance)

    monkeypatch.setattr(experts, "make_expert_trainer", counting)
    with monkeypatch.context() as patch:
        write, save = store.Recorder.write, train.Checkpoints.save
        if moment == "before its row":
            patch.setattr(train.Recorder, "write", lambda self, epoch, row: stop() if epoch == 3 else write(self, epoch, row))
        if moment == "before its checkpoint":
            patch.setattr(train.Checkpoints, "save", lambda self, step, tree: stop() if step == 3 else save(self, step, tree))
        if moment == "before the files have names":
            patch.setattr(train.Recorder, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            made(spec, tmp_path, **more)
    with pytest.raises(BadInput, match=r"cannot read .*experts.json"):
        load_experts(tmp_path)
    calls.clear()
    calls += [-1] * 3  # so that nothing stops it this time
    made(spec, tmp_path, **more)
    assert calls[3:] == ([3] if moment == "before the files have names" else [2, 3])
    assert arrays(tmp_path) == arrays(trained)
    assert (tmp_path / "experts.json").read_bytes() == (trained / "experts.json").read_bytes()
    assert (tmp_path / "metrics.jsonl").read_bytes() == (trained / "metrics.jsonl").read_bytes()
    assert not list(tmp_path.glob(".expert*")) and not (tmp_path / "checkpoints").exists()


def test_rows_that_were_touched_meanwhile_are_trained_anew(spec, trained, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(train.Recorder, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            made(spec, tmp_path)
    partial = tmp_path / ".expert_0001.npy.partial"
    partial.write_bytes(partial.read_bytes()[:-4])
    made(spec, tmp_path)
    assert arrays(tmp_path) == arrays(trained)
    assert "is not as it was left; its training starts anew" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_stopped_goes_on_with_more_experts_beside_those_it_had(spec, trained, tmp_path, monkeypatch, capsys):
    """Four at once are another group than three: their checkpoint is of no use, and the training of the first three starts anew."""
    with monkeypatch.context() as patch:
        save = train.Checkpoints.save
        patch.setattr(train.Checkpoints, "save", lambda self, step, tree: save(self, step, tree) if step < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made(spec, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["0000"]
    found = made(spec, tmp_path, count=4)
    assert "holds a group of another size, of before --count was changed; its training starts anew" in capsys.readouterr().err
    kept = arrays(tmp_path)
    assert found.count == 4 and {name: kept[name] for name in arrays(trained)} == arrays(trained)


@pytest.mark.slow
def test_one_device_gives_what_four_give_and_compiles_an_epoch_once(spec, trained, tmp_path, monkeypatch):
    class Counter(logging.Handler):
        seen = 0

        def emit(self, record):
            self.seen += "Finished XLA compilation of jit(advance_all)" in record.getMessage()

    assert len(mesh.devices()) == 4
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    with jax.log_compiles():
        logging.getLogger("jax").addHandler(counter := Counter())
        made(spec, tmp_path)  # three groups of one
        logging.getLogger("jax").removeHandler(counter)
    assert counter.seen == 1
    for number in range(3):
        rows, expected = (load_experts(folder).read(number, range(EPOCHS + 1)) for folder in (tmp_path, trained))
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)


def test_batch_statistics_are_refused(spec, tmp_path):
    with pytest.raises(BadInput, match=r"norm=batch.*has batch statistics.*norm=instance, group or none"):
        made(spec, tmp_path / "x", net="convnet:width=4,depth=1,norm=batch")
    assert not (tmp_path / "x").exists()


def test_a_disk_without_room_is_refused_with_the_numbers_before_anything_is_trained(spec, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda folder: usage._replace(free=10_000_000))
    with pytest.raises(RunFailed, match=r"the trajectories need 0.00\d+ MB and the disk has 10 MB free; take fewer --count"):
        made(spec, tmp_path)
    assert "3 experts of 103 parameters, 5 snapshots each" in capsys.readouterr().err


def test_a_training_that_diverges_is_named(spec, tmp_path, monkeypatch):
    make = experts.make_expert_trainer

    def diverging(*args, **named):
        trainer = make(*args, **named)

        def advance(states, keys, examples, epoch):
            states, losses = trainer.advance(states, keys, examples, epoch)
            return (jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), states) if epoch == 2 else states), losses

        return trainer._replace(advance=advance)

    monkeypatch.setattr(experts, "make_expert_trainer", diverging)
    with pytest.raises(RunFailed, match=r"expert 1 diverged in epoch 3: try a smaller --lr"):
        made(spec, tmp_path)

"""What every method of graphs keeps, as `test_contract` says it for images."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import empty
from condense.plots.graphs import draw_grid
from condense.runtime import devices as mesh
from condense.workflows import distill as api
from condense.workflows.options import build_method
from matchers import OF_GRAPHS
from synth.errors import BadInput
from synth.files.format import load_set
from synth.graphs.base import Alphabet, Graphs
from synth.graphs.content import colour_graph
from synth.graphs.refinement import colour_batch, refine
from synth.labels.plain import Runs
from synth.set import SyntheticSet
from tests.contract.test_methods import Compilations, types

DATA, HALF = "toy_graphs?edges=false", 2
OPTIONS = {"mirage": {"support": (30,)}, "doscond": {"ipc": 2, "nodes": 4, "batch": 8, "net": "gcn:width=4,depth=1"}, "random": {"ipc": 2}}


class Learned:
    """DosCond on a few small graphs."""

    def __init__(self):
        self.data = load_data(DATA)
        net = nets.build("gcn:width=4,depth=1", self.data.image, 2)
        self.matcher = build_method("doscond", {"nodes": 4, "batch": 8}, net=net, budget=("ipc", 2))
        self.synth = self.matcher.prepare(jax.random.key(1), empty(self.data, None), self.data.train)

    def feed(self):
        return make_feed(self.matcher.feed, self.data.train, 2, seed=0)

    def run(self, steps: int, *, folder=None):
        schedule = loop.Schedule(steps, log_every=1, checkpoint_every=HALF)
        return loop.run(jax.random.key(0), self.matcher, self.synth, self.feed(), schedule, folder=folder)


@pytest.fixture(scope="module")
def learned():
    return Learned()


@pytest.fixture(scope="module")
def straight(learned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doscond")
    with Compilations() as seen:
        synth = learned.run(2 * HALF, folder=folder)
    return synth, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()], seen.count


def test_init_and_step_need_no_values_and_keep_types(learned):
    key, synth, batch = jax.eval_shape(lambda *args: args, jax.random.key(0), learned.synth.bare(), learned.feed()(0))
    state = jax.eval_shape(learned.matcher.init, key, synth)
    synth_after, state_after, metrics = jax.eval_shape(learned.matcher.step, key, state, synth, batch)
    assert types((synth, state)) == types((synth_after, state_after))
    assert "loss" in metrics and all(value.shape == () for value in metrics.values())


def test_a_step_is_compiled_once_and_metrics_are_finite(straight):
    _, rows, compilations = straight
    assert compilations == 1 and len(rows) == 2 * HALF
    assert all(value is not None and np.isfinite(value) for row in rows for value in row.values())


def test_resuming_gives_the_bits_of_one_run(learned, straight, tmp_path):
    learned.run(HALF, folder=tmp_path)
    resumed = learned.run(2 * HALF, folder=tmp_path)
    for a, b in zip(jax.tree.leaves(resumed.x), jax.tree.leaves(straight[0].x), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.slow
def test_four_devices_give_what_one_gives(learned, straight, monkeypatch):
    assert len(mesh.devices()) == 4
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    np.testing.assert_allclose(learned.run(2 * HALF).x.features, straight[0].x.features, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name == "doscond" else name for name in OF_GRAPHS])
def test_a_method_is_a_function_of_its_seed_and_its_set_is_stored_and_drawn(name, tmp_path):
    """Distilled by name, stored, read, the same again; a finished run is left alone; another seed gives other random graphs."""
    options = OPTIONS.get(name, {})
    one = api.distill(name, DATA, out=tmp_path / "a", steps=1, **options)
    two = one if name == "doscond" else api.distill(name, DATA, steps=1, **options)  # which resumes bit for bit, see above
    stored = load_set(tmp_path / "a" / "set.npz")
    assert (
        stored.x.modality == "graphs" and vars(stored.info) == vars(one.info) and len(stored) == len(one) == len(np.asarray(one.y.probs()))
    )
    for a, b, c in zip(*(jax.tree.leaves((synth.x, synth.y)) for synth in (one, two, stored)), strict=True):
        assert np.array_equal(a, b) and np.array_equal(a, c)
    assert (tmp_path / "a" / "grid.png").stat().st_size > 500 and command(
        ["show", str(tmp_path / "a"), "--out", str(tmp_path / "b.png")]
    ) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    again = api.distill(name, DATA, out=tmp_path / "a", steps=1, **options)
    assert len(again) == len(one) and before == {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    if name == "random":
        other = api.distill(name, DATA, seed=1, **options)
        assert not np.array_equal(other.x.payload, one.x.payload)


def test_a_picture_of_trees_too_large_to_grow_is_of_their_beginning():
    """The trees of a complete graph of 9 nodes at depth 12 have 8^12 leaves; drawn are as many nodes as a cell takes."""
    n, depth = 9, 12
    a, b = np.array([(a, b) for a in range(n) for b in range(n) if a != b], np.int32).T
    graphs = Graphs(np.array([n], np.int32), np.zeros(n, np.int32), a.copy(), b.copy(), np.zeros(len(a), np.int32))
    content = colour_graph(colour_batch(refine(graphs, depth)), Alphabet(1), exact=False)
    one = jnp.ones(1, jnp.int32)
    picture = np.asarray(draw_grid(SyntheticSet(content, Runs(one, one)), per_class=1))
    assert (picture != 255).any(-1).mean() > 0.02


def test_show_refuses_what_is_for_images(tmp_path, capsys):
    api.distill("colour", DATA, out=tmp_path / "a")
    assert command(["show", str(tmp_path / "a"), "--stretch", "--out", str(tmp_path / "b.png")]) == 2
    assert "--stretch: is for images, and the set holds graphs; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_images_and_graphs_are_not_mixed_up(tmp_path):
    for call, message in (
        (("dm", "toy_graphs", {"ipc": 1}), "dm: takes images, and toy_graphs holds graphs; use one of random, mirage, colour, doscond"),
        (("mirage", "digits", {"ipc": 1}), "mirage: takes graphs, and digits holds images; give --data toy_graphs, tu:FILE or smiles:FILE"),
        (("mirage", "toy_graphs", {"ipc": 1, "net": "mlp"}), "--net mlp.*: the data are graphs, and mlp does not take them"),
        (("dm", "digits", {"ipc": 1, "net": "gin"}), "--net gin.*: the data are images, and gin does not take them"),
        (("mirage", "toy_graphs", {"ipc": 1, "start": "noise"}), "--start noise: graph methods make their own start"),
    ):
        with pytest.raises(BadInput, match=message):
            api.distill(call[0], call[1], **call[2])

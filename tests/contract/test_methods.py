"""What every method in `matchers.REGISTRY` keeps, whoever wrote it: a new line there is covered here as it stands."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.__main__ import run as command
from condense.plots.graphs import draw_grid
from condense.runtime import devices as mesh
from condense.workflows import distill as api
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.base import take_all
from synth.errors import BadInput
from synth.files.format import load_set
from synth.graphs.base import Alphabet, Graphs
from synth.graphs.content import colour_graph
from synth.graphs.refinement import colour_batch, refine
from synth.images.augment import dsa
from synth.images.content import Compensated, Pixels
from synth.labels.plain import Runs
from synth.set import SyntheticSet
from synth.vectors import Vectors
from tests.support.factories import build_method
from tests.support.methods import (
    CHOSEN,
    CLASSES,
    GRAPHS,
    HALF,
    IPC,
    KEY,
    LEARNED,
    Case,
    Compilations,
    Straight,
    handed,
    ready,
    types,
    values,
)
from tests.support.places import ROOT

LEARN = ("doscond", "kidd")  # graphs, step by step
TINY = {"ipc": 2, "nodes": 4, "batch": 8}
OF_A_RUN = {"mirage": {"support": (30,)}, "doscond": {**TINY, "net": "gcn:width=4,depth=1"}, "kidd": TINY, "random": {"ipc": 2}}


def named(case: tuple[str, str]) -> str:
    """The method, and the modality where that is not its first."""
    name, modality = case
    return name if modality == REGISTRY[name].modalities[0] else f"{name}-{modality}"


QUICK = {("dm", "images"), ("mtt", "images"), ("dm", "vectors")}  # cases whose second compilation is cheap
FAMILIES = {(name, "images") for name in ("dm", "dsa", "mtt", "frepo", "sre2l")} | {("dm", "vectors")}  # one or two a family
OFTEN = [pytest.param(case, marks=() if case in FAMILIES else pytest.mark.slow) for case in LEARNED]


@pytest.fixture(scope="module", params=OFTEN, ids=map(named, LEARNED))
def straight(request, spec, tmp_path_factory) -> Straight:
    """Every method that runs in the loop; its tests share one compiled step."""
    case, folder = ready(*request.param, spec), tmp_path_factory.mktemp(request.param[0])
    with Compilations() as seen:
        synth = case.run(2 * HALF, folder=folder)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return Straight(case, synth, rows, seen.count)


@pytest.fixture(params=[case for case in CHOSEN if case[1] != "graphs"], ids=named)
def host(request, spec) -> Case:
    """Every method that chooses images or vectors once on the host."""
    return ready(*request.param, spec)


def test_init_and_step_need_no_values_and_keep_types(straight):
    """Traced on shapes alone: whatever looks at a value fails here, and so does a step that changes what it carries."""
    matcher, synth = straight.case.matcher, straight.case.synth.bare()
    key, synth, batch = jax.eval_shape(lambda *args: args, KEY, synth, straight.case.feed()(0))
    state = jax.eval_shape(matcher.init, key, synth)
    synth_after, state_after, metrics = jax.eval_shape(matcher.step, key, state, synth, batch)
    assert types((synth, state)) == types((synth_after, state_after))
    assert "loss" in metrics and all(value.shape == () for value in metrics.values())


def test_a_step_is_compiled_once(straight):
    assert straight.compilations == 1


def test_resuming_gives_the_bits_of_one_run(straight, tmp_path):
    """k steps, then k more from the checkpoint, as another process would; nothing compiles for them."""
    with Compilations() as seen:
        straight.case.run(HALF, folder=tmp_path)
        resumed = straight.case.run(2 * HALF, folder=tmp_path)
    assert seen.count == 0
    assert jax.tree.structure(resumed.bare()) == jax.tree.structure(straight.synth.bare())
    jax.tree.map(np.testing.assert_array_equal, resumed.bare(), straight.synth.bare())  # images, labels, weights, step size
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == straight.rows


@pytest.mark.slow
def test_a_convolutional_network_resumes_to_the_bits_of_one_run(spec, tmp_path):
    """The cases above match in an MLP; convolutions choose algorithms of their own. In `dm`, whose step is the cheapest to compile."""
    net = nets.build("convnet:width=4,depth=2", (8, 8, 1), CLASSES)
    case = ready("dm", "images", spec)._replace(matcher=build_method("dm", {"batch": 8}, net=net, augment=dsa("color_crop")))
    whole = case.run(2 * HALF)
    case.run(HALF, folder=tmp_path)
    assert np.array_equal(case.run(2 * HALF, folder=tmp_path).x.decode(), whole.x.decode())
    assert not np.array_equal(case.at_start(), whole.x.decode())


SLOW = [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in LEARNED]  # a second compilation


@pytest.mark.parametrize("straight", SLOW, indirect=True, ids=map(named, LEARNED))
def test_four_devices_give_what_one_gives(straight, monkeypatch):
    assert len(mesh.devices()) == 4
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    single = straight.case.run(2 * HALF)
    coded = not isinstance(single.x, Pixels) and straight.case.data.modality == "images"
    level = 1.01 / 255 / np.min(single.x.std) if coded else 0  # a last bit may change what is truncated to bytes
    np.testing.assert_allclose(values(straight.synth), values(single), rtol=0, atol=1e-5 + level)


def test_metrics_are_finite_and_the_set_moves(straight):
    assert [row["step"] for row in straight.rows] == list(range(1, 2 * HALF + 1))
    assert all(value is not None and np.isfinite(value) for row in straight.rows for value in row.values())
    before, after = straight.case.at_start(), values(straight.synth)
    assert before.shape == after.shape and np.isfinite(after).all()
    moved = np.array([(a != b).any() for a, b in zip(before, after, strict=True)])
    natural = np.arange(len(moved)) % (straight.synth.x.delta.shape[1] + 1) == 0 if isinstance(straight.synth.x, Compensated) else False
    assert (moved == ~np.broadcast_to(natural, moved.shape)).all()  # every image learns, but for real ones that others add to


def test_a_host_method_chooses_real_images_of_the_right_class_within_the_budget(host):
    chosen, train = host.run(1), take_all(host.data.train)
    assert len(chosen) == CLASSES * IPC and chosen.info == host.synth.info
    if not isinstance(chosen.x, Pixels | Vectors) or chosen.cells > 1:  # composed of real images or parts of them
        np.testing.assert_array_equal(np.asarray(chosen.y.probs()).argmax(1), np.repeat(np.arange(CLASSES), IPC))
        return
    images, index = np.asarray(chosen.x.decode()), np.asarray(chosen.y.probs()).argmax(1)
    given = np.asarray(handed("images")["distilled"].x.decode())  # what a method may be handed to add to
    real = np.array([not any(np.array_equal(image, other) for other in given) for image in images])
    found = [np.flatnonzero((train.x == image).reshape(len(train.x), -1).all(1)) for image in images[real]]
    assert all(len(rows) == 1 for rows in found) and len({int(rows[0]) for rows in found}) == real.sum() >= CLASSES
    np.testing.assert_array_equal(index[real], train.y[np.concatenate(found)])
    np.testing.assert_array_equal(np.bincount(index), [IPC] * CLASSES)


def test_a_host_method_is_a_function_of_its_key(host):
    first, second = (np.asarray(host.run(1).x.decode()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


GRAPH_METHODS = [name for name, method in REGISTRY.items() if "graphs" in method.modalities]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LEARN else name for name in GRAPH_METHODS])
def test_a_method_is_a_function_of_its_seed_and_its_set_is_stored_and_drawn(name, tmp_path):
    """Distilled by name, stored, read, the same again; a finished run is left alone; another seed gives other random graphs."""
    options = OF_A_RUN.get(name, {})
    one = api.distill(name, GRAPHS, out=tmp_path / "a", steps=1, **options)
    two = one if name in LEARN else api.distill(name, GRAPHS, steps=1, **options)  # which resumes bit for bit, see above
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
    again = api.distill(name, GRAPHS, out=tmp_path / "a", steps=1, **options)
    assert len(again) == len(one) and before == {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    if name == "random":
        other = api.distill(name, GRAPHS, seed=1, **options)
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
    api.distill("colour", GRAPHS, out=tmp_path / "a")
    assert command(["show", str(tmp_path / "a"), "--stretch", "--out", str(tmp_path / "b.png")]) == 2
    assert "--stretch: is for images, and the set holds graphs; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_images_and_graphs_are_not_mixed_up(tmp_path):
    for call, message in (
        (
            ("dm", "toy_graphs", {"ipc": 1}),
            "dm: takes images or vectors, and toy_graphs holds graphs; `condense list data` shows sets of images; --data csv:FILE",
        ),
        (("mirage", "digits", {"ipc": 1}), "mirage: takes graphs, and digits holds images; --data toy_graphs, tu:FILE or smiles:FILE"),
        (("mirage", "toy_graphs", {"ipc": 1, "net": "mlp"}), "--net mlp.*: the data are graphs, and mlp does not take them"),
        (("dm", "digits", {"ipc": 1, "net": "gin"}), "--net gin.*: the data are images, and gin does not take them"),
        (("mirage", "toy_graphs", {"ipc": 1, "start": "noise"}), "--start noise: methods for graphs make their own start; leave it out"),
    ):
        with pytest.raises(BadInput, match=message):
            api.distill(call[0], call[1], **call[2])


FIRST_OPTIONS = json.loads((ROOT / "tests" / "fixtures" / "options.json").read_text())  # by method, of the runs of its first version


@pytest.mark.parametrize("name", FIRST_OPTIONS)
def test_an_option_that_came_later_is_none_where_nothing_is_said(name):
    """The record of an older, unfinished run lacks it, and a run whose record lacks an option goes on where that is None."""
    options = option_parameters(REGISTRY[name].load())
    later = options.keys() - set(FIRST_OPTIONS[name])
    assert {option: options[option].default for option in later} == dict.fromkeys(later)

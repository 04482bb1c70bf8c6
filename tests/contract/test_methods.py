"""What every method in `matchers.REGISTRY` keeps, whoever wrote it: a new line there is covered here as it stands."""

import inspect
import json
import logging
import re
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from condense import nets
from condense.__main__ import run as command
from condense.data.images import Data
from condense.data.load import load_data
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import check_start, initial_set
from condense.inputs.registry import PROVIDERS
from condense.runtime import devices as mesh
from condense.workflows import distill as api
from condense.workflows.options import build_method, option_parameters
from matchers import OF_GRAPHS, REGISTRY
from matchers.base import Matcher, PerClass, conclude, descend
from synth.base import Net, Vars
from synth.errors import BadInput
from synth.files.format import load_set
from synth.images.augment import dsa
from synth.images.content import Compensated, Pixels
from synth.set import UNLABELLED, Info, SyntheticSet
from tests.support.places import ROOT
from tests.support.toy_data import ToyExperts
from tests.support.toy_teachers import committee, priors, task

CLASSES, IPC, HALF = 3, 2, 2
NET = "mlp:width=4"
# options that cost time, and one that keeps rounding from being amplified, where a method has them
SMALL = {"batch": 8, "outer": 2, "inner": 1, "epochs": 1, "pool": 2, "pool_steps": 3, "reg": 1e-2, "inner_steps": 2, "max_start": 2}
SMALL |= {"gate": 100.0, "support": (9,)}
OF_IMAGES = [name for name in REGISTRY if name not in OF_GRAPHS or name == "random"]  # test_graph_contract.py has the others
KEY = jax.random.key(0)


def arrays() -> dict[str, np.ndarray]:
    """Grey 8x8 images of three classes around means of their own, all different."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, (CLASSES, 1, 8, 8, 1))

    def part(n):
        x = np.clip(means + rng.normal(0, 0.15, (CLASSES, n, 8, 8, 1)), 0, 1)
        return x.reshape(-1, 8, 8, 1).astype(np.float32), np.repeat(np.arange(CLASSES), n)

    (x_train, y_train), (x_test, y_test) = part(20), part(5)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    """The toy data as a specification."""
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **arrays())
    return f"npz:{path}"


class Representation(NamedTuple):
    """What a teacher is to the methods: something that represents images."""

    net: Net
    vars: Vars

    def represent(self, x):
        return self.net.apply(self.vars, jnp.asarray(x)).embed


def handed() -> dict:
    """All that the workbench hands to factories."""
    net = nets.build(NET, (8, 8, 1), CLASSES)
    values = {"net": net, "augment": dsa("color_crop"), "experts": ToyExperts(net, spec=nets.canonical(NET))}
    values |= {"teacher": Representation(net, net.init(KEY)), "teachers": committee(2, image=(8, 8, 1)), "priors": priors(2)}
    values |= {"task": task((8, 8, 1), steps=2 * HALF), "budget": None}
    assert set(values) == set(PROVIDERS), "the workbench hands over something new: build it here too, for all methods"
    return values


@cache
def built(name: str) -> Matcher:
    options = {option: value for option, value in SMALL.items() if option in option_parameters(REGISTRY[name])}
    return build_method(name, options, **handed())


class Case(NamedTuple):
    """One method ready to run on the toy data."""

    matcher: Matcher
    data: Data
    synth: SyntheticSet

    def feed(self):
        return make_feed(self.matcher.feed, self.data.train, CLASSES, seed=0, experts=handed()["experts"])

    def at_start(self) -> np.ndarray:
        """The examples that the run would give if it took no step."""
        state = self.matcher.init(KEY, self.synth.bare())
        return np.asarray(conclude(self.matcher, KEY, state, self.synth).x.decode())

    def run(self, steps: int, *, folder=None) -> SyntheticSet:
        schedule = loop.Schedule(steps, log_every=1, checkpoint_every=HALF)
        return loop.run(KEY, self.matcher, self.synth, self.feed(), schedule, folder=folder)


def ready(name: str, spec: str) -> Case:
    data, matcher = load_data(spec), built(name)
    assert matcher.unlabelled == (name in UNLABELLED), "what tells representations from class scores"
    per_class = IPC * CLASSES if matcher.unlabelled else IPC
    return Case(matcher, data, initial_set(KEY, matcher, matcher.start, data, per_class, Info(data.classes, data.preprocess)))


class Compilations(logging.Handler):
    """Counts compilations of the loop's step while it is open."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def emit(self, record):
        self.count += "Finished XLA compilation of jit(_advance)" in record.getMessage()

    def __enter__(self):
        self.logs = jax.log_compiles()
        self.logs.__enter__()
        logging.getLogger("jax").addHandler(self)
        return self

    def __exit__(self, *failure):
        logging.getLogger("jax").removeHandler(self)
        self.logs.__exit__(*failure)


class Straight(NamedTuple):
    """A method, and 2 k steps of it in one go: the set, the rows of metrics.jsonl, how often its step was compiled."""

    case: Case
    synth: SyntheticSet
    rows: list[dict]
    compilations: int


@pytest.fixture(scope="module", params=[name for name in OF_IMAGES if not built(name).host])
def straight(request, spec, tmp_path_factory) -> Straight:
    """Every method that runs in the loop; its tests share one compiled step."""
    case, folder = ready(request.param, spec), tmp_path_factory.mktemp(request.param)
    with Compilations() as seen:
        synth = case.run(2 * HALF, folder=folder)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return Straight(case, synth, rows, seen.count)


@pytest.fixture(params=[name for name in OF_IMAGES if built(name).host])
def host(request, spec) -> Case:
    """Every method that chooses once on the host."""
    return ready(request.param, spec)


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


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


def test_a_convolutional_network_resumes_to_the_bits_of_one_run(spec, tmp_path):
    """The cases above match in an MLP; convolutions choose algorithms of their own. In `dm`, whose step is the cheapest to compile."""
    net = nets.build("convnet:width=4,depth=2", (8, 8, 1), CLASSES)
    case = ready("dm", spec)._replace(matcher=build_method("dm", {"batch": 8}, net=net, augment=dsa("color_crop")))
    whole = case.run(2 * HALF)
    case.run(HALF, folder=tmp_path)
    assert np.array_equal(case.run(2 * HALF, folder=tmp_path).x.decode(), whole.x.decode())
    assert not np.array_equal(case.at_start(), whole.x.decode())


def test_four_devices_give_what_one_gives(straight, monkeypatch):
    assert len(mesh.devices()) == 4
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    single = straight.case.run(2 * HALF)
    level = 0 if isinstance(single.x, Pixels) else 1.01 / 255 / np.min(single.x.std)  # a last bit may change what is truncated to bytes
    np.testing.assert_allclose(straight.synth.x.decode(), single.x.decode(), rtol=0, atol=1e-5 + level)


def test_metrics_are_finite_and_the_set_moves(straight):
    assert [row["step"] for row in straight.rows] == list(range(1, 2 * HALF + 1))
    assert all(value is not None and np.isfinite(value) for row in straight.rows for value in row.values())
    before, after = straight.case.at_start(), np.asarray(straight.synth.x.decode())
    assert before.shape == after.shape and np.isfinite(after).all()
    moved = np.array([(a != b).any() for a, b in zip(before, after, strict=True)])
    natural = np.arange(len(moved)) % (straight.synth.x.delta.shape[1] + 1) == 0 if isinstance(straight.synth.x, Compensated) else False
    assert (moved == ~np.broadcast_to(natural, moved.shape)).all()  # every image learns, but for real ones that others add to


def test_a_host_method_chooses_real_images_of_the_right_class_within_the_budget(host):
    chosen, train = host.run(1), host.data.train
    assert len(chosen) == CLASSES * IPC and chosen.info == host.synth.info
    if not isinstance(chosen.x, Pixels):  # composed of parts of real images
        np.testing.assert_array_equal(np.asarray(chosen.y.probs()).argmax(1), np.repeat(np.arange(CLASSES), IPC))
        return
    found = [np.flatnonzero((train.x == image).all((1, 2, 3))) for image in np.asarray(chosen.x.decode())]
    assert all(len(rows) == 1 for rows in found) and len({int(rows[0]) for rows in found}) == CLASSES * IPC
    np.testing.assert_array_equal(np.asarray(chosen.y.probs()).argmax(1), train.y[np.concatenate(found)])
    np.testing.assert_array_equal(np.bincount(train.y[np.concatenate(found)]), [IPC] * CLASSES)


def test_a_host_method_is_a_function_of_its_key(host):
    first, second = (np.asarray(host.run(1).x.decode()) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_method_that_makes_its_own_start_says_so(name, spec):
    """Noise and real images give one and the same first set, or, on the host, one choice, where `--start` is refused, and nowhere else."""
    matcher, data = built(name), load_data(spec)
    per_class = IPC * CLASSES if matcher.unlabelled else IPC
    firsts = [initial_set(KEY, matcher, start, data, per_class, Info(data.classes, data.preprocess)) for start in ("noise", "random")]
    if matcher.host:
        firsts = [loop.run(KEY, matcher, synth, ready(name, spec).feed(), loop.Schedule(1)) for synth in firsts]
    same = np.array_equal(*(np.asarray(synth.x.decode()) for synth in firsts))
    assert same == (matcher.own_start is not None)
    if same:
        with pytest.raises(BadInput, match=f"--start noise: {name} makes the first images itself; "):
            check_start(name, matcher, "noise")
    check_start(name, matcher, None)


def test_a_start_that_would_be_ignored_is_refused_and_none_is_recorded(monkeypatch, spec, tmp_path):
    def own(*, choose: bool = True) -> Matcher:
        return pull()._replace(own_start="--no-choose" if choose else None)

    monkeypatch.setitem(REGISTRY, "own", own)
    with pytest.raises(BadInput, match="--start noise: own makes the first images itself; give --no-choose as well"):
        api.distill("own", spec, ipc=IPC, net=NET, steps=1, out=tmp_path / "a", start="noise")
    assert not (tmp_path / "a").exists()
    for folder, call, recorded in (
        ("a", {}, None),
        ("b", {"choose": False, "start": "noise"}, "noise"),
        ("c", {"choose": False}, "random"),
    ):
        api.distill("own", spec, ipc=IPC, net=NET, steps=1, out=tmp_path / folder, **call)
        assert json.loads((tmp_path / folder / "run.json").read_text())["config"]["start"] == recorded


@pytest.mark.parametrize("name", REGISTRY)
def test_a_signature_is_a_configuration(name):
    """What the workbench hands over is required; whatever else is keyword-only, with a type and a default that `run.json` can hold."""
    parameters = inspect.signature(REGISTRY[name], eval_str=True).parameters
    assert all(parameters[given].default is inspect.Parameter.empty for given in PROVIDERS if given in parameters)
    for option, parameter in option_parameters(REGISTRY[name]).items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{option} is not keyword-only"
        assert parameter.default is not inspect.Parameter.empty, f"{option} has no default"
        assert parameter.annotation is not inspect.Parameter.empty, f"{option} has no type"
        assert json.loads(json.dumps(parameter.default)) == parameter.default, f"the default of {option} is no plain value"


def check_docstring(factory, *, host: bool) -> None:
    """The docstring of a method says what it computes and lists every argument."""
    text = inspect.getdoc(factory)
    definition, _, listed = text.partition("\nArgs:\n")
    body = definition.partition("\n")[2]
    assert body[:1] in ("", "\n"), "one line comes first, then an empty one"
    parameters = set(inspect.signature(factory).parameters)
    listed = {word for names in re.findall(r"^  ([a-z0-9_, ]+):", listed, re.MULTILINE) for word in names.split(", ")}
    assert listed == parameters
    if host:
        assert len(definition.split()) >= 8, "a method that chooses defines what it chooses"
    else:
        assert " = " in body, "a method that learns states its loss as an equation"


@pytest.mark.parametrize("name", REGISTRY)
def test_a_docstring_says_what_a_method_computes_and_lists_every_argument(name):
    assert REGISTRY[name].__name__ == name and REGISTRY[name].__module__ == f"matchers.{name}"
    check_docstring(REGISTRY[name], host=built(name).host)


def test_the_method_that_the_readme_adds_keeps_the_contract(monkeypatch, spec):
    """Its block is a whole file: run as it stands, registered, and a step of it is one of the closed form."""
    page = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```", page.partition("## Add a method")[2], re.MULTILINE | re.DOTALL)
    module = {"__name__": "matchers.mean_pixels"}
    exec(compile(block, "README.md", "exec"), module)
    factory = module["mean_pixels"]
    assert module["__doc__"]
    check_docstring(factory, host=False)
    monkeypatch.setitem(REGISTRY, "mean_pixels", factory)
    start, made = (np.asarray(api.distill("mean_pixels", spec, ipc=1, net=NET, steps=1, lr=lr).x.decode()) for lr in (1e-9, 0.25))
    train = load_data(spec).train
    feed = make_feed(PerClass(256), train, CLASSES, seed=0)
    np.testing.assert_allclose(made, start + 0.5 * (feed(0).mean(1) - start), atol=1e-5)


def pull(*, lr: float = 0.5, batch: int = 8) -> Matcher:
    """Pulls every image to the mean of its class.

    L = sum_i || s_i - mean of the real images of its class ||^2 / 2
    """

    def loss(key, synth, aux, real):
        target = jnp.repeat(real.mean(1), len(synth) // len(real), 0)
        return ((synth.x.decode() - target) ** 2).sum() / 2, {}

    return descend(loss, optax.sgd(lr), feed=PerClass(batch))


def test_a_new_method_is_one_function_and_one_line(monkeypatch, tmp_path, spec, capsys):
    """Distilled by name, from python and from the command line, resumed and stored: without a change anywhere else."""
    assert len(inspect.getsource(pull).splitlines()) <= 12
    monkeypatch.setitem(REGISTRY, "pull", pull)
    synth = api.distill("pull", spec, ipc=IPC, net=NET, steps=6, lr=0.25, batch=18, out=tmp_path / "a", start="noise")
    train = load_data(spec).train
    means = np.repeat([train.x[train.y == c].mean(0) for c in range(CLASSES)], IPC, 0)
    noise = np.asarray(api.distill("pull", spec, ipc=IPC, net=NET, steps=1, lr=1e-9, start="noise").x.decode())
    np.testing.assert_allclose(synth.x.decode(), means + 0.75**6 * (noise - means), atol=1e-4)  # closed form: 18 images are whole classes
    stored = load_set(tmp_path / "a" / "set.npz")
    assert stored.info.method == "pull" and np.array_equal(stored.x.decode(), synth.x.decode())
    flags = f"--data {spec} --ipc {IPC} --net {NET} --steps 6 --lr 0.25 --batch 18 --start noise --out {tmp_path / 'b'}"
    assert command(["distill", "pull", *flags.split()]) == 0
    assert np.array_equal(load_set(tmp_path / "b" / "set.npz").x.decode(), synth.x.decode())
    assert command(["list", "methods"]) == 0
    assert "Pulls every image to the mean of its class." in " ".join(capsys.readouterr().out.split())


def test_an_unknown_option_is_answered_with_the_known_ones(monkeypatch, spec):
    monkeypatch.setitem(REGISTRY, "pull", pull)
    with pytest.raises(BadInput, match=r"pull has no option --speed \(known: --lr, --batch\)"):
        api.distill("pull", spec, ipc=IPC, speed=1)
    with pytest.raises(BadInput, match=r"unknown method 'push' \(known: .*, pull\)"):
        api.distill("push", spec, ipc=IPC)

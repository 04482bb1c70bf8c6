"""What a factory declares, and what it takes to add a method: its options, its docstring, its start, one function and one line."""

import inspect
import json
import re

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from condense.__main__ import run as command
from condense.data.load import load_data
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import check_start, initial_set
from condense.inputs.registry import PROVIDERS
from condense.workflows import distill as api
from matchers import REGISTRY
from matchers.base import Matcher, PerClass, descend
from matchers.inputs import option_parameters
from synth.base import take_all
from synth.errors import BadInput
from synth.files.format import load_set
from synth.set import Info
from tests.support.factories import record_of
from tests.support.methods import (
    CLASSES,
    IPC,
    KEY,
    NET,
    OF_IMAGES,
    built,
    modalities,
    ready,
)
from tests.support.pages import blocks
from tests.support.places import ROOT


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_method_that_makes_its_own_start_says_so(name, spec):
    """Noise and real images give one and the same first set, or, on the host, one choice, where `--start` is refused, and nowhere else."""
    matcher, data = built(name, "images"), load_data(spec)
    labelled, info = REGISTRY[name].labelled, Info(data.classes, data.preprocess)
    per_class = IPC if labelled else IPC * CLASSES
    firsts = [initial_set(KEY, matcher, start, data, per_class, info, labelled=labelled) for start in ("noise", "random")]
    if matcher.host:
        firsts = [loop.run(KEY, matcher, synth, ready(name, "images", spec).feed(), loop.Schedule(1)) for synth in firsts]
    same = np.array_equal(*(np.asarray(synth.x.decode()) for synth in firsts))
    assert same == (matcher.own_start is not None)
    if same:
        with pytest.raises(BadInput, match=f"--start noise: {name} makes the first images itself; "):
            check_start(name, matcher, "noise")
    check_start(name, matcher, None)


def test_a_start_that_would_be_ignored_is_refused_and_none_is_recorded(monkeypatch, spec, tmp_path):
    def own(*, choose: bool = True) -> Matcher:
        return pull()._replace(own_start="--no-choose" if choose else None)

    monkeypatch.setitem(REGISTRY, "own", record_of(own))
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
    parameters = inspect.signature(REGISTRY[name].load(), eval_str=True).parameters
    assert all(parameters[given].default is inspect.Parameter.empty for given in PROVIDERS if given in parameters)
    for option, parameter in option_parameters(REGISTRY[name].load()).items():
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
    method, factory = REGISTRY[name], REGISTRY[name].load()
    assert method.name == factory.__name__ == name and re.fullmatch(rf"matchers(\.\w+)*\.{name}", factory.__module__)
    assert method.summary == inspect.getdoc(factory).splitlines()[0]
    check_docstring(factory, host=built(name, modalities(name)[0]).host)


def test_the_method_that_the_docs_add_keeps_the_contract(monkeypatch, spec):
    """Its block is a whole file: run as it stands, registered, and a step of it is one of the closed form."""
    (block,) = blocks((ROOT / "docs" / "add_a_method.md").read_text(), "python")
    module = {"__name__": "matchers.mean_pixels"}
    exec(compile(block, "add_a_method.md", "exec"), module)
    factory = module["mean_pixels"]
    assert module["__doc__"]
    check_docstring(factory, host=False)
    monkeypatch.setitem(REGISTRY, "mean_pixels", record_of(factory))
    start, made = (np.asarray(api.distill("mean_pixels", spec, ipc=1, net=NET, steps=1, lr=lr).x.decode()) for lr in (1e-9, 0.25))
    train = take_all(load_data(spec).train)
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
    monkeypatch.setitem(REGISTRY, "pull", record_of(pull))
    synth = api.distill("pull", spec, ipc=IPC, net=NET, steps=6, lr=0.25, batch=18, out=tmp_path / "a", start="noise")
    train = take_all(load_data(spec).train)
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
    monkeypatch.setitem(REGISTRY, "pull", record_of(pull))
    with pytest.raises(BadInput, match=r"pull has no option --speed \(known: --lr, --batch\)"):
        api.distill("pull", spec, ipc=IPC, speed=1)
    with pytest.raises(BadInput, match=r"unknown method 'push' \(known: .*, pull\)"):
        api.distill("push", spec, ipc=IPC)

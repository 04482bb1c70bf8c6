"""Every compiled step is lowered for CUDA and for TPUs on a machine that has neither: by the choices that are made there, without calls
that only a CPU has, and without the data in the program.

What that shows is in docs/devices.md. A program that is lowered has not been compiled for the accelerator, and not run.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.modality import augmentation
from condense.engine import loop
from condense.evaluation.images import build_trainer
from condense.experts import RECIPES as EXPERTS
from condense.experts.train import make_expert_trainer
from condense.nets.conv import Window, by_out
from condense.nets.registry import NETS
from condense.runtime.devices import place_batch, replicate
from condense.teachers.barlow import Config, complete, make_training
from condense.teachers.train import TeacherRecipe, compile_steps
from condense.workflows.forecast import Forecast
from evals.krr import make_scorer
from evals.protocol import ScoringNetwork
from evals.recipes import RECIPES, recipe
from evals.retrain import stack
from evals.retrain_graphs import WeightedBatch, make_graph_trainer
from evals.transfer import Finetune, draw_order, make_adapter
from matchers.base import PerClass, descend
from synth.base import Examples, take_all
from synth.graphs.base import Alphabet, batch_of
from synth.images.distortions import Ranges
from synth.images.views import View
from synth.labelling import LabelPlan, label, present
from synth.labels import made_kinds
from synth.labels.plain import Soft
from synth.numerics import backend
from synth.training.fit import epoch_items, init_fit, sgd
from tests.support.lowering import PLATFORMS, compiled_meanwhile, faults_on_accelerators
from tests.support.methods import CASES, CLASSES, KEY, LEARNED, arrays, data_of, handed, ready
from tests.support.small_nets import LARGER, small
from tests.support.toy_data import as_set, blobs
from tests.support.toy_graphs import some_graphs
from tests.support.toy_teachers import committee

IMAGE, N, BATCH = (8, 8, 1), 60, 8
MOST = 1024  # bytes of constants that a program may hold: orders, sizes and the like; the smallest data here have 2,592
CONVNET, NORMED = "convnet:width=4,depth=1", "convnet:width=4,depth=1,norm=batch"
ZERO, ONE = jnp.int32(0), jnp.int32(1)


def slow(values, quick=()):
    """Parameters of which all but a few are slow."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]


def named(case) -> str:
    return "-".join(case) if isinstance(case, tuple) else str(case)


def held_by(name: str) -> int:
    """Bytes of the teacher that krrst's program holds. Other methods take trained networks as their batch."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(handed("images")["teacher"].vars)) if name == "krrst" else 0


@cache
def images(image=IMAGE) -> Examples:
    return Examples(*map(jnp.asarray, blobs(N // CLASSES, CLASSES, image)))


def lowers(compiled, *args, most=MOST) -> None:
    """Asserts that nothing is wrong with a compiled function on either platform."""
    assert faults_on_accelerators(compiled, *args, most=most) == {}


# --- methods


@pytest.mark.parametrize("case", slow(LEARNED, {("dm", "images")}), ids=named)
def test_the_step_of_a_method(case, spec):
    one, most = ready(*case, spec), MOST + held_by(case[0])
    step = loop.compile_step(one.matcher)
    carry = jax.eval_shape(lambda: loop.initial_state(KEY, one.matcher, one.synth))
    lowers(step.func, *step.args, KEY, carry, loop.faultless(), place_batch(one.feed()(0)), most=most)
    lowers(jax.jit(one.matcher.init), KEY, one.synth.bare(), most=most)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != ("random", "graphs")], ids=named)  # that one is numpy alone
def test_what_a_method_compiles_on_the_host(case, spec, monkeypatch):
    """Before the first step and after the last one; of methods that choose on the host, all of their work."""
    with compiled_meanwhile(monkeypatch) as programs:
        one = ready(*case, spec)
        one.run(1) if one.matcher.host else one.at_start()
    assert {program.name: found for program in programs if (found := program.faults(most=MOST))} == {}


# --- experts and teachers


@pytest.mark.parametrize(
    ("recipe", "whole"),
    [
        pytest.param(recipe, whole, marks=() if (recipe, whole) == ("sgd", True) else pytest.mark.slow)
        for recipe in EXPERTS
        for whole in (True, False)
    ],
)
def test_the_training_of_experts(recipe, whole, spec):
    """In an epoch over all examples; or in a block of those that stay in their files, and what else experts take."""
    data, net = data_of("images", spec), nets.build(CONVNET, IMAGE, CLASSES)
    train = replicate(Examples(*map(jnp.asarray, take_all(data.train))))
    trainer = make_expert_trainer(net, EXPERTS[recipe](batch=BATCH), augmentation(data), CLASSES, epochs=2)
    keys = replicate(jax.random.split(KEY, 2))
    states, items = jax.eval_shape(trainer.init, keys), jax.eval_shape(lambda: trainer.advance.items(keys[0], ZERO, len(train.y)))
    if whole:
        lowers(trainer.advance.whole, states, keys, train, ZERO)
        return
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), states)
    lowers(trainer.advance.block, one, items, train, ZERO, jnp.bool_(True))
    for compiled, args in ((trainer.init, (keys,)), (trainer.rows, (states,)), (trainer.score, (states, *train))):
        lowers(compiled, *args)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, net in NETS.items() if "images" in net.takes])
def test_the_training_of_a_teacher(name):
    """Of every network for images, so that each of their layers is lowered with its derivatives."""
    image, recipe = LARGER.get(name, IMAGE), TeacherRecipe(2, 0.1, BATCH)
    net, (x, y) = nets.build(small(name), image, CLASSES), images(image)
    state = jax.eval_shape(lambda key: init_fit(key, net, recipe.optimiser(1.0)), KEY)
    items = epoch_items(KEY, ZERO, N, batch=BATCH)
    lowers(compile_steps(net, CLASSES, recipe, len(items.key), view=View(pad=1, flip=True)), state, items, x, y, *[ZERO] * 4)
    lowers(jax.jit(net.init), KEY)


@pytest.mark.slow
def test_the_training_of_a_teacher_without_labels():
    x, config = images().x, complete(Config(NORMED, 2, BATCH, projector=4), IMAGE, N)
    training = make_training(nets.build(NORMED, IMAGE, CLASSES), config, x.shape, ranges=Ranges(flips=True))
    lowers(training.init, KEY)
    lowers(training.order, KEY, ZERO)
    lowers(training.advance, jax.eval_shape(training.init, KEY), training.order(KEY, ZERO), x, ZERO, ZERO, ONE)


# --- evaluation


def retrains(recipe, synth, spec, *, net=NORMED) -> None:
    """Lowers all that retraining on a set compiles."""
    data = data_of("images", spec)
    trainer = build_trainer(ScoringNetwork(net, nets.build(net, IMAGE, CLASSES)), recipe, data)
    keys, sets = jax.random.split(KEY, 2), stack([synth, synth])
    states = jax.eval_shape(trainer.init, keys, sets)
    lowers(trainer.init, keys, sets)
    lowers(trainer.advance, states, keys, sets, ZERO, ONE, jnp.int32(2))
    lowers(trainer.score, states, *images())
    if not synth.y.records:
        items = jax.eval_shape(lambda: trainer.items(keys[0], ZERO, len(synth), CLASSES))
        lowers(trainer.follow, states, synth.bare(), items, ZERO, jnp.int32(2))


OF_IMAGES = [name for name, one in RECIPES.items() if one.trains and "graphs" not in (one.modalities or ())]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OF_IMAGES, "dsa:precision=bf16"])
def test_retraining_under_a_recipe(name, spec):
    retrains(recipe(name), as_set(images()), spec)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["soft", *made_kinds()])
def test_retraining_on_a_kind_of_labels(kind, spec):
    (x, y), teachers = images(), committee(2, image=IMAGE)
    plan = LabelPlan(epochs=2, batch=BATCH, view=View(flip=True, mix="cutmix"), temperature=4.0)
    labels = Soft(jax.nn.one_hot(y, CLASSES)) if kind == "soft" else label(KEY, kind, x, y, CLASSES, teachers, plan)
    retrains(RECIPES["fkd"], replace(as_set(images()), y=present(labels, teachers)), spec)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["graph", "graph_full", "mirage"])
@pytest.mark.parametrize("name", [name for name, net in NETS.items() if "graphs" in net.takes])
def test_retraining_on_graphs(name, recipe):
    graphs = batch_of(some_graphs(0, count=6))
    y, real = jnp.arange(len(graphs.real), dtype=jnp.int32) % 2, graphs.real / graphs.real.sum()
    net = nets.build(small(name), Alphabet(3), 2)
    trainer = make_graph_trainer(net, RECIPES[recipe])
    lowers(trainer.train, KEY, WeightedBatch(graphs, y, real), (graphs, y), ONE)
    lowers(trainer.read, jax.eval_shape(net.init, KEY), graphs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["krr", "krr-ntk"])
def test_a_ridge_head(name):
    score = make_scorer(nets.build(NORMED, IMAGE, CLASSES), RECIPES[name])
    lowers(jax.jit(score), KEY, as_set(images()).bare(), *images())


@pytest.mark.slow
def test_what_brings_a_network_to_other_labels():
    (x, y), net = images(), nets.build(CONVNET, IMAGE, CLASSES)
    adapter, vars = make_adapter(net, net, CLASSES, how=Finetune()), jax.eval_shape(net.init, KEY)
    state = jax.eval_shape(adapter.add_head, KEY, vars)
    lowers(adapter.add_head, KEY, vars)
    lowers(adapter.advance, state, x, y, jnp.asarray(draw_order(KEY, np.arange(N), 4, BATCH)), ZERO, ONE)
    for read in (adapter.embed, adapter.classify):
        lowers(jax.jit(read), vars, x)


# --- the checks themselves


def conv(x, kernel):
    return by_out.bind(x, kernel, window=Window(x.shape[1:], kernel.shape, 1, 0))


def lapack(x):
    kind = jax.ShapeDtypeStruct(x.shape, x.dtype), jax.ShapeDtypeStruct((), jnp.int32)
    return jax.ffi.ffi_call("lapack_spotrf_ffi", kind)(x, uplo=np.uint8(ord("L")))[0]


def on_the_host(x):
    return jax.pure_callback(np.sin, x, x)


PLANTED = {
    "a primitive of our own": (conv, (jnp.ones((2, 4, 4, 1)), jnp.ones((3, 3, 1, 2))), "primitive 'conv_out' not found for platform {0}"),
    "a call to LAPACK": (lapack, (jnp.eye(3),), "calls lapack_spotrf_ffi"),
    "a call to the host": (on_the_host, (jnp.ones(3),), "different from the lowering platform {0}"),
}


@pytest.mark.parametrize(("planted", "args", "words"), PLANTED.values(), ids=PLANTED)
def test_what_only_a_cpu_can_run_is_found(planted, args, words):
    found = faults_on_accelerators(jax.jit(planted), *args, most=0)
    assert tuple(found) == PLATFORMS and all(words.format(at) in wrong[0] for at, wrong in found.items())


def test_a_step_that_holds_the_data_is_found(spec):
    """The same step is content where the data come as its batch."""
    one = ready("dm", "images", spec)
    real = jnp.asarray(take_all(one.data.train).x)

    def loss(key, synth, aux, batch):
        return jnp.sum((real.mean(0) if batch is None else batch.mean((0, 1)) - synth.x.decode().mean(0)) ** 2), {}

    found = {}
    for feed in (PerClass(BATCH), None):
        step = loop.compile_step(descend(loss, sgd(1.0), feed=feed))
        carry = jax.eval_shape(lambda: loop.initial_state(KEY, *step.args, one.synth))  # noqa: B023
        args = KEY, carry, loop.faultless(), None if feed is None else jnp.ones((CLASSES, BATCH, *IMAGE))
        found[feed] = faults_on_accelerators(step.func, *step.args, *args, most=MOST)
    assert found == {PerClass(BATCH): {}, None: {at: [f"{real.nbytes} bytes of constants"] for at in PLATFORMS}}


def test_choices_are_those_of_the_accelerator(monkeypatch):
    """By those of a CPU a convolution is a primitive that no accelerator has."""
    net, x = nets.build(CONVNET, IMAGE, CLASSES), images().x
    args = jax.eval_shape(net.init, KEY), x
    lowers(jax.jit(net.apply), *args)
    monkeypatch.setattr(backend, "supposing", lambda platform: nullcontext())
    assert tuple(faults_on_accelerators(jax.jit(net.apply), *args, most=10**6)) == PLATFORMS


def test_what_is_compiled_on_the_way_is_found(monkeypatch):
    held = jnp.asarray(arrays()["x_train"])
    with compiled_meanwhile(monkeypatch) as programs:
        jax.jit(conv)(jnp.ones((2, 4, 4, 1)), jnp.ones((3, 3, 1, 2)))
        jax.jit(lambda x: x + held.sum())(1.0)
    found = [program.faults(most=100) for program in programs]
    assert any("primitive 'conv_out' not found" in one.get("cuda", [""])[0] for one in found)
    assert {at: [f"{held.nbytes} bytes of constants"] for at in PLATFORMS} in found


@pytest.mark.slow
@pytest.mark.parametrize("case", LEARNED, ids="-".join)
def test_every_step_is_counted_and_shared(case, spec):
    """The part of a batch that one of two devices gets is traced too; a share takes no more than the whole."""
    one = ready(*case, spec)
    whole, half = (Forecast(one.matcher, one.synth, one.feed()(0), "cuda", count).work() for count in (1, 2))
    assert 0 < half.flops <= whole.flops and 0 < half.bytes <= whole.bytes

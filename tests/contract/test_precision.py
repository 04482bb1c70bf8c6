"""`--precision bf16`: products of rounded numbers in networks, and f32 in all else; f32 is what it was, and records tell the two apart."""

import json
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr

from condense import evaluate, load_experts, nets, train_experts, train_ssl_teacher, train_teachers
from condense.__main__ import run as command
from condense.data.modality import augmentation
from condense.evaluation.images import build_trainer
from condense.evaluation.kept import kept_evaluations
from condense.experts import RECIPES as EXPERTS
from condense.experts.train import make_expert_trainer
from condense.nets import conv, layers
from condense.nets.conv import conv2d
from condense.nets.graphs import network, sage
from condense.nets.precision import in_precision, matmul, products_in
from condense.nets.registry import NETS
from condense.teachers.barlow import Config, complete, make_training
from condense.teachers.train import TeacherRecipe, compile_steps, member_of
from evals import retrain as training
from evals.protocol import ScoringNetwork
from evals.recipes import recipe
from evals.report import Report
from evals.retrain import stack
from synth.base import Examples, Vars, take_all
from synth.errors import BadInput
from synth.files.format import save_set
from synth.graphs.base import Alphabet, batch_of
from synth.images.distortions import Ranges
from synth.images.views import View
from synth.numerics import backend
from synth.training.fit import epoch_items, init_fit
from tests.support.small_nets import LARGER, small
from tests.support.three_classes import IMAGE, clouds, make_set, three_classes
from tests.support.toy_data import smooth_net
from tests.support.toy_graphs import some_graphs

KEY, ZERO, BF16, F32 = jax.random.key(0), jnp.int32(0), jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float32)
CONVOLUTIONS = {"conv_general_dilated"} | {f"{kind}_{by}" for kind in ("conv", "depthwise") for by in ("out", "image", "kernel")}
NET = "convnet:width=4,depth=1,norm=batch"
QUICK = "convnet"
ROUNDING = 2.0**-8  # the largest relative error of a number that is rounded to bf16


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def equations(jaxpr: Jaxpr) -> Iterator:
    """All equations of a program, those of the programs inside too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda leaf: isinstance(leaf, Jaxpr | ClosedJaxpr)):
            if isinstance(inner, Jaxpr | ClosedJaxpr):
                yield from equations(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)


def operands(closed: ClosedJaxpr, names) -> set:
    """The dtypes of what is multiplied in a program by operations of these names."""
    return {var.aval.dtype for one in equations(closed.jaxpr) if one.primitive.name in names for var in one.invars}


def floats(tree) -> set:
    """The dtypes of the numbers in a tree that are no integers."""
    return {leaf.dtype for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)}


def learning(net, x) -> tuple[ClosedJaxpr, tuple]:
    """The program of a loss and its gradient by the parameters, and what it gives."""

    def loss(params, stats, x):
        out = net.apply(Vars(params, stats), x, train=True)
        return jnp.sum(out.logits**2), out

    made = jax.make_jaxpr(jax.value_and_grad(loss, has_aux=True), return_shape=True)
    return made(*jax.eval_shape(net.init, KEY), x)


def case(name: str):
    """A small network of the registry and a batch for it."""
    shape = LARGER.get(name, (8, 8, 1)) if "images" in NETS[name].takes else Alphabet(3)
    x = batch_of(some_graphs(0, count=6)) if isinstance(shape, Alphabet) else jnp.ones((4, *shape))
    return nets.build(small(name), shape, 3), x


# --- networks


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == QUICK else pytest.mark.slow) for name in NETS])
@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_all_products_of_a_network_have_rounded_operands_and_all_that_is_learned_is_f32(name, platform):
    """Forward and backward, by the convolutions of either platform."""
    net, x = case(name)
    products = {"dot_general", *CONVOLUTIONS}
    with backend.supposing(platform):
        program, given = learning(in_precision(net, "bf16", name), x)
        plain, _ = learning(net, x)
    assert operands(program, products) == {BF16} and floats(given) == {F32}
    assert operands(plain, products) == {F32} and "bf16" not in str(plain)


@pytest.mark.parametrize("name", [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet", "sage"))])
def test_f32_is_the_program_that_it_was(name, monkeypatch):
    """The network itself, and the program that it has where a product is nothing but the operation."""
    net, x = case(name)
    assert in_precision(net, "f32", name) is net
    plain = str(learning(net, x)[0])
    with products_in("f32"):
        assert str(learning(net, x)[0]) == plain
    monkeypatch.setattr(conv, "product", lambda multiply, a, b: multiply(a, b))
    for module in (conv, layers, network, sage):
        monkeypatch.setattr(module, "matmul", lambda a, b: a @ b)
    assert str(learning(case(name)[0], x)[0]) == plain


def test_a_product_is_that_of_the_rounded_numbers_and_so_are_its_derivatives():
    """In numpy, to the rounding of the result."""
    rng = np.random.default_rng(0)
    a, b, weight = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 64), (64, 3), (5, 3)))
    with products_in("bf16"):
        found, pull = jax.vjp(matmul, jnp.asarray(a), jnp.asarray(b))
        by_a, by_b = pull(jnp.asarray(weight))
    low = [np.asarray(one.astype(ml_dtypes.bfloat16), np.float64) for one in (a, b, weight)]
    for have, want, plain in (
        (found, low[0] @ low[1], a @ b),
        (by_a, low[2] @ low[1].T, weight @ b.T),
        (by_b, low[0].T @ low[2], a.T @ weight),
    ):
        assert have.dtype == F32
        np.testing.assert_allclose(have, want, rtol=ROUNDING, atol=1e-4)
        assert np.abs(want - plain).max() > 1e-3  # which is not that of the numbers as they were


@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_a_convolution_on_a_cpu_is_that_of_the_rounded_numbers(channels):
    """By patches and by Winograd, whose sums of few bits would be far off."""
    rng = np.random.default_rng(1)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 8, 8, channels), (3, 3, channels, 8)))
    with products_in("bf16"):
        found = conv2d(jnp.asarray(x), jnp.asarray(kernel), padding=1)
    low, weights = (np.asarray(one.astype(ml_dtypes.bfloat16), np.float64) for one in (np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel))
    want = sum(low[:, i : i + 8, j : j + 8] @ weights[i, j] for i in range(3) for j in range(3))
    np.testing.assert_allclose(found, want, rtol=ROUNDING, atol=1e-3)


@pytest.mark.slow
def test_a_gradient_in_bf16_is_close_to_that_in_f32():
    net = nets.build("convnet:width=8,depth=2,act=swish", (8, 8, 1), 3)
    vars, x = net.init(KEY), jax.random.normal(jax.random.key(1), (16, 8, 8, 1))

    def slope(net):
        loss = jax.jit(jax.grad(lambda params: jnp.mean(jax.nn.logsumexp(net.apply(Vars(params), x).logits, 1))))
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(loss(vars.params))])

    plain, rounded = slope(net), slope(in_precision(net, "bf16", "convnet"))
    error = np.linalg.norm(rounded - plain) / np.linalg.norm(plain)
    assert 1e-4 < error < 0.03, error


# --- what trains


def trains_in_bf16(compiled, *args, state) -> None:
    """Asserts that convolutions multiply rounded numbers and that the state stays as it was, f32."""
    program, given = jax.make_jaxpr(compiled, return_shape=True)(*args)
    assert operands(program, CONVOLUTIONS) == {BF16} and floats(state) == {F32}
    first = given[0] if isinstance(given, tuple) and not hasattr(given, "_fields") else given
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), first) == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)


@pytest.mark.slow
def test_teachers_train_in_it(data):
    member = member_of(f"{NET}@precision=bf16", TeacherRecipe(1, 0.1, 8))
    net, (x, y) = member.build(data), map(jnp.asarray, take_all(data.train))
    state = jax.eval_shape(lambda key: init_fit(key, net, member.recipe.optimiser(1.0)), KEY)
    items = epoch_items(KEY, ZERO, len(y), batch=8)
    steps = compile_steps(net, 3, member.recipe, len(items.key), view=View(pad=1))
    trains_in_bf16(steps, state, items, x, y, *[ZERO] * 4, state=state)


@pytest.mark.slow
def test_teachers_without_labels_train_in_it(data):
    x, config = jnp.asarray(take_all(data.train).x), complete(Config(NET, 1, 8, projector=4, precision="bf16"), IMAGE, len(data.train.y))
    made = make_training(in_precision(nets.build(NET, IMAGE, 3), "bf16", NET), config, x.shape, ranges=Ranges(flips=False))
    state = jax.eval_shape(made.init, KEY)
    items = made.order(KEY, ZERO)
    trains_in_bf16(made.advance, state, items, x, ZERO, ZERO, ZERO, state=state)
    rounded = operands(jax.make_jaxpr(made.advance)(state, items, x, ZERO, ZERO, ZERO), {"dot_general"})
    assert rounded == {BF16, F32}  # those of the projector; those of the views and of the loss


@pytest.mark.slow
@pytest.mark.parametrize("how", EXPERTS)
def test_experts_train_in_it(how, data):
    net = in_precision(nets.build("convnet:width=4,depth=1", IMAGE, 3), "bf16", "convnet")
    trainer = make_expert_trainer(net, EXPERTS[how](batch=8), augmentation(data), 3, epochs=1)
    keys, train = jax.random.split(KEY, 1), Examples(*map(jnp.asarray, take_all(data.train)))
    state = jax.eval_shape(trainer.init, keys)
    trains_in_bf16(trainer.advance.whole, state, keys, train, ZERO, state=state)


@pytest.mark.slow
def test_retraining_trains_in_it(data):
    chosen = recipe("quick:precision=bf16")
    trainer = build_trainer(ScoringNetwork(NET, nets.build(NET, IMAGE, 3)), chosen, data)
    keys, sets = jax.random.split(KEY, 1), stack([make_set(data)])
    state = jax.eval_shape(trainer.init, keys, sets)
    trains_in_bf16(trainer.advance, state, keys, sets, ZERO, ZERO, ZERO, state=state)
    assert operands(jax.make_jaxpr(trainer.score)(state, *map(jnp.asarray, take_all(data.test))), CONVOLUTIONS) == {BF16}


# --- records


def config_of(folder) -> dict:
    return json.loads((folder / "run.json").read_text())["config"]


@pytest.mark.slow
def test_experts_say_so(data, tmp_path):
    """In the run's record, in their own, and in the line by which a distillation records them."""
    made = {}
    for word in ("f32", "bf16"):
        made[word] = train_experts(data, count=1, epochs=1, out=tmp_path / word, net="mlp:width=4", precision=word)
    assert "precision" not in config_of(tmp_path / "f32") and "precision" not in json.loads((tmp_path / "f32/experts.json").read_text())
    assert config_of(tmp_path / "bf16")["precision"] == load_experts(tmp_path / "bf16").header.precision == "bf16"
    assert made["bf16"].identity() == made["f32"].identity().replace("), seed", ") in bf16, seed")
    assert not np.array_equal(made["bf16"].last(0), made["f32"].last(0)) and made["bf16"].last(0).dtype == np.float32
    with pytest.raises(BadInput, match="precision was 'bf16', now None"):
        train_experts(data, count=1, epochs=1, out=tmp_path / "bf16", net="mlp:width=4")


@pytest.mark.slow
def test_teachers_say_so(tmp_path):
    np.savez(tmp_path / "clouds.npz", **clouds())
    data, how = f"npz:{tmp_path}/clouds.npz", {"net": ["mlp:width=8,norm=batch"], "epochs": 2, "lr": 0.1, "batch": 16}
    made = [train_teachers(data, tmp_path / word, precision=word, **how) for word in ("f32", "bf16")]
    told = [json.loads((tmp_path / word / "teachers.json").read_text())["recipe"] for word in ("f32", "bf16")]
    assert told[1] == told[0] | {"precision": "bf16"} and "precision" not in told[0] | config_of(tmp_path / "f32")
    assert config_of(tmp_path / "bf16")["precision"] == "bf16"
    kernels = [one.members[0].vars.params["head"]["kernel"] for one in made]
    assert kernels[1].dtype == F32 and not np.array_equal(*kernels)
    with pytest.raises(BadInput, match="precision was 'bf16', now None"):
        train_teachers(data, tmp_path / "bf16", **how)


@pytest.mark.slow
def test_teachers_without_labels_say_so(data, tmp_path):
    how = {"net": "mlp:width=6,norm=batch", "epochs": 1, "batch": 16, "projector": 4}
    made = [train_ssl_teacher(data, tmp_path / word, precision=word, **how) for word in ("f32", "bf16")]
    assert "precision" not in config_of(tmp_path / "f32") and config_of(tmp_path / "bf16")["precision"] == "bf16"
    assert made[1].about["precision"] == "bf16" and made[0].digest != made[1].digest and floats(made[1].vars) == {F32}
    with pytest.raises(BadInput, match="precision was 'bf16', now None"):
        train_ssl_teacher(data, tmp_path / "bf16", **how)


def test_scores_say_so_and_those_of_the_two_are_never_one(data, tmp_path, monkeypatch):
    """In the recipe's name, the full row's too, and in the facts of finished cells; a report of cells keeps them apart."""
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    score = {"f32": 0.25, "bf16": 0.75}

    def at_once(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        return Report(net_name, recipe.name, set_kind, tuple(score[recipe.precision] for _ in numbers), 1.0)

    monkeypatch.setattr(training, "retrain_group", at_once)
    save_set(tmp_path / "set.npz", make_set(data))
    way = {"data": data, "seeds": 1, "rows": ("distilled", "full"), "cache": tmp_path / "cells"}
    for word in ("f32", "bf16", "f32"):
        found = evaluate(tmp_path / "set.npz", precision=word, **way)
        end = "" if word == "f32" else ":precision=bf16"
        assert [report.recipe for report in found.reports] == [f"quick{end}", f"full{end}"]
        assert [report.accuracy for report in found.reports] == [(score[word],)] * 2
        assert [row["recipe"] for row in found.as_json()["results"]] == [f"quick{end}", f"full{end}"]
    kept = kept_evaluations(make_set(data), tmp_path / "set.npz")
    assert sorted((one.reports[0].recipe, [report.accuracy for report in one.reports]) for one in kept) == [
        ("quick", [(0.25,)] * 2),
        ("quick:precision=bf16", [(0.75,)] * 2),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "bf61"}, "--precision bf61: give one of f32, bf16"),
        ({"precision": "bf16", "recipe": "krr"}, "--precision bf16: recipe krr trains nothing; leave it out"),
        ({"precision": "bf16", "net": smooth_net()}, "--precision bf16: own-.* is a network from outside, and its products are its own"),
        ({"recipe": "quick:precision=f16"}, "--precision f16: give one of f32, bf16"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change, words, data):
    with pytest.raises(BadInput, match=f"^{words}"):
        evaluate(make_set(data), data=data, seeds=1, rows="distilled", **change)


def test_a_wrong_word_is_refused_by_whoever_trains(data, tmp_path):
    for train in (train_teachers, train_ssl_teacher, lambda *args, **more: train_experts(args[0], out=args[1], count=1, epochs=1, **more)):
        with pytest.raises(BadInput, match=r"^--precision f16: give one of f32, bf16$"):
            train(data, tmp_path / "a", precision="f16")
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["experts", "teachers", "evaluate"])
def test_help_says_what_it_is(verb, capsys):
    assert command([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert "--precision" in said and "f32|bf16" in said

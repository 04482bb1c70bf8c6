"""What scores must be where the truth is known, the named recipes, and bytes counted by hand."""

from dataclasses import replace
from math import erf, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evals.listed import LISTED
from evals.recipes import RECIPES, recipe
from evals.retrain import epoch_spans, make_trainer, retrain, scaled
from evals.retraining import EvalRecipe
from evals.storage import count_bytes
from synth.base import Examples
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.images.preprocess import Standard
from synth.labels.plain import Hard, Soft
from synth.set import Info, SyntheticSet
from tests.support.linear import linear_net
from tests.support.toy_data import as_set, blobs

KEY = jax.random.key(11)


@pytest.mark.slow
def test_shuffled_labels_give_chance_and_true_ones_do_not():
    """Ten classes, labels shuffled anew for every seed: by symmetry the expected accuracy is 1/10 exactly.

    A tenth of the test images lies around each of ten centres and gets one answer, right with probability 1/10: one seed's accuracy has
    the standard deviation sqrt(0.1 * 0.9 / 10) = 0.095, and three of the mean of 128 are 2.5 points.
    """
    train, test = blobs(6, 10), blobs(20, 10)
    chosen = EvalRecipe("short", 15, lr=0.1, weight_decay=0.05, batch=8)
    trainer = make_trainer(linear_net(classes=10), chosen, None)

    def shuffled(seed):
        return as_set(Examples(train.x, np.random.default_rng(seed).permutation(train.y)), 10)

    chance = retrain(KEY, trainer, chosen, shuffled, test, seeds=128, together=64)
    assert abs(chance.mean - 0.1) < 3 * sqrt(0.1 * 0.9 / 10 / 128)
    assert retrain(KEY, trainer, chosen, lambda seed: as_set(train, 10), test, seeds=64, together=64).mean > 0.95


@pytest.mark.slow
def test_all_the_real_data_reach_the_ceiling():
    """Two unit Gaussians a distance of 2 apart: no classifier beats Phi(1) = 84.1 %, and training on plenty comes near it."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = np.tile([0, 1], n // 2).astype(np.int32)
        x = rng.normal(size=(n, 4, 4, 1)) + np.where(y == 1, 0.25, -0.25)[:, None, None, None]  # 16 pixels: means 2 apart
        return Examples(x.astype(np.float32), y)

    train, test, bayes = draw(2000), draw(4000), (1 + erf(1 / sqrt(2))) / 2
    full = EvalRecipe("full", 6, lr=0.05)
    report = retrain(KEY, make_trainer(linear_net(classes=2), full, None), full, lambda seed: as_set(train, 2), test, seeds=3, together=3)
    noise = sqrt(bayes * (1 - bayes) / 4000)
    assert abs(report.mean - bayes) < 3 * noise + 0.005


def test_recipes_are_the_published_ones():
    assert (RECIPES["dc"].epochs, RECIPES["dc"].augment) == (300, "") and (RECIPES["dsa"].epochs, RECIPES["dsa"].augment) == (1000, "dsa")
    for name in ("dc", "dsa"):
        chosen = recipe(name)
        assert (chosen.lr, chosen.momentum, chosen.weight_decay, chosen.batch, chosen.schedule) == (0.01, 0.9, 5e-4, 256, "drop")
    assert (RECIPES["full"].epochs, RECIPES["full"].batch) == (20, 256)
    assert RECIPES["dc"].drop_epoch() == 152  # the first at a tenth: epochs 0 to 151 ran at the whole step size
    assert RECIPES.keys() == LISTED.keys() and all(name == chosen.name for name, chosen in RECIPES.items())
    assert recipe("dsa", epochs=7) == replace(RECIPES["dsa"], name="dsa:epochs=7", epochs=7)  # never passed off as the protocol
    assert recipe("dsa", epochs=1000) == RECIPES["dsa"]
    with pytest.raises(BadInput, match=r"--recipe: unknown recipe 'x' .*dc, .*dsa, .*quick, full"):
        recipe("x")
    with pytest.raises(BadInput, match="--epochs 0"):
        recipe("dc", epochs=0)


def test_recipes_decay_what_released_scripts_decay():
    """Those for large images, RDED's and CV-DD's (Jiacheng8/CV-DD) spare norms and biases; those for CIFAR do not, nor does the one that
    CV-DD was scored by here, and SGD's decay is all parameters'. FRePo and graphs have none. Seen in a step without a gradient."""
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    reached = {}
    for name, chosen in RECIPES.items():
        if isinstance(chosen, EvalRecipe):
            tx = chosen.optimiser(jnp.float32(0.1))
            updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
            moved = [leaf for leaf in params if np.asarray(updates[leaf]).any()]
            reached.setdefault(" ".join(sorted(moved)), set()).add(name)
    rethinking = {"rethinking_hard", "rethinking_soft", "cda", "muon"}
    assert reached["kernel"] == {"edc", "fkd", "rded", "rded_small", "infer_large", "cvdd", "cvdd_smooth", "hald"} | rethinking
    assert reached[""] == {"gvbsm", "graph", "graph_full", "frepo", "frepo_warm", "frepo_released", "rd3"}
    assert reached["bias kernel"] == {
        "dc",
        "mirage",
        "dc_digits",
        "dsa",
        "quick",
        "full",
        "sre2l",
        "ast",
        "datm",
        "fkd_tiny",
        "cvdd_all",
        "infer",
        "nrr",
        "full_vectors",
        "gift",
    }


def test_the_benchmark_of_pruning_and_distillation_has_one_recipe_a_kind_of_labels():
    """Its protocol: 300 epochs of AdamW in batches of 128, 0.001 on a cosine to 0, decay 0.01 of matrices; the soft one adds CutMix."""
    hard, soft = recipe("rethinking_hard"), recipe("rethinking_soft")
    assert (hard.epochs, hard.batch, hard.lr, hard.weight_decay, hard.optimizer) == (300, 128, 1e-3, 0.01, "adamw")
    factors = [float(hard.factor(jnp.int32(e), jnp.int32(300))) for e in (0, 75, 150, 300)]
    np.testing.assert_allclose(factors, [1, (1 + sqrt(0.5)) / 2, 0.5, 0], atol=1e-6)
    assert replace(hard, name=soft.name, view=f"{hard.view},cutmix=1") == soft and soft.temperature == 20
    assert str(soft.view_for(height=224, flips=True)) == "crop=0.08-1,flip,cutmix=1"


def test_newer_recipes_differ_from_it_by_what_they_say():
    """Muon by its optimiser, CDA's curriculum by narrowing crops over all epochs, RD3 by its own numbers; each calls itself unverified."""
    soft = recipe("rethinking_soft")
    assert replace(soft, name="muon", optimizer="muon", decay="all") == recipe("muon")
    assert replace(soft, name="cda", view=recipe("cda").view) == recipe("cda")
    assert [recipe("cda", epochs=n).view_for(height=32, flips=True).narrow for n in (None, 7)] == [300, 7]
    assert replace(recipe("cda").view_for(height=32, flips=True), narrow=0) == soft.view_for(height=32, flips=True)
    rd3 = recipe("rd3")
    assert (rd3.epochs, rd3.batch, rd3.lr, rd3.optimizer, rd3.weight_decay, rd3.stretch) == (400, 50, 1e-3, "adam", 0.0, 1.0)
    assert str(rd3.view_for(height=224, flips=True)) == "crop=0.5-1,flip,cutmix=1"
    assert all("unverified" in LISTED[name].about for name in ("muon", "cda", "rd3", "hald"))


def test_recipes_on_logits_are_those_of_the_releases():
    """shaoshitong/G_VBSM_Dataset_Condensation, Branch_CIFAR_10/train/train.sh and train_FKD.py; shaoshitong/EDC, the same files and
    direct_train.py: MultiStepLR of half at epochs 800, 900 and 950 of 1,000."""
    first, second = recipe("gvbsm"), recipe("edc")
    assert (first.epochs, first.batch, first.lr, first.weight_decay, first.optimizer) == (1000, 100, 1e-3, 0.0, "adamw")
    assert (first.loss, first.share, first.average, first.temperature, first.schedule) == ("logits", 0.15, 0.0, 20, "cosine")
    assert (second.epochs, second.batch, second.lr, second.weight_decay, second.optimizer) == (1000, 10, 1e-3, 0.01, "adamw")
    assert (second.loss, second.share, second.average, second.temperature) == ("logits", 0.025, 0.99, 20)
    assert str(first.view_for(height=32, flips=True)) == str(second.view_for(height=32, flips=True)) == "crop=0.08-1,flip,cutmix=1"
    factors = [float(second.factor(jnp.int32(e), jnp.int32(1000))) for e in (0, 799, 800, 899, 900, 949, 950, 999)]
    np.testing.assert_allclose(factors, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125])


def test_an_average_goes_with_a_schedule_that_never_begins_anew():
    with pytest.raises(ValueError, match="goes with another schedule than drop"):
        EvalRecipe("plain", 6, average=0.9)


def test_averaged_weights_are_scored():
    """a <- 0.9 a + 0.1 p after every step, from the first weights on; the network itself is trained as without."""
    plain = EvalRecipe("plain", 6, lr=0.3, weight_decay=0.01, batch=4, schedule="constant")
    chosen, net = replace(plain, average=0.9), linear_net()
    keys, synths = KEY[None], jax.tree.map(lambda leaf: leaf[None], as_set(blobs(6)).bare())
    trainer, other = make_trainer(net, chosen, None), make_trainer(net, plain, None)
    state, bare = trainer.init(keys, synths), other.init(keys, synths)
    average = jax.tree.map(jnp.array, state.vars.params)  # the states are given away
    one = replace(plain, batch=18)  # a step an epoch
    stepped, single = make_trainer(net, replace(one, average=0.9), None), make_trainer(net, one, None)
    for epoch in range(6):
        span = jnp.int32(epoch), jnp.int32(epoch + 1), jnp.int32(6)
        state, bare = stepped.advance(state, keys, synths, *span), single.advance(bare, keys, synths, *span)
        average = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, average, bare.vars.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.vars.params, bare.vars.params)
    scored = replace(one, average=0.9).scored(jax.tree.map(lambda leaf: leaf[0], state))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], atol=1e-6), scored.params, average)
    test = blobs(20)
    taken = stepped.score(state, jnp.asarray(test.x), jnp.asarray(test.y))[0]
    right = int((np.asarray(net.apply(scored, jnp.asarray(test.x)).logits).argmax(1) == test.y).sum())
    assert int(np.trace(taken)) == right


@pytest.mark.slow
def test_muon_trains_a_network():
    """Through the loop of every recipe: three classes far apart are told apart."""
    chosen = EvalRecipe("short", 30, lr=0.3, weight_decay=0.01, batch=8, optimizer="muon", schedule="cosine")
    train, test = blobs(6), blobs(20)
    report = retrain(KEY, make_trainer(linear_net(), chosen, None), chosen, lambda seed: as_set(train), test, seeds=2)
    assert report.mean > 0.95


def test_bytes_by_hand(tmp_path):
    """6 images 4x4x2: 6 x 32 x 4 bytes; hard labels 6 x 4; weights 6 x 4 and a step size 4; mean and std of two channels 16."""
    info = Info(("a", "b"), Standard(np.zeros(2, np.float32), np.ones(2, np.float32)))
    x, y = Pixels(jnp.zeros((6, 4, 4, 2))), Hard(jnp.zeros(6, jnp.int32), 2)
    file = tmp_path / "set.npz"
    file.write_bytes(b"x" * 123)
    plain = count_bytes(SyntheticSet(x, y, info=info), file=file)
    assert plain == {"content": 768, "labels": 24, "total": 792, "preprocessing": 16, "file": 123}
    rich = count_bytes(SyntheticSet(x, Soft(jnp.zeros((6, 5))), jnp.ones(6), jnp.float32(1)))
    assert rich == {"content": 768, "labels": 120 + 24 + 4, "total": 916, "preprocessing": 0, "file": None}


def test_tiny_imagenet_is_trained_on_as_the_release_of_its_score_does():
    """zeyuanyin/tiny-imagenet, script/train_kd.sh and classification/train_kd.py: SGD, five epochs of linear warm-up from a hundredth, then
    a cosine over the others, and T^2 times the divergence, which PyTorch's batchmean means over the batch."""
    chosen = recipe("fkd_tiny")
    numbers = (chosen.epochs, chosen.lr, chosen.momentum, chosen.weight_decay, chosen.batch, chosen.temperature, chosen.optimizer)
    assert numbers == (100, 0.2, 0.9, 1e-4, 256, 20.0, "sgd") and chosen.squared and not chosen.view_for(height=64, flips=True).mix
    want = [0.01 + 0.99 * e / 5 if e < 5 else (1 + np.cos(np.pi * (e - 5) / 95)) / 2 for e in range(100)]
    have = [float(chosen.factor(jnp.int32(e), jnp.int32(100))) for e in range(100)]
    np.testing.assert_allclose(have, want, atol=1e-6)
    assert scaled(lambda params, stats, item: (params, stats), 400.0)(2.0, 3, None) == (800.0, 3)


def test_the_trajectory_methods_are_scored_as_their_releases_do():
    """AST: decay 1e-3, half the step size and momentum 0.8 after the midpoint, a look every 20 epochs; DATM: batch 128. The rest is
    `dsa`."""
    ast, datm, dsa = recipe("ast"), recipe("datm"), recipe("dsa")
    assert replace(datm, name="dsa", batch=256) == dsa and datm.batch == 128
    assert replace(ast, name="dsa", weight_decay=5e-4, drop=0.1, late_momentum=None, look_every=0) == dsa
    late = [(float(ast.factor(jnp.int32(e), jnp.int32(1000))), float(ast.momentum_at(jnp.int32(e), jnp.int32(1000)))) for e in (501, 502)]
    np.testing.assert_allclose(late, [(1, 0.9), (0.5, 0.8)], rtol=1e-6)
    assert ast.weight_decay == 1e-3 and looks(ast) == [*range(20, 1001, 20)] and (500, 502) in epoch_spans(ast)


def test_frepo_warms_up_before_its_cosine():
    """yongchaoz/FRePo, script/eval.py and what it calls: a straight line from 0 over 500 steps, then a cosine that ends at 1 %."""
    chosen = recipe("frepo_warm")
    have = [float(chosen.factor(jnp.int32(e), jnp.int32(2000))) for e in (0, 250, 500, 1250, 2000)]
    np.testing.assert_allclose(have, [0, 0.5, 1, 0.505, 0.01], atol=1e-6)
    assert replace(chosen, name="frepo", schedule="cosine", least=0.0) == recipe("frepo")


@pytest.mark.parametrize(("n", "steps"), LISTED["frepo_released"].settings["steps"])
def test_frepo_trains_for_the_steps_of_its_release(n, steps):
    """The table of script/eval.py, in batches of at most 500; 500 steps of warm-up whatever the size, and nothing but the augmentation is
    otherwise than under `frepo_warm`."""
    chosen = recipe("frepo_released").for_size(n)
    batches = -(-n // 500)
    assert (chosen.epochs * batches, chosen.warmup * batches, chosen.name) == (steps, 500, "frepo_released")
    same = replace(chosen, name="frepo_warm", augment="dsa", steps=(), epochs=2000, warmup=500)
    assert same == recipe("frepo_warm")


def test_frepo_refuses_sizes_without_steps_unless_epochs_are_given():
    assert recipe("frepo_released").for_size(100).epochs == 2000
    with pytest.raises(BadInput, match=r"--recipe frepo_released: it has steps for sets of 10, 100, .* and this one has 20; give --epochs"):
        recipe("frepo_released").for_size(20)
    for epochs in (7, 2000):
        given = recipe("frepo_released", epochs=epochs)
        assert given.for_size(20) == given and given.name == f"frepo_released:epochs={epochs}" and given.epochs == epochs
    assert recipe("dsa").for_size(20) == recipe("dsa") and recipe("krr").for_size(20) == recipe("krr")


def test_mirage_is_scored_as_its_release_does():
    """frigategnn/Mirage, NCI1/graph-nci-finalize-reduce-curr.py: Adam at 1e-3 whose decay of 100 joins the gradient, epochs 0 to 300."""
    chosen = recipe("mirage")
    numbers = (chosen.epochs, chosen.lr, chosen.weight_decay, chosen.optimizer, chosen.schedule, chosen.batch, chosen.choose)
    assert numbers == (300, 1e-3, 100.0, "adam", "constant", 0, "auc") and chosen.modalities == ("graphs",)


def looks(chosen) -> list[int]:
    """After which epochs networks are scored under --best-on-test."""
    return [last for _, last in epoch_spans(chosen) if chosen.looks_after(last)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("infer", range(10, 401, 10)),  # zhangxin-xd/UFC
        ("infer_large", range(10, 301, 10)),
        ("cvdd", range(10, 301, 10)),  # Jiacheng8/CV-DD and FADRM, validate/train_fkd.py
        ("cvdd_smooth", range(10, 301, 10)),
        ("cvdd_all", range(10, 301, 10)),
        ("fkd", range(10, 301, 10)),  # VILA-Lab/SRe2L, SRe2L/validate/train_FKD.py and *small_dataset/relabel_cifar.py
        ("sre2l", range(10, 401, 10)),
        ("rded", range(250, 301, 10)),  # LINs-lab/RDED, validation/main.py: 6 looks
        ("rded_small", range(250, 301, 10)),
        ("gvbsm", range(10, 1001, 10)),
        ("edc", range(810, 1001, 10)),  # shaoshitong/EDC, Branch_CIFAR_10/train/direct_train.py
    ],
)
def test_networks_are_looked_at_as_often_as_the_releases_do(name, expected):
    """Those count from 0, so that some look an epoch later."""
    assert looks(recipe(name)) == [*expected]


def test_the_last_epoch_is_always_looked_at():
    assert looks(recipe("rded", epochs=7)) == [7] and looks(recipe("infer", epochs=25)) == [10, 20, 25]
    usual = looks(recipe("dsa"))
    assert 50 <= len(usual) <= 52 and usual[-1] == 1000

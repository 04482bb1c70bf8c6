"""Which epoch is kept of a training on graphs: the first that is best on validation graphs, where accuracy rises, then falls."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.load import load_data
from condense.evaluation.counts import share_of_commonest
from condense.evaluation.graphs import GRAPHS
from evals.protocol import ScoringNetwork
from evals.retrain_graphs import WeightedBatch, area, make_graph_trainer, retrain_graphs, roc_auc
from evals.retraining import EvalRecipe
from synth.base import Net, Out, Vars, take_all
from synth.errors import BadInput
from synth.graphs.base import batch_of
from tests.support.toy_graphs import some_graphs

CLIMB = EvalRecipe("climb", 5, lr=1.0, momentum=0.0, weight_decay=0.0, batch=0, optimizer="sgd", schedule="constant")
REACHED = (0.5, 0.878, 1.172, 1.408, 1.604)  # t after every epoch: t + 1 - 1 / (1 + exp(-t)), from 0
# graphs are classified right while t is inside: three epochs' accuracies on validation graphs are 1/4, 3/4, 3/4, 2/4, 1/4
VALIDATION = ((0.4, 9), (0.8, 1.3), (0.8, 1.5), (9, 9))
TEST = ((0.4, 9), (0.8, 9), (1.1, 9), (1.3, 9), (1.5, 9))  # 1/5, 2/5, 3/5, 4/5, 5/5


def climbing(truth: dict[int, tuple]) -> Net:
    """One number t that rises at every step of training; `truth` says, by the number of places, when which graph is classified right."""

    def apply(vars, x, *, train=False, key=None):
        t, places = vars.params["t"], len(x.real)
        if train:
            right = jnp.full(places, t)
        else:
            low, high = jnp.asarray(truth[places], jnp.float32).T
            right = jnp.where((low < t) & (t < high), jnp.float32(1), jnp.float32(-1))
        return Out(jnp.stack([right, jnp.zeros_like(right)], 1), right[:, None], {})

    return Net(lambda key: Vars({"t": jnp.float32(0)}), apply)


def batch(count: int):
    """So many graphs, one place each."""
    made = batch_of(some_graphs(0, edges=2, count=count))
    places = len(made.real)
    return made, places


def padded(rows, places: int):
    return (*rows, *[(9, 9)] * (places - len(rows)))


@pytest.fixture(scope="module")
def report():
    seen, seen_places = batch(4)
    tested, tested_places = batch(5)
    learned, learned_places = batch(2)
    assert len({seen_places, tested_places}) == 2
    net = climbing({seen_places: padded(VALIDATION, seen_places), tested_places: padded(TEST, tested_places)})
    p = jnp.zeros(learned_places).at[0].set(1)
    given = WeightedBatch(learned, jnp.zeros(learned_places, jnp.int32), p)
    validation, test = (seen, jnp.zeros(seen_places, jnp.int32)), [(tested, np.array([0, 0, 0, 0, 0], np.int32))]
    trainer = make_graph_trainer(net, CLIMB)
    trained = [float(trainer.train(jax.random.key(0), given, validation, jnp.int32(epochs)).vars.params["t"]) for epochs in range(1, 6)]
    np.testing.assert_allclose(trained, REACHED, atol=2e-3)
    return retrain_graphs(jax.random.key(0), trainer, CLIMB, lambda seed: given, validation, test, numbers=(0,))


def test_the_first_best_epoch_is_kept(report):
    """Neither the first nor the last, nor the later one that is as good."""
    assert report.epochs == (2,)


def test_the_score_is_that_of_the_parameters_after_that_epoch(report):
    """1/5 would be those before it, 3/5 the next, 5/5 the best on the test graphs, which is the last."""
    assert report.accuracy == (0.4,)


def test_by_the_area_under_the_curve_the_untrained_network_may_be_chosen():
    """frigategnn/Mirage looks before its first step. Here the second of two graphs scores 0.3 - t beside 0: right in order at t = 0 alone,
    where accuracy, which looks after a step, keeps the first epoch."""
    seen, places = batch(2)

    def apply(vars, x, *, train=False, key=None):
        score = jnp.where(jnp.arange(len(x.real)) == 1, 0.3 - vars.params["t"], 0.0)
        score = jnp.full(len(x.real), -vars.params["t"]) if train else score
        return Out(jnp.stack([jnp.zeros_like(score), score], 1), score[:, None], {})

    net = Net(lambda key: Vars({"t": jnp.float32(0)}), apply)
    y = jnp.zeros(places, jnp.int32).at[1].set(1)
    given = WeightedBatch(seen, jnp.zeros(places, jnp.int32), jnp.zeros(places).at[0].set(1))
    kept = {}
    for choose in ("accuracy", "auc"):
        recipe = replace(CLIMB, choose=choose)
        made = retrain_graphs(
            jax.random.key(0),
            make_graph_trainer(net, recipe),
            recipe,
            lambda seed: given,
            (seen, y),
            [(seen, np.array([0, 1]))],
            numbers=(0,),
        )
        kept[choose] = made.epochs, made.auc
    assert kept == {"accuracy": ((1,), (0.0,)), "auc": ((0,), (1.0,))}
    one = (seen, jnp.zeros(places, jnp.int32))
    with pytest.raises(BadInput, match="--recipe climb: chooses by ROC-AUC, and not every class has a validation graph"):
        trainer = make_graph_trainer(net, recipe)
        retrain_graphs(jax.random.key(0), trainer, recipe, lambda seed: given, one, [(seen, np.array([0, 1]))], numbers=(0,))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_compiled_area_is_the_counted_one(classes):
    """With ties, and padding of other scores and classes that counts for nothing."""
    rng = np.random.default_rng(classes)
    logits, y = rng.integers(0, 4, (40, classes)).astype(np.float32), rng.integers(0, classes, 40)
    real = (np.arange(40) < 31).astype(np.float32)
    np.testing.assert_allclose(
        area(jnp.asarray(logits), jnp.asarray(y, jnp.int32), jnp.asarray(real)), roc_auc(logits[:31], y[:31]), rtol=1e-6
    )


@pytest.mark.slow
def test_labels_of_test_graphs_choose_nothing():
    """Accuracies change, epochs do not."""
    data = load_data("toy_graphs")
    name, recipe = "gin:width=8,depth=2", EvalRecipe("few", 6, lr=0.02, weight_decay=0.0, batch=0, optimizer="adam", schedule="constant")
    net = nets.build(name, data.image, 2)
    some = data.train.take(np.arange(60))
    learned = GRAPHS.prepare(lambda seed: some, name, 2)
    found, test = [], take_all(data.test)
    for part in (test, test._replace(y=1 - test.y)):
        worker = GRAPHS.retraining(data, part, False)(ScoringNetwork(name, net), recipe)
        found.append(worker.report(jax.random.key(0), "distilled", learned, numbers=(0, 1), tick=lambda done: None))
    assert found[0].epochs == found[1].epochs
    np.testing.assert_allclose(np.add(found[0].accuracy, found[1].accuracy), 1)


def test_the_majority_is_the_training_examples_and_counted_on_the_part():
    assert share_of_commonest(np.array([0, 0, 0, 1, 2]), np.array([1, 1, 1, 0])) == 0.25

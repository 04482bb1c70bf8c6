"""Which epoch is kept of a training on graphs: the first that is best on validation graphs, where accuracy rises, then falls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.load import load_data
from condense.evaluation.counts import share_of_commonest
from condense.evaluation.graphs import GRAPHS
from evals.protocol import ScoringNetwork
from evals.retrain_graphs import WeightedBatch, make_graph_trainer, retrain_graphs
from evals.retraining import EvalRecipe
from synth.base import Net, Out, Vars, take_all
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

"""What an evaluation protocol must say, and that it costs one file and one registry entry; likewise a row of a comparison."""

import ast
import json
import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import distill, evaluate, load_set, transfer
from condense.__main__ import run as command
from condense.data.load import BUILDERS
from condense.data.modality import MODALITIES
from condense.evaluation.baselines import BASELINES, Baseline, Comparison
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.transfer_rows import TRANSFER_ROWS, RowSource
from condense.evaluation.validation import validation_score
from condense.plots.modalities import DRAWERS
from evals.protocol import Protocol, ScoringNetwork, ScoringTask, Worker
from evals.recipes import RECIPES, recipe
from evals.report import Report
from evals.transfer import ADAPTATIONS, Adaptation, make_adapter
from evals.transfer import Finetune as UsualFinetune
from synth.base import take_all
from synth.errors import BadInput
from synth.files.format import save_set
from synth.labels.plain import Target
from tests.support.places import ROOT
from tests.support.three_classes import NET, make_set, rows_of, three_classes, without


@dataclass(frozen=True)
class NearestMean(Protocol):
    """The toy: an image is of the class whose mean in the set is nearest to it, a power of the distance apart. It needs no network."""

    name: str = "means"
    power: float = 2.0

    measure = "val_means_accuracy"
    does = "compares with class means"
    own_net = "means"
    options = ("power",)
    modalities = ("images",)

    def worker(self, network: ScoringNetwork, task: ScoringTask) -> Worker:
        x = np.asarray(task.part.x).reshape(len(task.part.y), -1)

        def report(key, kind, draw, *, numbers, tick) -> Report:
            began, scores = time.perf_counter(), []
            for seed in numbers:
                scores.append(float((nearest(draw(seed), x, self.power) == task.part.y).mean()))
                tick(1)
            return Report(network.name, self.name, kind, tuple(scores), time.perf_counter() - began)

        return Worker(report, seconds=lambda drawn, group: 7.0)

    def vary(self, option: str, text: str) -> "NearestMean":
        if not text.isdigit() or int(text) < 1:
            raise BadInput(f"--recipe {self.name}:{option}={text}: give a whole number above 0")
        return NearestMean(f"{self.name}:{option}={text}", float(text))


def nearest(synth, x, power: float = 2.0) -> np.ndarray:
    """The class of the nearest mean."""
    held, y = np.asarray(synth.x.decode()).reshape(len(synth), -1), np.asarray(synth.y.probs()).argmax(1)
    means = np.stack([held[y == c].mean(0) for c in range(synth.y.classes)])
    return (np.abs(x[:, None] - means[None]) ** power).sum(-1).argmin(1)


def brightest(comparison: Comparison):
    """The toy row: the brightest images of every class."""

    def choose(key, labels, count):
        light = take_all(comparison.data.train).x.mean((1, 2, 3))
        members = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
        return np.concatenate([at[np.argsort(-light[at], kind="stable")[:count]] for at in members])

    return comparison.at_budget("brightest", choose)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture
def toy(monkeypatch):
    """The one registry entry."""
    monkeypatch.setitem(RECIPES, "means", NearestMean())


def by_hand(synth, part, power: float = 2.0) -> float:
    return float((nearest(synth, np.asarray(part.x).reshape(len(part.y), -1), power) == part.y).mean())


# --- what every protocol and modality must say


@pytest.mark.parametrize("name", RECIPES)
def test_a_protocol_states_its_facts(name):
    protocol = recipe(name)
    assert protocol.name == name and protocol is RECIPES[name] and hash(protocol) == hash(recipe(name)) and isinstance(protocol, Protocol)
    assert protocol.measure.startswith("val_") and protocol.does and protocol.epochs >= 1
    assert protocol.modalities is None or set(protocol.modalities) <= MODALITIES.keys()
    assert not (protocol.own_net and protocol.takes_frozen), "a network is either needed or not"
    assert protocol.trains == ("epochs" in protocol.options)
    view = protocol.view_for(height=32, flips=True)
    assert view is None or protocol.trains, "labels answer to views of a training"
    assert 1 <= protocol.batch_of(7, 2) <= 7
    with pytest.raises(BadInput, match=f"unknown recipe '{name}:colour=3'"):
        recipe(f"{name}:colour=3")
    for option in protocol.options:
        value = {"precision": "bf16"}.get(option, "3")
        varied = recipe(f"{name}:{option}={value}")
        assert varied.name == f"{name}:{option}={value}" and varied != protocol and recipe(varied.name) == varied
        assert (varied.measure, varied.does, varied.own_net) == (protocol.measure, protocol.does, protocol.own_net)
        with pytest.raises(BadInput, match=f"--{option} 0|{name}:{option}=0"):
            recipe(f"{name}:{option}=0")


def test_protocols_of_one_measure_share_a_table_and_no_others():
    """A row with a recipe of its own must be scored by the same measure as the rows beside it."""
    measures = {name: protocol.measure for name, protocol in RECIPES.items()}
    assert {name for name in measures if measures[name] != "val_accuracy"} == {"krr", "krr-ntk"}
    for evaluator in EVALUATORS.values():
        assert all(measures[row.recipe] == "val_accuracy" for row in evaluator.baselines.values() if row.recipe)


def test_every_modality_is_known_in_every_room():
    assert EVALUATORS.keys() == MODALITIES.keys() == DRAWERS.keys() == BUILDERS.keys()
    for name, evaluator in EVALUATORS.items():
        usual = RECIPES[MODALITIES[name].recipe]
        assert usual.modalities is None or name in usual.modalities
        assert {"distilled", "random", "full"} <= evaluator.baselines.keys() and not evaluator.baselines["distilled"].real


def test_nobody_asks_which_protocol_or_data_it_is():
    """By class: what differs is a fact of the protocol, or a registry's entry of the modality."""
    asked = {"EvalRecipe", "RidgeHead", "Protocol", "Finetune", "Probe", "GraphData"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "condense").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        if asked & {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
    ]
    assert found == []


# --- a protocol of one's own


def test_a_protocol_of_ones_own_scores_a_set(data, toy, tmp_path, capsys):
    """On the command line: its document has the rows of every other, and real images stand beside."""
    synth = make_set(data)
    save_set(tmp_path / "set.npz", synth)
    flags = f"--recipe means --seeds 2 --rows distilled,random --json {tmp_path / 'a.json'}"
    assert command(["evaluate", str(tmp_path / "set.npz"), *flags.split()]) == 0
    rows = json.loads((tmp_path / "a.json").read_text())["results"]
    assert [(row["net"], row["recipe"], row["set_kind"], len(row["accuracy"])) for row in rows] == [
        ("means", "means", kind, 2) for kind in ("distilled", "random")
    ]
    assert list(rows[0]) == ["net", "recipe", "set_kind", "accuracy", "mean", "std", "seconds"]
    expected = by_hand(synth, take_all(data.test))
    assert rows[0]["accuracy"] == [expected, expected] and 1 / 3 < expected < 1
    said = capsys.readouterr()
    assert "recipe means" in " ".join(said.out.split()) and "2 rows of 2 seeds: about 28 s" in said.err, (
        "two seeds of 7 s, one at a time, twice"
    )
    varied = evaluate(synth, data=data, recipe="means:power=9", seeds=1, rows="distilled").reports[0]
    steep = by_hand(synth, take_all(data.test), 9.0)
    assert (varied.recipe, varied.accuracy[0]) == ("means:power=9", steep) and steep != expected


@pytest.mark.slow
def test_a_protocol_of_ones_own_selects_on_the_way(data, toy, tmp_path, monkeypatch):
    """`distill --eval-every` logs its score on the validation split under its own name, and the set names it."""
    monkeypatch.setitem(MODALITIES, "images", MODALITIES["images"]._replace(recipe="means"))
    synth = distill("dm", data, ipc=1, net=NET, steps=2, eval_every=1, out=tmp_path, batch=4)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seen = {line["step"]: line["val_means_accuracy"] for line in lines if "val_means_accuracy" in line}
    assert seen.keys() == {1, 2} and not any("val_accuracy" in line for line in lines)
    assert seen[2] == pytest.approx(by_hand(synth, take_all(data.val))) == validation_score(data, NET, NearestMean(), seed=0)(synth)
    assert by_hand(load_set(tmp_path / "best.npz"), take_all(data.val)) == pytest.approx(max(seen.values()))
    assert synth.info.recipe == "means" and evaluate(synth, data=data, seeds=1, rows="distilled").reports[0].recipe == "means"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "full"}, "--rows full: it is retrained, and recipe means compares with class means; leave it out"),
        ({"best_on_test": True}, "--best-on-test: recipe means trains nothing"),
        ({"epochs": 3}, "--epochs 3: recipe means trains nothing"),
        ({"net": "mlp"}, "--net mlp: recipe means needs no network"),
        ({"frozen": "x"}, "--frozen x: recipe means fits no ridge head to features of a network; take --recipe krr"),
        ({"recipe": "mean"}, "unknown recipe 'mean' .known: dc, .*, means.; did you mean means.$"),
        ({"recipe": "means:power=0"}, "--recipe means:power=0: give a whole number above 0"),
        ({"recipe": "means:speed=1"}, "unknown recipe 'means:speed=1'"),
    ],
)
def test_a_protocol_of_ones_own_is_asked_for_nothing_that_it_lacks(data, toy, change, message):
    with pytest.raises(BadInput, match=message):
        evaluate(make_set(data), **{"data": data, "recipe": "means", "seeds": 1, "rows": "distilled", **change})


def test_a_protocol_does_not_score_what_it_does_not_know(toy):
    with pytest.raises(BadInput, match="--recipe means: is for images; use graph"):
        evaluate(distill("random", "toy_graphs", ipc=1), recipe="means")


# --- a row of one's own


def test_a_row_of_ones_own_stands_beside_the_set(data, toy, monkeypatch):
    """Its images are labelled as the set, and counted as the set's of every class; an unknown one is refused naming it too."""
    monkeypatch.setitem(BASELINES, "brightest", Baseline(brightest, real=True))
    synth, shown = make_set(data, (1, 3, 2)), []
    monkeypatch.setattr(
        NearestMean,
        "worker",
        lambda self, network, task: Worker(
            lambda key, kind, draw, *, numbers, tick: shown.append(draw(0)) or Report("means", "means", kind, (0.5,), 0.0)
        ),
    )
    result = evaluate(synth, data=data, recipe="means", seeds=1, rows=("distilled", "brightest"))
    assert [row["set_kind"] for row in result.as_json()["results"]] == ["distilled", "brightest"]
    own = shown[1]
    assert np.bincount(own.y.index).tolist() == [1, 3, 2]
    for c, count in enumerate((1, 3, 2)):
        members = take_all(data.train).x[data.train.y == c]
        best = members[np.argsort(-members.mean((1, 2, 3)))[:count]]
        assert {*rows_of(best)} == {row for row, y in zip(rows_of(own.x.pixels), own.y.index.tolist(), strict=True) if y == c}
    with pytest.raises(
        BadInput,
        match=r"--rows: unknown row 'darkest' .known for images: distilled, random, .*, noise, full, random-best, kmeans-best, brightest",
    ):
        evaluate(synth, data=data, recipe="means", rows="darkest")


@dataclass(frozen=True)
class FirstFeature(Adaptation):
    """The toy way to other data: class 1 where the body's first feature is above its mean."""

    name = "first"
    does = "read"

    def adapter(self, source, target, classes):
        return make_adapter(source, target, classes, how=UsualFinetune())

    def accuracies(self, keys, adapter, vars, train, rows, test, *, classes, tick):
        feature = np.asarray(adapter.embed(vars, test.x))[:, 0]
        tick(len(rows))
        return [float(np.mean((feature > feature.mean()) == (np.asarray(test.y) == 1)))] * len(rows)


@pytest.mark.slow
def test_transfer_takes_rows_and_ways_of_ones_own(data, monkeypatch):
    """A row that repeats the first image, and a protocol that reads one feature, beside the known ones."""

    def first(source: RowSource):
        return lambda seed: source.real(source.data.train.take(np.zeros(len(source.synth), int)))

    monkeypatch.setitem(TRANSFER_ROWS, "first", Baseline(first))
    monkeypatch.setitem(ADAPTATIONS, "first", FirstFeature)
    synth = make_set(data)
    synth = without(synth.__class__(synth.x, Target(jax.random.normal(jax.random.key(0), (6, 4))), info=synth.info), represents=True)

    class Narrow:
        """Stands for a teacher."""

        represent = staticmethod(lambda images: jnp.ones((len(images), 4), jnp.float32))

    monkeypatch.setattr("condense.workflows.transfer.take_teacher", lambda *args: Narrow)
    call = {"to": data, "net": NET, "seeds": 2, "epochs": 1, "teacher": "here"}
    result = transfer(synth, **call, rows=["none", "first", "distilled"], protocol=["first", "probe"])
    assert [report.recipe for report in result.results_by_target[0].reports] == ["first", "mse:epochs=1+first", "mse:epochs=1+first"]
    assert [report.set_kind for report in result.reports] == ["none", "first", "distilled"] * 2
    assert all(len(report.accuracy) == 2 and 0 < report.mean < 1 for report in result.reports)
    for change, message in (
        ({"rows": "last"}, "unknown row 'last' .*none, distilled, random, random_labels, kmeans, full, first"),
        ({"protocol": "last"}, "unknown protocol 'last' .known: probe, finetune, first"),
        ({"protocol": "first", "steps": 3}, "--steps 3: a first is solved, not stepped; leave it out, or give --protocol finetune"),
    ):
        with pytest.raises(BadInput, match=message):
            transfer(synth, **{**call, **change})

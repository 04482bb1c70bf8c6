"""Label regimes: every row under each at equal steps, with a temperature that validation chose; which cells differ; what is refused."""

import io
import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import condense
from condense import evaluate
from condense.__main__ import run as command
from condense.evaluation import spreads, teaching
from condense.evaluation.choices import epochs_of_steps
from condense.evaluation.kept import kept_evaluations
from condense.evaluation.regimes import Teaching
from condense.evaluation.teaching import Committee
from evals import retrain as training
from evals.recipes import recipe
from evals.report import Report
from evals.retraining import trained_on
from evals.spread import spread
from synth.base import Teacher, take_all
from synth.errors import BadInput
from synth.files.format import save_set
from synth.labels.plain import Target
from tests.support.three_classes import NET, make_set, three_classes
from tests.support.toy_data import smooth_net

WAY = {"net": NET, "recipe": "quick", "epochs": 2, "seeds": 1, "rows": ("distilled", "random")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture
def asked(monkeypatch):
    """Nothing is trained: (kind of row, regime, temperature, images scored on) of every training, and a weight that is not 1. At
    temperature 4 a network is best, and near weight 0.6."""
    seen, labels = [], {}

    def note_labels(teaching, given, regime, temperature, alpha):
        labels[id(given)] = regime, temperature, given, alpha  # held, so that no other set gets its number
        return given

    def score_at_once(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        labels.clear()
        drawn = draw(numbers[0])
        regime, temperature, _, alpha = labels.get(id(drawn), ("hard", None, None, 1.0))
        seen.append((set_kind, regime, temperature, len(test.y), *([alpha] if alpha != 1 else [])))
        accuracy = 0.5 if temperature is None else 0.9 - abs(temperature - 4) / 100 - (abs(alpha - 0.6) - 0.4) / 10
        return Report(net_name, recipe.name, set_kind, (accuracy,) * len(numbers), 1.0)

    monkeypatch.setattr(Teaching, "label", note_labels)
    monkeypatch.setattr(training, "retrain_group", score_at_once)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    return seen


def teachers(folder: Path, data, *, weight: float = 1.0) -> Path:
    """What stands for the folder of a committee of one network of 8 bytes; nobody loads it."""
    (folder / "members").mkdir(parents=True, exist_ok=True)
    index = {"format": 1, "classes": data.classes, "image": data.image, "normalisation": "standard", "data_digest": data.digest}
    (folder / "teachers.json").write_text(json.dumps({**index, "members": [{"net": "mlp:width=4", "accuracy": 0.9}]}))
    np.savez(folder / "members" / "0.npz", w=np.full(2, weight, np.float32))
    return folder


@pytest.fixture
def call(data, asked, tmp_path):
    """A call, by default of hard and online labels; it says what is trained."""
    usual = {**WAY, "data": data, "teachers": teachers(tmp_path / "t", data), "cache": tmp_path / "c", "regimes": ("hard", "online")}

    def ask(what=None, **change):
        asked.clear()
        result = evaluate(make_set(data) if what is None else what, **{**usual, **change})
        return list(asked), result

    return ask


def test_several_sets_are_scored_under_regimes_as_each_by_itself(data, call, capsys):
    """Also where every row is of a regime, so that a set has no score without one."""
    one, other = make_set(data), make_set(data)
    way = {"regimes": "hard", "teachers": None}
    both = call((one, other), **way)[1]
    assert [[report.labelling.regime for report in single.reports] for single in both.sets] == 2 * [["hard", "hard"]]
    assert both.sets[0].reports[0].accuracy == call(one, **way)[1].reports[0].accuracy
    assert "1 of 2 scored: a set, distilled " in capsys.readouterr().err


def test_the_temperature_is_chosen_on_validation_for_every_row(data, call, asked, capsys):
    said, result = call(regimes=("soft", "hard"))
    tests, vals = len(data.test.y), len(data.val.y)
    for kind in ("distilled", "random"):
        tried = [(kind, "soft", temperature, vals) for temperature in (1.0, 4.0, 20.0)]
        mine = [one for one in said if one[0] == kind]
        assert mine == [*tried, (kind, "soft", 4.0, tests), (kind, "hard", None, tests)], "test images are scored once, at the end"
    assert (
        "distilled images, soft labels, mlp:width=8,norm=none,act=relu: temperature 4, of 1 87.0, 4 90.0, 20 74.0 %"
        in capsys.readouterr().err
    )
    named = [(one.set_kind, one.labelling.regime, one.labelling.temperature) for one in result.reports]
    assert named == [("distilled", "soft", 4.0), ("distilled", "hard", None), ("random", "soft", 4.0), ("random", "hard", None)]
    assert call(regimes=("soft", "hard"))[0] == [], "trials are kept too"


def test_the_weight_is_chosen_on_validation_after_the_temperature(data, call, capsys):
    """Among 0, 0.5, 0.9 and 1, the last of which was tried with every temperature. Test images are scored once."""
    said, result = call(regimes=("soft", "hard"), alpha="best")
    tests, vals = len(data.test.y), len(data.val.y)
    tried = [("random", "soft", temperature, vals) for temperature in (1.0, 4.0, 20.0)]
    tried += [("random", "soft", 4.0, vals, alpha) for alpha in (0.0, 0.5, 0.9)]
    assert [one for one in said if one[0] == "random"] == [*tried, ("random", "soft", 4.0, tests, 0.5), ("random", "hard", None, tests)]
    assert "act=relu: alpha 0.5, of 0 88.0, 0.5 93.0, 0.9 91.0, 1 90.0 % on validation" in capsys.readouterr().err
    told = [(row["alpha"], row["temperature"], row.get("alpha_chosen")) for row in result.as_json()["results"]]
    assert told == [(0.5, 4.0, True), (None, None, None)] * 2
    heard = io.StringIO()
    Console(file=heard, width=140).print(result.table())
    assert "alpha chosen on validation" in heard.getvalue() and "│ 0.5 │" in " ".join(heard.getvalue().split())
    assert call(regimes=("soft", "hard"), alpha="best")[0] == [] == call(regimes="soft", alpha=0.5, temperature=4.0)[0]


def test_facts_tell_weight_temperature_regime_and_teachers_apart(data, tmp_path):
    """What a cell is found by; the place of the teachers is none of it."""
    places = [teachers(tmp_path / name, data, weight=weight) for name, weight in (("a", 1.0), ("b", 1.0), ("c", 2.0))]
    first, same, other = (Committee(place, data, "test") for place in places)
    facts = [
        Teaching(("online",), alpha, None, committee).facts(regime, temperature, alpha)
        for alpha, committee, regime, temperature in (
            (1.0, first, "online", 4.0),
            (1.0, same, "online", 4.0),
            (0.5, first, "online", 4.0),
            (1.0, first, "soft", 4.0),
            (1.0, first, "online", 1.0),
            (1.0, other, "online", 4.0),
        )
    ]
    assert facts[0] == facts[1] and len({json.dumps(one) for one in facts}) == 5


@pytest.mark.slow
def test_what_is_finished_is_found_and_what_differs_is_not(data, call, tmp_path):
    """The weight, the temperature, the regime and the teachers are all part of a cell; rows under class indices depend on none of them."""
    assert len(call()[0]) == 2 + 2 * 4 and call()[0] == []
    count = lambda **change: len(call(**change)[0])  # noqa: E731 (of a row of counts)
    assert count(alpha=1.0) == 0 and count(temperature=4.0) == 0 and count(regimes="online") == 0, "the same in other words"
    assert count(alpha=0.5) == 8 and count(alpha=0.5) == 0
    assert count(temperature=4.5) == 2 and count(temperature=4.5) == 0
    assert count(regimes=("soft",)) == 8 and count(regimes=("soft",)) == 0
    assert count(teachers=teachers(tmp_path / "moved", data)) == 0, "the same files elsewhere"
    other = teachers(tmp_path / "other", data, weight=2.0)
    assert count(teachers=other) == 8 and count(teachers=other) == 0
    assert count(alpha=0.0) == 2, "without weight there is no temperature to choose"
    assert (
        len(evaluate(make_set(data), **WAY, data=data, cache=tmp_path / "c").reports) == 2 and call(regimes="hard", teachers=None)[0] == []
    )


@pytest.mark.parametrize("name", ["quick", "hald", "gift", "gvbsm", "edc"])
def test_networks_learn_by_the_loss_of_the_recipe(data, tmp_path, monkeypatch, name):
    """A loss on the answers themselves gets them as they are; others get them blended with the classes."""
    net, seen = smooth_net(), {}
    monkeypatch.setattr(teaching, "take_teachers", lambda *args, **more: (Teacher(net, net.init(jax.random.key(0)), "toy"),))

    def learn(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        own = draw(numbers[0]).y
        seen[own.kind] = trained_on(recipe, own, jnp.int32(4)).kind
        return Report(net_name, recipe.name, set_kind, (0.5,) * len(numbers), 1.0)

    monkeypatch.setattr(training, "retrain_group", learn)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    way = {**WAY, "recipe": name, "rows": "distilled", "regimes": ("soft", "online"), "teachers": teachers(tmp_path / "t", data)}
    result = evaluate(make_set(data), data=data, **way, temperature=4.0)
    loss = {"gift": "gift", "gvbsm": "logits", "edc": "logits"}.get(name)
    assert seen == ({"static": loss, "online": loss} if loss else {"blended": "blended" if name == "quick" else "phased"})
    assert [report.labelling.alpha for report in result.reports] == [None if loss else 1.0] * 2


def test_the_temperature_is_not_chosen_where_it_does_not_matter(data):
    """A loss on logits finds those of a view again at any temperature; but mixed images mix stored answers as probabilities."""
    committee = Committee(None, data, "test")
    own, blended = (Teaching(("soft", "online"), 1.0, None, committee, own_loss) for own_loss in (True, False))
    assert own.candidates("online") == (20.0,) and own.candidates("soft") == blended.candidates("online") == (1.0, 4.0, 20.0)


def test_rows_say_their_labels_bytes_and_steps(call, data):
    """By hand: 6 images of 3 classes in one batch, 2 epochs; 4 bytes an index, 2 a logit; a teacher of two float32."""
    _, result = call(regimes=("hard", "soft", "online"), rows=("random", "full"), temperature=4.0, alpha=0.5)
    rows = {(row["set_kind"], row["labels"]): row for row in result.as_json()["results"]}
    numbers = {
        at: tuple(row[name] for name in ("alpha", "temperature", "steps", "label_bytes", "teacher_bytes")) for at, row in rows.items()
    }
    n = len(data.train.y)
    assert numbers == {
        ("random", "hard"): (None, None, 2, 24, 0),
        ("random", "soft"): (0.5, 4.0, 2, 6 * (4 + 2 * 3), 0),
        ("random", "online"): (0.5, 4.0, 2, 24, 8),
        ("full", "hard"): (None, None, 20, 4 * n, 0),
    }
    heard = io.StringIO()
    Console(file=heard, width=140).print(result.table())
    cells = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in heard.getvalue().splitlines()]
    assert cells[[row[0] for row in cells].index("images")][:4] == ["images", "labels", "label bytes", "steps"]
    assert ["random", "online", "24 + teachers 8", "2"] in [row[:4] for row in cells] and "alpha 0.5" in heard.getvalue()


def test_sets_of_several_sizes_are_trained_on_for_as_many_steps(data):
    """Of three images in batches of 256 an epoch is a step; of 72 in batches of 16 it is five, and 11 steps are three epochs of them."""
    small, large = make_set(data, (1, 1, 1)), make_set(data, (24, 24, 24))
    assert [epochs_of_steps(11, None, recipe("quick"), synth) for synth in (small, large)] == [11, 11]
    assert [epochs_of_steps(11, None, recipe("cvdd"), synth) for synth in (small, large)] == [11, 3]
    assert epochs_of_steps(None, 7, recipe("quick"), small) == 7
    for epochs, name, message in ((7, "quick", "--epochs 7 says how long"), (None, "krr", "recipe krr trains nothing")):
        with pytest.raises(BadInput, match=f"--steps 11: {message}"):
            epochs_of_steps(11, epochs, recipe(name), small)


def test_a_sets_own_labels_do_not_matter_and_its_class_indices_do(call, data):
    """Under regimes a set of regression values is the set of its classes."""
    synth = make_set(data)
    call(regimes="hard", teachers=None)
    values = np.eye(3, dtype=np.float32)[np.asarray(synth.y.index)] - np.float32(1 / 3)
    assert call(replace(synth, y=Target(values)), regimes="hard", teachers=None)[0] == []


def test_a_report_of_kept_scores_passes_regimes_over(call, data, tmp_path):
    """Else scores under the teachers' labels would stand for those of the set."""
    save_set(tmp_path / "set.npz", make_set(data))
    call(tmp_path / "set.npz", cache=tmp_path / "cells")
    (only,) = kept_evaluations(make_set(data), tmp_path / "set.npz")
    assert [(report.set_kind, report.accuracy) for report in only.reports] == [("distilled", (0.5,)), ("random", (0.5,))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regimes": "sof", "teachers": None}, "--regimes: unknown regime 'sof' .known: hard, soft, online.; did you mean soft"),
        ({"regimes": ()}, "--regimes: none given .known: hard, soft, online"),
        ({"regimes": "soft", "teachers": None}, "--regimes soft: its labels are answers of teachers; give --teachers DIR"),
        ({"regimes": "hard"}, "--teachers .*: no regime asks them; add soft or online to --regimes, or leave it out"),
        ({"steps": 11}, "--steps 11: --epochs 2 says how long networks are trained"),
        ({"alpha": 1.5}, "--alpha 1.5: give a number from 0 to 1, the weight of the teachers' answers, or best"),
        ({"alpha": "most"}, "--alpha most: give a number from 0 to 1, .*, or best"),
        ({"alpha": "best", "recipe": "gift"}, "--alpha best: recipe gift.* has a loss of its own"),
        ({"alpha": "best", "regimes": "hard", "teachers": None}, "--alpha best: is of labels by teachers"),
        ({"temperature": 0.0}, "--temperature 0: give a number above 0"),
        ({"regimes": "hard", "teachers": None, "alpha": 0.5}, "--alpha 0.5: is of labels by teachers; add soft or online to --regimes"),
        ({"regimes": None, "temperature": 2.0}, "--temperature 2: is of labels by teachers; add soft or online"),
        ({"recipe": "krr", "epochs": None}, "--regimes: is of a training, and recipe krr .*; leave it out"),
        (
            {"recipe": "edc", "alpha": 0.9},
            "--alpha 0.9: recipe edc.* has a loss of its own on the teachers' answers, .*; leave --alpha out",
        ),
        (
            {"rows": ("distilled", "random-best")},
            "--rows random-best: its content is chosen under one recipe; leave it out, or score it apart",
        ),
        ({"rows": ("random_2x2",), "regimes": "soft"}, "--regimes soft: its answers are to whole images, and of collages one cell"),
    ],
)
def test_wrong_calls_are_refused(call, asked, change, message):
    with pytest.raises(BadInput, match=message):
        call(**change)
    assert asked == []


def test_every_row_is_scored_under_each_augmentation(call, data, tmp_path):
    """In place of the recipe's own; each is a cell of its own, and a report passes them over."""
    way = {"regimes": None, "teachers": None, "rows": ("distilled", "random", "full"), "augmentations": ("none", "cutout")}
    said, result = call(**way)
    names = [(report.set_kind, report.augmentation) for report in result.reports]
    assert names == [(kind, name) for kind in ("distilled", "random") for name in ("none", "cutout")] + [("full", None)]
    assert len(said) == 5 and call(**way)[0] == [] and len(call(**{**way, "augmentations": "dsa"})[0]) == 2
    recipes = [json.loads(path.read_text())["facts"]["recipe"] for path in (tmp_path / "c").iterdir()]
    assert {"cutout", "dsa", ""} == {recipe["augment"] for recipe in recipes} and "pad=4,flip" in {recipe["view"] for recipe in recipes}
    assert [row.get("augmentation") for row in result.as_json()["results"]] == ["none", "cutout"] * 2 + [None]
    means = [0.4, 0.7, 0.5, 0.6, 0.9]
    made = result._replace(reports=tuple(one._replace(accuracy=(mean,)) for one, mean in zip(result.reports, means, strict=True)))
    summary = [(row["set_kind"], row["best"], row["mean"]) for row in made.as_json()["over_augmentations"]]
    assert summary == [("distilled", 0.7, pytest.approx(0.55)), ("random", 0.6, pytest.approx(0.55))]
    known = "none, dsa, one, crop, cutout, jitter, autoaugment, randaugment, cutmix"
    with pytest.raises(BadInput, match=rf"--augmentations: unknown augmentation 'cut' .known: {known}"):
        call(augmentations="cut")


def test_the_step_size_of_every_row_is_chosen_on_validation(call, data, tmp_path, monkeypatch):
    """The full row's too; but one that was learned with the set stays."""
    sizes = []

    def best_in_the_middle(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        sizes.append((set_kind, recipe.lr, len(test.y)))
        return Report(net_name, recipe.name, set_kind, (0.9 - abs(recipe.lr - 0.01),) * len(numbers), 1.0)

    monkeypatch.setattr(training, "retrain_group", best_in_the_middle)
    way = {"regimes": None, "teachers": None, "rows": ("distilled", "full"), "tune_lr": True}
    _, result = call(**way)
    tests, vals = len(data.test.y), len(data.val.y)
    for kind in ("distilled", "full"):
        tried = [(kind, size, vals) for size in (0.001, 0.005, 0.01, 0.05, 0.1)]
        assert [one for one in sizes if one[0] == kind] == [*tried, (kind, 0.01, tests)]
    assert [row["step_size"] for row in result.as_json()["results"]] == [0.01, 0.01]
    learned = call(make_set(data, lr=np.float32(0.7)), **{**way, "rows": "distilled"})[1].reports[0]
    assert learned.step_size is None and sizes[-1] == ("distilled", 0.05, tests)


def test_rows_say_how_they_lie_among_the_training_images(call, data, monkeypatch):
    """In the features of the first network of a folder; a row of all of them has no such numbers."""
    net = smooth_net()
    teacher = Teacher(net, net.init(jax.random.key(0)))
    monkeypatch.setattr(spreads, "take_teachers", lambda *args, **more: (teacher,))
    monkeypatch.setattr(spreads, "read_index", lambda *args, **more: {})
    _, result = call(regimes=None, teachers=None, rows=("distilled", "random", "full"), embed="there")
    synth, train = make_set(data), take_all(data.train)
    embed = lambda x: np.asarray(net.apply(teacher.vars, x).embed)  # noqa: E731
    expected = spread(embed(train.x), train.y, embed(synth.x.decode()), np.asarray(synth.y.index))
    rows = result.as_json()["results"]
    np.testing.assert_allclose([rows[0]["coverage"], rows[0]["diversity"]], expected, rtol=1e-5)
    assert 0 < rows[1]["coverage"] < 1 and rows[1]["coverage"] != rows[0]["coverage"] and "coverage" not in rows[2]


def test_scores_of_dd_ranking_follow_from_the_rows(call):
    """By hand: with a = (0.9 - 0.5) / 2 - 0 where full and distilled agree, and random is as good as the set under the same labels."""
    rows = {
        ("full", "hard"): 0.8,
        ("distilled", "hard"): 0.6,
        ("distilled", "soft"): 0.7,
        ("random", "soft"): 0.55,
        ("random", "hard"): 0.5,
    }
    _, result = call(regimes=("hard", "soft"), rows=("distilled", "random", "full"), temperature=4.0)
    at = [(report, rows[report.set_kind, report.labelling.regime]) for report in result.reports]
    made = result._replace(reports=tuple(report._replace(accuracy=(value - 0.1, value + 0.1)) for report, value in at))
    squashed = lambda a: (np.exp(a) - np.exp(-1)) / (np.e - np.exp(-1))  # noqa: E731
    hard, soft = made.as_json()["dd_ranking"]
    assert (hard["labels"], soft["labels"]) == ("hard", "soft") and hard["net"] == made.reports[0].net
    np.testing.assert_allclose([hard["hlr"], hard["ior"], hard["lrs"]], [0.2, 0.1, squashed((0.1 - 0.2) / 2)])
    np.testing.assert_allclose([soft["hlr"], soft["ior"], soft["lrs"]], [0.2, 0.15, squashed((0.15 - 0.2) / 2)])
    heard = io.StringIO()
    Console(file=heard, width=140).print(made.table())
    assert "DD-Ranking" in heard.getvalue() and "HLR 20.0, IOR 15.0, LRS 0.2" in heard.getvalue()
    assert "dd_ranking" not in call(regimes=("hard", "soft"), temperature=4.0)[1].as_json(), "nothing is known of the full data"


def test_the_score_of_augmentations_sets_an_augmentation_beside_none(call):
    """IOR 0.2 under the augmentation, 0.1 without: ARS of 0.15. The full row has no augmentation."""
    way = {"regimes": "hard", "teachers": None, "augmentations": ("none", "dsa"), "rows": ("distilled", "random", "full")}
    _, result = call(**way)
    means = (0.5, 0.7, 0.4, 0.5, 0.8)
    made = result._replace(reports=tuple(one._replace(accuracy=(mean,)) for one, mean in zip(result.reports, means, strict=True)))
    plain, augmented = made.as_json()["dd_ranking"]
    assert "ars" not in plain and augmented["augmentation"] == "dsa"
    assert augmented["ars"] == pytest.approx((np.exp(0.15) - np.exp(-1)) / (np.e - np.exp(-1)))
    assert (augmented["hlr"], augmented["ior"]) == (pytest.approx(0.1), pytest.approx(0.2))


@pytest.mark.slow
def test_regimes_on_digits_from_the_command_line(tmp_path, capsys):
    """Trained in earnest. Without weight of the teachers their labels are the classes, to the last network."""
    net = "mlp:width=64"
    synth = condense.distill("random", "digits", ipc=5, out=tmp_path / "run", net=net, seed=0)
    condense.train_teachers("digits", tmp_path / "t", net=[net], epochs=20, batch=32)
    shared = [
        str(tmp_path / "run"),
        "--net",
        net,
        "--seeds",
        "2",
        "--recipe",
        "quick",
        "--epochs",
        "100",
        "--teachers",
        str(tmp_path / "t"),
    ]
    way = ["evaluate", *shared, "--rows", "distilled", "--regimes", "hard,soft,online", "--temperature", "4"]
    assert (
        command([*way, "--alpha", "0", "--per-class", "--json", str(tmp_path / "a.json")])
        == command([*way, "--json", str(tmp_path / "b.json")])
        == 0
    )
    without, taught = (json.loads((tmp_path / name).read_text())["results"] for name in ("a.json", "b.json"))
    assert without[0]["accuracy"] == without[1]["accuracy"] == without[2]["accuracy"] == taught[0]["accuracy"]
    assert {row["steps"] for row in (*without, *taught)} == {100} and len({tuple(row["accuracy"]) for row in taught}) > 1
    assert [row["label_bytes"] for row in taught] == [200, 50 * (4 + 20), 200] and taught[2]["teacher_bytes"] > 1000
    assert min(means := [row["mean"] for row in taught]) > 0.4, means
    members = Committee(tmp_path / "t", condense.load_data("digits"), "test")
    made = Teaching(("soft",), 1.0, 4.0, members).label(synth, "soft", 4.0, 1.0)
    assert made.y.nbytes() == taught[1]["label_bytes"] and made.y.answers.teachers.endswith("*1")
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("label bytes") == 2 and said.count("accuracy of every class in %") == 1

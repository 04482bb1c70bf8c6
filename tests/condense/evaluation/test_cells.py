"""Finished cells: what is trained again and what is not, wrong hits, damaged files, and one table for several sets."""

import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import condense.evaluation.cells as cells_module
from condense import evaluate
from condense.data.load import load_data
from condense.evaluation import facts
from condense.evaluation import images as score
from condense.evaluation.baselines import BASELINES
from condense.evaluation.cells import Cells
from evals import retrain as training
from evals.report import Report
from evals.retrain import make_trainer, retrain_group
from synth.base import Net
from synth.errors import BadInput
from synth.files.format import save_set
from synth.images.content import Pixels
from synth.images.preprocess import Standard
from synth.labels.plain import Hard, Soft, Target
from tests.support.places import ROOT
from tests.support.three_classes import NET, make_set, three_classes, without
from tests.support.toy_data import smooth_net

WAY = {"net": NET, "recipe": "quick", "epochs": 2, "seeds": 5, "rows": ("distilled", "random", "kmeans")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture
def trained(monkeypatch):
    """(kind of row, seeds) of every training, in order; one network and recipe is compiled once for all tests."""
    seen = []

    def watch(*args, numbers, set_kind, **more):
        seen.append((set_kind, tuple(numbers)))
        return retrain_group(*args, numbers=numbers, set_kind=set_kind, **more)

    monkeypatch.setattr(training, "retrain_group", watch)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    monkeypatch.setattr(score, "build_trainer", lambda network, recipe, data: _built(network, recipe))
    return seen


def _built(network, recipe, cache={}):  # noqa: B006
    at = (network.name, recipe)
    if at not in cache:
        cache[at] = make_trainer(network.net, recipe, None)
    return cache[at]


@pytest.fixture
def stubbed(monkeypatch):
    """Nothing is trained: every training is noted, and its scores are numbers that no other has."""
    seen = []

    def score_at_once(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        seen.append((set_kind, tuple(numbers)))
        return Report(net_name, recipe.name, set_kind, tuple((len(seen) + number) / 1000 for number in numbers), 0.25 + len(seen))

    monkeypatch.setattr(training, "retrain_group", score_at_once)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    return seen


def document(result, *, seconds: bool = False):
    found = result.as_json()
    for one in found if isinstance(found, list) else [found]:
        for row in one["results"]:
            row.pop("seconds") if not seconds else None
    return found


def kinds(trained) -> list[str]:
    return [kind for kind, _ in trained]


# --- what is trained, and what is not


def test_what_is_finished_is_not_trained_again_and_says_the_same(data, trained, tmp_path):
    synth = make_set(data)
    plain = evaluate(synth, data=data, **WAY)
    assert trained == [(kind, numbers) for kind in WAY["rows"] for numbers in ((0, 1, 2), (3, 4, 4))], "four devices, groups of one size"
    first = evaluate(synth, data=data, **WAY, cache=tmp_path / "c")
    assert document(first) == document(plain) and len(trained) == 12 and len([*(tmp_path / "c").iterdir()]) == 6
    again = evaluate(synth, data=data, **WAY, cache=tmp_path / "c")
    assert document(again, seconds=True) == document(first, seconds=True) and len(trained) == 12
    more = evaluate(synth, data=data, **{**WAY, "seeds": 3, "rows": "random"}, cache=tmp_path / "c")
    assert len(trained) == 12 and more.reports[0].accuracy == first.reports[1].accuracy[:3], "the first group is the same"
    assert len({report.accuracy for report in first.reports}) > 1


@pytest.mark.parametrize("stop", [0, 1, 2, 5])
def test_an_evaluation_that_was_stopped_goes_on_and_equals_one_that_was_not(data, trained, tmp_path, monkeypatch, stop):
    """Seeds of a row in two groups, of which the second is filled up: whatever was trained before stays, and nothing else is trained."""
    synth, whole = make_set(data), None
    whole = document(evaluate(synth, data=data, **WAY))
    usual, trained[:] = training.retrain_group, []

    def die(*args, **more):
        if len(trained) == stop:
            raise KeyboardInterrupt
        return usual(*args, **more)

    monkeypatch.setattr(training, "retrain_group", die)
    with pytest.raises(KeyboardInterrupt):
        evaluate(synth, data=data, **WAY, cache=tmp_path)
    monkeypatch.setattr(training, "retrain_group", usual)
    before = list(trained)
    result = evaluate(synth, data=data, **WAY, cache=tmp_path)
    assert document(result) == whole
    assert len(before) == stop and trained == [(kind, numbers) for kind in WAY["rows"] for numbers in ((0, 1, 2), (3, 4, 4))]


def test_real_rows_are_trained_once_for_all_sets_of_a_budget(data, stubbed, tmp_path):
    """In one call, without a folder; and in calls of their own that share one. Another budget has real rows of its own."""
    one, two = make_set(data), make_set(data, lr=jnp.float32(0.01))
    large = make_set(data, (3, 3, 3))
    way = {**WAY, "seeds": 1, "data": data}
    result = evaluate([one, two, large], **way)
    assert kinds(stubbed) == ["distilled", "random", "kmeans", "distilled", "distilled", "random", "kmeans"]
    assert result.sets[0].reports[1:] == result.sets[1].reports[1:] and result.sets[0].reports[0] != result.sets[1].reports[0]
    assert result.reports == tuple(report for part in result.sets for report in part.reports) and len(result.reports) == 9
    stubbed.clear()
    for synth in (one, two, large):
        evaluate(synth, **way, cache=tmp_path)
    assert kinds(stubbed) == ["distilled", "random", "kmeans", "distilled", "distilled", "random", "kmeans"]


def test_a_runs_cells_lie_in_its_folder_and_serve_its_neighbours(data, stubbed, tmp_path):
    for name, lr in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        (tmp_path / name).mkdir()
        save_set(tmp_path / name / "set.npz", make_set(data, lr=jnp.float32(lr)))
        (tmp_path / name / "run.json").write_text("{}") if name != "c" else None
    a, b, c = (tmp_path / name for name in "abc")
    way = {**WAY, "seeds": 1}
    evaluate(a, **way)
    assert len([*(a / "cells").iterdir()]) == 3 and len(stubbed) == 3
    evaluate([b, a / "set.npz"], **way)
    assert kinds(stubbed[3:]) == ["distilled"] and len([*(b / "cells").iterdir()]) == 3, "real rows are copied"
    shutil.rmtree(a / "cells")
    evaluate(b, **way)
    assert len(stubbed) == 4
    evaluate(c, **way)
    evaluate(a, **way, cache="none")
    assert len(stubbed) == 10 and not (c / "cells").exists() and not (a / "cells").exists() and not Path("none").exists()
    evaluate(a, **way, cache=tmp_path / "deep" / "er")
    assert len([*(tmp_path / "deep" / "er").iterdir()]) == 3 and not (a / "cells").exists()


# --- wrong hits


def committee(folder: Path, data, weight: bytes = b"w") -> Path:
    """What stands for the folder of a committee; nobody loads it."""
    (folder / "members").mkdir(parents=True, exist_ok=True)
    index = {"format": 1, "classes": data.classes, "image": data.image, "normalisation": "standard", "data_digest": data.digest}
    (folder / "teachers.json").write_text(json.dumps({**index, "members": [{"net": "mlp:width=4", "accuracy": 0.9}]}))
    (folder / "members" / "0.npz").write_bytes(weight)
    return folder


def another_source(monkeypatch):
    monkeypatch.setattr(facts, "SOURCE", "0" * 64)
    monkeypatch.setattr(cells_module, "SOURCE", "0" * 64)
    monkeypatch.setattr(cells_module, "source_now", lambda: "0" * 64)


def with_another_test_image(data):
    path = Path(data.spec.removeprefix("npz:"))
    with np.load(path) as held:
        arrays = dict(held)
    arrays["x_test"][0, 0, 0, 0] = 1 - arrays["x_test"][0, 0, 0, 0]
    np.savez(path.with_name("other.npz"), **arrays)
    return load_data(f"npz:{path.with_name('other.npz')}")


def moved(data, by: float):
    found = data.preprocess
    return Standard(found.mean + np.float32(by), found.std)


def changed(synth, **values):
    return {"what": replace(synth, **values)}


WRONG = {
    "split": lambda synth, data, patch: {"split": "val"},
    "validation split": lambda synth, data, patch: {"data": load_data(data.spec, seed=1)},
    "number of images": lambda synth, data, patch: {"data": load_data(f"{data.spec}?limit=100")},
    "test image": lambda synth, data, patch: {"data": with_another_test_image(data)},
    "flips": lambda synth, data, patch: {"data": load_data(f"{data.spec}?flip=false")},
    "preprocessing": lambda synth, data, patch: {"what": without(synth, preprocess=moved(data, 1e-6))},
    "network": lambda synth, data, patch: {"net": "mlp:width=9"},
    "network's option": lambda synth, data, patch: {"net": f"{NET},norm=batch"},
    "recipe": lambda synth, data, patch: {"recipe": "dc"},
    "recipe's option": lambda synth, data, patch: {"epochs": 3},
    "precision": lambda synth, data, patch: {"precision": "bf16"},
    "recipe's field": lambda synth, data, patch: patch.setitem(_recipes(), "quick", replace(_recipes()["quick"], lr=0.051)) or {},
    "best on test": lambda synth, data, patch: {"best_on_test": True},
    "seed": lambda synth, data, patch: {"seed": 1},
    "seeds beside": lambda synth, data, patch: {"seeds": 2},
    "source": lambda synth, data, patch: another_source(patch) or {},
    "version": lambda synth, data, patch: patch.setattr(facts, "versions_of", lambda names: {"jax": "0"}) or {},
    "backend": lambda synth, data, patch: patch.setattr(facts.jax, "default_backend", lambda: "tpu") or {},
    "compiler": lambda synth, data, patch: patch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true") or {},
    "teachers": lambda synth, data, patch: {"teachers": "there"},
}
OF_THE_SET = {
    "examples": lambda synth: changed(synth, x=Pixels(synth.x.pixels.at[0, 0, 0, 0].add(1e-6))),
    "dtype of labels": lambda synth: changed(synth, y=Soft(jnp.zeros((6, 3), jnp.float32).at[jnp.arange(6), synth.y.index].set(30.0))),
    "weight": lambda synth: changed(synth, weight=jnp.ones(6, jnp.float32)),
    "step size": lambda synth: changed(synth, lr=jnp.float32(0.05)),
    "order of labels": lambda synth: changed(synth, y=Hard(synth.y.index[::-1], 3)),
}


def _recipes():
    from evals.recipes import RECIPES

    return RECIPES


@pytest.fixture
def kept(data, stubbed, tmp_path, monkeypatch):
    """A call whose networks are finished, and what it trained; teachers are never loaded."""
    monkeypatch.setattr("condense.evaluation.teaching.take_teachers", lambda *args, **more: ())
    synth = make_set(data)
    call = {"what": synth, "data": data, **WAY, "seeds": 1, "rows": ("distilled", "random"), "cache": tmp_path / "c"}

    def ask(**change):
        stubbed.clear()
        asked = {**call, **change}
        evaluate(asked.pop("what"), **asked)
        return kinds(stubbed)

    assert ask() == ["distilled", "random"] and ask() == []
    return ask


@pytest.mark.parametrize("way", WRONG)
def test_what_differs_in_anything_is_trained_anew(way, data, kept, tmp_path, monkeypatch):
    committee(tmp_path / "there", data)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        change = WRONG[way](make_set(data), data, patch)
        assert kept(**change) == ["distilled", "random"], f"another {way} was taken for this one"
        assert kept(**change) == []
    assert kept() == []


@pytest.mark.parametrize("way", OF_THE_SET)
def test_another_set_is_trained_anew_and_real_rows_are_not(way, data, kept):
    change = OF_THE_SET[way](make_set(data))
    assert kept(**change) == ["distilled"], f"another {way} was taken for this one"
    assert kept(**change) == []


def test_regression_values_and_another_budget_have_real_rows_of_their_own(data, kept):
    synth = make_set(data)
    assert kept(what=replace(synth, y=Target(jnp.eye(3)[synth.y.index]))) == ["distilled", "random"]
    assert kept(what=make_set(data, (2, 2, 3))) == ["distilled", "random"]
    assert kept(what=make_set(data, (2, 3, 2))) == ["distilled", "random"], "as many examples, of other classes"


def test_other_teachers_are_others(data, kept, tmp_path):
    call = {"teachers": committee(tmp_path / "t", data)}
    assert kept(**call) == ["distilled", "random"] and kept(**call) == []
    assert kept(teachers=committee(tmp_path / "moved", data)) == [], "the same files elsewhere"
    committee(tmp_path / "t", data, b"x")
    assert kept(**call) == ["distilled", "random"]
    (tmp_path / "t" / "normalisation.npz").write_bytes(b"n")
    assert kept(**call) == ["distilled", "random"] and kept(**call) == []


def test_a_changed_line_of_source_is_a_miss(tmp_path):
    """In every folder that decides scores, in a new file, and where a line only moves from one file to another."""
    names = facts.SOURCES
    assert facts.SOURCE == facts.source_now() == facts.digest_source(ROOT / name for name in names)
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    places = [tmp_path / name for name in names]
    assert facts.digest_source(places) == facts.SOURCE, "the place does not count"
    (tmp_path / "evals" / "notes.txt").write_text("no source")
    assert facts.digest_source(places) == facts.SOURCE
    for file in ("evals/krr.py", "synth/training/fit.py", "condense/nets/graphs/gin.py", "condense/evaluation/baselines.py"):
        text = (tmp_path / file).read_text()
        (tmp_path / file).write_text(text.replace("\n", "\n\n", 1))
        assert facts.digest_source(places) != facts.SOURCE
        (tmp_path / file).write_text(text)
    assert facts.digest_source(places) == facts.SOURCE
    (tmp_path / "synth" / "new.py").touch()
    assert facts.digest_source(places) != facts.SOURCE
    (tmp_path / "synth" / "new.py").unlink()
    one, other = tmp_path / "evals" / "report.py", tmp_path / "evals" / "storage.py"
    line = one.read_text().splitlines(keepends=True)[-1]
    one.write_text(one.read_text().removesuffix(line))
    other.write_text(line + other.read_text())
    assert facts.digest_source(places) != facts.SOURCE


def test_source_that_changed_since_it_was_loaded_keeps_and_finds_nothing(data, kept, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cells_module, "source_now", lambda: "another")
    assert kept() == ["distilled", "random"] and kept() == ["distilled", "random"]
    assert capsys.readouterr().err.count("the source of condense has changed since it was loaded") == 2


def test_values_have_the_same_digest_only_if_they_are_the_same():
    array = np.arange(4, dtype=np.float32)
    values = [None, 0, 0.0, False, "0", array, array.reshape(2, 2), array.astype(np.float64), -array, (array,), [array], {"a": array}]
    values += [
        (),
        ("ab",),
        ("a", "b"),
        ("a", ("b",)),
        Hard(jnp.zeros(2, jnp.int32), 2),
        Hard(jnp.zeros(2, jnp.int32), 3),
        {"a": 0},
        {"b": 0},
    ]
    assert len({facts.digest_value(value) for value in values}) == len(values)
    assert facts.digest_value(jnp.asarray(array)) == facts.digest_value(array)
    with pytest.raises(TypeError, match="function"):
        facts.digest_value((1, lambda: 0))


def test_what_is_not_this_projects_code_is_kept_for_no_other_call(data, stubbed, tmp_path, monkeypatch):
    """A network that is handed over as a value: two that differ while they train alone have one name. Within a call it is the same."""

    class Elsewhere(Pixels):
        """A content of somebody else's."""

    net, synth = Net(*smooth_net()), make_set(data)
    way = {**WAY, "net": net, "seeds": 1, "data": data, "cache": tmp_path, "rows": ("distilled", "random")}
    evaluate([synth, synth], **way)
    assert kinds(stubbed) == ["distilled", "random"] and not [*tmp_path.iterdir()]
    evaluate(synth, **way)
    assert len(stubbed) == 4
    evaluate(replace(synth, x=Elsewhere(synth.x.pixels)), **{**way, "net": NET})
    assert len(stubbed) == 6 and not [*tmp_path.iterdir()]
    silent = BASELINES["distilled"]._replace(facts=lambda synth: {"set": facts.digest_value(print)})
    monkeypatch.setitem(BASELINES, "distilled", silent)
    evaluate(synth, **{**way, "net": NET, "rows": "distilled"})
    assert len(stubbed) == 7 and not [*tmp_path.iterdir()]


# --- files


def spoil(path: Path, how: str) -> None:
    text = path.read_text()
    held = json.loads(text)
    if how == "cut":
        path.write_text(text[: len(text) // 2])
    elif how == "other facts":
        held["facts"]["seed"] = 7
    elif how == "too few":
        held["scores"]["accuracy"] = []
    elif how == "impossible":
        held["scores"]["accuracy"] = [1.5]
    elif how == "more":
        held["scores"]["accuracies"] = [0.5]
    elif how == "newer":
        held["format"] = 2
    if how != "cut":
        path.write_text(json.dumps(held))


@pytest.mark.parametrize("how", ["cut", "other facts", "too few", "impossible", "more", "newer"])
def test_a_damaged_cell_is_computed_again_with_one_line(how, kept, tmp_path, capsys):
    (path,) = [path for path in (tmp_path / "c").iterdir() if json.loads(path.read_text())["facts"]["row"]["kind"] == "random"]
    spoil(path, how)
    capsys.readouterr()
    assert kept() == ["random"]
    said = [line for line in capsys.readouterr().err.splitlines() if str(path) in line]
    assert len(said) == 1 and "it is computed again" in said[0]
    assert kept() == [] and str(path) not in capsys.readouterr().err


def test_a_cell_is_small_and_says_what_it_is(kept, tmp_path):
    for path in (tmp_path / "c").iterdir():
        held = json.loads(path.read_text())
        assert path.stat().st_size < 4000 and list(held) == ["facts", "format", "scores"]
        assert held["facts"]["networks"] == [0] and held["facts"]["source"] == facts.SOURCE and held["facts"]["recipe"]["lr"] == 0.05
        assert held["scores"].keys() == {"accuracy", "seconds"}


def test_scores_come_back_bit_for_bit(tmp_path):
    """Areas that are not defined too, which JSON has no number for."""
    full = Report("gin", "graph", "random", (1 / 3, 1.0), 2.3456789, auc=(math.nan, 0.1), epochs=(3, 4), best_on_test=(0.5, 0.25))
    named = Report("gin", "graph", "random", (), 0.0)
    Cells().keep({"networks": [0, 1]}, full, tmp_path)
    found = Cells().find({"networks": [0, 1]}, named, [tmp_path])
    assert repr(found) == repr(full) and Cells().find({"networks": [0, 2]}, named, [tmp_path]) is None


def test_a_folder_that_cannot_be_written_costs_a_line_and_no_score(data, stubbed, tmp_path, capsys):
    save_set(tmp_path / "set.npz", make_set(data))
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "cells").write_text("a file")
    assert len(evaluate(tmp_path, **WAY).reports) == 3
    assert capsys.readouterr().err.count(f"finished cells are not kept in {tmp_path / 'cells'}") == 1
    with pytest.raises(BadInput, match=r"--cache .*cells: cannot be a folder .*; give another, or none"):
        evaluate(tmp_path, **WAY, cache=tmp_path / "cells")
    assert len(stubbed) == 6


# --- several sets


def page(result) -> list[str]:
    heard = io.StringIO()
    Console(file=heard, width=140).print(result.table())
    return heard.getvalue().splitlines()


def table_rows(lines) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_one_table_says_which_set_a_row_is_of(data, stubbed, tmp_path):
    for name, synth in (("a", make_set(data)), ("b", make_set(data, lr=jnp.float32(0.1)))):
        (tmp_path / name).mkdir()
        save_set(tmp_path / name / "set.npz", synth)
    call = [tmp_path / "a", tmp_path / "b" / "set.npz"]
    result = evaluate(call, **{**WAY, "seeds": 1})
    shown = table_rows(page(result))
    assert [row[:3] for row in shown] == [
        ["distilled", str(tmp_path / "a"), "408"],
        ["distilled", str(tmp_path / "b"), "412"],
        ["random", "beside all", ""],
        ["kmeans", "beside all", ""],
    ]
    assert not any("±" in line for line in page(result)), "one seed has no deviation"
    documents = result.as_json()
    assert [one["set"] for one in documents] == [str(tmp_path / name / "set.npz") for name in "ab"]
    for one, place in zip(documents, call, strict=True):
        alone = evaluate(place, **{**WAY, "seeds": 1}).as_json()
        assert alone.keys() == one.keys() and all(alone[name] == one[name] for name in one if name != "results")
    large = table_rows(page(evaluate([make_set(data), make_set(data, (3, 3, 3))], data=data, **WAY)))
    assert [row[:3] for row in large] == [
        ["distilled", "set 1", "408"],
        ["distilled", "set 2", "612"],
        *[[kind, f"beside set {number}", ""] for number in (1, 2) for kind in ("random", "kmeans")],
    ]
    assert all("±" in row[3] for row in large)


def test_sets_of_other_networks_leave_cells_empty(data, stubbed):
    synth = make_set(data)
    result = evaluate([synth, without(synth, net="mlp:width=4")], data=data, recipe="quick", seeds=1, rows="distilled")
    (first, second) = table_rows(page(result))
    assert first[3] and not first[4] and not second[3] and second[4]


def test_sets_that_do_not_belong_together_are_refused_before_anything_is_trained(data, stubbed):
    synth, other = make_set(data), load_data(f"{data.spec}?limit=100")
    with pytest.raises(BadInput, match=r"--data: the sets are of .*three.npz and .*limit=100, which are other data; score them apart"):
        evaluate([synth, make_set(other)], **WAY)
    with pytest.raises(BadInput, match="--recipe: the sets advise quick and krr, whose scores do not compare; name one recipe for all"):
        evaluate([synth, without(synth, recipe="krr")], seeds=1, rows="distilled")
    many = replace(synth, x=Pixels(jnp.zeros((40, 4, 4, 1))), y=Hard(jnp.ones(40, jnp.int32), 3))
    with pytest.raises(BadInput, match=r"--rows random: .* has 27 training images of class bee, the set 40"):
        evaluate([synth, many], **WAY)
    with pytest.raises(BadInput, match="evaluate: names no set; give one or more"):
        evaluate([])
    assert stubbed == []

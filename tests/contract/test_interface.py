"""The public interface: `import condense` offers it all, at once, and each part says what it is."""

import ast
import inspect
import json
import subprocess
import sys
from typing import get_type_hints

import numpy as np
import pytest
from PIL import Image

import condense
from condense.cli.list import LISTS
from tests.support.cli import surroundings
from tests.support.costs import cpu_seconds
from tests.support.places import ROOT

NAMES = [name for name in condense.__all__ if name != "__version__"]
FUNCTIONS = [name for name in NAMES if inspect.isfunction(getattr(condense, name))]


def test_the_three_tables_of_the_interface_say_the_same():
    """What type checkers read, what is imported on demand, and `__all__`."""
    tree = ast.parse((ROOT / "condense" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == condense.INTERFACE
    assert sorted(condense.__all__) == sorted([*condense.INTERFACE, "__version__"]) and set(condense.__all__) <= set(dir(condense))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_where_the_table_says_and_is_described(name):
    thing = getattr(condense, name)
    assert thing.__module__ == condense.INTERFACE[name], "the table names the module that defines it"
    assert inspect.getdoc(thing) and not inspect.getdoc(thing).startswith(f"{name}("), "what NamedTuple and dataclass write by themselves"
    if name in FUNCTIONS:
        hints, parameters = get_type_hints(thing), inspect.signature(thing).parameters
        missing = [part for part in (*parameters, "return") if part not in hints]
        assert not missing, f"{name} has no annotation for {missing}"


def test_no_module_shadows_a_public_name():
    """`import condense.NAME` would put the module in the place of the function."""
    modules = {path.stem for path in (ROOT / "condense").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(condense.__all__)
    with pytest.raises(AttributeError, match="module 'condense' has no attribute 'distil'"):
        condense.distil  # noqa: B018


def test_importing_it_is_quick_and_brings_no_jax():
    code = "import sys, condense; dir(condense); condense.__version__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), check=True).stdout.split()
    assert "condense" in loaded and not {"jax", "numpy", "rich"} & set(loaded)
    assert cpu_seconds("-c", "import condense") < 0.3


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_imports_nothing_else_of_this_project(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] in ("condense", "matchers", "evals", "synth") and name != "condense"]


def test_lists_are_those_of_the_command_line(capsys):
    from condense.__main__ import run

    assert {name.removeprefix("list_") for name in NAMES if name.startswith("list_")} == set(LISTS)
    for name in LISTS:
        found = getattr(condense, f"list_{name}")()
        assert run(["list", name]) == 0
        assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [[key, text] for key, text in found.items()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run, with a best set and a log as one that is scored on the way has them."""
    folder = tmp_path_factory.mktemp("run") / "a"
    synth = condense.distill("dm", "digits", out=folder, ipc=1, net="mlp:width=4", steps=2, batch=4)
    condense.save_set(folder / "best.npz", synth)
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"step": 2, "val_accuracy": 0.25}\n')
    return folder, synth


def test_a_run_is_opened_as_its_folder_says(finished):
    folder, synth = finished
    run = condense.load_run(folder)
    assert (run.folder, run.record) == (folder, json.loads((folder / "run.json").read_text()))
    np.testing.assert_array_equal(run.set.x.decode(), synth.x.decode())
    assert len(run.best) == 10
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert set(run.metrics) == {name for row in rows for name in row} >= {"step", "loss", "val_accuracy"}
    for name, column in run.metrics.items():
        want = [np.nan if row.get(name) is None else row[name] for row in rows]
        np.testing.assert_array_equal(column, want)
    assert np.isnan(run.metrics["val_accuracy"]).sum() == len(rows) - 1


def test_a_run_without_a_set_has_none_and_a_torn_line_is_left_out(tmp_path):
    (tmp_path / "run.json").write_text('{"state": "running"}')
    run = condense.load_run(tmp_path)
    assert (run.set, run.best, run.metrics, run.record) == (None, None, {}, {"state": "running"})
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": null}\n{"step": 2, "loss": 0.5}\n{"step": 3, "lo')
    metrics = condense.load_run(str(tmp_path)).metrics
    assert metrics["step"].tolist() == [1, 2] and np.isnan(metrics["loss"][0]) and metrics["loss"][1] == 0.5


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no run.json there; give the folder of a run"),
        ({"run.json": "{"}, "run.json: cannot be read"),
        ({"run.json": "[]"}, "run.json: cannot be read \\(it must hold values by name"),
        ({"run.json": "{}", "metrics.jsonl": '{"step": 1}\n[]\n{"step": 2}'}, "metrics.jsonl: line 2 is no JSON object of numbers"),
        ({"run.json": "{}", "set.npz": "x"}, "set.npz"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(files, words, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(condense.BadInput, match=words) as refused:
        condense.load_run(tmp_path)
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_set_is_drawn_from_wherever_it_is(finished, tmp_path):
    folder, synth = finished
    pictures = [condense.show(what) for what in (synth, folder, str(folder / "set.npz"), condense.load_run(folder))]
    assert all(isinstance(picture, Image.Image) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 1
    assert pictures[0].tobytes() == Image.open(folder / "grid.png").tobytes()
    assert condense.show(synth, stretch=True).tobytes() != pictures[0].tobytes()
    with pytest.raises(condense.BadInput, match="--per-class 0: give a whole number of at least 1"):
        condense.show(synth, per_class=0)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(condense.BadInput, match="the run has no set; give the folder of a finished distillation"):
        condense.show(condense.load_run(tmp_path))


def test_a_plan_is_shown_before_anything_is_made(tmp_path):
    made = condense.plan("kmeans", "digits", ipc=2, out=tmp_path / "a")
    assert (made.net, made.per_class) == ("convnet:width=32,depth=2,norm=instance,act=relu,pool=avg", 2)
    assert any(line.split()[:2] == ["budget", "ipc"] for line in condense.preview(made)) and not (tmp_path / "a").exists()


def test_trees_are_counted_by_nodes():
    data = condense.load_data("toy_graphs")
    counts = condense.count_trees(data, 0)  # of depth 0: one for every tag and degree
    graphs = data.train.take(np.arange(len(data.train.y))).x
    kinds = {(tag, degree) for tag, degree in zip(graphs.tags.tolist(), graphs.degrees().tolist(), strict=True)}
    assert len(counts) == len(kinds) and counts.sum() == len(graphs.tags) and (np.diff(counts) <= 0).all()
    assert len(condense.count_trees(data, 2)) > len(counts)
    for call, words in ((("digits", 1), "takes graphs"), (("toy_graphs", -1), "depth=-1: give 0 or more")):
        with pytest.raises(condense.BadInput, match=words):
            condense.count_trees(condense.load_data(call[0]), call[1])

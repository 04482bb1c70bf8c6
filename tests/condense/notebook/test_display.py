"""What Jupyter shows of each value, how short its `repr` is, and the live curves of a run."""

import base64
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image
from rich.console import Console

import condense
from condense.evaluation.report import Evaluation, Evaluations
from condense.notebook import DISPLAYED, register
from condense.plots.explorer import values_at
from condense.plots.frames import frame_writer
from condense.plots.images import draw_grid
from condense.runtime import live
from condense.runtime.log import COMPILING, note, progress
from condense.studies.compare import compare_rows
from evals.report import Report
from tests.support.places import ROOT
from tests.support.three_classes import make_set, three_classes, without


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """The folder of a run with a log and frames."""
    place = tmp_path_factory.mktemp("runs") / "a"
    synth = condense.distill("random", data.spec, ipc=1, out=place)
    rows = [{"step": 1, "loss": 4.0}, {"step": 2, "val_accuracy": 0.5}, {"step": 3, "loss": 1.5}]
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for step in (0, 3):
        frame_writer(place)(step, synth)
    return place


@pytest.fixture(scope="module")
def values(data, folder):
    """One of each class that has a formatter."""
    sizes = {"total": 1234, "labels": 4, "content": 1230}
    reports = tuple(Report("mlp:width=8", "quick", kind, (0.5, 0.7), 1.0) for kind in ("distilled", "random"))
    evaluation = Evaluation("a/set.npz", "three", "d", "test", 1, sizes, reports)
    row = {"data": "three", "digest": "", "net": "mlp:width=8", "recipe": "r", "set_kind": "distilled", "bytes": sizes}
    row |= {"method": "dm", "label": "dm", "key": "dm", "labels": "hard", "draw": 0, "steps": 3, "ipc": 1, "accuracy": [0.5]}
    found = {
        "Data": data,
        "GraphData": condense.load_data("toy_graphs"),
        "SyntheticSet": make_set(data),
        "Plan": condense.plan("dm", data, ipc=1, net="mlp:width=4", batch=4),
        "SavedRun": condense.load_run(folder),
        "Description": condense.describe(make_set(data)),
        "Evaluation": evaluation,
        "Evaluations": Evaluations((evaluation, evaluation._replace(set="<b>/set.npz"))),
        "Comparison": compare_rows([row], ["a run failed because " + "x " * 200]),
    }
    assert set(found) == {name for _, name in DISPLAYED}
    return found


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Data", ["108", "12", "60", "ant, bee, cow"]),
        ("GraphData", ["toy_graphs", "plain, forked"]),
        ("SyntheticSet", ["6 images as pixels", "classes"]),
        ("Plan", ["mlp:width=4", r"batch = 4 \(call\)", "images"]),
        ("SavedRun", ["random", "done", "polyline|<path"]),
        ("Description", ["6 images as pixels"]),
        ("Evaluation", ["60.0 ± 10.0", "distilled", "1,234"]),
        ("Evaluations", ["&lt;b&gt;", "60.0 ± 10.0"]),
        ("Comparison", ["dm", "50.0", "one set a method: nothing is claimed", "a run failed because"]),
    ],
)
def test_a_value_is_shown_as_html_and_said_in_a_line(name, shown, values):
    """By the formatters that `import condense` registers inside IPython."""
    page = html(values[name])
    assert all(re.search(text, page) for text in shown) and "<b>" not in page
    assert (len(repr(values[name])) <= 200 and "\n" not in repr(values[name])) or name in ("Description", "Evaluations"), repr(values[name])
    assert ("white-space:normal" in page) and page.count("<table>") >= 1


def html(value):
    """What a shell of IPython shows of a value."""
    formatter = DisplayFormatter()
    register(SimpleNamespace(display_formatter=formatter))
    return formatter.formatters["text/html"](value)


def test_a_set_says_how_many_of_what_and_abstract_ones_something(data):
    import jax

    synth = make_set(data)
    assert (
        repr(synth) == f"SyntheticSet(6 images, hard labels, hand of {data.spec})"
        and repr(synth.bare()) == "SyntheticSet(6 images, hard labels)"
    )
    assert "SyntheticSet" in repr(jax.tree.map(lambda leaf: "leaf", synth.bare()))


def test_pictures_of_a_set_in_html_are_its_grid(values, data):
    page = html(values["SyntheticSet"])
    held = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    np.testing.assert_array_equal(Image.open(io.BytesIO(held)), draw_grid(values["SyntheticSet"]))


def test_the_nearest_real_image_stands_below_each(data):
    """The set holds real images, so that each row is there twice."""
    synth = make_set(data)
    picture = np.asarray(condense.show(synth, nearest=True))
    alone = np.asarray(condense.show(synth))
    assert picture.shape[0] - 2 == 2 * (alone.shape[0] - 2)
    rows = [picture[2 + at * 34 : 34 + at * 34, -68:] for at in range(6)]
    for at in (0, 2, 4):
        np.testing.assert_array_equal(rows[at], rows[at + 1])
    assert (rows[0] != rows[2]).any()
    with pytest.raises(condense.BadInput, match="nothing is there"):
        condense.show(replace(synth, info=without(synth, data="npz:gone/x.npz").info), nearest=True)


def test_plots_hold_what_was_measured(values, data):
    pytest.importorskip("altair", reason="the extra `report`")
    run = values["SavedRun"]
    spec = run.plot().spec
    rows = [row for panel in spec["hconcat"] for row in panel["data"]["values"]]
    assert [(row["line"], row["step"], row["value"]) for row in rows] == [("loss", 1, 4.0), ("loss", 3, 1.5), ("val_accuracy", 2, 0.5)]
    for name in ("Evaluation", "Evaluations", "Comparison"):
        assert repr(values[name].plot()).startswith("Plot(")
    with pytest.raises(condense.BadInput, match="logged nothing that has a curve"):
        replace(run, metrics={}).plot()


def test_an_explorer_shows_the_frame_of_each_step(values):
    pytest.importorskip("ipywidgets", reason="the extra `notebook`")
    slider, words, picture = values["SavedRun"].explore().children
    assert words.value == "loss 1.5, val_accuracy 0.5" and Image.open(io.BytesIO(picture.value)).size == (136, 476)
    slider.value = 0
    assert words.value == "" and values_at(2, {"loss": [(1, 4.0), (3, 1.5)], "val": [(9, 1.0)]}) == {"loss": 4.0}


def test_a_run_in_a_notebook_draws_its_curves_while_it_goes_on(monkeypatch):
    """Compiling at once, points of each metric, and no more than a drawing a second."""
    shown, now = [], [0.0]
    monkeypatch.setattr("condense.runtime.log.in_jupyter", lambda: lambda html, first: shown.append((html, first)))
    monkeypatch.setattr("condense.runtime.log._console", lambda: SimpleNamespace(is_jupyter=True, is_terminal=False))
    for clock in ("condense.runtime.log.time.monotonic", "condense.runtime.live.time.monotonic"):
        monkeypatch.setattr(clock, lambda: now[0])
    with progress(100, "dm", phase=COMPILING) as bar:
        assert shown == [("<div><code>dm 0/100  0:00:00 elapsed  compiling</code></div>", True)]
        for step in range(8):
            now[0] += 0.5
            bar.advance(1, loss=8.0 - step)
        bar.advance(0, val_accuracy=0.5)
    pages = [html for html, first in shown if not first]
    assert len(pages) == 5 and "loss 1 (1 to 8)" in pages[-1] and "val_accuracy 0.5" in pages[-1] and "compiling" not in pages[-1]
    assert len(re.search(r'points="([^"]*)"', pages[-1])[1].split()) == 8


def test_curves_are_thinned_and_leave_out_what_is_not_finite():
    curves = live.Curves()
    for step in range(10_000):
        curves.add(step, {"loss": float("nan") if step == 5 else 1.0})
    assert len(curves.points["loss"]) <= live.MOST and curves.points["loss"][0] == (0, 1.0) and curves.points["loss"][-1][0] > 9_900


@pytest.mark.parametrize(("jupyter", "lines"), [(True, 3), (False, 1)])
def test_long_notes_wrap_in_a_notebook_and_are_one_line_elsewhere(jupyter, lines, monkeypatch):
    heard = io.StringIO()
    console = Console(file=heard, width=40)
    monkeypatch.setattr("condense.runtime.log._console", lambda: SimpleNamespace(print=console.print, is_jupyter=jupyter))
    note("word " * 20)
    assert len(heard.getvalue().splitlines()) == lines


def test_one_image_a_class_is_drawn_large(data):
    small, large = draw_grid(make_set(data)), draw_grid(make_set(data, (1, 1, 1)))
    assert small.height == 2 + 3 * 34 and large.height == 2 + 3 * 98


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_notebook_shows_values_and_live_curves(tmp_path, monkeypatch):
    """In a kernel, as a user would see them."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytest.importorskip("ipykernel.kernelspec").install(prefix=str(tmp_path), kernel_name="this")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    run = "condense.distill('dm', 'digits', ipc=1, net='mlp:width=4', batch=4, steps=5, out='a')"
    cells = ["import condense", run, "condense.load_run('a')", "condense.load_run('a').explore()"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(book, timeout=300, kernel_name="this", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [[output for output in cell.outputs if "data" in output] for cell in book.cells]
    curves, shown = outputs[1][0]["data"]["text/html"], outputs[1][-1]["data"]
    assert "dm 5/5" in curves and "<polyline" in curves
    assert "data:image/png" in shown["text/html"] and shown["text/plain"].startswith("SyntheticSet(10 images, hard labels, dm of digits)")
    assert "a run: a" in outputs[2][-1]["data"]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in outputs[3][-1]["data"]

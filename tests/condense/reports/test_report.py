"""Reports: what one file holds, what it says of what is missing, and what Chromium shows of it."""

import base64
import io
import json
import re
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import condense
from condense.__main__ import run
from condense.data.neighbours import find_nearest
from condense.evaluation.kept import kept_evaluations
from condense.plots import charts
from condense.plots.frames import find_frames, frame_writer
from condense.reports import pictures
from condense.reports.pictures import evolution_of, images_of, in_turn, shares
from condense.reports.sections import overview
from condense.studies.compare import compare_rows
from synth.base import Examples, take_all
from synth.files.format import save_set
from synth.labels.plain import Soft
from tests.support import browser
from tests.support.three_classes import make_set, three_classes

pytest.importorskip("altair", reason="the extra `report`")
pytest.importorskip("vl_convert", reason="the extra `report`")


WAY = {"net": "linear", "recipe": "quick:epochs=2", "seeds": 2, "rows": ("distilled", "random")}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def scored(data, tmp_path_factory):
    """A finished run with a log, frames and the cells of an evaluation."""
    place = tmp_path_factory.mktemp("runs") / "real"
    synth = condense.distill("random", data.spec, ipc=2, out=place)
    rows = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": None, "val_accuracy": 0.5}, {"step": 3, "loss": 1.5}]
    (place / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write = frame_writer(place)
    for step in (0, 5):
        write(step, synth)
    condense.evaluate(place, **WAY)
    return place


@pytest.fixture
def light(monkeypatch):
    """Without the library of charts in the page, which takes two seconds to bundle."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda snippet: f"/* {snippet} */")


def specs(page: str) -> list[dict]:
    """The charts of a page."""
    return list(json.loads(re.search(r'id="charts">(.*?)</script>', page, re.S)[1]).values())


def pixels(address: str) -> np.ndarray:
    """The picture of an address."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_a_report_is_one_file_with_all_sections(scored, light, tmp_path, capsys):
    assert run(["report", str(scored), "--out", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.html'}\n"
    page = (tmp_path / "a.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', page) and "@import" not in page and "<link" not in page, "nothing is fetched"
    titles = [" ".join(spec["title"]["text"]) for spec in specs(page)]
    assert titles[:4] == ["accuracy against bytes", "accuracy against steps", "validation accuracy against steps", "loss"]
    assert titles[-1] == "linear, recipe quick:epochs=2, test split, 2 networks" and "One network scored the sets" in page
    for words in (
        "ant",
        "bee",
        "cow",
        "Evolution",
        "condense.distill(method=",
        "condense evaluate",
        "Nearest of 108 training images",
        "jax",
    ):
        assert words in page
    accuracies = [f"{100 * one.mean:.1f}" for one in kept(scored)[0].reports]
    assert all(f">{text} ±" in page for text in accuracies)


def kept(place):
    return kept_evaluations(condense.load_set(place / "set.npz"), place / "set.npz")


def test_a_report_of_what_is_not_there_says_so(data, light, tmp_path):
    """No cells, no loss, no frames, and the data are gone."""
    place = tmp_path / "bare"
    condense.distill("random", data.spec, ipc=1, out=place)
    synth = condense.load_set(place / "set.npz")
    save_set(place / "set.npz", replace(synth, info=moved(synth.info)))
    page = condense.report(place, tmp_path / "b.html").read_text()
    for words in (
        "No set of this report has been scored; `condense evaluate RUN` does it.",
        "No run was scored on the way",
        "The run logged no loss",
        "No confusion matrix is kept of this set",
        "The run has no frames of its way",
        "No real images stand beside these: --data: the set was made from npz:gone.npz",
    ):
        assert words in page.replace("&#39;", "'")
    assert specs(page) == []


def moved(info):
    """The info of a set whose data are gone, with a class whose name would end a script."""
    return replace(info, data="npz:gone.npz", data_path="", classes=("</script><b>", "bee", "cow"))


def test_names_cannot_leave_their_place(data, light, tmp_path):
    place = tmp_path / "run"
    synth = condense.distill("random", data.spec, ipc=1, out=place)
    save_set(place / "set.npz", replace(synth, info=moved(synth.info)))
    frame_writer(place)(0, condense.load_set(place / "set.npz"))
    page = condense.report(place, tmp_path / "c.html").read_text()
    assert "</script><b>" not in page and "&lt;/script&gt;&lt;b&gt;" in page and page.count("</script>") == page.count("<script")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ([], "report: give RUN or SUITE"),
        (["nowhere"], "nowhere: no run or suite there; give the folders of finished runs and suites"),
        (["nowhere", "--out", "a.pdf"], "--out a.pdf: give a file that ends in .html"),
    ],
)
def test_wrong_calls(what, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["report", *what]) == 2 and words in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_one_line_with_its_command(scored, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "altair", None)
    assert run(["report", str(scored), "--out", str(tmp_path / "a.html")]) == 2
    assert capsys.readouterr().err == (
        "condense: a report needs altair, which cannot be imported; pip install 'condense-workbench[report]'\n"
    )


def test_a_confusion_matrix_says_what_the_accuracy_says(scored):
    """Its trace is what is right, its rows are the test's classes, and kept scores are those of the evaluation."""
    (found,) = kept(scored)
    made = condense.evaluate(scored, **WAY)
    assert found.reports == made.reports and {report.set_kind for report in found.reports} == {"distilled", "random"}
    for report in found.reports:
        taken = np.array(report.confusion)
        assert taken.shape == (2, 3, 3) and (taken.sum(2) == 20).all()
        np.testing.assert_allclose(np.trace(taken, axis1=1, axis2=2) / 60, report.accuracy)


def test_nearest_real_examples_are_the_nearest(data):
    """Against a search through all of them, in one piece and in several."""
    x = np.random.default_rng(0).normal(size=(5, *data.image)).astype(np.float32)
    real = take_all(data.train).x
    apart = np.linalg.norm(x.reshape(5, 1, -1) - real.reshape(1, len(real), -1), axis=2)
    found = find_nearest(x, data.train, count=2)
    np.testing.assert_array_equal(found.index, np.argsort(apart, axis=1)[:, :2])
    np.testing.assert_allclose(found.distance, np.sort(apart, axis=1)[:, :2], rtol=1e-4)
    many = Examples(np.tile(real, (40, 1, 1, 1)), np.tile(data.train.y, 40))  # several pieces
    np.testing.assert_array_equal(find_nearest(x, many, count=1).index, found.index[:, :1])
    assert found.seen == len(real)


def test_images_are_raw_pixels_beside_their_nearest_and_fit_their_room(data):
    synth = make_set(data)
    found = images_of(synth, data, room=10**6)
    assert [name for name, _ in found.rows] == ["ant", "bee", "cow"] and (found.shown, found.count) == (6, 6)
    raw = np.round(np.clip(synth.info.preprocess.undo(np.asarray(synth.x.decode())), 0, 1) * 255)[2, :, :, 0]
    first = found.rows[1][1][0]
    np.testing.assert_array_equal(pixels(first.picture), raw)
    np.testing.assert_array_equal(pixels(first.nearest[0][0]), raw)  # the set holds real images
    assert first.nearest[0][1] == "bee, distance 0" and first.label == [] and first.text == "image 2, bee"
    few = images_of(synth, None, room=2 * len(first.picture) + 40)
    assert 0 < few.shown < 6 and all(not card.nearest for _, row in few.rows for card in row)


def test_the_first_images_of_all_classes_come_before_the_second():
    assert in_turn(np.array([0, 0, 1, 2, 2])) == [0, 2, 3, 1, 4]


def test_soft_labels_become_shares_and_hard_ones_none():
    logits = jnp.log(jnp.float32([[0.7, 0.2, 0.1], [1 - 2e-6, 1e-6, 1e-6]]))
    soft, hard = np.asarray(Soft(logits).probs())
    assert (
        shares(soft, ("a", "b", "c")) == [("a", pytest.approx(0.7, abs=1e-3)), ("b", 0.2), ("c", 0.1)]
        and shares(hard, ("a", "b", "c")) == []
    )


def test_frames_are_in_order_and_get_fewer_and_narrower_where_room_is_short(scored):
    saved = condense.load_run(scored)
    assert [frame.step for frame in find_frames(scored)] == [0, 5]
    found = evolution_of(saved, room=10**6)
    assert [step for step, _ in found.frames] == [0, 5] and found.names == ["ant", "bee", "cow"]
    assert pixels(found.frames[0][1]).shape[:2] == (14, 9), "three rows of two images of 4x4, lines between them"
    narrow = evolution_of(saved, room=sum(len(picture) for _, picture in found.frames) - 1)
    assert narrow is None or pixels(narrow.frames[0][1]).shape[1] == 4


def test_a_frame_is_encoded_once_and_none_after_the_first_that_does_not_fit(scored, monkeypatch):
    """Of 41 frames of ten letters 35 hold three. Looked at are 0 2 4 6, then 8 12, 16 24 and 20 40 beside frames that are known."""
    saved, frame, encoded = condense.load_run(scored), find_frames(scored)[0], []
    monkeypatch.setattr(pictures, "find_frames", lambda folder: [frame._replace(step=step) for step in range(41)])
    monkeypatch.setattr(pictures, "framed", lambda *given: encoded.append(given) or "x" * 10)
    found = evolution_of(saved, room=35)
    assert [step for step, _ in found.frames] == [0, 20, 40] and len(encoded) == 10


def test_networks_side_by_side_are_a_heat_map():
    row = {"data": "d", "digest": "", "net": "mlp:width=8", "recipe": "r", "set_kind": "distilled", "bytes": {"total": 9, "labels": 1}}
    row |= {"method": "dm", "label": "dm", "key": "dm", "labels": "hard", "draw": 0, "steps": 3, "ipc": 1}
    found = compare_rows([{**row, "accuracy": [0.5]}, {**row, "net": "linear", "accuracy": [0.25]}], [])
    made = overview(found)
    assert values(made["architectures"]) == [
        {"row": "dm, 1 a class", "column": "mlp:width=8", "value": 0.5},
        {"row": "dm, 1 a class", "column": "linear", "value": 0.25},
    ]
    assert {point["bytes"] for point in values(made["by_bytes"])} == {9}
    assert made["by_bytes"]["config"]["legend"] == {"symbolLimit": 0}, "no method is left out of the legend, however many there are"
    assert made["rows"][0][8] == (0.5, "50.0")


def values(spec):
    """The rows that a chart shows."""
    layers = [spec, *spec.get("layer", [])]
    held = next(one["data"] for one in layers if "data" in one)
    return held["values"] if "values" in held else spec["datasets"][held["name"]]


def test_charts_hold_the_numbers_and_draw_themselves(tmp_path):
    spec = charts.curves({"loss": [(1.0, 2.0), (2.0, 1.0)]}, title="loss of a run", measure="loss")
    assert values(spec) == [{"step": 1.0, "value": 2.0, "line": "loss"}, {"step": 2.0, "value": 1.0, "line": "loss"}]
    plot = charts.Plot(spec)
    assert repr(plot) == "Plot('loss of a run')" and "<path" in plot._repr_svg_()
    plot.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == spec


@pytest.mark.slow
@pytest.mark.skipif(not browser.is_there(), reason=browser.MISSING)
def test_chromium_shows_the_report(scored, tmp_path):
    """Without a network: numbers are read, a table is sorted, the slider moves, charts are drawn; on a phone nothing is cut off."""
    path = condense.report(scored, tmp_path / "a.html")
    assert path.stat().st_size < 2_000_000
    cells = "[...document.querySelectorAll('#scores tbody tr')].map((row) => Number(row.cells[8].dataset.value))"
    for width in (1200, 500):
        with browser.Browser(width=width) as page:
            page.open(path)
            page.until("return document.querySelectorAll('#scores .chart svg').length >= 3")
            means = page.run(f"return {cells}")
            assert sorted(means) == sorted(one.mean for one in kept(scored)[0].reports)
            page.run("document.querySelectorAll('#scores th button')[8].click()")
            assert page.run(f"return {cells}") == sorted(means, reverse=True)
            page.run("document.querySelectorAll('#scores th button')[8].click()")
            assert page.run(f"return {cells}") == sorted(means)
            assert page.run("return document.querySelector('.evolution output').textContent") == "5"
            shown = page.run("return document.querySelector('.evolution img').src")
            page.run("const it = document.querySelector('.evolution input'); it.value = 0; it.dispatchEvent(new Event('input'))")
            assert page.run("return document.querySelector('.evolution output').textContent") == "0"
            assert page.run("return document.querySelector('.evolution img').src").startswith("data:image/png") and shown
            for at in range(page.run("return document.querySelectorAll('.chart').length")):
                page.run(f"document.querySelectorAll('.chart')[{at}].scrollIntoView()")
                page.until(f"return document.querySelectorAll('.chart')[{at}].querySelector('svg')")
            assert page.run("return document.documentElement.scrollWidth <= innerWidth") and page.errors() == []
            assert page.run("return getComputedStyle(document.querySelector('img.raw')).imageRendering") == "pixelated"

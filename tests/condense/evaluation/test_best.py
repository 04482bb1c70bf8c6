"""Real images beside a set in fewer bytes: stored as the set is, and in the content that is best for them."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import condense
from condense.engine.storage import stored_as
from condense.evaluation import best
from condense.evaluation.baselines import make_rows
from condense.evaluation.scoring import Choices, Common, prepare
from synth.errors import BadInput
from synth.images.content import Pixels

KRR = {"recipe": "krr", "net": "mlp:width=4", "seeds": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose set is stored in 4 bits: 20 images, 20 * 32 bytes of codes, 8 of ranges, 80 of labels."""
    place = tmp_path_factory.mktemp("set") / "a"
    condense.distill("random", "digits", ipc=2, store="u4", out=place)
    return place


def scoring(what, **more):
    fields = dict.fromkeys(Choices.__dataclass_fields__) | {
        "rows": ("distilled",),
        "split": "test",
        "best_on_test": False,
        "tune_lr": False,
        "precision": "f32",
        "seed": 0,
    }
    return prepare(what, Common(Choices(**fields | {"recipe": "krr", "net": "mlp:width=4", "seeds": 1} | more)))


def test_real_images_are_stored_as_the_set_is_and_all_of_them_as_they_are(folder):
    made = scoring(folder, rows=("random", "full"), recipe="quick")
    rows = {row.kind: row.draw()(0) for row in made.rows}
    assert stored_as(rows["random"].x) == "u4" and rows["random"].x.nbytes() == made.synth.x.nbytes() and isinstance(rows["full"].x, Pixels)
    assert made.rows[0].facts["row"] == {"kind": "random", "counts": [2] * 10, "stored": "u4"}
    plain = make_rows(jax.random.key(0), made.synth, made.data, ["random"])["random"](0)
    assert "stored" not in scoring(condense.distill("random", "digits", ipc=2), rows="random").rows[0].facts["row"]
    levels = np.ptp(np.asarray(plain.x.decode())) / 15
    assert isinstance(plain.x, Pixels) and np.abs(plain.x.decode() - rows["random"].x.decode()).max() <= levels


def test_what_a_set_s_bytes_buy_in_other_contents(folder):
    made = scoring(folder)
    size = 20 * 32 + 8 + 80
    bytes_of = {"u4": 32 + 4, "u8": 64 + 4, "u8x2": 16 + 4, "u4x2": 8 + 4}
    assert best.affordable(made) == {name: (size - 8) // (10 * one) for name, one in bytes_of.items()}


def test_the_best_on_validation_stands_in_the_table_with_its_name_and_in_cells(folder, monkeypatch, capsys):
    monkeypatch.setattr(best, "CANDIDATES", ("u4x2",))
    first = condense.evaluate(folder, rows=("random", "random-best"), **KRR)
    said = capsys.readouterr().err
    own, chosen = first.reports
    assert own.set_kind == "random" and chosen.set_kind in ("random in u4", "random in u4x2")
    (line,) = [line for line in said.splitlines() if line.startswith("random images in the content that is best for them: ")]
    shares = {part.split()[-2]: float(part.split()[-1]) for part in line.split(" of ")[1].removesuffix(" % on validation").split(", ")}
    assert chosen.set_kind == f"random in {max(shares, key=shares.get)}" and set(shares) == {"u4", "u4x2"}
    cells = [json.loads(path.read_text())["facts"] for path in (folder / "cells").iterdir()]
    trials = {cell["row"]["stored"] for cell in cells if cell["split"] == "val"}
    assert trials == {"u4", "u4x2"}
    monkeypatch.setattr("condense.evaluation.scoring.drawn", lambda *args, **more: pytest.fail("drawn again"))
    monkeypatch.setattr(best, "drawn", lambda *args, **more: pytest.fail("drawn again"))
    again = condense.evaluate(folder, rows=("random", "random-best"), **KRR)
    assert again.reports == first.reports


def test_a_set_in_fewer_bytes_gets_these_rows_unasked(folder):
    assert scoring(folder, rows=("distilled", "random", "kmeans")).best == ("random-best", "kmeans-best")
    assert scoring(condense.distill("random", "digits", ipc=1), rows=("distilled", "random", "kmeans")).best == ()


def test_nothing_is_chosen_without_validation_images(folder):
    made = scoring(folder, rows=("random-best",))
    empty = SimpleNamespace(spec="digits", val=SimpleNamespace(y=made.data.val.y[:0]))
    with pytest.raises(BadInput, match="--rows random-best: digits has no validation images to choose by; leave it out"):
        best.check_best(made._replace(data=empty))

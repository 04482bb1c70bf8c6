"""Tables at 80 columns: no name, number or flag is torn, whatever stands beside it."""

import io

import pytest
from rich.console import Console

from condense.cli.flags import aligned
from condense.evaluation.report import Evaluation, Evaluations
from condense.evaluation.transfer_report import Transfer, TransferResult
from condense.plots.tables import WholeTable, print_table
from condense.studies.compare import Comparison, Line
from evals.report import Report

NETS = ("convnet:width=128,depth=3,norm=instance,act=relu,pool=avg", "mlp:width=128", "resnet:depth=18,width=64,norm=batch")
ROWS = ("distilled", "random-best in u8x2", "kmeans")
SCORED = Evaluation(
    "runs/dm/set.npz",
    "digits",
    "",
    "test",
    10,
    {"total": 314_000},
    tuple(Report(net, "dsa", row, (0.8, 0.9), 1.0) for row in ROWS for net in NETS),
)
ONE = SCORED._replace(reports=tuple(report for report in SCORED.reports if report.net == NETS[0]))
OTHER = ONE._replace(set="runs/a_rather_long_name_of_a_run/set.npz")
HOW = [(target, *how) for target in ("mnist", "digits") for how in ((1, "probe"), (0.01, "probe"), (0.01, "finetune"))]
MOVED = Transfer(
    "a", "digits", "", "test", 0, 100, {"total": 5}, tuple(TransferResult(t, "", f, p, SCORED.reports[::3]) for t, f, p in HOW)
)
LINE = Line(
    "digits", "", "test", "1 a class", NETS[0], "dsa", "", "kmeans", "interpolated", False, 1, 5, 0.858, 0.058, 314_000, 40, 300, 2.0, {}
)
COMPARED = Comparison((LINE, LINE._replace(name="random (real)", front=True)), (), ())


def printed(shown, width: int = 80) -> str:
    heard = io.StringIO()
    Console(file=heard, width=width).print(shown, crop=False)
    return heard.getvalue()


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (SCORED.table(), ["convnet:width=128,", "norm=instance,", "resnet:depth=18,", "85.0 ± 5.0", "kmeans"]),
        (Evaluations((ONE, OTHER)).table(), ["runs/a_rather_long_name_of_a_run", "beside all", "314,000", "norm=instance,"]),
        (MOVED.table(), ["pre-trained", "distilled", "finetune", "85.0 ± 5.0"]),
        (COMPARED.table(), ["interpolated", "kmeans", "85.8 ± 5.8", "314,000", "front"]),
    ],
    ids=["networks", "sets", "transfer", "compare"],
)
def test_a_table_fits_80_columns_and_tears_no_word(shown, words):
    page = printed(shown)
    assert max(map(len, page.splitlines())) <= 80
    assert not [word for word in words if word not in page]
    wide = printed(shown, 300).replace("│", " ").replace("┃", " ").split()
    assert {*page.replace("│", " ").replace("┃", " ").split()} >= {word for word in wide if word.strip("━┏┳┓┡╇┩└┴┘─")}


def test_what_cannot_be_narrower_is_printed_wider(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    table = WholeTable("a_name_that_is_long", title="[a] title")
    table.add_column("another_name_that_is_long", justify="right")
    table.add_row("x", "85.0 ± 5.0")
    print_table(table)
    said = capsys.readouterr().out
    assert all(word in said for word in ("a_name_that_is_long", "another_name_that_is_long", "85.0 ± 5.0", "[a] title"))
    assert "│" not in said, "lines give way first"


def test_lists_tear_no_flag_on_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    text = "condense distill dm --no-flip --checkpoint-every 3 --data npz:a_file_with_a_name_of_more_than_forty_letters.npz"
    assert set(text.split()) <= set(aligned({"name": text}).split())


def test_a_table_prints_as_its_text(capsys):
    table = WholeTable("name", title="three words here")
    table.add_row("a single cell")
    print(table)
    said = capsys.readouterr().out
    assert "three words here" in said and "a single cell" in said and "object at" not in said

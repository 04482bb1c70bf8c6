"""Comparisons: what is claimed over how many sets, what stands in a table, and how it is written."""

import csv
import io
import json
import re

import pytest
from rich.console import Console

import condense
from condense.__main__ import run
from condense.studies.compare import compare_rows
from condense.studies.texts import WRITERS, cells, latex, markdown

DATA = {"data": "digits", "digest": "d", "split": "test", "ipc": 1, "max_bytes": None, "net": "mlp", "recipe": "quick"}


def row(label, draw, *accuracy, size=100, labels="hard", real=False, **changes):
    """A row of scores: of a set of a method, or of real examples."""
    facts = {"label": label, "key": label, "draw": draw, "labels": labels, "steps": 5, "distill_seconds": 2.0}
    facts |= {"set_kind": label if real else "distilled", "bytes": {"total": size, "labels": 40}}
    return {**DATA, **facts, "accuracy": list(accuracy), **changes}


def three(label, first, second, third, **changes):
    """Three sets of a method, one network each."""
    return [row(label, draw, score, **changes) for draw, score in enumerate((first, second, third))]


def named(found):
    return {line.name: line for line in found.lines}


def test_a_method_is_better_where_its_sets_are_and_holm_lets_it():
    rows = three("a", 0.80, 0.85, 0.90) + three("b", 0.50, 0.56, 0.61) + three("c", 0.79, 0.86, 0.90)
    found = compare_rows(rows, [])
    assert named(found)["a"].better == ("b",) and named(found)["c"].better == ("b",) and named(found)["b"].better == ()
    assert [test["sets"] for test in found.tests] == [3, 3, 3] and all(test["adjusted"] >= test["p"] for test in found.tests)
    line = named(found)["a"]
    assert line.sets == 3 and line.mean == pytest.approx(0.85) and line.spread == pytest.approx((2 * 0.05**2 / 3) ** 0.5)


def test_holm_takes_back_what_one_test_alone_would_claim():
    rows = three("a", 0.60, 0.70, 0.81) + three("b", 0.50, 0.62, 0.68)
    assert named(compare_rows(rows, []))["a"].better == ("b",)
    more = [one for name, jump in (("c", 0.03), ("d", -0.02)) for one in three(name, 0.5 + jump, 0.75 - jump, 0.7)]
    assert named(compare_rows(rows + more, []))["a"].better == ()


def test_seeds_of_one_set_are_no_sets():
    """Ten networks apart by far, on one set each: nothing is claimed, and the table says so."""
    found = compare_rows([row("a", 0, *[0.9] * 5, *[0.91] * 5), row("b", 0, *[0.1] * 10)], [])
    assert found.tests == () and named(found)["a"].better == () and named(found)["a"].spread == pytest.approx(0.005)
    assert cells(named(found)["a"])[2] == "one set" and "one set a method: nothing is claimed" in found.notes()
    two = compare_rows(three("a", 0.9, 0.8, 0.9)[:2] + three("b", 0.1, 0.2, 0.2), [])
    assert two.tests == (), "the draws that both have are two"


def test_a_drawn_test_split_is_said():
    drawn = "20 % of the rows, drawn by split=3"
    found = compare_rows([row("a", 0, 0.9, test=drawn), row("random", None, 0.8, real=True, test=drawn)], [])
    assert [line.title() for line in found.lines] == [f"digits, 1 a class, mlp, recipe quick; test: {drawn}"] * 2
    assert all("20oftherows,drawnbysplit=3" in re.sub(r"[\s\\%]", "", writer(found)) for writer in WRITERS.values())


def test_one_network_has_no_spread():
    (line,) = compare_rows([row("a", 0, 0.5)], []).lines
    assert line.spread is None and cells(line)[4] == "50.0"


def test_tests_pair_the_sets_of_the_same_seed():
    """Sorted otherwise, the same numbers give another p-value."""
    first, second = three("a", 0.8, 0.9, 0.7), three("b", 0.7, 0.81, 0.59)
    (test,) = compare_rows(first + second, []).tests
    (same,) = compare_rows(first[::-1] + second, []).tests
    assert test["p"] == same["p"] < 0.01
    (other,) = compare_rows(three("a", 0.9, 0.7, 0.8) + second, []).tests
    assert other["p"] > 0.2


def test_each_budget_is_a_table_and_the_front_is_over_budgets():
    rows = [
        row("a", 0, 0.9, size=100),
        row("b", 0, 0.8, size=100),
        row("a", 0, 0.85, size=1000, ipc=10),
        row("b", 0, 0.95, size=1000, ipc=10),
    ]
    found = compare_rows(rows, [])
    assert [len(table) for table in found.tables()] == [2, 2]
    assert [line.front for line in found.lines] == [True, False, False, True]
    other = compare_rows([*rows, row("c", 0, 0.99, size=1, net="cnn")], [])
    assert [line.front for line in other.lines] == [True, False, False, True, True], "another network is another table"


def test_real_examples_stand_once_are_on_the_front_and_are_never_tested():
    real = [row("random", None, 0.95, 0.9, real=True, size=size, key=None) for size in (200, 50)]
    found = compare_rows([*three("a", 0.8, 0.82, 0.85), *real, *three("b", 0.5, 0.55, 0.65)], [])
    assert len(found.lines) == 3 and len(found.tests) == 1
    line = named(found)["random (real)"]
    assert line.bytes == 50 and line.front and not named(found)["a"].front and cells(line)[2] == "fresh"
    full = compare_rows([row("full", None, 0.99, real=True, key=None), row("a", 0, 0.5)], [])
    assert named(full)["full (real)"].front is None and named(full)["a"].front


def test_two_ways_to_use_a_method_are_two_lines():
    found = compare_rows([row("dm", 0, 0.5, key="x"), row("dm", 0, 0.6, key="y"), row("dm", 1, 0.7, key="y")], [])
    assert [(line.name, line.sets) for line in found.lines] == [("dm", 1), ("dm #2", 2)]


def test_temperatures_that_a_call_asks_for_are_tables_of_their_own_where_nothing_weighs_the_answers():
    """As under recipes with a loss of their own on the answers, whose rows hold no alpha."""
    taught = {"labels": "soft", "label_bytes": 40, "alpha": None}
    rows = [row("a", 0, 0.5 + at / 10, **taught, temperature=at, scoring={"temperature": at}) for at in (1.0, 4.0)]
    hard = row("a", 0, 0.3, label_bytes=40, alpha=None, temperature=None, scoring={"temperature": 4.0})
    found = {line.variant: line.mean for line in compare_rows([*rows, hard], []).lines}
    assert found == {"soft labels, temperature 1": 0.6, "soft labels, temperature 4": 0.9, "hard labels": 0.3}


def test_against_tests_nothing_else_and_must_be_there():
    rows = three("a", 0.8, 0.9, 0.7) + three("b", 0.7, 0.81, 0.59) + three("c", 0.7, 0.6, 0.59)
    assert len(compare_rows(rows, [], against="a").tests) == 2
    with pytest.raises(condense.BadInput, match=r"--against dm: no method is called that \(known: a, b, c\)"):
        compare_rows(rows, [], against="dm")


ODD = r"50% of_a|b & {x} #1 ~^\<c>*$"


def test_markdown_shows_odd_names_in_one_cell_each():
    assert markdown("a|b_c*\\`[x]") == r"a\|b\_c\*\\\`\[x\]"
    text = WRITERS[".md"](compare_rows([row(ODD, 0, 0.5), row("b", 0, 0.4)], ["c: why | not"]))
    heading, blank, head, rule, first, second = text.splitlines()[:6]
    assert heading == "### digits, 1 a class, mlp, recipe quick" and not blank
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, first, second)} == {12}
    assert "| 50.0 | 100 | 40 | 5 | 2 | yes |" in first and r"- c: why \| not" in text


def test_latex_escapes_all_that_it_reads():
    assert latex(r"%&_#{}$") == r"\%\&\_\#\{\}\$"
    assert latex("~^\\ ±") == r"\textasciitilde{}\textasciicircum{}\textbackslash{} $\pm$"
    text = WRITERS[".tex"](compare_rows([row(ODD, 0, 0.5, 0.6)], []))
    (line,) = [line for line in text.splitlines() if line.startswith("50")]
    assert len(re.findall(r"(?<!\\)&", line)) == 10 and line.endswith(r" \\") and r"55.0 $\pm$ 5.0" in line
    bare = re.sub(r"\\[%&_#{}$]|\\text\w+\{\}|\$\\pm\$", "", line.removesuffix(r" \\"))
    assert not set("%_#{}$\\~^") & set(bare)


def test_csv_and_json_hold_the_numbers(tmp_path):
    found = compare_rows([*three('a, "b"', 0.8, 0.85, 0.9), *three("c", 0.5, 0.56, 0.61)], ["x: failed"])
    first, second = csv.DictReader(io.StringIO(WRITERS[".csv"](found)))
    assert first["name"] == 'a, "b"' and float(first["mean"]) == pytest.approx(0.85) and first["better"] == "c" and second["better"] == ""
    held = json.loads(WRITERS[".json"](found))
    assert held["lines"][0]["draws"] == {"0": 0.8, "1": 0.85, "2": 0.9} and held["tests"][0]["sets"] == 3
    assert held["notes"][-1] == "x: failed"


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A run, scored in closed form, and the file of its scores."""
    place = tmp_path_factory.mktemp("scored")
    condense.distill("random", "digits?limit=200", ipc=2, out=place / "a", seed=4)
    found = condense.evaluate(place / "a", recipe="krr-ntk", seeds=2, rows=("distilled", "random"))
    (place / "scores.json").write_text(json.dumps(found.as_json()))
    return place


def test_a_file_of_scores_is_read_with_what_its_run_says(scored, tmp_path, capsys):
    found = condense.compare(scored / "scores.json", to=tmp_path / "table.md")
    set_line, real = found.lines
    assert (set_line.name, set_line.labels, set_line.sets, set_line.seeds, set_line.budget) == ("random", "hard", 1, 2, "2 a class")
    assert set_line.steps == 1 and set_line.seconds is not None and list(set_line.draws) == [4] and real.name == "random (real)"
    assert "random" in (tmp_path / "table.md").read_text()
    assert run(["compare", str(scored / "scores.json")]) == 0
    said = capsys.readouterr().out
    assert "2 a class" in said and "one set" in said and max(map(len, said.splitlines())) <= 80


def test_a_table_fits_a_narrow_terminal_without_breaking_numbers():
    screen = Console(width=80, file=io.StringIO())
    screen.print(compare_rows([row("kmeans", 0, 0.915, 0.8, size=314_000, labels="interpolated"), row("b", 0, 0.4)], []).table())
    assert max(map(len, screen.file.getvalue().splitlines())) <= 80 and "front" in screen.file.getvalue()
    assert "85.8 ± 5.8" in screen.file.getvalue() and "314,000" in screen.file.getvalue()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "holds no scores"),
        ("[1]", "holds no scores"),
        ('{"set": "x"}', "holds no scores .*data is missing"),
        ('{"format": 2, "runs": [], "results": []}', "holds no results of a suite"),
        ('{"format": 1, "runs": [], "results": [{"label": 1}]}', "holds no scores"),
    ],
)
def test_what_holds_no_scores_is_refused_in_one_line(text, words, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(condense.BadInput, match=words) as refused:
        condense.compare(tmp_path / "x.json")
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)


def test_wrong_calls_are_refused(scored, tmp_path):
    for call, words in (
        ({"what": []}, "compare: names nothing"),
        ({"what": tmp_path / "none"}, "no run, suite or file of scores there"),
        ({"what": scored / "scores.json", "to": "table.doc"}, r"--to table.doc: unknown ending; give a file of \.md, \.csv, \.tex, \.json"),
    ):
        with pytest.raises(condense.BadInput, match=words):
            condense.compare(**call)

"""README.md is short and true; pages lead to files that are there; the generated ones say what the registries say."""

import importlib
import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest

from condense.presets import FAMILIES, PRESETS
from matchers import REGISTRY
from tests.support.pages import PAGES, commands, complaints, name_of
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    """The pages that the registries fill, but for those that import everything."""
    pytest.importorskip("jupytext")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        names = ("methods", "presets", "experiments", "notebooks", "lists", "interface")
        return {name: text for part in names for name, text in importlib.import_module(f"pages.{part}").pages(ROOT).items()}


def test_the_first_page_is_short_and_names_every_method_once():
    assert len(README.splitlines()) <= 150
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .* \| .+ \|$", README, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(named) == sorted(REGISTRY)


def test_the_five_commands_are_those_that_were_measured():
    rows = json.loads((ROOT / "docs" / "experiments" / "five_commands.json").read_text())["rows"]
    assert [" ".join(words) for words in commands(README) if words[0] == "condense"] == [row["command"] for row in rows]
    for row in rows:
        verb = re.match(r"condense (list methods|\w+)", row["command"])[0]
        assert re.search(rf"^\| `{verb}` \| .* \| {row['processor_seconds']} \|$", README, re.MULTILINE), verb


def test_links_lead_to_files_that_are_there():
    """Those to generated pages too: a method, a method's presets, a notebook, or a list. The build checks the anchors."""
    lists = ["methods", "presets", "data", "nets", "recipes", "suites", "experiments", "notebooks"]
    made = {f"{name}.md" for name in lists} | {f"{folder}/{name}.md" for name in REGISTRY for folder in ("methods", "presets")}
    made |= {f"notebooks/{path.stem}.ipynb" for path in (ROOT / "notebooks").glob("*.py")} | {"interface.rst"}
    dead = []
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in LINK.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
            path = link.partition("#")[0]
            there = path.removeprefix("generated/") in made if path.startswith("generated/") else (page.parent / path).exists()
            if path and not there and not link.startswith("https://"):
                dead.append(f"{name_of(page)}: {link}")
    assert dead == []


def test_the_page_of_all_presets_says_where_they_differ_from_papers_and_releases(monkeypatch):
    """All that stands at the top of the families' files, and every preset."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    made = importlib.import_module("pages.presets").pages(ROOT)
    told = made["presets.md"].replace("\\", "")
    for family in FAMILIES:
        title, _, rest = " ".join(family.__doc__.split()).partition(":")
        assert f"## {title}\n" in told and rest.strip() in " ".join(told.split()), family.__name__
    assert all(f"[`{name}`]" in told for name in PRESETS) and "(../presets.md)" in made["presets/mtt.md"]


def test_messages_that_troubleshooting_quotes_are_said():
    said = "\n".join(path.read_text() for room in ("condense", "synth") for path in (ROOT / room).rglob("*.py"))
    terms = re.findall(r"^(.*)\n: ", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    quoted = [text for term in terms for text in re.findall(r"`([^`]+ [^`]+)`", term) if "command not found" not in text]
    pieces = [piece.strip() for text in quoted for piece in re.split(r"\b[NXY]\b|\.\.\.", text)]
    assert len(quoted) > 5 and not [piece for piece in pieces if piece not in said]


def test_headers_of_a_page_go_down_one_level_at_a_time():
    """Sphinx warns of anything else, and `make docs` takes a warning for an error."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        levels = [0, *(len(marks) for marks in re.findall(r"^(#+) ", prose, re.MULTILINE))]
        assert all(below <= above + 1 for above, below in pairwise(levels)), path.name


@pytest.mark.slow
def test_a_page_of_a_method_holds_its_paper_flags_and_a_command_that_is_read(generated, capsys):
    pages = {name: generated[f"methods/{name}.md"] for name in REGISTRY}
    assert [name for name, text in pages.items() if "| paper |" not in text] == []
    assert "| `--lr` | `1.0` | a number above 0 |" in pages["dm"] and "`--no-balanced`" in pages["select"] and "L = " in pages["dm"]
    assert [line for text in pages.values() for line in complaints(text)] == []


@pytest.mark.slow
def test_records_and_experiments_are_copied_by_no_hand(generated):
    assert "best over distillation checkpoints" in generated["presets/mtt.md"]
    assert "44.2 ± 7.5" in generated["experiments.md"]
    assert "| 92.9 ± 0.3 | 66.6 ± 3.1 | 89.2 ± 1.4 | dsa |" in generated["parts/first_calls.md"]
    assert ".. autofunction:: condense.distill\n" in generated["interface.rst"]


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path):
    for name in ("sphinx", "furo", "myst_nb"):
        pytest.importorskip(name, reason="`make docs` installs it")
    argv = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-d",
        str(tmp_path / "trees"),
        str(ROOT / "docs"),
        str(tmp_path / "site"),
    ]
    built = subprocess.run(argv, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "generated" / "methods" / "dm.html").is_file()

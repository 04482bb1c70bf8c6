"""What contributors are told and run: local hooks, files that are there, examples that are pieces of them."""

import re
import tomllib

import pytest
import yaml

from tests.support.places import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE, re.S)


def test_hooks_are_local_and_make_lint_and_the_ci_run_them():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local" and all(hook["language"] == "system" for hook in repo["hooks"])
    assert [hook["entry"].split()[0] for hook in repo["hooks"]] == ["ruff", "ruff", "lint-imports", "mypy", "python"]
    assert "pre-commit run --all-files" in (ROOT / "Makefile").read_text()
    assert (ROOT / ".ci" / "run").read_text().split("\n")[-3:-1] == ["make lint", "make test"]


def test_the_tools_of_the_hooks_are_declared_and_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().split()}
    for tool in ("ruff", "import-linter", "mypy", "pre-commit", "pytest"):
        assert any(re.match(rf"{tool}\b(?!-)", wanted) for wanted in project["optional-dependencies"]["dev"]) and tool in pinned


def test_the_guide_names_files_that_are_there():
    named = {name for name in re.findall(r"`([\w./-]+/[\w./-]*)`", GUIDE) if not name.startswith("--")}
    assert len(named) > 20 and not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize(("path", "block"), BLOCKS, ids=[path for path, _ in BLOCKS])
def test_an_example_of_the_guide_is_a_piece_of_its_file(path, block):
    text = (ROOT / path).read_text()
    assert all(piece in text for piece in re.split(r"^\.\.\.\n", block, flags=re.M))


def test_every_kind_of_addition_has_a_section():
    kinds = ("method", "network", "reader", "kind of labels", "score of examples, or a rule", "evaluation protocol", "content")
    kinds += ("export format", "modality", "preset")
    assert [heading for heading in re.findall(r"^## Add an? (.*)$", GUIDE, re.M)] == list(kinds)


def test_the_citation_is_of_this_version_and_invents_nobody():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["authors"] == [{"name": "condense contributors"}]
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()

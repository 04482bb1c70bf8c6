"""What contributors are told and run: local hooks, files that are there, examples that are pieces of them."""

import contextlib
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def test_what_the_two_commands_install_brings_no_library_of_others():
    """Neither directly nor through another library: those of the extra `interop` come with `make test-all`. One of them, pyarrow, is what
    tensorflow-datasets needs."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    mine = metadata("condense-workbench")["Name"]
    needed, todo = set(), [(mine, frozenset()), (mine, frozenset({"dev"}))]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) not in needed:
            needed.add((name, wanted))
            with contextlib.suppress(PackageNotFoundError):  # of another platform
                for one in map(Requirement, requires(name) or ()):
                    if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in wanted or {""}):
                        todo.append((canonicalize_name(one.name), frozenset(one.extras)))
    names = {name for name, _ in needed}
    assert {"jax", "pytest", "altair"} <= names
    assert names & {canonicalize_name(Requirement(one).name) for one in extras["interop"]} == {"pyarrow"}


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

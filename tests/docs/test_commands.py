"""Every command of README.md and docs/ is one that the command line takes; those of the first pages are run."""

import os
import re
import subprocess
import sys

import pytest

from condense.presets import FAMILIES
from tests.support.pages import PAGES, blocks, commands, complaints, known_flags, name_of
from tests.support.places import ROOT

FIRST = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_of_a_page_is_read(page, capsys):
    assert complaints(page.read_text()) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("condense distil dm", "distil"),
        ("condense distill dm --data digits --ipc 1 --out x --stepz 3", "unknown argument '--stepz'"),
        ("condense distill dm --data digitz --ipc 1 --out x", "digitz"),
        ("condense evaluate x --net convnet:widht=3", "widht"),
        ("condense evaluate x --recipe dsaa", "dsaa"),
        ("condense list method", "unknown list"),
    ],
)
def test_a_wrong_command_on_a_page_is_found(line, words):
    (found,) = complaints(f"# a page\n\n```bash\n{line}    # a comment\n```\n")
    assert words in found


def test_pages_hold_commands_and_name_targets_of_make():
    texts = [page.read_text() for page in PAGES]
    assert sum(len(commands(text)) for text in texts) > 60
    assert not [
        name_of(page) for page, text in zip(PAGES, texts, strict=True) if re.search(r"^```\n[^`]*\bcondense \w", text, re.MULTILINE)
    ]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for text in (*texts, (ROOT / "CONTRIBUTING.md").read_text())
        for name in re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test", "docs", "lint"} <= named <= targets


def test_flags_in_the_text_are_flags_of_a_verb_or_a_method():
    """In what pages print of the files of presets too."""
    known, other = known_flags(), {"--version", "--xla_force_host_platform_device_count", "--no-deps", "--target"}  # the last two are pip's
    texts = {name_of(page): page.read_text() for page in PAGES} | {family.__name__: family.__doc__ for family in FAMILIES}
    flags = {(name, flag) for name, text in texts.items() for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    assert not {(page, flag) for page, flag in flags if not {flag, flag.replace("--no-", "--")} & (known | other)}


@pytest.mark.slow
def test_the_first_pages_do_what_they_say(tmp_path):
    """The commands of README.md and of the first quarter of an hour, one after another in one folder, then their programs. Processes of
    their own compile as users' do, not as the tests."""
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    pages = [page.read_text() for page in FIRST]
    lines = [["-m", *words] for page in pages for words in commands(page) if words[0] == "condense"]
    said = ""
    for argv in [*lines, *(["-c", program] for page in pages for program in blocks(page, "python"))]:
        done = subprocess.run([sys.executable, *argv], cwd=tmp_path, env=around, capture_output=True, text=True)
        assert done.returncode == 0, (argv, done.stderr)
        said += done.stdout
    assert (tmp_path / "grid.png").is_file() and (tmp_path / "digits_10").is_dir()
    assert "│ distilled │" in said

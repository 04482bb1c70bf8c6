"""The glossary is in order, each word once, and its links lead to files."""

import re

from tests.support.places import ROOT

ENTRY = re.compile(r"- \*\*(.+?)\*\*: [A-Z].*\. \[`(.+)`\]\(\.\./(.+)\)")


def test_every_word_has_a_meaning_and_a_module():
    lines = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("-")]
    entries = [ENTRY.fullmatch(line) for line in lines]
    assert len(entries) > 40 and all(entries), [line for line, entry in zip(lines, entries, strict=True) if not entry]
    words = [entry[1] for entry in entries]
    assert words == sorted(set(words), key=str.lower)
    assert not [entry[2] for entry in entries if entry[2] != entry[3] or not (ROOT / entry[2]).is_file()]


def test_readers_and_contributors_find_it():
    assert all("](docs/glossary.md)" in (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))

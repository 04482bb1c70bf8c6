"""Messages are fit for a terminal, whatever they quote."""

import pytest

from condense.runtime.log import note, progress
from synth.errors import LINE, BadInput, RunFailed, one_line

HOSTILE = "\x1b[2J\x1b]0;title\x07 \x9b31m bell\x08 \u202egnp.exe \udc80 two\nlines"
SHOWN = r"\x1b[2J\x1b]0;title\x07 \x9b31m bell\x08 \u202egnp.exe \udc80 two lines"


@pytest.mark.parametrize("kind", [BadInput, RunFailed])
def test_what_a_terminal_would_obey_is_escaped(kind):
    assert str(kind(HOSTILE)) == SHOWN


def test_notes_and_bars_escape_too(capsys):
    note(HOSTILE)
    with progress(1, HOSTILE) as bar:
        bar.advance()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == SHOWN and told[1].startswith(SHOWN + " 1/1") and len(told) == 2


def test_letters_of_all_scripts_stay():
    assert one_line("Grün 猫 é ± … 'x'") == "Grün 猫 é ± … 'x'"


def test_long_names_lose_their_middle_and_the_remedy_stays():
    assert len(one_line("x" * 60_000)) < 800
    told = str(BadInput(f"{'ab ' * 20_000}: is wrong; rename it"))
    assert len(told) <= LINE and told.startswith("ab ab") and told.endswith("is wrong; rename it")
    told = str(BadInput(f"{'x' * 60_000}: is wrong; rename it"))
    assert told.startswith("xxx") and told.endswith("is wrong; rename it") and len(told) < 800
    assert one_line("y" * LINE) != "y" * LINE and one_line("y " * (LINE // 2)) == "y " * (LINE // 2)

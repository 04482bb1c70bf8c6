"""Factories read without running them: the same options, types and words as those of the loaded factory."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from matchers import REGISTRY
from matchers.inputs import flagged_inputs, input_names, option_parameters
from matchers.method import Method
from matchers.signature import read_factory
from tests.support.cli import surroundings

OPEN = {"labels"}  # options whose types a registry settles when it is loaded


@pytest.mark.parametrize("name", REGISTRY)
def test_what_is_read_is_what_is_loaded(name):
    read, loaded = read_factory(REGISTRY[name]), REGISTRY[name].load()
    assert read is not loaded and inspect.getdoc(read) == inspect.getdoc(loaded)
    assert input_names(read) == input_names(loaded) and flagged_inputs(read) == flagged_inputs(loaded)
    ours, theirs = option_parameters(read), option_parameters(loaded)
    assert list(ours) == list(theirs)
    for option, parameter in theirs.items():
        assert (ours[option].default, ours[option].kind) == (parameter.default, parameter.kind)
        open_choice = option in OPEN and "committee" in get_args(parameter.annotation)
        wanted = str if open_choice else parameter.annotation
        assert ours[option].annotation == wanted, option


def test_no_method_needs_jax_to_be_read():
    code = "import sys; from matchers import REGISTRY; from matchers.signature import read_factory as read; [*map(read, REGISTRY.values())]"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*sys.modules)"], capture_output=True, text=True, env=surroundings(), check=True
    )
    assert "matchers.signature" in done.stdout.split() and not {"jax", "numpy", "matchers.gradient.dc"} & set(done.stdout.split())


def test_aliases_are_followed_and_what_is_not_plain_is_loaded(tmp_path, monkeypatch):
    files = {
        "kinds": "from typing import Literal as L\nimport nowhere\nShape = L['round', 'square']\nOther = nowhere.Other\n",
        "plain": "from kinds import Other, Shape as S\ndef plain(net: Net, *, s: S = 'round', o: Other | None = None):\n    'Is plain.'\n",
        "loaded": "MANY = 3\ndef loaded(*, many: int = MANY):\n    'Is loaded.'\n",
    }
    for name, text in files.items():
        Path(tmp_path, f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    read = read_factory(Method("plain", "plain:plain", ""))
    options = option_parameters(read)
    assert input_names(read) == ("net",) and read.__doc__ == "Is plain." and "nowhere" not in sys.modules
    assert options["s"].annotation.__args__ == ("round", "square") and options["o"].annotation is str
    with pytest.raises(AssertionError, match="was read, not loaded"):
        read()
    assert read_factory(Method("loaded", "loaded:loaded", ""))() is None
    assert read_factory(Method("value", len, "")) is len

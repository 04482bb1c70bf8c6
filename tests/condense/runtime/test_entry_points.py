"""What installed packages register: one that is broken costs itself alone."""

from importlib.metadata import EntryPoint

import pytest
from flax import nnx

from condense import nets
from condense.runtime import entry_points
from condense.workflows.methods import known_methods
from synth.errors import BadInput
from synth.graphs.base import Alphabet


def sketch(*, width: int = 4):
    """A linear sketch."""

    def construct(image, classes):
        class Sketch(nnx.Module):
            def __init__(self, rngs):
                self.first, self.head = nnx.Linear(image[0] * image[1], width, rngs=rngs), nnx.Linear(width, classes, rngs=rngs)

            def features(self, x):
                return self.first(x.reshape(len(x), -1))

        return Sketch

    return construct


@pytest.fixture
def installed(monkeypatch):
    """In both groups: a point whose module is not there, one of another kind, one that works where the group takes a function, and one
    that has the name of the project's own."""
    values = {"broken": "absent_package.module:thing", "number": "math:pi", "sketch": f"{__name__}:sketch", "mlp": f"{__name__}:sketch"}

    def points(group):
        return [EntryPoint(name, value, group) for name, value in values.items()]

    monkeypatch.setattr(entry_points, "entry_points", points)
    entry_points.registered.cache_clear()
    yield
    entry_points.registered.cache_clear()


def test_a_broken_network_leaves_the_others_with_a_note(installed, capfd):
    known = nets.known_nets()
    assert known["sketch"].summary == "A linear sketch." and not {"broken", "number"} & set(known)
    assert known["mlp"] is nets.NETS["mlp"]
    said = capfd.readouterr().err
    assert "warning: condense.nets: 'broken' (absent_package.module:thing) cannot be loaded (ModuleNotFoundError" in said
    assert "'number' (math:pi) is float, not Callable" in said
    assert nets.canonical("sketch:width=2") == "sketch:width=2"
    assert nets.count(nets.build("sketch:width=2", (3, 3, 1), 5)) == 9 * 2 + 2 + 2 * 5 + 5
    nets.known_nets()
    assert not capfd.readouterr().err  # said once


def test_an_outside_network_of_images_is_refused_on_graphs(installed):
    with pytest.raises(BadInput, match="--net sketch: the data are graphs, which a Net takes and a module does not"):
        nets.build("sketch", Alphabet(3), 2)


def test_a_broken_method_leaves_the_others_with_a_note(installed, capfd):
    assert not {"broken", "number", "sketch"} & set(known_methods())
    assert capfd.readouterr().err.count("warning: condense.methods") == 4

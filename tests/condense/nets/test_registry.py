"""Networks as text: what a list says of them is what their factories say."""

import inspect

import pytest

from condense.nets.registry import NETS


@pytest.mark.parametrize("name", NETS)
def test_a_line_of_the_registry_is_the_first_sentence_of_the_factory(name):
    network = NETS[name]
    factory = network.load()
    assert factory.__name__ == name == network.name and f"{factory.__module__}:{name}" == network.factory
    assert " ".join((inspect.getdoc(factory) or "").split()).startswith(network.summary) and "\n" not in network.summary
    assert network.takes in (("images",), ("graphs",), ("images", "vectors"))

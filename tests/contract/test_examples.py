"""The examples of the public docstrings are true."""

import doctest
import inspect

import pytest

import condense

EXAMPLES = {
    name: tests
    for name in condense.__all__
    if inspect.isfunction(thing := getattr(condense, name))
    if (tests := [test for test in doctest.DocTestFinder(recurse=False).find(thing, name) if test.examples])
}


def test_what_is_used_first_has_an_example():
    assert {"distill", "evaluate", "list_methods", "load_data", "load_run", "save_set", "show"} <= EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_true(name):
    said = []
    for test in EXAMPLES[name]:
        doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)

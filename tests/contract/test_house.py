"""The rules of the house: who may import what, how public functions look, how long things are, what files must not say."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

ROOMS = ("condense", "matchers", "evals", "synth")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MODULES = sorted(
    info.name
    for room in ROOMS
    for info in pkgutil.walk_packages([str(ROOT / room)], f"{room}.")
    if info.name != "condense.__main__"  # its one function is what the console script calls, with or without arguments
)

# third parties that only these places may import; tensorflow_datasets moreover only inside a function
CONFINED = {
    "flax": ["condense/nets/"],
    "orbax": ["condense/runtime/checkpoint.py"],
    "tensorflow_datasets": ["condense/data/readers/encoded.py", "condense/data/prepare.py"],
    "torch": [],
}
# machine paths and the hosts of package registries, written so that this file does not hold them
FORBIDDEN = re.compile(rb"(?<![\w.~-])/(?:root|home|tmp|work|Users)/|pypi\.|pythonhosted|artifactory|index-url|find-links")


def callables(name: str):
    """(qualified name, function) of every public function and method that a module defines."""
    module = importlib.import_module(name)
    for at, thing in vars(module).items():
        if at.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isclass(thing):
            yield from ((f"{at}.{method}", f) for method, f in vars(thing).items() if inspect.isfunction(f) and not method.startswith("_"))
        elif callable(thing) and hasattr(thing, "__name__"):
            yield at, thing


def test_imports_only_go_down():
    linter = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert linter.returncode == 0, linter.stdout + linter.stderr
    assert "0 broken" in linter.stdout


@pytest.mark.parametrize("package", CONFINED)
def test_third_parties_stay_where_they_belong(package):
    """Imports inside functions count too, and so does whatever names the package to `import_module`."""
    importers = set()
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                names += [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if any(str(name).split(".")[0] == package for name in names):
                importers.add(path.relative_to(ROOT).as_posix())
                assert package != "tensorflow_datasets" or node not in tree.body, f"{path}: imported when the module is"
    assert [path for path in sorted(importers) if not any(path.startswith(place) for place in CONFINED[package])] == []
    assert all(any(path.startswith(place) for path in importers) for place in CONFINED[package]), "a place of CONFINED is out of date"


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_follow_the_rules(name):
    """The key is called `key`; required, it comes first, optional, it is keyword-only, and so is every argument with a default."""
    assert importlib.import_module(name).__doc__, f"{name} has no docstring"
    wrong = []
    for at, function in callables(name):
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
        required = [p.name for p in parameters if p.default is p.empty]
        if not inspect.getdoc(function):
            wrong.append(f"{at} has no docstring")
        if "key" in required and parameters[0].name != "key":
            wrong.append(f"{at}: key is not the first argument")
        optional = [p for p in parameters if p.default is not p.empty]
        wrong += [f"{at}: {p.name} is a key under another name" for p in parameters if p.name in ("rng", "prng", "random_key", "rng_key")]
        wrong += [f"{at}: {p.name} has a default and is not keyword-only" for p in optional if p.kind is not p.KEYWORD_ONLY]
    assert not wrong, "; ".join(wrong)


def test_public_classes_have_docstrings():
    wrong = [
        f"{name}.{at}"
        for name in MODULES
        for at, thing in vars(importlib.import_module(name)).items()
        if inspect.isclass(thing) and thing.__module__ == name and not at.startswith("_")
        if not thing.__doc__ or thing.__doc__.startswith(f"{at}(")  # what NamedTuple and dataclass write by themselves
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            described = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
            assert node.end_lineno - node.lineno + 1 - described <= 60, f"{node.name} is too long"


def test_no_file_names_a_machine_or_a_registry():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(files) > 50
    found = {path.relative_to(ROOT).as_posix(): FORBIDDEN.search(path.read_bytes()) for path in files if path.is_file()}
    assert {name: match.group() for name, match in found.items() if match and name != "tests/contract/test_house.py"} == {}


def test_the_linter_is_content():
    ruff = Path(sys.executable).with_name("ruff")
    assert ruff.exists(), "the tests need the linter: pip install -e '.[dev]'"
    checked = subprocess.run([str(ruff), "check", "--no-cache", "--output-format=concise"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_annotations_are_checked_while_tests_run():
    """Of dtype and axes, in every room below the application: an image without channels, and an index that is a float, are refused."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jaxtyping import TypeCheckError

    from matchers.gradient.dc import class_gradient
    from synth.images.augment import none
    from synth.selection.choose import choose_random
    from tests.support.toy_data import smooth_net

    net, key = smooth_net(), jax.random.key(0)
    with pytest.raises(TypeCheckError, match="choose_random"):
        choose_random(key, np.zeros(3, np.float32), 1)
    with pytest.raises(TypeCheckError, match="none"):
        none(key, jnp.zeros((2, 4, 4)), siamese=True)
    with pytest.raises(TypeCheckError, match="class_gradient"):
        class_gradient(net, net.init(key), jnp.zeros((2, 4, 4, 1)), jnp.float32(0))

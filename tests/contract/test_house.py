"""The rules of the house: who may import what, how public functions look, how long things are, what files must not say."""

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.support import typecheck
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
    "tensorflow_datasets": [
        *(f"condense/data/readers/{name}.py" for name in ("prepared", "shards", "tfds")),
        "condense/data/prepare.py",
        "condense/exchange/prepared.py",
    ],
    "altair": ["condense/plots/charts.py", "condense/reports/write.py"],
    "vl_convert": ["condense/plots/charts.py", "condense/reports/write.py"],
    "jinja2": ["condense/reports/write.py"],
    "torch": ["condense/exchange/torch_file.py"],
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


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("condense/engine/budget.py", "from condense.engine import initial", "no circles among siblings"),
        ("matchers/gradient/dc.py", "from matchers.gradient import dsa", "no circles among siblings"),
        ("condense/runtime/log.py", "from condense.data import spec", "condense is layered"),
        ("synth/base.py", "def late():\n    from matchers import base", "imports only go down"),
        ("synth/numerics/backend.py", "from synth import labelling", "synth is layered"),
        ("evals/storage.py", "import flax", "flax stays in condense.nets"),
        ("condense/runtime/log.py", "import condense.nets", "condense is layered"),
        ("matchers/kernel/kip.py", "from matchers.gradient import dc", "families of methods do not know each other"),
        ("condense/data/rows.py", "def late():\n    from matchers import base", "data know no methods and no scores"),
        ("condense/data/readers/digits.py", "import evals.storage", "data know no methods and no scores"),
    ],
)
def test_the_linter_refuses_a_circle_and_an_import_upwards(file, line, contract, tmp_path):
    """Inside functions too. The checkout as it stands is content, so what is refused is the line."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as held:
        held.write(f"\n\n{line}\n")
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    said = subprocess.run(linter, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert said.returncode == 1 and f"{contract} BROKEN" in said.stdout, said.stdout + said.stderr


def test_every_family_of_methods_is_under_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (listed,) = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    assert listed == sorted(f"matchers.{place.parent.name}" for place in (ROOT / "matchers").glob("*/__init__.py"))


def test_every_room_says_what_it_may_import():
    places = [path for room in ROOMS for path in (ROOT / room).glob("*/__init__.py") if room in ("condense", "synth")]
    places += [ROOT / room / "__init__.py" for room in ROOMS]
    said = {path.relative_to(ROOT).as_posix(): ast.get_docstring(ast.parse(path.read_text())) for path in places}
    assert [name for name, text in said.items() if "may import" not in text.lower()] == []


def imported_tests(path: Path) -> set[str]:
    """What a file takes from `tests`, the places of shared things apart."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        found |= {name for name in names if name.startswith((".", "tests"))}
    return {name for name in found if not re.match(r"tests\.(support|bench|conftest)\b", name)}


def test_no_test_imports_from_another(tmp_path):
    """What tests share lies in tests/support, so that a file of tests can be moved, split and run alone."""
    found = {path.relative_to(ROOT).as_posix(): imported_tests(path) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}
    (tmp_path / "a.py").write_text(
        "from tests.condense.test_a import x\nfrom tests.support.places import ROOT\ndef f():\n    from . import test_b\n"
    )
    assert imported_tests(tmp_path / "a.py") == {"tests.condense.test_a.x", "..test_b"}


@cache
def importers() -> dict[str, dict[str, bool]]:
    """By third party: the files that import it, and whether one does so when it is itself imported. Imports inside functions count, and so
    does whatever names the package to `import_module`."""
    found = {package: {} for package in CONFINED}
    for path in FILES:
        tree = ast.parse(path.read_text())
        top = set(map(id, tree.body))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in ("import_module", "__import__", "needed"):
                    names += [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
            for package in {name.split(".")[0] for name in names} & set(CONFINED):
                file = path.relative_to(ROOT).as_posix()
                found[package][file] = found[package].get(file, False) or id(node) in top
    return found


@pytest.mark.parametrize("package", CONFINED)
def test_third_parties_stay_where_they_belong(package):
    files = importers()[package]
    assert package != "tensorflow_datasets" or not any(files.values()), "imported when the module is"
    assert [file for file in sorted(files) if not any(file.startswith(place) for place in CONFINED[package])] == []
    assert all(any(file.startswith(place) for file in files) for place in CONFINED[package]), "a place of CONFINED is out of date"


def test_choices_by_backend_stand_in_one_file():
    """The records of runs and of scores name the backend too, and choose nothing by it."""
    asks = {path.relative_to(ROOT).as_posix() for path in FILES if re.search(r"\b(default_backend|is_cpu)\b", path.read_text())}
    assert asks == {"synth/numerics/backend.py", "condense/runtime/surroundings.py", "condense/evaluation/facts.py"}


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


def test_the_hook_covers_modules_and_packages_at_any_depth():
    found = typecheck.checked()
    assert {"condense.nets.graphs", "condense.nets.graphs.gcn", "synth.labels", "condense.data.readers.source"} <= found
    assert all(importlib.util.find_spec(name) for name in found)
    assert not any(f"{free}.".startswith(f"{name}.") for name in found for free in typecheck.FREE)
    around = {".".join(free.split(".")[:depth]) for free in typecheck.FREE for depth in range(1, free.count(".") + 1)}
    assert {*ROOMS, *MODULES} - found == typecheck.FREE | around
    assert set(MODULES) >= typecheck.FREE, "an exception is out of date"


def test_the_hook_takes_a_new_room_without_being_told(tmp_path):
    for name in ("condense/__init__.py", "condense/porch/__init__.py", "condense/porch/bench.py", "tests/__init__.py", "docs/conf.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert typecheck.checked(tmp_path) == {"condense.porch", "condense.porch.bench"}  # `condense` itself holds free modules


@pytest.mark.parametrize(
    "room", ["condense/nets/graphs", "condense/engine", "condense/data", "condense/plots", "condense/teachers", "condense/experts"]
)
def test_a_wrong_type_is_refused_in_every_room(room):
    """The right one passes."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jaxtyping import TypeCheckError

    from condense.data.readers.source import stratified
    from condense.engine.schedule import make_schedule
    from condense.experts.smooth import gradient_penalty
    from condense.nets.graphs.network import EdgeLabels
    from condense.nets.layers import Draw
    from condense.plots.images import _shades
    from condense.teachers.barlow import standardised
    from synth.graphs.base import Hop
    from tests.support.methods import built
    from tests.support.toy_data import smooth_net

    net, index = smooth_net(), jnp.zeros(2, jnp.int32)
    hop = Hop(index, index, index, jnp.ones(2), index)
    right, wrong, call = {
        "condense/nets/graphs": (jnp.ones((2, 3)), jnp.ones((2, 3), jnp.int32), lambda x: EdgeLabels(1, 3, Draw())(hop, x)),
        "condense/engine": (
            3,
            "3",
            lambda steps: make_schedule(built("dm", "images"), steps=steps, eval_every=None, checkpoint_every=None),
        ),
        "condense/data": (np.arange(4) % 2, np.zeros(4), lambda y: stratified(y, 2)),
        "condense/plots": (np.zeros((1, 2, 2, 1), np.float32), np.zeros((1, 2, 2, 1), int), lambda x: _shades(x, True)),
        "condense/teachers": (jnp.ones((2, 3)), jnp.ones((2, 3), jnp.int32), standardised),
        "condense/experts": (
            jnp.ones((2, 4, 4, 1)),
            jnp.ones((2, 4, 4, 1), jnp.int32),
            lambda x: gradient_penalty(net, net.init(jax.random.key(0)).params, x, jnp.ones(2)),
        ),
    }[room]
    call(right)
    with pytest.raises(TypeCheckError):
        call(wrong)

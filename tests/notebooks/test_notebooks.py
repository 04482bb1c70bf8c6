"""Every notebook runs from top to bottom, as a reader would run it, on real data with little work."""

import ast
import os
from pathlib import Path

import pytest

from condense.data.load import load_data
from matchers.graphs.mirage import premise
from synth.base import take_all
from tests.support.places import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
# What the cell tagged "parameters" sets is replaced by these where it has them.
SHORT = {"ipc": 2, "steps": 3, "net": "mlp:width=8", "seeds": 1, "epochs": 2, "count": 2, "trained": 6, "out": "run"}
SHORT |= {"source, near, far": ("digits?limit=900", "digits?limit=300", "digits?limit=200"), "size": 6, "teacher_epochs": 1}
SHORT |= {"student": "gin:width=4,depth=1"}
SHORT |= {"committee": ["resnet:width=4", "convnet:norm=batch,width=8,depth=2"], "label_epochs": 2}

jupytext = pytest.importorskip("jupytext")
nbclient = pytest.importorskip("nbclient")
install = pytest.importorskip("ipykernel.kernelspec").install


def shortened(path: Path):
    """The notebook with a cell after its parameters that replaces them."""
    import nbformat

    book = jupytext.read(path)
    (at,) = [i for i, cell in enumerate(book.cells) if "parameters" in cell.metadata.get("tags", ())]
    known = {line.split(" = ")[0] for line in book.cells[at].source.splitlines()}
    assert known, f"{path.name}: its parameters are what a test can shorten"
    assert {"steps", "epochs"} & known <= set(SHORT)
    replaced = "\n".join(f"{name} = {value!r}" for name, value in SHORT.items() if name in known)
    book.cells.insert(at + 1, nbformat.v4.new_code_cell(replaced))
    return book


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> str:
    """The name of a kernel of this very interpreter, whatever else is installed."""
    place = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place / "share" / "jupyter"))
        patch.setenv("IPYTHONDIR", str(place))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        install(kernel_name="this", prefix=str(place))
        yield "this"


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS][:1] == ["01_distill_digits.py"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs(path, kernel, tmp_path):
    book = shortened(path)
    nbclient.NotebookClient(book, timeout=300, kernel_name=kernel, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/png") >= 2, "a notebook shows pictures"
    html = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert any(text.startswith("<div><code>") for text in html), "long steps have a line that is drawn anew, not lines of text"
    assert (tmp_path / "run" / "set.npz").is_file()
    assert all("Warning" not in output.get("text", "") for output in outputs)


def test_the_notebook_on_graphs_takes_a_depth_at_which_its_premise_holds():
    """At the depth of its trees nothing warns that frequent ones say little, and one layer more would bring the warning, as it says."""
    (cell,) = (cell for cell in jupytext.read(ROOT / "notebooks" / "06_graphs.py").cells if "parameters" in cell.metadata.get("tags", ()))
    exec(cell.source, taken := {})
    examples, depth = take_all(load_data(taken["molecules"]).train), taken["depth"]
    assert len(premise(examples, depth)) == 1 and taken["student"] == f"gin:depth={depth}"
    assert "warning" in premise(examples, depth + 1)[1]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_prose_and_calls(path):
    """Nothing is defined and nothing decided in a notebook: that belongs to the packages, where it is tested."""
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try, ast.With, ast.Lambda)
    book = jupytext.read(path)
    for cell in book.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 8
            assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, logic)], cell.source
            assert not cell.outputs
    prose = sum(len(cell.source.split()) for cell in book.cells if cell.cell_type == "markdown")
    assert prose > 2 * sum(len(cell.source.split()) for cell in book.cells if cell.cell_type == "code")

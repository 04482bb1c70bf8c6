"""Every command of README.md and docs/ is carried out, page by page in the order of the page, with less work: small data, few steps and
epochs, one network a score. What a page takes from another one, or from outside, is made first."""

import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from condense.__main__ import run
from condense.inputs import teachers
from condense.teachers.train import train_teachers
from tests.support.pages import PAGES, commands, name_of

SMALL = "digits?limit=800"
DATA = {"fashion_mnist": SMALL, "fashion_mnist?limit=20000": SMALL, "mnist": "digits?limit=300", "cifar10": SMALL}
DATA |= {
    "tu:NCI1.txt?fold=1": "toy_graphs",
    "folder:imagenet?size=224": "folder:photos?size=8",
    "folder:photos?size=32": "folder:photos?size=8",
    "31400": "3140",
}
VALUES = {"--steps": "3", "--count": "2", "--minutes": "1", "--networks": "1", "--seeds": "1", "--full-epochs": "1"}
TEACHERS = (
    "condense teachers --data digits --net convnet:norm=batch,width=8,depth=1 mlp:norm=batch,width=16 --epochs 15 --out runs/teachers"
)
SET = "condense distill dm --data digits --ipc 1 --net convnet:width=8,depth=2 --steps 3 --out runs/"
BEFORE = {
    "docs/evaluation.md": [TEACHERS, *(SET + name for name in ("digits", "dm10", "dc10", "dsa10"))],
    "docs/exchange.md": [SET + "digits"],
    "docs/suites.md": [SET + "digits"],
}
WHOLE = {"README.md", "docs/quickstart.md"}  # test_commands.py carries these out with all of their work
LEARNING = {"dm", "frepo", "kip", "mtt", "cvdd", "fadrm", "gvbsm", "krrst", "lgm"}
# what others publish; tests/condense/exchange makes such files
RELEASES = ("logged_files/CIFAR10/run", "res_DM_CIFAR10_ConvNet_10ipc.pt", "syn_data", "mtt.npz")


def called(page: Path) -> list[list[str]]:
    """The commands of this program on a page."""
    return [words for words in commands(page.read_text()) if words[0] == "condense"]


def lessened(words: list[str]) -> list[str]:
    """A command line that does the same with less work."""
    verb, *rest = [os.path.expanduser(DATA.get(word, word)) for word in words[1:]]
    for flag, value in VALUES.items():
        if flag in rest:
            rest[rest.index(flag) + 1] = value
    if verb == "distill":
        rest += ["--data", SMALL] if "--data" not in rest else []
        rest += ["--steps", "3"] if rest[0] in LEARNING and not {"--steps", "--minutes"} & set(rest) else []
        rest += ["--label-epochs", "2"] if rest[0] in ("cvdd", "fadrm") else []
        rest += ["--pool", "1", "--pool-steps", "3"] if rest[0] == "krrst" else []
        rest += ["--positive", "log"] if "mtt_fashion_mnist_1" in rest else []  # its step size of beta is for other experts
    elif verb == "evaluate":
        rest += ["--seeds", "1"] if "--seeds" not in rest else []
        rest += ["--epochs", "2"] if not {"runs/kip", "runs/cvdd", "krr"} & set(rest) else []
    elif verb == "teachers":
        rest += (
            ["--epochs", "1", "--net", "convnet:width=8,depth=2,norm=batch"]
            if "--ssl" in rest
            else TEACHERS.split()[4:7]
            if "--net" not in rest
            else []
        )
    elif verb == "transfer":
        rest += ["--seeds", "1", "--epochs", "2", "--rows", "distilled,random"]
        rest += ["--steps", "3"] if any("finetune" in word for word in rest) else []
    elif verb == "tune":
        rest[rest.index("--minutes") + 1] = "2"
        rest += ["--trials", "2", "--seeds", "1", "--net", "convnet:width=4,depth=1"]
    elif verb == "data":
        rest[rest.index("--size") + 1] = "16"
    elif verb == "suite":
        rest[0] = "small.toml"
    return [verb, *rest]


def draw_pictures(folder: Path) -> None:
    """Class folders of two colours that a small network tells apart."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 6)):
        for name, colour in (("cat", (200, 120, 60)), ("dog", (60, 120, 200))):
            (folder / part / name).mkdir(parents=True)
            for at in range(count):
                pixels = np.clip(rng.normal(colour, 30, (16, 20, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{at}.png")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the files that pages speak of: pictures, a table, a suite."""
    from sklearn.datasets import load_wine

    for name in ("pictures", "photos"):
        draw_pictures(tmp_path / name)
    wine, text = load_wine(), io.StringIO()
    rows = np.column_stack([wine.data.astype(str), wine.target_names[wine.target]])
    np.savetxt(text, rows, fmt="%s", delimiter=",", header=",".join([*wine.feature_names, "cultivar"]), comments="")
    (tmp_path / "wine.csv").write_text(text.getvalue())
    (tmp_path / "small.toml").write_text('data = "digits"\nipc = 1\nseeds = 1\nrecipe = "krr-ntk"\n\n[[method]]\nname = "random"\n')
    monkeypatch.setattr(teachers, "default_committee", lambda image: ("convnet:norm=batch,width=4,depth=1",) * 2)
    monkeypatch.setattr(teachers, "train_teachers", partial(train_teachers, epochs=30))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in WHOLE and called(page)], ids=name_of)
def test_the_commands_of_a_page_are_carried_out(page, place, capsys):
    for words in [*(line.split() for line in BEFORE.get(name_of(page), ())), *called(page)]:
        if set(RELEASES) & set(words) or words[1] == "completion":
            continue
        if "torch" in words:
            pytest.importorskip("torch")
        code = run(lessened(words))
        assert code == 0, (words, lessened(words), capsys.readouterr().err)

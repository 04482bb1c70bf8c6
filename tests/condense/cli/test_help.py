"""What the program says of itself: pages of help and lists, at once and in the catalogue's words."""

import re
import subprocess
import sys

import pytest
from docstring_parser import parse as parse_docstring

import condense
import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense import nets, presets
from condense.__main__ import run
from condense.cli.distill import STARTLESS
from condense.data.modality import MODALITIES
from condense.data.named import NAMED
from evals.recipes import RECIPES
from matchers import REGISTRY
from matchers.inputs import option_parameters
from tests.support.cli import program, surroundings


def test_first_page_names_every_verb_and_no_other(capsys):
    assert run(["--help"]) == 0
    said = capsys.readouterr()
    assert re.findall(r"^  (\w+)  ", said.out, re.M) == list(condense.cli.app.VERBS) and said.err == ""
    assert run([]) == 2
    assert capsys.readouterr().err == f"condense: give a verb: {', '.join(condense.cli.app.VERBS)}\n"


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        (
            "evaluate",
            ["--data SPEC", "--net NET", "--seeds N", "--recipe NAME", "--rows LIST", "--split test|val", "--json FILE", "(default: test)"],
        ),
        ("teachers", ["--data SPEC", "--out DIR", "--ssl barlow", "--net NET", "--epochs N"]),
        ("transfer", ["--to SPEC", "--fraction F", "--protocol NAME[:F]", "--draws N", "--teacher DIR", "(default: 5)"]),
        ("experts", ["--data SPEC", "--count N", "--epochs N", "--out DIR", "--net NET", "--recipe NAME", "--lr X", "(default: sgd)"]),
        ("show", ["--out FILE", "--per-class N", "--stretch", "(default: grid.png)"]),
        ("data", ["NAME", "--from DIR", "--size N", "--test X"]),
        ("describe", ["SPEC_OR_SET_OR_DIR_OR_PRESET"]),
        ("list", ["methods|data|nets|presets|recipes|suites"]),
        ("suite", ["FILE.toml|NAME", "--out DIR", "--jobs N", "--dry-run", "(default: 1)"]),
        ("tune", ["METHOD --data SPEC (--ipc N | --size N | --bytes N | --fraction X) --out DIR --minutes M"]),
        ("report", ["RUN|SUITE", "--out FILE.html", "(default: report.html)"]),
        ("compare", ["PLACE", "--to FILE.md|csv|tex|json", "--against LABEL"]),
        ("demo", ["--out DIR", "--force"]),
    ],
)
def test_help_of_a_verb_shows_its_flags(verb, flags, capsys):
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and all(flag in said.out for flag in flags) and "None" not in said.out


@pytest.mark.parametrize("method", REGISTRY)
def test_help_of_a_method_comes_from_its_factory(method, capsys):
    """Common flags and the factory's own, each with a text and its default; the description is the docstring's, equation included."""
    assert run(["distill", method, "--help"]) == 0
    page = capsys.readouterr().out
    document = parse_docstring(REGISTRY[method].load().__doc__)
    assert all(text in page for text in (document.short_description, *(document.long_description or "").split("\n")[:1]))
    assert "None" not in page and "by default what suits the data, or what inputs are of" in " ".join(page.replace("│", " ").split())
    own = option_parameters(REGISTRY[method].load())
    usual = {name: parameter.default for name, parameter in own.items()}
    usual |= REGISTRY[method].scale(REGISTRY[method].steps, usual, 1)
    words = " ".join(page.replace("│", " ").split())
    for name in (
        "data",
        "out",
        "ipc",
        "size",
        "bytes",
        "net",
        "steps",
        "seed",
        "start",
        "eval-every",
        "checkpoint-every",
        "preset",
        "force",
    ):
        offered = name != "start" or REGISTRY[method].modalities != ("graphs",)
        assert bool(re.search(rf"--{name} ([A-Z]+ )?[a-z`]", words)) == offered, name
    for name, parameter in own.items():
        text = next(p.description for p in document.params if name in p.arg_name.split(", "))
        flag = ("no-" if parameter.default is True else "") + name.replace("_", "-")
        assert f"--{flag} " in words and " ".join(text.split()).rstrip(".") in words
        assert parameter.default in (None, False) or f"(default: {usual[name]})" in words


@pytest.mark.parametrize("method", ["mirage", "colour", "doscond", "kidd"])
def test_help_of_a_method_of_graphs_offers_nothing_of_images(method, capsys):
    assert {name for name, modality in MODALITIES.items() if not modality.starts} == STARTLESS
    assert run(["distill", method, "--help"]) == 0
    said = capsys.readouterr().out
    assert "--start" not in said and "image" not in said and "convnet" not in said and "examples a class" in said


def test_help_of_distill_lists_the_methods(capsys):
    assert run(["distill", "--help"]) == 0
    assert re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.M) == list(REGISTRY)


@pytest.mark.parametrize(
    ("what", "names"), [("methods", REGISTRY), ("data", NAMED), ("nets", nets.NETS), ("presets", presets.PRESETS), ("recipes", RECIPES)]
)
def test_lists_have_a_line_a_name(what, names, capsys):
    assert run(["list", what]) == 0
    said = capsys.readouterr()
    assert said.err == "" and [line.split()[0] for line in said.out.splitlines()] == list(names)
    assert all(len(line.split()) > 3 for line in said.out.splitlines())


HEAVY = {"jax", "matchers.distribution.dm", "orbax", "sklearn", "tensorflow_datasets", "flax", "torch", "pandas"}


def test_the_program_is_quick_and_quiet():
    """Lists import neither JAX nor methods nor libraries of networks, checkpoints and data; nothing is written to stderr."""
    done = program("list", "methods")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("  random")
    code = "import sys; from condense.__main__ import run; run(['list', 'methods']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=120).stderr.split()
    assert "matchers.method" in loaded and not {
        "jax",
        "matchers.distribution.dm",
        "orbax",
        "sklearn",
        "tensorflow_datasets",
        "flax",
        "torch",
        "pandas",
    } & set(loaded)
    code = "import sys; from condense.__main__ import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=120).stderr.split()
    assert "condense.cli.app" in loaded and "jax" not in loaded


def test_version_help_and_completion_are_words_of_the_program(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"condense {condense.__version__}\n"
    for words, flags in (
        (["help"], ["--help"]),
        (["help", "show"], ["show", "--help"]),
        (["help", "distill", "dm"], ["distill", "dm", "--help"]),
    ):
        said = [(run(argv), capsys.readouterr().out) for argv in (words, flags)]
        assert said[0] == said[1] and said[0][0] == 0
    assert run(["completion", "bsh"]) == 2
    assert capsys.readouterr().err == "condense: completion: unknown shell 'bsh' (known: bash, zsh, fish); did you mean bash?\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["eval"], ["evaluate"]),
        (["distill", "m"], ["mtt", "mirage"]),
        (["distill", "mtt", "--inner"], ["--inner-steps"]),
        (["distill", "mtt", "--data", "fash"], ["fashion_mnist"]),
        (["list", "pre"], ["presets"]),
        (["show", "set.npz", "--ne"], ["--nearest"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes(words, expected, capsys):
    """The script runs in bash itself; the last word is to be completed."""
    assert run(["completion", "bash"]) == 0
    line = " ".join(["condense", *words])
    script = capsys.readouterr().out + f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _condense; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout.split() == expected


def test_the_other_shells_get_scripts_of_the_same_words(capsys):
    assert run(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("autoload -U +X bashcompinit && bashcompinit\n_condense() {")
    assert run(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "complete -c condense -n '__fish_seen_subcommand_from mtt' -l inner-steps" in lines
    assert all(line.startswith("complete -c condense -n ") for line in lines) and "evaluate" in lines[0]


def test_lists_of_one_method_and_one_network(capsys):
    assert run(["list", "presets", "kip"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [name for name, preset in presets.PRESETS.items() if preset.method == "kip"] != []
    assert run(["list", "nets", "convnet"]) == 0
    said = capsys.readouterr().out
    assert "a whole number (default: 128)" in said and re.search(r"norm +one of .*batch.*\(default: instance\)", said)
    for argv, words in (
        (["list", "nets", "convet"], "unknown network 'convet' (known: convnet,"),
        (["list", "nets", "convet"], "; did you mean convnet?"),
        (["list", "data", "digits"], "list data: 'digits' is too much; only presets and nets take a name"),
        (["list", "method"], "; did you mean methods?"),
        (["distil"], "; did you mean distill?"),
        (["show", "a", "--strech"], "; did you mean --stretch?"),
        (["distill", "mttt"], "; did you mean mtt?"),
    ):
        assert run(argv) == 2 and words in capsys.readouterr().err


def test_lists_wrap_on_a_terminal_alone(monkeypatch):
    from condense.cli.flags import aligned

    text = {"a": "word " * 40, "longer": "short"}
    assert len(aligned(text).splitlines()) == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = aligned(text).splitlines()
    assert len(lines) > 3 and max(map(len, lines)) <= 80 and lines[-1] == "  longer  short" and lines[1].startswith(" " * 10 + "word")

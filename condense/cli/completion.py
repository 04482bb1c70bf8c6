"""Scripts that let a shell complete verbs, methods, flags and names: `condense completion SHELL`."""

from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType

from condense.cli.distill import COMMON
from condense.cli.list import LISTS
from condense.studies.shipped import list_suites
from condense.workflows.lists import list_data, list_methods, list_nets, list_presets, list_recipes
from condense.workflows.methods import find_method
from matchers.inputs import flagged_inputs, option_parameters
from matchers.signature import read_factory
from synth.errors import BadInput, nearest
from synth.options import flag_of

WORDS = ("help", "completion")  # that are no verbs
SHELLS = ("bash", "zsh", "fish")
VALUES = {"--data": list_data, "--net": list_nets, "--preset": list_presets, "--recipe": list_recipes}  # flags whose values have names
BASH = """_condense() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  case "$prev" in
{values}
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then
      words="{verbs}"
    elif [ "$COMP_CWORD" -eq 2 ]; then
      case "${{COMP_WORDS[1]}}" in
{second}
      esac
    elif [ "${{COMP_WORDS[1]}}" = distill ]; then
      case "${{COMP_WORDS[2]}}" in
{methods}
      esac
    else
      case "${{COMP_WORDS[1]}}" in
{flags}
      esac
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _condense condense
"""


def script(shell: str, verbs: Mapping[str, ModuleType]) -> str:
    """Returns the completion script for a shell, as text.

    Args:
      shell: `bash`, `zsh` or `fish`.
      verbs: the module of each verb, by verb; its `RECORD` is the dataclass of the verb's flags, or None.

    Raises BadInput for a shell that is not one of SHELLS.
    """
    if shell not in SHELLS:
        raise BadInput(f"completion: unknown shell '{shell}' (known: {', '.join(SHELLS)}){nearest(shell, SHELLS)}")
    flags = {verb: [] if module.RECORD is None else record_flags(module.RECORD) for verb, module in verbs.items()}
    flags |= {word: [] for word in WORDS}
    second = second_words() | {"help": list(verbs)}
    if shell == "fish":
        return fish(flags, second)
    return "autoload -U +X bashcompinit && bashcompinit\n" * (shell == "zsh") + bash(flags, second)


def bash(flags: dict[str, list[str]], second: dict[str, list[str]]) -> str:
    """Returns the script for bash, which zsh reads too.

    Args:
      flags: the flags of every verb, as in `--out`; none for words that take none.
      second: by verb, the names that may stand directly behind it.
    """
    return BASH.format(
        verbs=" ".join(flags),
        values=cases({flag: list(names()) for flag, names in VALUES.items()}, 4),
        second=cases({verb: [*second.get(verb, ()), *words] for verb, words in flags.items()}, 8),
        methods=cases(method_flags(), 8),
        flags=cases(flags, 8),
    )


def cases(words: dict[str, list[str]], indent: int) -> str:
    """The branches of a bash `case`, a line for each name: it sets the variable `words` to the words of that name. `indent` is a number of
    spaces."""
    return "\n".join(f'{" " * indent}{name}) words="{" ".join(known)}" ;;' for name, known in words.items())


def fish(flags: dict[str, list[str]], second: dict[str, list[str]]) -> str:
    """Returns the script for fish.

    Args:
      flags: the flags of every verb, as in `--out`; none for words that take none.
      second: by verb, the names that may stand directly behind it.
    """
    lines = ["complete -c condense -n __fish_use_subcommand -f -a '" + " ".join(flags) + "'"]
    named = {flag: " ".join(names()) for flag, names in VALUES.items()}
    for verb, words in flags.items():
        when = f"complete -c condense -n '__fish_seen_subcommand_from {verb}'"
        if verb in second:
            lines.append(f"{when} -a '{' '.join(second[verb])}'")
        lines += [f"{when} -l {flag[2:]}" + (f" -xa '{named[flag]}'" if flag in named else "") for flag in words]
    for method, words in method_flags().items():
        when = f"complete -c condense -n '__fish_seen_subcommand_from {method}'"
        lines += [f"{when} -l {flag[2:]}" + (f" -xa '{named[flag]}'" if flag in named else "") for flag in words]
    return "\n".join(lines) + "\n"


def record_flags(record: type) -> list[str]:
    """The flags of a dataclass of flags, as in `--per-class`; the positional field `what` is left out."""
    return [flag_of(field.name.strip("_")) for field in fields(record) if field.name != "what"]


def second_words() -> dict[str, list[str]]:
    """By verb, the names that may stand directly behind it, such as those of methods behind `distill`. Other verbs are not in it."""
    describable = [*list_data(), *list_presets()]
    lists = {"distill": list(list_methods()), "list": list(LISTS), "suite": list(list_suites()), "completion": list(SHELLS)}
    return lists | {"describe": describable, "data": list(list_data())}


def method_flags() -> dict[str, list[str]]:
    """By method, all flags of `condense distill METHOD`, the common ones too."""
    found = {}
    for name in list_methods():
        factory = read_factory(find_method(name))
        found[name] = [flag_of(flag) for flag in (*COMMON, *flagged_inputs(factory), *option_parameters(factory))]
    return found

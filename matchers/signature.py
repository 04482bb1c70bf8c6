"""Reads a factory's docstring and signature from its source, without its imports, so that a help page does not wait for JAX."""

import ast
import builtins
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from matchers.inputs import INPUTS
from matchers.method import Method

QUICK = ("typing", "collections.abc", "synth.options")  # modules of annotations that cost nothing to import


def read_factory(method: Method) -> Callable[..., Any]:
    """Returns a stand-in with the factory's docstring and signature, which is not to be called. If the source cannot be read, returns the
    factory itself.

    The types of options are those of the factory. One that the source does not settle, such as a choice of what a registry lists, is `str`.
    """
    module, _, name = method.factory.partition(":") if isinstance(method.factory, str) else ("", "", "")
    functions = [node for node in _body(module) if isinstance(node, ast.FunctionDef) and node.name == name]
    if not functions:
        return method.load()
    arguments, doc = functions[0].args, ast.get_docstring(functions[0])
    known: list[tuple[ast.arg, Any, ast.expr | None]] = [(argument, Parameter.POSITIONAL_OR_KEYWORD, None) for argument in arguments.args]
    known += [(one, Parameter.KEYWORD_ONLY, default) for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]

    def stand_in(*args: Any, **options: Any) -> Any:
        raise AssertionError(f"{method.name}: the factory was read, not loaded")

    try:
        stand_in.__signature__ = Signature([_parameter(*each, module=module) for each in known])
    except ValueError:  # a default that is no plain value
        return method.load()
    stand_in.__doc__ = doc
    return stand_in


def _parameter(argument: ast.arg, kind: Any, default: ast.expr | None, *, module: str) -> Parameter:
    value = Parameter.empty if default is None else ast.literal_eval(default)
    if argument.annotation is None or argument.arg in INPUTS:
        return Parameter(argument.arg, kind, default=value)
    try:
        hint = _evaluate(argument.annotation, module)
    except LookupError:
        hint = str
    return Parameter(argument.arg, kind, default=value, annotation=hint)


def _body(module: str) -> list[ast.stmt]:
    """The statements of a module; none where it has no source."""
    spec = find_spec(module) if module else None
    return ast.parse(Path(spec.origin).read_text()).body if spec and spec.origin and spec.origin.endswith(".py") else []


def _evaluate(expression: ast.expr, module: str) -> Any:
    """An annotation. Raises LookupError where a name in it needs more than reading."""
    names = {node.id: _value(node.id, module) for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return eval(compile(ast.Expression(expression), module, "eval"), names)


def _value(name: str, module: str) -> Any:
    """What a module's source assigns to a name, or imports under it. Raises LookupError where it does neither."""
    for node in _body(module):
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return _evaluate(node.value, module)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    quick = node.module in QUICK
                    return getattr(import_module(node.module), alias.name) if quick else _value(alias.name, node.module)
    return vars(builtins)[name]

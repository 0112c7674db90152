"""Whether a text still is what it was after an edit: the last check before a fix is written."""

from __future__ import annotations

import ast
import warnings
from typing import Final

BROKEN: Final = 1_000_000
"""What `problems` says of a text that can't be parsed at all."""

_TYPESCRIPT: Final = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")


def problems(path: str, text: str) -> int:
    """How much of `text`, in the language that the name `path` tells, does not parse; 0: all of it does.

    A Python text that parses but does not compile, such as one with `return` outside of a function, has one.
    Of a language without a parser here, any text is without problems.
    """
    name = path.lower()
    if name.endswith((".py", ".pyi", ".pyw")):
        return python_problems(text)
    if name.endswith(_TYPESCRIPT):
        return _typescript_problems(path, text)
    if name.endswith((".json", ".toml", ".yml", ".yaml")):
        return 0 if _is_data(name, text) else BROKEN
    return 0


def python_problems(text: str, *, top_level_await: bool = False) -> int:
    """The same of a Python program, or of a notebook's cell with `top_level_await`."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if top_level_await else 0
    for found, more in enumerate((0, ast.PyCF_ONLY_AST)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(text, "<edited>", "exec", flags | more, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return found
    return BROKEN


def _typescript_problems(path: str, text: str) -> int:
    from turnlane.checker.typescript.syntax import parse

    nodes = [parse(path, text.encode("utf-8", "replace"))]
    found = 0
    while nodes:
        node = nodes.pop()
        found += node.is_error or node.is_missing
        nodes += [child for child in node.children if child.has_error]
    return found


def _is_data(name: str, text: str) -> bool:
    try:
        if name.endswith(".json"):
            import json

            json.loads(text)
        elif name.endswith(".toml"):
            import tomllib

            tomllib.loads(text)
        else:
            import yaml

            list(yaml.compose_all(text))
    except (ValueError, RecursionError):
        return False
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            return False
        raise
    return True

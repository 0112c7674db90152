"""Whether a program asks why the model stopped (TL307): in what its code does, not in its comments and texts."""

from __future__ import annotations

import ast
import functools
import linecache
import re
from collections.abc import Iterator
from typing import Final

_REASON: Final = re.compile(r"finish_reason|stop_reason|incomplete|LengthFinishReason")


def is_named(file: str) -> bool:
    """Whether a file names the reason anywhere."""
    tree = _tree(file)
    return tree is not None and _names(tree)


def is_decided_by(file: str) -> bool:
    """Whether a file compares the reason with others; one that only hands it on does not."""
    tree = _tree(file)
    return tree is not None and any(
        _names(node.subject if isinstance(node, ast.Match) else node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare | ast.Match)
    )


@functools.lru_cache(maxsize=64)
def _tree(file: str) -> ast.AST | None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # cells of notebooks
    try:
        tree: ast.AST = compile("".join(linecache.getlines(file)), file, "exec", flags)
    except (SyntaxError, ValueError):
        return None
    return tree


def _names(tree: ast.AST) -> bool:
    return any(_REASON.search(word) for node in ast.walk(tree) for word in _words(node))


def _words(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(attr=word) | ast.Name(id=word) | ast.arg(arg=word) | ast.alias(name=word):
            yield word
        case ast.keyword(arg=str(word)):
            yield word
        case ast.MatchClass(kwd_attrs=words):
            yield from words
        case ast.Constant(value=str(text)) if not any(map(str.isspace, text)):  # a key, no sentence
            yield text

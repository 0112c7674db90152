"""Whether a program asks why the model stopped (TL307): in what its code does, not in its comments and texts."""

from __future__ import annotations

import ast
import functools
import linecache
import re
from collections.abc import Iterator
from typing import Final

_REASON: Final = re.compile(r"finish_reason|stop_reason|incomplete|LengthFinishReason")
_LENGTH: Final = re.compile(r"(?:completion|output)_tokens")
"""Where a framework does not hand the reason on, how long the answer is tells the same."""


def is_asked_for(file: str) -> bool:
    """Whether a file names the reason anywhere, or compares the length of an answer with others."""
    tree = _tree(file)
    return tree is not None and (_names(_REASON, tree) or _compares(_LENGTH, tree))


def is_decided_by(file: str) -> bool:
    """Whether a file compares the reason with others; one that only hands it on does not."""
    tree = _tree(file)
    return tree is not None and _compares(_REASON, tree)


def _compares(wanted: re.Pattern[str], tree: ast.AST) -> bool:
    return any(
        _names(wanted, node.subject if isinstance(node, ast.Match) else node)
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


def _names(wanted: re.Pattern[str], tree: ast.AST) -> bool:
    return any(wanted.search(word) for node in ast.walk(tree) for word in _words(node))


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

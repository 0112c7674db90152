"""From the bytes of one Python file or notebook to its facts."""

from __future__ import annotations

import ast
import warnings

from turnlane.checker.python.facts import Cell, Module
from turnlane.checker.python.lowering import lower_module
from turnlane.checker.source import Unreadable, decode

Problem = tuple[int, str]
"""Line (0: the whole file) and sentence."""


def extract(path: str, data: bytes) -> Module:
    """The facts of the file `path` with the content `data`.

    Never raises: what could not be read is in the `problems` of the facts.
    """
    try:
        text = decode(data)
    except Unreadable as error:
        return _unread(path, (0, f"not checked: {error}"))
    if path.endswith(".ipynb"):
        return _notebook(path, text)
    return _program(path, text)


def _notebook(path: str, text: str) -> Module:
    from turnlane.checker import notebook

    try:
        read = notebook.read(text)
    except ValueError as error:
        return _unread(path, (0, f"not checked: {error}"))
    return _program(path, read.program, read.cells)


def _unread(path: str, problem: Problem) -> Module:
    return lower_module(ast.Module([], []), path, problems=(problem,))


def _program(path: str, text: str, cells: tuple[Cell, ...] = ()) -> Module:
    flags = ast.PyCF_ONLY_AST
    if cells:
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a SyntaxWarning of the checked code is not ours to print
        try:
            tree = compile(text, "<checked>", "exec", flags, dont_inherit=True)
            return lower_module(tree, path, cells=cells)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return _recovered(path, text, cells, flags, error)


def _recovered(path: str, text: str, cells: tuple[Cell, ...], flags: int, error: Exception) -> Module:
    from turnlane.checker.python.recover import recover

    line, what = _described(error)
    try:
        tree = recover(text, flags)
        if tree is not None:
            problem = (line, f"{what}: the rest of the file was checked")
            return lower_module(tree, path, cells=cells, problems=(problem,), recovered=True)
    except (ValueError, RecursionError, MemoryError):
        pass  # nothing is lost: the file does not parse
    return lower_module(ast.Module([], []), path, cells=cells, problems=((line, f"{what}: it was not checked"),))


def _described(error: Exception) -> Problem:
    """Where and why Python refuses the file."""
    if isinstance(error, SyntaxError):
        line = error.lineno or 1
        return line, f"line {line} does not parse ({error.msg})"
    if isinstance(error, ValueError):
        return 0, f"it does not parse ({error})"
    return 0, "it does not parse (it is nested too deeply)"

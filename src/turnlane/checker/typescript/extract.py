"""Reads one TypeScript or JavaScript file into the facts of `facts.py`."""

from __future__ import annotations

import codecs
import re
from typing import Final

from turnlane.checker.typescript.facts import Module, Span
from turnlane.checker.typescript.statements import Statements
from turnlane.checker.typescript.syntax import first_error, parse

_LARGEST: Final = 1_500_000
_LONG_LINE: Final = 3_000
_LONG_AVERAGE: Final = 250
_NO_SERVER: Final = re.compile(
    r"\.d\.[cm]?ts$|\.min\.|[._](test|spec|stories|bench)\.[cm]?[jt]sx?$|(^|/)(__tests__|__mocks__|node_modules)/"
)
"""Declarations, bundles and tests: nothing in them serves a user."""
_NO_SPAN: Final = Span(1, 0, 1, 0)


def extract(path: str, data: bytes) -> Module:
    """The facts of one file. Never raises; what can't be read is a problem of the module."""
    if _NO_SERVER.search(path) is not None:
        return Module(())
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    if _is_no_program(data):
        return Module(())
    if len(data) > _LARGEST:
        return Module((), problems=((0, f"it has {len(data) / 1e6:.1f} MB; files above 1.5 MB are not read"),))
    try:
        return _read(path, data)
    except RecursionError:
        return Module((), problems=((0, "it is nested too deeply to be read"),))


def _read(path: str, data: bytes) -> Module:
    root = parse(path, data)
    reader = Statements(_NO_SPAN)
    reader.body(root)
    problems: tuple[tuple[int, str], ...] = ()
    if error := first_error(root):
        problems = ((error, "it does not parse from here; what could be read was checked"),)
    return Module(reader.closed(), tuple(reader.imports), tuple(reader.exports), problems)


def _is_no_program(data: bytes) -> bool:
    """Whether it is binary or XML (video and Qt translations are `.ts` too), or minified by a bundler."""
    start = data[:1024].lstrip()
    if b"\0" in start or start.startswith((b"<?xml", b"<!DOCTYPE")):
        return True
    lines = data.count(b"\n") + 1
    return len(data) > 2 * _LONG_LINE and len(data) / lines > _LONG_AVERAGE and _longest_line(data) > _LONG_LINE


def _longest_line(data: bytes) -> int:
    return max(map(len, data.split(b"\n")))

"""The comments of a file, and the lines of the statement that each belongs to."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from turnlane.checker.languages import SUFFIXES


class Comment(NamedTuple):
    """One comment."""

    line: int
    column: int
    """In characters from 0."""
    text: str
    """With its opening `#`, `//` or `/*`."""
    first_line: int
    last_line: int
    """Of the statement it stands in; alone on its line, of the next statement."""
    alone: bool
    """Nothing else is on its line."""


def comments(path: str, text: str) -> list[Comment]:
    """The comments of a file; `text` is of a notebook its joined program."""
    languages = SUFFIXES.get(path[path.rfind(".") :].lower(), ())
    if "python" in languages:
        return list(_python(text))
    if "typescript" in languages:
        return list(_with_next_line(_typescript(text), text, ("//", "/*", "*")))
    if path.endswith(".json"):
        return []
    return list(_with_next_line(_hashes(text), text, ("#",)))


# --- Python ---

_LAYOUT: Final = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}


def _python(text: str) -> Iterator[Comment]:
    """Where Python's own tokenizer sees them. It stops at what is no Python: later lines are read one by one."""
    waiting: list[tuple[int, int, str, bool]] = []
    first = last = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            line, column = token.start
            if token.type == tokenize.COMMENT:
                waiting.append((line, column, token.string, not token.line[:column].strip()))
            elif token.type == tokenize.NEWLINE:
                yield from (_in_statement(found, first or line, line) for found in waiting)
                waiting, first, last = [], 0, line
            elif token.type not in _LAYOUT:
                first = first or line
    except (tokenize.TokenError, SyntaxError):
        begun = waiting[-1][0] if waiting else max(first, last)
        yield from (comment for comment in _hashes(text) if comment.line > begun)
    yield from (_in_statement(found, found[0], found[0]) for found in waiting)


def _in_statement(found: tuple[int, int, str, bool], first: int, last: int) -> Comment:
    line, column, text, alone = found
    return Comment(line, column, text, first, last, alone and not first <= line <= last)


# --- files of lines: requirements, Dockerfiles, YAML, TOML ---

_HASH = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|(?<![\s"'])#|[^"'#]|["'])*?((?:(?<=\s)|\A)\#.*)""")


def _hashes(text: str) -> Iterator[Comment]:
    number = 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if "#" in line and (match := _HASH.match(line)):
            column = match.start(1)
            yield Comment(number, column, match[1], number, number, not line[:column].strip())


# --- TypeScript and JavaScript ---

_TOKENS = re.compile(
    r"""(?P<comment>//[^\r\n]*|/\*.*?\*/)|"(?:\\.|[^"\\\r\n])*"|'(?:\\.|[^'\\\r\n])*'|`(?:\\.|[^`\\])*`"""
    r"""|(?P<body>(?:=>|\))\s*\{)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<end>\r\n|\r|\n)""",
    re.DOTALL,
)


_REST = re.compile(r"[^\S\r\n]*[^\s]")
"""Something more on the same line."""


class _Bracket(NamedTuple):
    line: int
    body: bool
    """Statements of their own are inside: what is silenced here stays on its line."""


def _typescript(text: str) -> Iterator[Comment]:
    found: list[tuple[int, int, str, bool]] = []
    spans: dict[int, tuple[int, int]] = {}
    line, start = 1, 0
    brackets: list[_Bracket] = []
    for match in _TOKENS.finditer(text):
        kind = match.lastgroup
        if kind == "comment":
            column = match.start() - start
            alone = not text[start : match.start()].strip() and not _REST.match(text, match.end())
            found.append((line, column, match[0], alone))
        opened = line
        ends = [end.end() for end in re.finditer(r"\r\n|\r|\n", match[0])]
        if ends:
            line, start = line + len(ends), match.start() + ends[-1]
        if kind == "body":
            if match[0][0] == ")":
                _close(brackets, spans, opened)
            brackets = [bracket._replace(body=True) for bracket in brackets] + [_Bracket(line, True)]
        elif kind == "open":
            brackets.append(_Bracket(line, match[0] == "{" and not brackets))
        elif kind == "close":
            _close(brackets, spans, line)
    for number, column, comment, alone in found:
        first, last = spans.get(number, (number, number))
        yield Comment(number, column, comment, first, last, alone)


def _close(brackets: list[_Bracket], spans: dict[int, tuple[int, int]], line: int) -> None:
    """Note which lines the closed bracket joins into one statement."""
    if not brackets:
        return
    opened = brackets.pop()
    if opened.body:
        return
    for end in (opened.line, line):
        first, last = spans.get(end, (end, end))
        spans[end] = (min(first, opened.line), max(last, line))


# --- both ---


def _with_next_line(found: Iterable[Comment], text: str, opening: tuple[str, ...]) -> Iterator[Comment]:
    """The same comments; one that is alone speaks of the next line that is no comment, and what continues it."""
    lines = re.split(r"\r\n|\r|\n", text)
    for comment in found:
        if not comment.alone:
            yield comment
            continue
        first = comment.line + comment.text.count("\n") + 1
        while first <= len(lines) and (
            not lines[first - 1].strip() or lines[first - 1].lstrip().startswith(opening)
        ):
            first += 1
        last = first
        while last < len(lines) and lines[last - 1].rstrip().endswith("\\"):
            last += 1
        yield comment._replace(first_line=first, last_line=last)

"""Magics and shell lines of a notebook's cell, turned into Python of the same length.

Every character stays where it is, so that lines and columns need no map and an edit of the Python is one of the
cell: `%time f()` becomes `0   ; f()`, `x = !ls` becomes `x = 0  `, and a `%%bash` cell becomes a `0` and spaces.
IPython decides the same way: an escape counts only where a statement can begin or after its first `=`, never in
a string or between brackets.
"""

from __future__ import annotations

import ast
import re
import warnings

PARSE = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
"""Flags for `compile`: a cell may await at its top level."""

_RUNS_PYTHON = "time|timeit|prun|memit|mprun|lprun|snakeviz|heat"
_CELL_MAGIC = re.compile(
    rf"%%(?:{_RUNS_PYTHON}|capture|debug|pyinstrument|scalene|wandb|ipytest|notify|px|local)(?![\w.])"
)
"""Cell magics whose body is Python that this kernel runs; of any other the body is something else."""
_LINE_MAGIC = re.compile(rf"%%?(?:{_RUNS_PYTHON})\b(?:[ \t]+-\w+(?:[ \t]+[\w./]+(?=[ \t]))?)*")
"""Line magics whose argument is a Python statement, with their options; `-o`-like options take a word."""
_FLAG_ONLY = re.compile(r"%%?(?:time|timeit|prun|memit)\b(?:[ \t]+-[a-zA-Z]+\d*)*")
"""The same with options that take none: `%timeit -q f()`."""
_SYSTEM = "pip|conda|mamba|uv|cd|ls|ll|cat|mkdir|rmdir|rm|cp|mv|pwd|env|run|load_ext|matplotlib|pylab|reload_ext"
_AUTOMAGIC = re.compile(rf"(?:{_SYSTEM})[ \t]+[^ \t=(\[,:)]")
"""Words that IPython takes as magics without a `%`."""
_HELP = re.compile(r"%{0,2}[a-zA-Z_*][\w.*]*(?:\[[^\]]*\])*\?{1,2}[ \t]*(?:#.*)?$")
_MAY_MATTER = re.compile(rf"(?m)^[ \t]*[%!?/,;]|=[ \t]*[%!]|\?[ \t]*(?:#.*)?$|^[ \t]*(?:{_SYSTEM})[ \t]+\S")
"""What a cell with anything to replace contains; most cells do not."""
_END = re.compile(r"\r\n|\r|\n")
_INDENT = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))*")
_TOKEN = re.compile(
    r"""(?P<string>[a-zA-Z]{0,2}(?:'''(?:[^\\]|\\[\s\S])*?(?:'''|\Z)|\"\"\"(?:[^\\]|\\[\s\S])*?(?:\"\"\"|\Z)
        |'(?:[^'\\\r\n]|\\[\s\S])*'?|"(?:[^"\\\r\n]|\\[\s\S])*"?))
    |(?P<comment>\#[^\r\n]*)
    |(?P<open>[(\[{])|(?P<close>[)\]}])
    |(?P<joined>\\[ \t]*(?:\r\n|\r|\n))
    |(?P<end>\r\n|\r|\n)
    |(?P<equal>(?<![=!<>+\-*/%@&|^:])=(?!=))
    |\w+|.""",
    re.VERBOSE,
)


def as_python(cell: str) -> str:
    """`cell` with its magics, shell and help lines replaced by Python of the same length in characters."""
    if not _MAY_MATTER.search(cell):
        return cell
    body = _match_end(_BLANK_LINES, cell, 0)
    head: list[str] = [cell[:body]]
    while cell.startswith("%%", body):
        end = _line_end(cell, body)
        if not _CELL_MAGIC.match(cell, body):
            return "".join(head) + _nothing(cell[body:], "0")
        head.append(_line_magic(cell[body:end]))
        body = _match_end(_BLANK_LINES, cell, end)
        head.append(cell[end:body])
    return "".join(head) + _statements(cell[body:])


def blank(text: str) -> str:
    """As many characters with the same line ends, and nothing else than a `0` to stand for a statement."""
    return _nothing(text, "0")


def parses(code: str) -> bool:
    """Whether `code`, a cell or a part of it, is Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "<cell>", "exec", PARSE, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _line_end(text: str, start: int) -> int:
    match = _END.search(text, start)
    return match.start() if match else len(text)


def _command_end(text: str, start: int) -> int:
    """Where a magic or shell command that begins at `start` ends: a backslash carries it to the next line."""
    end = _line_end(text, start)
    while end < len(text) and text[start:end].endswith("\\"):
        end = _line_end(text, _match_end(_END, text, end))
    return end


def _nothing(text: str, first: str) -> str:
    """Spaces in place of all but line ends, after `first`."""
    return (first + re.sub(r"[^\r\n]", " ", text[len(first) :])) if text else ""


def _statements(code: str) -> str:
    """Replace what is no Python at the beginnings of statements and after their first `=`."""
    parts: list[str] = []
    at = 0
    while at < len(code):
        indent = _match_end(_INDENT, code, at)
        parts.append(code[at:indent])
        at = indent
        if (replaced := _escape(code, at)) is not None:
            parts.append(replaced)
            at += len(replaced)
            continue
        end, value = _logical_line(code, at)
        if value is not None:
            parts.append(code[at:value])
            parts.append(_assigned(code[value : _command_end(code, value)]))
            at = _command_end(code, value)
        else:
            parts.append(code[at:end])
            at = end
    return "".join(parts)


def _escape(code: str, at: int) -> str | None:
    """What stands for the command at the beginning of a statement; None when it is Python."""
    end = _line_end(code, at)
    line = code[at:end]
    if line.startswith("%") and not _HELP.match(line):
        command = code[at : _command_end(code, at)]
        return _line_magic(command)
    if line.startswith(("!", "?", "/", ",", ";")):
        return _nothing(code[at : _command_end(code, at)], "0")
    if _HELP.match(line) or (_AUTOMAGIC.match(line) and not parses(line)):
        return _nothing(line, "0")
    return None


def _logical_line(code: str, at: int) -> tuple[int, int | None]:
    """The end of the statement's line, line end included, and where its value is a `!` or `%` command."""
    depth = 0
    assigned = False
    for token in _TOKEN.finditer(code, at):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif kind == "end" and depth == 0:
            return token.end(), None
        elif kind == "equal" and depth == 0 and not assigned:
            assigned = True
            value = _match_end(_INDENT, code, token.end())
            if code[value : value + 1] in {"%", "!"}:
                return token.end(), value
    return len(code), None


def _line_magic(command: str) -> str:
    """A `%magic` statement: its Python argument behind a `;`, or nothing."""
    start = _argument(command)
    if start is None or start < 2:
        return _nothing(command, "0")
    return "0" + " " * (start - 2) + ";" + command[start:] if start else _nothing(command, "0")


def _assigned(command: str) -> str:
    """The value in `x = %magic argument`: the argument, or nothing."""
    start = _argument(command)
    return _nothing(command, "0") if start is None else " " * start + command[start:]


def _argument(command: str) -> int | None:
    """Where the Python that a line magic runs begins in it, when it is a simple statement of its own line."""
    for pattern in (_LINE_MAGIC, _FLAG_ONLY):
        match = pattern.match(command)
        if match is None:
            continue
        rest = command[match.end() :]
        start = len(command) - len(rest.lstrip(" \t"))
        if rest.strip() and start > match.end() and parses("0;" + command[start:]):
            return start
    return None

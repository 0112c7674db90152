"""A look at the bytes of a Python file, far cheaper than parsing: what it imports, and whether it can matter.

A file can matter to a rule only if it names an agent library, a loop or a task, or if the imports of the project
lead from such a file to it or from it to such a file. The others need not be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

WORDS = (
    b"agent",
    b"Agent",
    b"async def",
    b"asyncio",  # nest_asyncio too
    b"autogen",
    b"ag2",
    b"agent_framework",
    b"openai",
    b"event_loop",
    b"run_until_complete",
    b"create_task",
    b"__await__",
    b"initiate_chat",
    b"run_stream",
    b"on_messages",
    b"anyio",
    b"uvloop",
    b"async_to_sync",
)
"""Single words looked for as they are: twenty times as fast as one regular expression with all of them."""

_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:"
    rb"from[ \t]*(\.[ \t.]*[\w.]*|[ \t][\w.]+)[ \t]*import\b[ \t]*(\([^)]*\)|(?:[^\n\r;#\\]|\\\r?\n)*)"
    rb"|import[ \t]+((?:[^\n\r;#\\]|\\\r?\n)*)"
    rb")",
    re.MULTILINE,
)
_DYNAMIC = re.compile(rb"import(?:_module|__)\(\s*[\"']([\w.]+)")
_COMMENT = re.compile(rb"#[^\n]*")
_ALIAS = re.compile(rb"\s+as\s+\w+")


LONGEST_STATEMENT = 20_000
"""Bytes of one import over several lines."""


class Survey(NamedTuple):
    """What the bytes of a file tell without parsing."""

    imports: tuple[str, ...]
    """Dotted names, dots in front for relative ones. `from a import b` gives "a" and "a.b": b may be a module.
    What only looks like an import, such as one in a text, is here too."""
    mentions: bool
    """Whether one of `WORDS` occurs."""


def survey(data: bytes) -> Survey:
    """Look at the bytes of a Python file. Never raises."""
    names = dict.fromkeys(_imports(data)) if b"import" in data else {}
    return Survey(tuple(names), any(word in data for word in WORDS))


def _imports(data: bytes) -> Iterator[str]:
    for module, listed, plain in _statements(data):
        if plain:
            yield from _split(plain)
            continue
        base = module.decode("utf-8", "ignore").replace(" ", "").replace("\t", "")
        yield base
        separator = "" if base.endswith(".") else "."
        for name in _split(listed):
            yield base + separator + name
    if b"import_module" in data or b"__import__" in data:
        for module in _DYNAMIC.findall(data):
            yield module.decode("utf-8", "ignore")


def _statements(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """The import statements, by their parts.

    Going from one "import" to the next and looking at its line is eight times as fast as searching the whole text.
    """
    position, end = data.find(b"import"), 0
    while position >= 0:
        start = max(data.rfind(b"\n", 0, position) + 1, end)
        line_end = data.find(b"\n", position)
        stop = len(data) if line_end < 0 else line_end
        line = data[position:stop]
        if b"(" in line or b"\\" in line:
            stop = min(len(data), start + LONGEST_STATEMENT)
        match = _IMPORT.search(data, start, stop)
        if match is None or match.start() > position:
            position = data.find(b"import", position + 6)
            continue
        yield match.groups(b"")
        end = match.end()
        position = data.find(b"import", max(end, position + 6))


def _split(listed: bytes) -> Iterator[str]:
    """The names in `(a as b, c)  # d`."""
    if b"#" in listed:
        listed = _COMMENT.sub(b"", listed)
    if b" as" in listed:
        listed = _ALIAS.sub(b"", listed)
    for part in listed.strip(b"() \t").split(b","):
        name = part.strip(b" \t\r\n\\()").decode("utf-8", "ignore")
        if name and name != "*":
            yield name

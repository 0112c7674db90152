"""The catalogue as pages of the docs: one file per hazard and an index by family."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from turnlane.hazards.catalogue import codes, every
from turnlane.hazards.hazard import FAMILIES, Hazard

INDEX = "index.md"
"""The file name of the page that lists all hazards."""

ABOUT = """\
# The hazards

What goes wrong when AutoGen agents meet an event loop, other users and a real provider. Each hazard has one code.
Errors of the server, logs and these pages use the same code; `turnlane explain TL201` prints a page.

Start with the error text: every page quotes what people see under "What you see". **Silent** hazards raise
nothing, so they have no error text of their own; they matter most.

The figures come from runs with autogen-agentchat 0.7.5, classic `autogen` 0.14.1, openai 3.52 and Python 3.11
against an OpenAI-compatible server on loopback that refuses broken histories as OpenAI does.
"""


def render() -> dict[str, str]:
    """Return every page by its file name."""
    pages = {f"{hazard.code}.md": _page(hazard) for hazard in every()}
    return {INDEX: _index(), **pages}


def write(folder: Path) -> None:
    """Write the pages into a folder and remove pages of hazards that are gone.

    Raises:
        OSError: the folder cannot be written.
    """
    pages = render()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("TL*.md")) - {folder / name for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _page(hazard: Hazard) -> str:
    return "".join(_linked(hazard.page(), own=hazard.code))


def _index() -> str:
    return ABOUT + "".join(_family(prefix, title) for prefix, title in FAMILIES.items())


def _family(prefix: str, title: str) -> str:
    rows = "".join(
        f"| [{hazard.code}]({hazard.code}.md) | {hazard.name} | {'yes' if hazard.silent else ''} "
        f"| {hazard.summary} | {hazard.help} |\n"
        for hazard in every()
        if hazard.code.startswith(prefix)
    )
    head = "| code | name | silent | what happens | right form |\n|---|---|---|---|---|\n"
    return f"\n## {prefix}xx {title}\n\n{head}{rows}"


def _linked(markdown: str, own: str) -> Iterator[str]:
    """Yield the lines with every mention of another hazard made a link; code blocks stay as they are."""
    known = set(codes()) - {own}
    fenced = False
    for line in markdown.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        yield line if fenced else re.sub(r"\bTL\d{3}\b", lambda mention: _link(mention[0], known), line)


def _link(code: str, known: set[str]) -> str:
    return f"[{code}]({code}.md)" if code in known else code

"""The pages as tests see them: their blocks of code, their links, their commands.

What a block is used for stands behind its language; readers and GitHub see only the language:

    python                   compiles
    python app               is a complete app; it is served and each of its agents answers
    python run FILE          is run against FILE served (an example, or an `app` block of the page saved under
                             that name), and prints the `text` block that follows it
    python test              is a test file for the page's last `app` block
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"

FENCE = re.compile(r"^```(?P<language>\w*)(?P<use>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL = ("sh", "bash")
AFTER_COMMAND = {"&", "|", ">", ";", "&&", "||", "<"}


@dataclass(frozen=True)
class Block:
    """Code between fences."""

    page: str
    line: int
    language: str
    use: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def pages() -> tuple[Path, ...]:
    """All pages, generated ones too."""
    return (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def hand_written() -> list[Path]:
    """The pages that no generator makes and whose code is tested here."""
    made = ("docs/hazards/", "docs/reference/")
    return [page for page in pages() if not name_of(page).startswith(made)]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=name_of(page),
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            use=match["use"].strip(),
            text=match["text"],
        )
        for match in FENCE.finditer(text)
    ]


def all_blocks(language: str, use: str | None = None) -> list[Block]:
    """Blocks of the pages written by hand; `use` is its first word."""
    found = [block for page in hand_written() for block in blocks(page) if block.language == language]
    return [block for block in found if use is None or block.use.partition(" ")[0] == use]


def output_after(block: Block) -> str:
    """The `text` block that follows `block`."""
    return next(b for b in blocks(ROOT / block.page) if b.line > block.line and b.language == "text").text


def app_before(block: Block) -> Block:
    """The last `app` block above `block`."""
    apps = [b for b in blocks(ROOT / block.page) if b.use == "app" and b.line < block.line]
    return apps[-1]


def without_code(page: Path) -> str:
    """The page's prose."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks in the prose."""
    return [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", without_code(page))]


def commands(shell: str) -> Iterator[list[str]]:
    """Every simple command in a shell text: its words, without redirections, comments and variables set for it."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in AFTER_COMMAND:
                words.append(word)
                continue
            if words:
                yield words
            words = []


def turnlane_commands() -> list[tuple[str, list[str]]]:
    """(where, arguments) of every `turnlane ...` in the pages, in shell blocks and in prose."""
    found = [
        (str(block), words)
        for page in hand_written()
        for block in blocks(page)
        if block.language in SHELL
        for words in commands(block.text)
    ]
    found += [
        (name_of(page), words)
        for page in hand_written()
        for code in inline_code(page)
        if code.startswith("turnlane ")
        for words in commands(code)
    ]
    return [(where, words[1:]) for where, words in found if words[0].rpartition("/")[2] == "turnlane"]

"""What a hazard is, and how its page file is read and shown."""

from __future__ import annotations

from typing import NamedTuple

from turnlane.hazards.catalogue import url_of

FAMILIES = {
    "TL1": "Who owns the event loop",
    "TL2": "Who owns the conversation",
    "TL3": "The model boundary",
    "TL4": "Tools",
    "TL5": "Lifecycle",
    "TL6": "Packages and runtimes",
    "TL0": "The checker itself",
}
"""The title of each family, by the first three letters of its codes."""

SECTIONS = ("What you see", "Why", "Wrong", "Right", "What turnlane does", "Related")
"""The sections of every page, in this order."""

FIELDS = ("summary", "help", "silent")
"""The lines of a page file's front matter, in this order."""


class MalformedPage(ValueError):
    """A page file of the catalogue breaks the format; a test reads them all, so no user meets this."""


class Example(NamedTuple):
    """One code block of a page."""

    language: str
    """`python`, `typescript`, `dockerfile`, `json`, ..."""
    title: str
    """The file it would stand in: `app.py`, `notebook cell`, `vercel.json`."""
    code: str


class Hazard(NamedTuple):
    """One row of the catalogue."""

    code: str
    """`TL201`"""
    name: str
    """`shared-agent`"""
    summary: str
    """One sentence that says what happens; made for error messages."""
    help: str
    """One sentence that says the right form; made for a finding's help line."""
    silent: bool
    """True when it can do its damage without anybody getting an exception."""
    sections: dict[str, str]
    """The text of each section of the page by its title, in the page's order."""
    symptoms: tuple[str, ...]
    """The texts that people see and search for, one line each."""
    bad: tuple[Example, ...]
    """What people write."""
    good: tuple[Example, ...]
    """The right form, complete."""
    related: tuple[str, ...]
    """Codes of hazards to read next."""

    @property
    def family(self) -> str:
        """The title of the family: `Who owns the conversation`."""
        return FAMILIES[self.code[:3]]

    @property
    def url(self) -> str:
        """Where a server shows the page: an address relative to the server."""
        return url_of(self.code)

    @property
    def why(self) -> str:
        """Why it happens, as markdown."""
        return self.sections["Why"]

    @property
    def prevention(self) -> str:
        """What the tools of turnlane do about it, as markdown."""
        return self.sections["What turnlane does"]

    @property
    def seen(self) -> str:
        """What was measured, as markdown: the paragraph of "What you see" that starts with `Measured:`."""
        return "\n\n".join(
            paragraph
            for paragraph in self.sections["What you see"].split("\n\n")
            if paragraph.startswith("Measured:")
        )

    def page(self) -> str:
        """Return the whole page as markdown, the right form first."""
        warning = "\n**Silent:** it can happen without any exception.\n" if self.silent else ""
        head = f"# {self.code} {self.name}\n\n{self.summary}\n\n**Do this:** {self.help}\n{warning}"
        body = "".join(f"\n## {title}\n\n{text}\n" for title, text in self.sections.items())
        return head + body

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


def read_page(code: str, name: str, text: str) -> Hazard:
    """Read one page file: front matter of `key: value` lines, then the sections.

    Raises:
        MalformedPage: a field or a section is missing, unknown, empty or out of order.
    """
    front, body = _split_front_matter(code, text)
    fields = _fields(code, front)
    sections = _sections(code, body)
    seen = _code_blocks(sections["What you see"])
    return Hazard(
        code=code,
        name=name,
        summary=fields["summary"],
        help=fields["help"],
        silent=fields["silent"] == "yes",
        sections=sections,
        symptoms=tuple(
            line for block in seen if block.language == "text" for line in block.code.splitlines() if line
        ),
        bad=_code_blocks(sections["Wrong"]),
        good=_code_blocks(sections["Right"]),
        related=tuple(
            line[2:].split()[0].rstrip(":") for line in sections["Related"].splitlines() if line.startswith("- ")
        ),
    )


def _split_front_matter(code: str, text: str) -> tuple[str, str]:
    opening, _, rest = text.partition("---\n")
    front, closing, body = rest.partition("\n---\n")
    if opening or not closing:
        raise MalformedPage(f"{code}: the page must start with front matter between two lines of ---")
    return front, body


def _fields(code: str, front: str) -> dict[str, str]:
    pairs = [line.partition(": ") for line in front.splitlines()]
    fields = {key: value.strip() for key, _, value in pairs}
    if tuple(fields) != FIELDS or not all(fields.values()):
        raise MalformedPage(f"{code}: the front matter must be {', '.join(FIELDS)}; it is {', '.join(fields)}")
    if fields["silent"] not in {"yes", "no"}:
        raise MalformedPage(f"{code}: silent must be yes or no, not {fields['silent']!r}")
    return fields


def _sections(code: str, body: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    fenced = False
    for line in body.splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            lines = found.setdefault(line[3:].strip(), [])
        else:
            lines.append(line)
    sections = {title: "\n".join(lines).strip() for title, lines in found.items()}
    if tuple(sections) != SECTIONS or not all(sections.values()):
        raise MalformedPage(f"{code}: the sections must be {', '.join(SECTIONS)}; they are {', '.join(sections)}")
    return sections


def _code_blocks(markdown: str) -> tuple[Example, ...]:
    """Return the fenced blocks; the words after the language are the title: ```python app.py."""
    blocks: list[Example] = []
    opening: str | None = None
    lines: list[str] = []
    for line in markdown.splitlines():
        if not line.startswith("```"):
            lines.append(line)
        elif opening is None:
            opening, lines = line[3:], []
        else:
            language, _, title = opening.partition(" ")
            blocks.append(Example(language, title.strip(), "\n".join(lines) + "\n"))
            opening = None
    return tuple(blocks)

"""Requirements as PEP 508 writes them: one each, and files of them (`requirements.txt`, `constraints.txt`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from turnlane.checker.deployment.facts import DeploymentFile, Include, Requirement, Span
from turnlane.checker.deployment.published import AGENT_PACKAGES
from turnlane.checker.source import Source

WATCHED = AGENT_PACKAGES | {"openai"}
"""The packages that a rule asks about; others are not kept."""

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"\s*(?:\[(?P<extras>[^\]]*)\])?"
    r"\s*(?:(?P<at>@)[^;]*|\(?(?P<specifier>(?:[=~!<>][^;)#]*)?)\)?)"
    r"\s*(?:;.*)?"
)
_OPTION = re.compile(r"\s--[a-z].*")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_INCLUDE = re.compile(r"\s*(?:-r|--requirement)[\s=]*(\S+)")
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")
_SCHEME = re.compile(r"\s*(?:-e\s+|--editable[\s=]+)?(?:[a-z+]+://|git\+|\.{0,2}/|file:)")
_EXACT = re.compile(r"===?\s*[\w.!+-]+")


def normalised(name: str) -> str:
    """The one form of a PyPI name that all its spellings have."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(text: str, start: int, source: Source, group: str = "") -> Requirement | None:
    """Read one requirement that stands at offset `start` (in characters) of the file; None for anything else."""
    match = _REQUIREMENT.fullmatch(text.rstrip())
    if match is None or normalised(match["name"]) not in WATCHED:
        return None
    specifier = (match["specifier"] or "").strip()
    after_name = match.start("specifier") if match["at"] is None else match.end("name")
    return Requirement(
        "pypi",
        normalised(match["name"]),
        specifier,
        span(source, start, start + len(text.rstrip())),
        extras=tuple(normalised(extra.strip()) for extra in (match["extras"] or "").split(",") if extra.strip()),
        group=group,
        direct=match["at"] is not None,
        specifier_span=span(source, start + after_name, start + after_name + len(specifier)),
        pinned=_EXACT.fullmatch(specifier) is not None and not specifier.endswith(".*"),
    )


def span(source: Source, start: int, end: int) -> Span:
    """The place of `text[start:end]`, cut at the end of its first line."""
    line, column = source.position(start)
    last, end_column = source.position(max(start, end))
    return Span(line, column, end_column if last == line else len(source.line(line).encode()))


def requirements_file(path: str, source: Source) -> DeploymentFile:
    """Read a requirements or constraints file. Lines that pip would refuse are left out."""
    found: list[Requirement] = []
    includes: list[Include] = []
    for number, text in enumerate(source.lines, start=1):
        if include := _INCLUDE.match(text):
            includes.append(Include(include[1].replace("\\", "/"), number))
        else:
            found.extend(_requirement_line(text, number, source))
    return DeploymentFile(path, "requirements", tuple(found), tuple(includes))


def _requirement_line(text: str, number: int, source: Source) -> Iterator[Requirement]:
    if _SCHEME.match(text):
        if (egg := _EGG.search(text)) and normalised(egg[1]) in WATCHED:
            place = Span(number, 0, len(text.encode()))
            yield Requirement("pypi", normalised(egg[1]), "", place, direct=True)
        return
    content = _OPTION.sub("", _COMMENT.sub("", text)).rstrip().removesuffix("\\")
    indent = len(content) - len(content.lstrip())
    read = requirement(content.strip(), source.starts[number - 1] + indent, source)
    if read is not None:
        yield read

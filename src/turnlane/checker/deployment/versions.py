"""Versions and ranges of Python packages (PEP 440), as far as whole releases and pre-releases go.

An own parser, since importing `packaging` costs 8 ms and the project may not have it: the rules ask only which
published versions a range admits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_VERSION = re.compile(
    r"v?(?:\d+!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<stage>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<number>\d*))?"
    r"(?P<post>[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>\d*)|-\d+)?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_number>\d*))?"
    r"(?:\+[a-z0-9._-]+)?",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>|\^|~)?\s*([^\s,]+)\s*")
_STAGES = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1, "preview": -1}


class Version(NamedTuple):
    """Orders as PEP 440 says; a development release of a pre-release counts as that pre-release."""

    release: tuple[int, ...]
    """Without zeros at its end: `0.4.0` is `(0, 4)`."""
    stage: int = 0
    """-4 development, -3 alpha, -2 beta, -1 candidate, 0 final, 1 post."""
    number: int = 0

    @property
    def early(self) -> bool:
        """A pre-release or a development release: installed only when a range names one."""
        return self.stage < 0


def version(text: str) -> Version | None:
    """Read one version; None when it is not one."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    release = _trimmed(tuple(int(part) for part in match["release"].split(".")))
    if match["stage"]:
        return Version(release, _STAGES[match["stage"].lower()], int(match["number"] or 0))
    if match["dev"]:
        return Version(release, -4, int(match["dev_number"] or 0))
    if match["post"]:
        return Version(release, 1, int(match["post_number"] or 0))
    return Version(release)


def _trimmed(release: tuple[int, ...]) -> tuple[int, ...]:
    while release and release[-1] == 0:
        release = release[:-1]
    return release


class Range(NamedTuple):
    """The versions from `low` to `high`; `!=` is left out, since no rule depends on a hole."""

    low: Version | None = None
    high: Version | None = None
    with_low: bool = True
    with_high: bool = True
    early: bool = False
    """Whether it names a pre-release, and so admits them."""

    def admits(self, candidate: Version) -> bool:
        """Whether an installer may choose `candidate`."""
        if candidate.early and not self.early:
            return False
        if self.low is not None and not (candidate > self.low or (self.with_low and candidate == self.low)):
            return False
        return self.high is None or candidate < self.high or (self.with_high and candidate == self.high)

    @property
    def exact(self) -> bool:
        """Whether it is one version."""
        return self.low is not None and self.low == self.high

    def narrowed(self, other: Range) -> Range:
        """What both admit."""
        low, with_low = max(_low(self), _low(other))
        high, with_high = min(_high(self), _high(other), key=lambda bound: (bound[0] or _LAST, bound[1]))
        return Range(None if low == _FIRST else low, high, not with_low, with_high, self.early or other.early)


_FIRST = Version((-1,))
_LAST = Version((1 << 62,))
ANY = Range()


def _low(of: Range) -> tuple[Version, bool]:
    # An open bound orders after a closed one of the same version: `>1` is narrower than `>=1`.
    return of.low or _FIRST, not of.with_low


def _high(of: Range) -> tuple[Version | None, bool]:
    return of.high, of.with_high


def parse_range(specifier: str) -> Range | None:
    """Read a specifier: `>=0.4,<0.8`, `~=0.2`, `==0.7.*`, and Poetry's `^0.2` and `~0.2`.

    None when it is not understood, such as alternatives (`||`): no rule may then say anything about it.
    """
    found = ANY
    text = specifier.strip()
    if text in ("", "*"):
        return found
    if "|" in text:
        return None
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            if clause.strip():
                return None
            continue
        part = _clause(match[1] or "==", match[2])
        if part is None:
            return None
        found = found.narrowed(part)
    return found


def _clause(operator: str, text: str) -> Range | None:
    prefix = text.endswith(".*")
    text = text.removesuffix(".*")
    point = version(text)
    if point is None:
        return None
    release = _release(text)
    match operator:
        case "!=":
            return ANY
        case "==" | "===":
            return (
                _up_to(point, _next(release, len(release) - 1))
                if prefix
                else Range(point, point, early=point.early)
            )
        case "~=":
            return _up_to(point, _next(release, len(release) - 2))
        case "^":
            return _up_to(point, _caret(release))
        case "~":
            return _up_to(point, _next(release, min(1, len(release) - 1)))
        case ">=" | ">":
            return Range(low=point, with_low=operator == ">=", early=point.early)
        case _:
            return Range(high=point, with_high=operator == "<=", early=point.early)


def _release(text: str) -> tuple[int, ...]:
    """The release as written, zeros kept: `~=0.2.0` and `~=0.2` differ."""
    match = _VERSION.fullmatch(text)
    return tuple(int(part) for part in match["release"].split(".")) if match else ()


def _up_to(low: Version, end: tuple[int, ...]) -> Range:
    return Range(low, Version(_trimmed(end)), with_high=False, early=low.early)


def _next(release: tuple[int, ...], place: int) -> tuple[int, ...]:
    """The first release after all that agree with `release` up to `place`."""
    place = max(0, place)
    return (*release[:place], release[place] + 1) if place < len(release) else release


def _caret(release: tuple[int, ...]) -> tuple[int, ...]:
    first = next((place for place, part in enumerate(release) if part), len(release) - 1)
    return _next(release, first)


def newest(candidates: Iterable[Version], within: Range) -> Version | None:
    """The version that an installer takes; None when none fits."""
    return max((candidate for candidate in candidates if within.admits(candidate)), default=None)

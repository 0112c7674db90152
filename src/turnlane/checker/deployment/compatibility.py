"""Which Python packages of a requirement set do not belong together, by what the package index had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from turnlane.checker.deployment.project import Placed, RequirementSet
from turnlane.checker.deployment.published import (
    AG2_OWN_MODULE,
    CLASSIC_PACKAGES,
    CURRENT_PACKAGES,
    FIRST_CURRENT,
    OPENAI_OF_EXT,
    PROXY,
    PYTHONS,
    Pythons,
    versions,
)
from turnlane.checker.deployment.versions import ANY, Range, Version, newest, parse_range, version
from turnlane.checker.finding import Severity


class Conflict(NamedTuple):
    """Requirements that do not belong together."""

    involved: tuple[Placed, ...]
    text: str
    severity: Severity
    help: str
    repairs: tuple[tuple[Placed, str], ...] = ()
    """Specifiers that would repair it, by requirement."""


_PIN_TOGETHER = "Pin `autogen-core`, `autogen-agentchat` and `autogen-ext` to one release, such as `>=0.7,<0.8`."
_ONE_LIBRARY = "Keep the one AutoGen that the code imports: `autogen` is classic, `autogen_agentchat` is current."
_CLASSIC_BOUND = (
    "For `import autogen` give it the bound `<0.10`; for `autogen_agentchat` require that by its own name."
)


class Choice(NamedTuple):
    """What an installer would make of one package of a set."""

    placed: Placed
    range: Range
    version: Version | None
    """The newest published version in the range, when the package were alone; None: there is none."""

    @property
    def name(self) -> str:
        return self.placed.requirement.name

    @property
    def text(self) -> str:
        """As the file says it, without extras: `autogen-ext>=0.4`."""
        return f"`{self.name}{self.placed.requirement.specifier}`"


def choices(of: RequirementSet) -> dict[str, Choice]:
    """The packages of a set whose versions the index decides, by name."""
    found: dict[str, Choice] = {}
    for placed in of.requirements:
        item = placed.requirement
        within = parse_range(of.locked.get(item.name, item.specifier))
        if item.direct or within is None:
            continue
        first = placed
        if item.name in found:
            within = found[item.name].range.narrowed(within)
            first = _tighter(found[item.name].placed, placed)
        found[item.name] = Choice(first, within, newest(versions(item.name), within))
    elsewhere = {placed.requirement.name for placed in of.requirements if placed.requirement.direct}
    return {name: choice for name, choice in found.items() if name not in elsewhere}


def _tighter(one: Placed, other: Placed) -> Placed:
    return one if one.requirement.specifier or not other.requirement.specifier else other


def conflicts(of: RequirementSet) -> Iterator[Conflict]:
    """Everything that is wrong with a set, what matters most first."""
    chosen = choices(of)
    yield from _different_releases(chosen)
    yield from _one_module_twice(chosen)
    yield from _proxy(chosen)
    yield from _two_apis(chosen)
    yield from _never_published(chosen)
    yield from _two_libraries(chosen)
    yield from _openai_too_old(chosen, of.requirements)


def _current(chosen: Mapping[str, Choice]) -> list[Choice]:
    return [chosen[name] for name in CURRENT_PACKAGES if name in chosen]


def _different_releases(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    """Each of the three packages exists in some version, but no version of all three fits."""
    present = [choice for choice in _current(chosen) if choice.version is not None]
    if len(present) < 2 or _in_common(present):
        return
    classic = [choice for choice in present if choice.version is not None and choice.version < FIRST_CURRENT]
    if classic:
        others = _listed([choice for choice in present if choice not in classic])
        text = f"{classic[0].text} is classic AutoGen, {others} belongs to the current one"
        yield Conflict(_placed(present), text, "error", _ONE_LIBRARY)
        return
    bound = [choice for choice in present if choice.range != ANY]
    leader = max(bound, key=lambda choice: (choice.name == "autogen-agentchat", choice.version))
    repairs = tuple(
        (choice.placed, leader.placed.requirement.specifier)
        for choice in bound
        if choice is not leader and choice.range.exact and leader.range.exact
    )
    names = " and ".join(choice.text for choice in bound)
    text = f"{names} are of different releases; each asks for `autogen-core` of exactly its own version"
    yield Conflict(_placed(bound), text, "error", _PIN_TOGETHER, repairs)


def _in_common(of: list[Choice]) -> set[Version]:
    """The releases that all of them have and admit."""
    first, *others = ({one for one in versions(choice.name) if choice.range.admits(one)} for choice in of)
    return first.intersection(*others)


def _placed(of: list[Choice]) -> tuple[Placed, ...]:
    return tuple(choice.placed for choice in of)


def _one_module_twice(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    """Two distributions of different versions that both write the module `autogen`."""
    writers = [
        choice
        for name, choice in chosen.items()
        if choice.version is not None and name in _WRITES_BEFORE and choice.version < _WRITES_BEFORE[name]
    ]
    if len(writers) < 2 or _in_common(writers):
        return
    names = " and ".join(choice.text for choice in writers)
    text = f"{names} are different versions that both install the module `autogen`: the one installed last wins"
    yield Conflict(_placed(writers), text, "error", "Keep one of them, pinned.")


_WRITES_BEFORE = {
    "pyautogen": PROXY,
    "autogen": Version((1,), -4),
    "ag2": AG2_OWN_MODULE,
    "autogen-agentchat": FIRST_CURRENT,
}
"""Distributions with the module `autogen`, and the first version that has it no more."""


def _proxy(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    choice = chosen.get("pyautogen")
    if choice is None or not _is_proxy(choice) or _meant_proxy(choice):
        return
    text = f"{choice.text} installs 0.10, which has no module `autogen`: it only asks for `autogen-agentchat`"
    bounded = f"{choice.placed.requirement.specifier},<0.10".lstrip(",")
    repairs = ((choice.placed, bounded),) if choice.range.high is None else ()
    yield Conflict((choice.placed,), text, "warning", _CLASSIC_BOUND, repairs)


_PLACEHOLDER = Version((0, 0, 2))
"""`>=0.0.1` means any version."""


def _two_apis(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    """A range that begins before the current library and ends in it."""
    spanning = [
        choice
        for choice in _current(chosen)
        if choice.range.low is not None
        and _PLACEHOLDER < choice.range.low < FIRST_CURRENT
        and choice.version is not None
        and choice.version >= FIRST_CURRENT
    ]
    if not spanning:
        return
    first = spanning[0]
    if first.name == "autogen-agentchat":
        text = (
            f"{first.text} spans two libraries: 0.2 is classic AutoGen, {_shown(first)} (what it installs) is not"
        )
    else:
        text = f"{first.text} means a release that never was: `{first.name}` begins at 0.4"
    settled = "autogen-ext" in chosen or "autogen-core" in chosen
    help_line = _PIN_TOGETHER if settled else "Give it one of the bounds `>=0.2.36,<0.4` and `>=0.7,<0.8`."
    repairs = tuple((choice.placed, ">=0.7,<0.8") for choice in spanning) if settled else ()
    yield Conflict(_placed(spanning), text, "warning", help_line, repairs)


def _shown(choice: Choice) -> str:
    return ".".join(map(str, choice.version.release)) if choice.version else "nothing"


def _never_published(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    for name, choice in chosen.items():
        known = versions(name)
        if choice.version is not None or not known or choice.range.high is None:
            continue
        if choice.range.high <= max(known):
            text = f"{choice.text} can't be installed: no such version of `{name}` was published"
            yield Conflict(
                (choice.placed,), text, "warning", f"Choose one that exists: `pip index versions {name}`."
            )


def _two_libraries(chosen: Mapping[str, Choice]) -> Iterator[Conflict]:
    classic = [
        chosen[name]
        for name in CLASSIC_PACKAGES
        # The proxy is not classic AutoGen, whatever was meant; that it is the proxy is said already.
        if name in chosen and not (name == "pyautogen" and (_is_proxy(chosen[name]) or _meant_proxy(chosen[name])))
    ]
    current = [choice for choice in _current(chosen) if choice.version is None or choice.version >= FIRST_CURRENT]
    if not classic or not current:
        return
    both = [*classic, *current]
    names = f"{_listed(classic)} beside {_listed(current)}"
    text = f"{names}: classic AutoGen and the current one are two libraries"
    pinned = all(choice.range.exact for choice in both)
    severity: Severity = "information" if pinned else "warning"
    yield Conflict(_placed(both), text, severity, _ONE_LIBRARY)


def _meant_proxy(choice: Choice) -> bool:
    """Whether the range begins at the proxy, so that nobody is surprised by it."""
    return choice.range.low is not None and choice.range.low >= PROXY


def _is_proxy(choice: Choice) -> bool:
    return choice.version is not None and choice.version >= PROXY


def _listed(of: list[Choice]) -> str:
    return ", ".join(f"`{choice.name}`" for choice in of)


def _openai_too_old(chosen: Mapping[str, Choice], requirements: tuple[Placed, ...]) -> Iterator[Conflict]:
    """Only where `autogen-ext[openai]` says it too, so that no installer can satisfy both.

    Without the extra the bound does not hold, and older clients do work: `openai` 1.40 under 0.7.4, measured.
    """
    openai, ext = chosen.get("openai"), chosen.get("autogen-ext")
    extras = {extra for placed in requirements for extra in _extras(placed, "autogen-ext")}
    if openai is None or ext is None or openai.range.high is None or "openai" not in extras:
        return
    admitted = [release for release in versions("autogen-ext") if ext.range.admits(release)]
    least = next((text for since, text in OPENAI_OF_EXT if admitted and min(admitted) >= since), "")
    needed = version(least)
    if needed is None or openai.range.high >= needed:
        return
    text = f"{openai.text} is older than the `openai>={least}` that `autogen-ext[openai]` asks for"
    repairs = ((openai.placed, f">={least},<4"),)
    yield Conflict((openai.placed, ext.placed), text, "error", f"Raise it to `>={least},<4`.", repairs)


def _extras(placed: Placed, name: str) -> tuple[str, ...]:
    return placed.requirement.extras if placed.requirement.name == name else ()


def refused_by(python: tuple[int, int], of: RequirementSet) -> Iterator[tuple[Choice, str]]:
    """The packages of a set that do not install on this Python, and the Pythons that they need."""
    for name, choice in choices(of).items():
        rows = _rows(name, choice.range)
        if not rows or any(row is None or row.takes(python) for row in rows):
            continue
        row = max((row for row in rows if row is not None), key=lambda row: row.since)
        below = f",<{row.below[0]}.{row.below[1]}" if row.below else ""
        yield choice, f">={row.least[0]}.{row.least[1]}{below}"


def _rows(name: str, within: Range) -> set[Pythons | None]:
    """What the admitted versions need; None among them: one of them is not in the table."""
    table = PYTHONS.get(name, ())
    if not versions(name):
        return set(table)
    admitted = [release for release in versions(name) if within.admits(release)]
    return {next((row for row in table if release >= row.since), None) for release in admitted}

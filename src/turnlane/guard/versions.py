"""The versions of the AutoGen packages and what they stand on, and which of them can't work together (TL601)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Final

from turnlane.guard import journals, stacks
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import Sighting

PACKAGES: Final = (
    "autogen-agentchat", "autogen-core", "autogen-ext", "autogen", "ag2", "pyautogen", "agent-framework",
    "agent-framework-core", "agent-framework-openai", "openai", "httpx", "httpx2", "anyio", "fastapi", "starlette",
    "uvicorn", "gunicorn", "flask", "django", "celery", "streamlit", "chainlit", "ipykernel", "nest-asyncio",
    "nest-asyncio2", "uvloop", "turnlane",
)  # fmt: skip
"""Whose versions decide what is right."""

_RELEASE: Final = ("autogen-core", "autogen-agentchat", "autogen-ext")
"""One release in three packages."""

_PARTS: Final = {
    "autogen_core": "autogen-core",
    "autogen_agentchat": "autogen-agentchat",
    "autogen_ext": "autogen-ext",
}


def install() -> None:
    """Wait for AutoGen to be imported: an environment's conflict hurts who uses it."""
    for name in (*_PARTS, "autogen"):
        when_imported(name, _imported)
    when_imported("openai", _imported)


def installed(paths: Iterable[str] | None = None) -> dict[str, str]:
    """The installed ones of `PACKAGES`. Reads folders only: `importlib.metadata` takes 30 ms."""
    found: dict[str, str] = {}
    for path in sys.path if paths is None else paths:
        try:
            names = os.listdir(path or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").partition("-")
                package = re.sub(r"[-_.]+", "-", package).lower()
                if package in PACKAGES and version:
                    found.setdefault(package, version)
    return dict(sorted(found.items()))


def conflicts(versions: Mapping[str, str]) -> list[str]:
    """What of these can't work together, a sentence each."""
    return [
        sentence
        for sentence in (_unlike_releases(versions), _old_openai(versions), _two_of_one_module(versions))
        if sentence is not None
    ]


def _unlike_releases(versions: Mapping[str, str]) -> str | None:
    present = {name: versions[name] for name in _RELEASE if name in versions}
    if len(set(present.values())) < 2:
        return None
    together = ", ".join(f"{name} {version}" for name, version in present.items())
    return f"{together} are of different releases: they are one release in three packages."


def _old_openai(versions: Mapping[str, str]) -> str | None:
    openai, httpx = versions.get("openai"), versions.get("httpx")
    if openai is None or httpx is None or parsed(openai) >= (1, 55, 3) or parsed(httpx) < (0, 28):
        return None
    return (
        f"openai {openai} hands `proxies` to httpx, which httpx {httpx} refuses: no client can be made; "
        "upgrade openai to 1.55.3 or newer."
    )


def _two_of_one_module(versions: Mapping[str, str]) -> str | None:
    """Packages that write the module `autogen`; those that only require another are of its version."""
    writers = {
        name: versions[name]
        for name, below in (("autogen", (1,)), ("pyautogen", (0, 10)), ("ag2", (1,)))
        if name in versions and parsed(versions[name]) < below
    }
    if len(set(writers.values())) < 2:
        return None
    together = " and ".join(f"{name} {version}" for name, version in writers.items())
    return (
        f"{together} all bring the module `autogen`: which of them is imported depends on what was installed last."
    )


def parsed(version: str) -> tuple[int, ...]:
    """The numbers a version begins with: `(0, 7, 5)`."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def loaded_together(modules: Mapping[str, ModuleType]) -> str | None:
    """Classic and current AutoGen in one process, which nobody means to have."""
    if "autogen" not in modules or "autogen_agentchat" not in modules:
        return None
    if not hasattr(modules["autogen"], "ConversableAgent"):
        return None
    return (
        "Classic AutoGen (module `autogen`) and current AutoGen (`autogen_agentchat`) are loaded in one process."
    )


def _imported(module: ModuleType) -> None:
    versions = installed()
    sentences = conflicts(versions)
    if module.__name__ == "openai":
        sentences = [sentence for sentence in sentences if sentence.startswith("openai")]
    both = loaded_together(sys.modules)
    for sentence in (*sentences, *([both] if both else [])):
        _report(sentence, module.__name__, versions)


_told: set[str] = set()


def _report(sentence: str, module: str, versions: Mapping[str, str]) -> None:
    if sentence in _told:
        return
    _told.add(sentence)
    stack = stacks.capture(1)
    journals.report_aside(
        Sighting(
            code="TL601",
            message=sentence,
            stack=stack,
            stacks=[(f"{module} is imported here", stack)],
            object=f"module {module}",
            measures={"versions": {name: versions[name] for name in versions if _concerns(name)}},
        )
    )


def _concerns(name: str) -> bool:
    return name.startswith(("autogen", "pyautogen", "ag2", "openai", "httpx"))


def uninstall() -> None:
    """Forget what was told. For tests."""
    _told.clear()

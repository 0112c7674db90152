"""Where a program runs, for people: what the guard's first record says, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FIRST: Final = (
    "autogen-agentchat",
    "autogen-core",
    "autogen-ext",
    "autogen",
    "ag2",
    "agent-framework-core",
    "openai",
)
"""Packages that are named first."""


def one_line(where: Mapping[str, Any]) -> str:
    """`uvicorn, Python 3.11.7, loop of uvicorn (uvloop); autogen-agentchat 0.7.5, openai 1.93.0`."""
    parts = [str(where.get("host", "program")), f"Python {where.get('python', '?')}"]
    if where.get("cloud"):
        parts.insert(1, f"on {where['cloud']}")
    parts += [part for part in (processes(where.get("processes") or {}), _loop(where)) if part]
    packages = where.get("packages") or {}
    named = [f"{name} {packages[name]}" for name in FIRST if name in packages]
    return ", ".join(parts) + (f"; {', '.join(named)}" if named else "")


def lines(where: Mapping[str, Any]) -> list[str]:
    """Each fact with its name, in columns."""
    packages = where.get("packages") or {}
    system = f"{where.get('platform', '?')}, {where.get('cpus', '?')} CPUs"
    facts = {
        "host": where.get("host"),
        "cloud": where.get("cloud"),
        "program": where.get("program"),
        "python": f"{where.get('python', '?')} ({where.get('implementation', '?')})",
        "system": system,
        "loop": _loop(where),
        "processes": processes(where.get("processes") or {}),
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items())
        or "none that matter here",
    }
    return [f"{name:10} {value}" for name, value in facts.items() if value]


def _loop(where: Mapping[str, Any]) -> str:
    loop = where.get("loop") or {}
    if not loop.get("kind"):
        return ""
    nested = ", patched by nest_asyncio" if loop.get("nest_asyncio") else ""
    return f"loop of {loop.get('owner', 'the program')} ({loop['kind']}) in {loop.get('thread', '?')}{nested}"


def processes(facts: Mapping[str, Any]) -> str:
    """`4 workers of class uvicorn, loaded before the fork`; empty when nothing is known of them."""
    parts = []
    count = f"{facts['workers']} " if facts.get("workers") else ""
    if facts.get("worker_class"):
        parts.append(f"{count}workers of class {facts['worker_class']}")
    elif count:
        parts.append(f"{count}workers")
    if facts.get("pool"):
        parts.append(f"pool {facts['pool']}")
    if facts.get("preload"):
        parts.append("loaded before the fork")
    if facts.get("reloader"):
        parts.append("reloader")
    if facts.get("start_method"):
        parts.append(f"children by {facts['start_method']}")
    return ", ".join(parts)

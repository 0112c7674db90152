"""What the package registries had on the day named here: versions, and what they need.

The rules compare with these tables instead of asking a registry: a check needs no network and answers the same
tomorrow. A version that is newer than the tables is never held against a project.

From `pip index versions --pre`, the METADATA of the wheels, and `npm view`.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from turnlane.checker.deployment.versions import Version, version

READ_ON: Final = "2026-11-21"
"""The day on which the registries were asked."""

_CURRENT = """
0.4.0.dev0 0.4.0.dev1 0.4.0.dev2 0.4.0.dev3 0.4.0.dev4 0.4.0.dev5 0.4.0.dev6 0.4.0.dev7 0.4.0.dev8 0.4.0.dev9
0.4.0.dev10 0.4.0.dev11 0.4.0.dev12 0.4.0.dev13 0.4.0 0.4.1 0.4.2 0.4.3 0.4.4 0.4.5 0.4.6 0.4.7 0.4.8 0.4.8.1
0.4.8.2 0.4.9 0.4.9.1 0.4.9.2 0.4.9.3 0.5.0 0.5.1 0.5.2 0.5.3 0.5.4 0.5.5 0.5.6 0.5.7 0.6.0 0.6.1 0.6.2 0.6.3
0.6.4 0.7.0 0.7.1 0.7.2 0.7.3 0.7.4 0.7.5
"""
_CLASSIC = """
0.3.2b2 0.3.2 0.4 0.4b1 0.4.1 0.4.2b1 0.5.0 0.5.0b2 0.5.1 0.5.2 0.5.2b1 0.5.3 0.5.3b1 0.6.0 0.6.0b1 0.6.0b2
0.6.1 0.7.0 0.7.0b3 0.7.1 0.7.2 0.7.2b1 0.7.3 0.7.4b1 0.7.4 0.7.4b2 0.7.5 0.7.6 0.7.6b1 0.8.0b1 0.8.0 0.8.1
0.8.2rc0 0.8.2 0.8.3 0.8.4 0.8.5 0.8.5a0 0.8.5a1 0.8.6 0.8.6a2 0.8.6b0 0.8.7 0.8.8a0 0.8.8a1 0.9 0.9a0 0.9.0a2
0.9a1 0.9.0a3 0.9.1a1
"""
_SINCE_AG2 = """
0.9.1 0.9.1.post0 0.9.2 0.9.3 0.9.4 0.9.5 0.9.6 0.9.7 0.9.8 0.9.8.post1 0.9.9 0.9.10 0.10.0 0.10.1 0.10.2 0.10.3
0.10.4 0.10.5 0.11.0 0.11.1 0.11.2 0.11.3 0.11.4 0.11.5 0.12.0 0.12.1 0.12.2 0.12.3 0.13.0 0.13.1 0.13.2 0.13.3
0.13.4 0.14.0
"""

_VERSIONS: Final = {
    "autogen-core": _CURRENT,
    "autogen-agentchat": f"0.2.36 0.2.37 0.2.38 0.2.39 0.2.40 {_CURRENT}",
    "autogen-ext": _CURRENT,
    "pyautogen": f"""
0.0.1 0.1.0 0.1.1rc1 0.1.1 0.1.2 0.1.3 0.1.4 0.1.5 0.1.6 0.1.7 0.1.8 0.1.9 0.1.10 0.1.11 0.1.12 0.1.13 0.1.14
0.2.0b1 0.2.0b2 0.2.0b3 0.2.0b4 0.2.0b5 0.2.0b6 0.2.0 0.2.1 0.2.2 0.2.3 0.2.4 0.2.5 0.2.6 0.2.7 0.2.8 0.2.9
0.2.10 0.2.11 0.2.12 0.2.13 0.2.14 0.2.15 0.2.16 0.2.17 0.2.18 0.2.19 0.2.20 0.2.21 0.2.22 0.2.23 0.2.24 0.2.25
0.2.26 0.2.27 0.2.28 0.2.29 0.2.30 0.2.31 0.2.32 0.2.33 0.2.34 0.2.35 0.3.0b4 0.3.0 0.3.1 0.3.2b1
{_CLASSIC} 0.7.0b1 0.7.0b2 0.10.0
""",
    "autogen": f"""
0.0.4 0.0.5 0.0.6 0.0.7 0.0.8 0.0.9 0.0.10 0.0.11 0.0.12 0.0.13 0.0.14 0.0.15 0.0.16 0.0.17 0.0.18 0.0.19 0.1.0
0.1.1 0.3.0b1 0.3.0b4 0.3.0 0.3.1 0.3.2b1 {_CLASSIC} {_SINCE_AG2} 0.14.1rc1 0.14.1
""",
    "ag2": f"""
{_CLASSIC} {_SINCE_AG2} 1.0.0b0 1.0.0 1.0.1 1.0.2 1.0.3 1.0.4 1.0.5 1.0.6 1.1.0 1.1.1 1.1.2 1.2.0 1.2.1
""",
}


@cache
def versions(name: str) -> tuple[Version, ...]:
    """Every published version of a PyPI package, in no order; empty for a package that is not in the tables.

    The empty 0.0.1 and 0.0.2, which hold a name until the first release, are left out.
    """
    return tuple(found for text in _VERSIONS.get(name, "").split() if (found := version(text)))


CURRENT_PACKAGES: Final = ("autogen-core", "autogen-agentchat", "autogen-ext")
"""One release of AutoGen in three packages; each asks for `autogen-core` of exactly its own version."""

CLASSIC_PACKAGES: Final = ("pyautogen", "autogen", "ag2")
"""Three names of one classic library, with the module `autogen`."""

FIRST_CURRENT: Final = Version((0, 4), -4)
"""Of the three packages: before it, `autogen-agentchat` is the classic library."""

PROXY: Final = Version((0, 10))
"""`pyautogen` from here on has no module of its own: it installs `autogen-agentchat` and nothing else."""

AG2_OWN_MODULE: Final = Version((1,), -4)
"""`ag2` from here on has the module `ag2`; before, it has `autogen`."""

OPENAI_OF_EXT: Final = ((Version((0, 7, 5)), "1.93"), (Version((0, 5)), "1.66.5"), (FIRST_CURRENT, "1.52.2"))
"""`autogen-ext[openai]` from a version on, and the least `openai` that it asks for; newest first.

Read from 0.4.0, 0.4.7, 0.4.8, 0.4.9.3, 0.5.7, 0.6.1, 0.6.2, 0.6.4, 0.7.0, 0.7.5; between them, the lesser holds.
"""


class Pythons(NamedTuple):
    """Versions of a package from `since` on, and the Pythons that they install on: from `least`, below `below`."""

    since: Version
    least: tuple[int, int]
    below: tuple[int, int] | None

    def takes(self, python: tuple[int, int]) -> bool:
        """Whether they install on it."""
        return self.least <= python and (self.below is None or python < self.below)


PYTHONS: Final[dict[str, tuple[Pythons, ...]]] = {
    "autogen-core": (Pythons(FIRST_CURRENT, (3, 10), None),),
    "autogen-ext": (Pythons(FIRST_CURRENT, (3, 10), None),),
    "autogen-agentchat": (
        Pythons(FIRST_CURRENT, (3, 10), None),
        Pythons(Version((0, 2, 36)), (3, 8), (3, 13)),
    ),
    "pyautogen": (
        Pythons(PROXY, (3, 10), None),
        Pythons(Version((0, 6)), (3, 9), (3, 14)),
        Pythons(Version((0, 4)), (3, 8), (3, 14)),
        Pythons(Version((0, 2, 7)), (3, 8), (3, 13)),
    ),
    "ag2": (
        Pythons(Version((0, 10)), (3, 10), None),
        Pythons(Version((0, 9, 8)), (3, 10), (3, 14)),
        Pythons(Version((0, 6)), (3, 9), (3, 14)),
        Pythons(Version((0, 4)), (3, 8), (3, 14)),
    ),
    "agent-framework": (Pythons(Version((1,), -4), (3, 10), None),),
    "agent-framework-core": (Pythons(Version((1,), -4), (3, 10), None),),
}
"""`Requires-Python` of the wheels, newest first."""

AGENT_PACKAGES: Final = frozenset({
    *CURRENT_PACKAGES, *CLASSIC_PACKAGES, "autogenstudio", "magentic-one-cli", "agent-framework",
    "agent-framework-core", "agent-framework-azure-ai", "agent-framework-openai", "semantic-kernel", "crewai",
    "langgraph", "openai-agents", "smolagents", "pydantic-ai", "pydantic-ai-slim", "google-adk", "agno",
    "strands-agents", "fastagency", "llama-index", "langchain",
})  # fmt: skip
"""PyPI packages whose presence says that a project runs agents."""

AUTOGEN_PACKAGES: Final = frozenset({*CURRENT_PACKAGES, *CLASSIC_PACKAGES, "fastagency", "autogenstudio"})

NODE_SDKS: Final[dict[str, tuple[tuple[int, tuple[int, ...]], ...]]] = {
    "@mastra/core": ((1, (22, 13)), (0, (20,))),
    "mastra": ((1, (22, 13)),),
    "@langchain/core": ((1, (20,)), (0, (18,))),
    "langchain": ((1, (20,)), (0, (18,))),
    "@langchain/langgraph": ((0, (18,)),),
    "@openai/agents": (),
    "@openai/agents-core": (),
    "@anthropic-ai/claude-agent-sdk": ((0, (18, 14)),),
    "@strands-agents/sdk": ((1, (22,)),),
    "@google/adk": (),
    "@voltagent/core": (),
    "beeai-framework": (),
    "llamaindex": ((0, (18,)),),
}
"""Agent SDKs of npm: from a major version on, the Node that their `engines` ask for; newest first."""

AI_SDK_PROVIDERS: Final = frozenset(
    f"@ai-sdk/{name}" for name in ("openai", "anthropic", "google", "azure", "groq", "mistral", "cohere")
)
"""Their major version 1 makes models of `@ai-sdk/provider` 1, version 2 of 2, version 3 of 3."""

LANGCHAIN_ON_CORE: Final = frozenset(
    {"langchain", "@langchain/openai", "@langchain/community", "@langchain/langgraph"}
)
"""From their major version 1 on they ask for `@langchain/core` 1, before for 0."""

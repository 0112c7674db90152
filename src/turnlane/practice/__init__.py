"""The practice provider: an OpenAI-compatible server with scripted answers and faults.

For tests, benchmarks and examples, and to try an agent without a key. Everything public is here::

    async with PracticeProvider([Rule(when="order (?P<id>\\\\d+)", say="{id} is on its way")]) as provider:
        client = AsyncOpenAI(base_url=provider.base_url, api_key="practice")
"""

from __future__ import annotations

from .answer import Answer, ToolCall
from .budget import Budget
from .faults import Fault, FaultBoard
from .listener import PortUnavailable
from .mistake import ScriptError
from .prompt import PracticeRequest, ToolResult
from .provider import PracticeProvider, ScriptSource, serve
from .recorder import RecordedRequest
from .rule import Rule
from .script import Script
from .script_file import default_script, load_script, parse_script

__all__ = [
    "Answer",
    "Budget",
    "Fault",
    "FaultBoard",
    "PortUnavailable",
    "PracticeProvider",
    "PracticeRequest",
    "RecordedRequest",
    "Rule",
    "Script",
    "ScriptError",
    "ScriptSource",
    "ToolCall",
    "ToolResult",
    "default_script",
    "load_script",
    "parse_script",
    "serve",
]

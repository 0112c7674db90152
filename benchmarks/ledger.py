"""What the ledger costs a turn: `python benchmarks/ledger.py [--turns N] [--rounds N] [--json FILE]`.

Agents on the embedded engine, without HTTP, with the ledger and without it in turns (A B A B), against a practice
provider in a process of its own. Two kinds of turns, each after 16 messages of history: one model call; and a
model call, a tool, and another model call. Medians of rounds; CPU is that of the worker's process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App
from turnlane.practice import Answer, PracticeProvider, ToolCall, serve
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.conversation import Conversation, NewTurn, new_id
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.testing.turns import user_message
from turnlane.worker.worker import TurnWorker
from workload import ANSWER, QUESTION, SYSTEM, history_items

KINDS: Final = {"talker": "1 model call", "clerk": "model call, tool, model call"}
AT_ONCE: Final = 10


def answer(request: Any) -> Answer:
    if request.tools and request.messages[-1]["role"] != "tool":
        return Answer(tool_calls=[ToolCall("look", {"order": "1001"})])
    return Answer(text=ANSWER)


def look(order: str) -> str:
    """Look an order up."""
    return f"order {order} is on its way"


def app_for(base_url: str, *, ledger: bool) -> App:
    app = App()

    def client() -> OpenAIChatCompletionClient:
        return OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=base_url, api_key="practice")

    @app.agent(ledger=ledger)
    def talker() -> AssistantAgent:
        return AssistantAgent("talker", client(), system_message=SYSTEM)

    @app.agent(ledger=ledger)
    def clerk() -> AssistantAgent:
        return AssistantAgent("clerk", client(), tools=[look], system_message=SYSTEM, max_tool_iterations=3)

    return app


class Side:
    """One engine with its worker."""

    def __init__(self, folder: Path, base_url: str, *, ledger: bool) -> None:
        self.engine = EmbeddedEngine(folder)
        self.worker = TurnWorker(self.engine, app_for(base_url, ledger=ledger), [AgentchatAdapter()])

    async def __aenter__(self) -> Side:
        await self.engine.open()
        await self.worker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.close()
        await self.engine.close()

    async def turn(self, agent: str) -> float:
        """Seconds from accept to result, in a new conversation with a history."""
        made = Conversation(new_id("conv"))
        new = NewTurn(
            new_id("resp"),
            made.id,
            agent,
            [user_message(QUESTION)],
            create_conversation=made,
            items=[{"id": new_id("msg"), **item} for item in history_items()],
        )
        began = time.perf_counter()
        await self.engine.accept(new)
        ended = await self.engine.wait(new.id)
        assert ended is not None
        assert ended.status == "completed", ended.failure
        return time.perf_counter() - began

    async def one_after_the_other(self, agent: str, count: int) -> dict[str, float]:
        cpu = time.process_time()
        seconds = [await self.turn(agent) for _ in range(count)]
        return {"ms": median(seconds) * 1e3, "cpu_ms": (time.process_time() - cpu) / count * 1e3}

    async def at_once(self, agent: str, count: int) -> dict[str, float]:
        async def client() -> None:
            for _ in range(count // AT_ONCE):
                await self.turn(agent)

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - began
        return {"per_second": count / seconds, "cpu_ms": (time.process_time() - cpu) / count * 1e3}


async def measure(base_url: str, folder: Path, turns: int, rounds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    async with (
        Side(folder / "with", base_url, ledger=True) as with_it,
        Side(folder / "without", base_url, ledger=False) as without,
    ):
        sides = {"with": with_it, "without": without}
        for agent, what in KINDS.items():
            for name, way in (("1 client", Side.one_after_the_other), (f"{AT_ONCE} clients", Side.at_once)):
                seen: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
                for _ in range(rounds + 1):
                    for side, served in sides.items():
                        seen[side].append(await way(served, agent, turns))
                figures[f"{what}, {name}"] = {side: _medians(rows[1:]) for side, rows in seen.items()}
    return figures


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(median(row[key] for row in rows), 3) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--provider", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.provider:
        serve(script=answer, ready=_tell)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        command = [sys.executable, __file__, "--provider"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as provider:
            assert provider.stdout is not None
            try:
                base_url = provider.stdout.readline().strip()
                figures = asyncio.run(measure(base_url, Path(folder), asked.turns, asked.rounds))
            finally:
                provider.terminate()
    for what, sides in figures.items():
        print(f"{what}: with {sides['with']}, without {sides['without']}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


def _tell(provider: PracticeProvider) -> None:
    print(provider.base_url, flush=True)


if __name__ == "__main__":
    main()

"""A worker that is to be killed: runs a number of turns in a folder, and again what it finds there unfinished.

    python -m tests.worker.killed_process FOLDER PROVIDER_URL TURNS [ledger=off]

Each turn looks something up, pays (once) and notes it, one after the other; each deed is a line in FOLDER/deeds.
At the end each turn is a line of JSON on the standard output.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

import turnlane
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.conversation import Conversation, NewTurn
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.testing.turns import user_message
from turnlane.worker.worker import TurnWorker

FOLDER = Path(sys.argv[1])
LEDGER = "ledger=off" not in sys.argv

TOOL_SECONDS = 0.03


async def deed(name: str, message: str) -> str:
    """Leave a line at the beginning and one at the end, each one write, so that a kill leaves whole lines."""
    row = {"tool": name, "message": message, "key": turnlane.tool_call().key}
    write({"what": "begun", **row})
    await asyncio.sleep(TOOL_SECONDS)
    write({"what": "ended", **row})
    return f"{name} is done"


def write(row: dict[str, str]) -> None:
    lines = os.open(FOLDER / "deeds", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(lines, json.dumps(row).encode() + b"\n")
    os.close(lines)


async def look(message: str) -> str:
    """Look something up."""
    return await deed("look", message)


@turnlane.once
async def pay(message: str) -> str:
    """Pay."""
    return await deed("pay", message)


async def note(message: str) -> str:
    """Write down."""
    return await deed("note", message)


def clerk() -> AssistantAgent:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=sys.argv[2], api_key="practice")
    return AssistantAgent("clerk", client, tools=[look, pay, note], max_tool_iterations=9)


async def main() -> None:
    app = turnlane.App()
    app.add(clerk, ledger=LEDGER)
    engine = EmbeddedEngine(FOLDER)
    await engine.open()
    worker = TurnWorker(engine, app, [AgentchatAdapter()], capacity=8)
    await worker.start()
    turns = []
    for number in range(int(sys.argv[3])):
        talk = Conversation(f"conv_{number}")
        new = NewTurn(
            id=f"resp_{number}",
            conversation=talk.id,
            agent="clerk",
            input=[user_message(f"message {number}")],
            idempotency_key=str(number),
            fingerprint=str(number),
            create_conversation=talk,
        )
        turns.append((await engine.accept(new)).turn)
    for turn in turns:
        ended = await engine.wait(turn.id)
        assert ended is not None
        row = {
            "turn": ended.id,
            "status": ended.status,
            "attempts": ended.attempt,
            "calls": ended.usage.model_calls,
        }
        sys.stdout.write(json.dumps(row) + "\n")
    await worker.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main())

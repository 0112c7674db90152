"""The app that the fault suite serves: an agent that streams, and two whose tools leave a trace in a file.

TURNLANE_FAULTS_NOTES=notes.jsonl turnlane serve tests/faults/app.py
"""

import json
import os
import time
from typing import Any

import anyio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App

app = App()

SYSTEM = "You repeat what you hear."

OWNER = str(os.getpid())
"""Who signs model and tool calls, so that the checker knows whose they are."""

LEDGER = os.environ.get("TURNLANE_FAULTS_LEDGER", "1") == "1"

SETTINGS: dict[str, Any] = {
    "ledger": LEDGER,
    "model_timeout": float(os.environ.get("TURNLANE_FAULTS_MODEL_TIMEOUT", "150")),
}


def write_note(row: dict[str, object]) -> None:
    """Append in one write, so that a kill leaves a whole line or none."""
    notes = os.open(os.environ["TURNLANE_FAULTS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(notes, json.dumps(row).encode() + b"\n")
    finally:
        os.close(notes)


async def act(message: str, *, once: bool) -> None:
    """A side effect that takes a moment, so that a kill may come between its beginning and its end."""
    mark = f"{OWNER}-{time.monotonic_ns()}"
    write_note({"mark": mark, "message": message, "started": time.monotonic(), "owner": OWNER, "once": once})
    try:
        await anyio.sleep(0.02)
    finally:  # also when the turn is stopped
        write_note({"mark": mark, "ended": time.monotonic()})


async def note(message: str) -> str:
    """Write the user's message down."""
    await act(message, once=False)
    return "noted"


async def pay(message: str) -> str:
    """Pay for the user's message."""
    await act(message, once=LEDGER)
    return "paid"


def client() -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model="gpt-4o-mini", default_headers={"X-Owner": OWNER})


@app.agent(**SETTINGS)
def talker() -> AssistantAgent:
    """Answers in a stream."""
    return AssistantAgent("talker", model_client=client(), system_message=SYSTEM, model_client_stream=True)


@app.agent(**SETTINGS)
def keeper() -> AssistantAgent:
    """Calls a tool in each turn, then answers."""
    return AssistantAgent(
        "keeper", model_client=client(), system_message=SYSTEM, tools=[note], reflect_on_tool_use=True
    )


@app.agent(**SETTINGS, once_tools=frozenset({"pay"}) if LEDGER else frozenset())
def payer() -> AssistantAgent:
    """Calls a tool that must not be called twice in each turn, then answers."""
    return AssistantAgent(
        "payer", model_client=client(), system_message=SYSTEM, tools=[pay], reflect_on_tool_use=True
    )

"""The app that the fault suite serves: an agent that streams, and one whose tool leaves a trace in a file.

TURNLANE_FAULTS_NOTES=notes.jsonl turnlane serve tests/faults/app.py
"""

import json
import os
import time

import anyio
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App

app = App()

SYSTEM = "You repeat what you hear."


def write_note(row: dict[str, object]) -> None:
    """Append in one write, so that a kill leaves a whole line or none."""
    notes = os.open(os.environ["TURNLANE_FAULTS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(notes, json.dumps(row).encode() + b"\n")
    finally:
        os.close(notes)


async def note(message: str) -> str:
    """Write the user's message down."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    write_note({"mark": mark, "message": message, "started": time.monotonic()})
    await anyio.sleep(0.01)  # work that a kill may interrupt
    write_note({"mark": mark, "ended": time.monotonic()})
    return "noted"


@app.agent
def talker() -> AssistantAgent:
    """Answers in a stream."""
    return AssistantAgent(
        "talker",
        model_client=OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message=SYSTEM,
        model_client_stream=True,
    )


@app.agent
def keeper() -> AssistantAgent:
    """Calls a tool in each turn, then answers."""
    return AssistantAgent(
        "keeper",
        model_client=OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message=SYSTEM,
        tools=[note],
        reflect_on_tool_use=True,
    )

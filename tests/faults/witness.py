"""The provider that survives the kills: it answers, fails when told, and writes down which prompts it saw.

    python -m tests.faults.witness --port 8090 --record prompts.jsonl --control control.fifo

Each line of the control pipe is a JSON object: a name, and the fields of the fault that stands under it from then
on, or null to take it away. The record is written when it is told to end (SIGTERM).
"""

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any
from zlib import crc32

from turnlane.practice import Answer, Fault, PracticeProvider, PracticeRequest, RecordedRequest, ToolCall, serve

SLOWEST = 0.12
"""Seconds before the first byte, at most: long enough that a kill finds many turns at work."""

SLOW = {"take a moment": 1.0, "take your time": 120.0}
"""Messages with these words are answered so late when they are asked for the first time, else as all others."""

AT_LENGTH = " ".join(f"and {number}" for number in range(12))
"""What is added to an answer "at length": it takes two thirds of a second, so that it is found in the middle."""

TOOLS = ("note", "pay")

asked: set[str] = set()


def answer(request: PracticeRequest) -> Answer:
    """Repeats the last message, after a tool call where there is a tool. The pace depends on the text."""
    message = request.user_message
    tool = next((tool for tool in TOOLS if tool in request.tools), None)
    if tool and not request.step:
        return Answer(tool_calls=[ToolCall(tool, {"message": message})], latency=_wait(message, b"first"))
    latency = _wait(message, b"then")
    if "at length" in message:
        return Answer(text=f"heard: {message} {AT_LENGTH}", latency=latency, tokens_per_second=50)
    return Answer(text=f"heard: {message}", latency=latency, tokens_per_second=200)


def _wait(message: str, salt: bytes) -> float:
    for word, seconds in SLOW.items():
        if word in message and message not in asked:
            asked.add(message)
            return seconds
    return SLOWEST * crc32(salt + message.encode()) / 2**32


def row_of(record: RecordedRequest) -> dict[str, Any]:
    """What the checker needs of a request."""
    messages = record.body["messages"]
    return {
        "said": [message["content"] for message in messages if message["role"] == "user"],
        "text": record.text,
        "started": record.started,
        "ended": record.finished,
        "first": messages[-1]["role"] == "user",
        "answered": record.status == 200 and record.fault is None and not record.disconnected,
        "owner": record.headers.get("x-owner"),
    }


def obey(provider: PracticeProvider, control: Path) -> None:
    """Add and take away the faults that are asked for, for ever."""
    standing: dict[str, Fault] = {}
    # For writing, too: a pipe that nobody else has open would end here, and break there.
    with open(os.open(control, os.O_RDWR)) as lines:
        for line in lines:
            asked = json.loads(line)
            if asked["fault"] is not None:
                standing[asked["name"]] = provider.faults.add(Fault(**asked["fault"]))
            elif asked["name"] in standing:
                provider.faults.remove(standing.pop(asked["name"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--control", type=Path)
    options = parser.parse_args()
    providers: list[PracticeProvider] = []

    def ready(provider: PracticeProvider) -> None:
        providers.append(provider)
        if options.control:
            threading.Thread(target=obey, args=(provider, options.control), daemon=True).start()
        sys.stdout.write(f"witness on {provider.base_url}\n")
        sys.stdout.flush()

    serve(port=options.port, script=answer, keep_requests=10_000_000, ready=ready)
    rows = (json.dumps(row_of(record)) for provider in providers for record in provider.requests)
    options.record.write_text("".join(f"{row}\n" for row in rows))


if __name__ == "__main__":
    main()

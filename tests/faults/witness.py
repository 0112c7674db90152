"""The provider that survives the kills: it answers, and writes down which prompts it saw and when.

    python -m tests.faults.witness --port 8090 --record prompts.jsonl

The record is written when it is told to end (SIGTERM).
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

from turnlane.practice import Answer, PracticeProvider, PracticeRequest, RecordedRequest, ToolCall, serve

SLOWEST = 0.12
"""Seconds before the first byte, at most: long enough that a kill finds many turns at work."""

SLOW = {"take a moment": 1.0, "take your time": 120.0}
"""Messages with these words are answered so late when they are asked for the first time, else as all others."""

asked: set[str] = set()


def answer(request: PracticeRequest) -> Answer:
    """Repeats the last message, after a tool call where there is a tool. The pace depends on the text."""
    message = request.user_message
    if "note" in request.tools and not request.step:
        return Answer(tool_calls=[ToolCall("note", {"message": message})], latency=_wait(message, b"first"))
    return Answer(text=f"heard: {message}", latency=_wait(message, b"then"), tokens_per_second=200)


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
        "ended": None if record.disconnected else record.finished,
        "first": messages[-1]["role"] == "user",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True)
    options = parser.parse_args()
    providers: list[PracticeProvider] = []

    def ready(provider: PracticeProvider) -> None:
        providers.append(provider)
        sys.stdout.write(f"witness on {provider.base_url}\n")
        sys.stdout.flush()

    serve(port=options.port, script=answer, keep_requests=1_000_000, ready=ready)
    rows = (json.dumps(row_of(record)) for provider in providers for record in provider.requests)
    options.record.write_text("".join(f"{row}\n" for row in rows))


if __name__ == "__main__":
    main()

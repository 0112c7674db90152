"""Turns as text: a table of many, a page of one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from turnlane.cli.connection import Json


def table(turns: Sequence[Json]) -> str:
    """One line per turn, under a line of titles."""
    if not turns:
        return "no turns"
    rows = [("TURN", "STATUS", "AGENT", "CONVERSATION", "CREATED", "SECONDS", "ERROR")]
    rows += [
        (
            turn["id"],
            status(turn),
            turn["agent"],
            turn["conversation"],
            _local_time(turn["created_at"]),
            _seconds(turn),
            _error(turn),
        )
        for turn in turns
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def page(turn: Json) -> str:
    """What is known of a turn, its failure's stack included."""
    facts = {
        "turn": turn["id"],
        "status": status(turn),
        "agent": turn["agent"],
        "conversation": turn["conversation"],
        "attempt": str(turn["attempt"]),
        "created": _local_time(turn["created_at"]),
        "seconds": _seconds(turn),
        "request": turn.get("request_id") or "",
        "tokens": "{input_tokens} in, {output_tokens} out, {model_calls} calls, {retries} retries".format(
            **turn["usage"]
        ),
    }
    lines = [f"{name:<13} {value}" for name, value in facts.items() if value]
    lines += ["", *(f"> {_text_of(item)}" for item in turn["input"])]
    lines += [_text_of(item) for item in turn["output"]]
    failure = turn.get("failure")
    if failure:
        lines += ["", *(f"{name:<13} {failure[name]}" for name in _FAILURE_FACTS if failure.get(name))]
        lines += ["", failure.get("stack") or "(the stack is shown to admin keys only)"]
    lines += ["", f"{len(turn['events'])} events, {len(turn['superseded_events'])} superseded; --json shows them"]
    return "\n".join(lines)


_FAILURE_FACTS: Final = ("type", "message", "kind", "code", "hazard", "tool")


def _text_of(item: Json) -> str:
    """An input or output item on one line."""
    if item["type"] == "message" and "content" in item:
        return " ".join(part.get("text", "[image]") for part in item["content"])
    if item["type"] == "function_call_output":
        return str(item.get("output"))
    if item["type"] == "tool":
        error = item.get("error")
        return f"[{item['name']}({item['arguments']}) -> {error['message'] if error else item['output']}]"
    if item["type"] == "input.required":
        return f"{item['agent']} asks: {item['prompt']}"
    return f"{item.get('agent')}: {item.get('text')}"


def status(turn: Json) -> str:
    """Its status; `cancelling` from the request to the end."""
    return "cancelling" if turn["cancel_requested"] and turn["status"] == "running" else str(turn["status"])


def _error(turn: Json) -> str:
    failure = turn.get("failure")
    if not failure:
        return turn.get("incomplete") or ""
    return " ".join(filter(None, (failure["type"], failure.get("hazard"))))


def _seconds(turn: Json) -> str:
    if turn["finished_at"] is None or turn["started_at"] is None:
        return ""
    return f"{turn['finished_at'] - turn['started_at']:.2f}"


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))

"""Turns as text: a table of many, a page of one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

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
    return "\n".join(_columns(rows))


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
        "not before": _local_time(turn["not_before"]) if turn.get("not_before") and _waits(turn) else "",
        "stopped by": STOPPED_BY.get(turn.get("stop_asked") or "", ""),
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
    if turn.get("ledger"):
        lines += ["", *_ledger(turn)]
    lines += ["", f"{len(turn['events'])} events, {len(turn['superseded_events'])} superseded; --json shows them"]
    return "\n".join(lines)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


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
    """Its status; from the request to stop to the end what it is on its way to, as `cancelling`."""
    # A server of version 0.1 tells of cancellations only, in a field of its own.
    asked = turn.get("stop_asked") or ("cancel" if turn.get("cancel_requested") else None)
    return STOPPING[asked] if asked and turn["status"] == "running" else str(turn["status"])


STOPPING: Final[Mapping[str, str]] = {
    "cancel": "cancelling",
    "interrupt": "interrupting",
    "rollback": "rolling-back",
}

STOPPED_BY: Final[Mapping[str, str]] = {
    "cancel": "a user, who cancelled it",
    "interrupt": "a later message; what was said until then stays in the conversation",
    "rollback": "a later message; the agent has forgotten it",
}


def _waits(turn: Json) -> bool:
    return bool(turn["status"] == "queued")


def _ledger(turn: Json) -> list[str]:
    """What attempts did that is not to be done again: a line per call, and whether its end is known."""
    ended = {entry["call"] for entry in turn["ledger"] if entry["phase"] == "ended"}
    left_open = _calls_without_result(turn)
    rows = [("LEDGER", "NAME", "END", "CALL", "BEGUN", "ARGUMENTS")]
    for entry in turn["ledger"]:
        if entry["kind"] == "tool" and entry["phase"] == "ended":
            continue  # told with its beginning
        known = entry["call"] in ended
        event = None if known else next((e for e in left_open if e[3].get("name") == entry["name"]), None)
        if event is not None:
            left_open.remove(event)
        rows.append(
            (
                f"{entry['kind']}, once" if entry["once"] else entry["kind"],
                entry["name"],
                "known" if known else "UNKNOWN",
                entry["call"][:DIGEST],
                _local_time(event[2]) if event else "",
                event[3].get("arguments", "") if event else "",
            )
        )
    return _columns(rows)


def _calls_without_result(turn: Json) -> list[list[Any]]:
    """Events of tool calls of all attempts of which no result came. The ledger has other names for calls."""
    events = [*turn["superseded_events"], *turn["events"]]
    came_back = {event[3].get("item") for event in events if event[1] == "tool.result"}
    return [event for event in events if event[1] == "tool.call" and event[3].get("item") not in came_back]


DIGEST: Final = 12
"""Characters of a digest that are shown."""


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

"""The mapping from neutral events to the stream, as pure functions: no server, no engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from turnlane.runtime.conversation import (
    EVENT_KINDS,
    EVENTS_PER_ATTEMPT,
    Failure,
    JsonObject,
    Turn,
    TurnEvent,
    Usage,
)
from turnlane.server.response_events import SHOWN_AS, ResponseEvents
from turnlane.server.response_object import response_object

STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def turn(**changes: Any) -> Turn:
    base = Turn(
        id="resp_" + "a" * 36,
        conversation="conv_1",
        agent="support",
        key="local",
        position=1,
        status="running",
        attempt=1,
        input=[],
        created_at=1.5,
    )
    return base.with_(**changes)


def events_of(steps: Sequence[tuple[str, JsonObject]], attempt: int = 1) -> list[TurnEvent]:
    first = (attempt - 1) * EVENTS_PER_ATTEMPT
    return [TurnEvent(first + n, kind, 0.0, data) for n, (kind, data) in enumerate(steps)]


def shown(of: Turn, events: Iterable[TurnEvent], ended: Turn) -> list[JsonObject]:
    mapper = ResponseEvents(of)
    out = mapper.begin()
    for event in events:
        out += mapper.feed(event)
    return out + mapper.end(ended)


def fold(stream: Sequence[JsonObject]) -> JsonObject:
    """What a client has in hand that only collects the items of the stream, and the last event."""
    items = {e["output_index"]: e["item"] for e in stream if e["type"] == "response.output_item.done"}
    return {**stream[-1]["response"], "output": [items[index] for index in sorted(items)]}


def types(stream: Sequence[JsonObject]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in stream]


def message(item: str, text: str, **more: Any) -> JsonObject:
    plain = {"item": item, "agent": "a", "text": text, "phase": "final_answer", "incomplete": None}
    return {**plain, "structured": None, **more}


STARTED = ("started", {"attempt": 1, "agent": "support"})


def test_a_message_with_deltas_is_opened_filled_and_closed() -> None:
    steps = [
        STARTED,
        ("text.delta", {"item": "1", "agent": "a", "text": "he"}),
        ("text.delta", {"item": "1", "agent": "a", "text": "llo"}),
        ("message", message("1", "hello")),
        ("finished", {"status": "completed"}),
    ]
    ended = turn(status="completed", output=[{"type": "message", **message("1", "hello")}])
    stream = shown(turn(), events_of(steps), ended)
    assert types(stream) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [e["delta"] for e in stream if e["type"].endswith("text.delta")] == ["he", "llo"]
    assert fold(stream) == response_object(ended)


def test_a_message_without_deltas_is_one_delta() -> None:
    ended = turn(status="completed", output=[{"type": "message", **message("1", "hello")}])
    stream = shown(turn(), events_of([STARTED, ("message", message("1", "hello"))]), ended)
    assert [e["delta"] for e in stream if e["type"] == "response.output_text.delta"] == ["hello"]


def test_deltas_before_a_tool_call_are_closed_before_it() -> None:
    call = {"item": "2", "agent": "a", "call": "c", "name": "look", "arguments": "{}"}
    steps = [
        STARTED,
        ("text.delta", {"item": "1", "agent": "a", "text": "let me look"}),
        ("tool.call", call),
        ("tool.result", {**call, "output": "found", "error": None}),
    ]
    stream = shown(turn(), events_of(steps), turn(status="completed"))
    assert types(stream)[5:8] == ["output_text.done", "content_part.done", "output_item.done"]
    assert types(stream)[8:-1] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
    ]
    closed = stream[7]["item"]
    assert closed["status"] == "completed"
    assert closed["content"][0]["text"] == "let me look"


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_is_open_when_the_turn_breaks_is_closed_as_incomplete(status: Any) -> None:
    steps = [
        STARTED,
        ("reasoning.delta", {"item": "0", "agent": "b", "text": "hm"}),
        ("text.delta", {"item": "1", "agent": "a", "text": "half"}),
        ("tool.call", {"item": "2", "agent": "c", "call": "c", "name": "look", "arguments": "{}"}),
    ]
    failure = Failure(type="X", message="broken", kind="tool", hazard="TL401") if status == "failed" else None
    ended = turn(status=status, failure=failure)
    stream = shown(turn(), events_of(steps), ended)
    done = [e["item"] for e in stream if e["type"] == "response.output_item.done"]
    assert [(item["type"], item["status"]) for item in done] == [
        ("reasoning", "incomplete"),
        ("message", "incomplete"),
        ("mcp_call", "incomplete"),
    ]
    assert stream[-1]["type"] == "response.failed"
    assert stream[-1]["response"]["status"] == status


def test_a_tool_that_failed_says_so_without_its_text() -> None:
    call = {"item": "2", "agent": "a", "call": "c", "name": "look", "arguments": "{}"}
    error = {"type": "KeyError", "hazard": "TL401", "message": "the tool failed"}
    steps = [STARTED, ("tool.call", call), ("tool.result", {**call, "output": None, "error": error})]
    stream = shown(turn(), events_of(steps), turn(status="completed"))
    item = stream[-2]["item"]
    assert item["status"] == "failed"
    assert item["error"]["hazard"] == "TL401"
    assert "mcp_call.failed" in types(stream)


def test_a_question_is_a_function_call_and_stands_at_the_top() -> None:
    asked = {"item": "1", "call": "call_9", "agent": "a", "prompt": "Sure?", "reason": "user_proxy"}
    ended = turn(status="completed", output=[{"type": "input.required", **asked}])
    stream = shown(turn(), events_of([STARTED, ("input.required", asked)]), ended)
    assert fold(stream) == response_object(ended)
    item = stream[-2]["item"]
    assert (item["type"], item["name"], item["call_id"]) == ("function_call", "request_user_input", "call_9")
    assert stream[-1]["response"]["input_required"]["prompt"] == "Sure?"


def test_notes_are_shown_only_when_asked_for() -> None:
    steps = [STARTED, ("handoff", {"agent": "a", "target": "b", "text": ""}), ("note", {"type": "x"})]
    quiet = shown(turn(), events_of(steps), turn(status="completed"))
    told = shown(turn(options={"notes": True}), events_of(steps), turn(status="completed"))
    assert "turnlane.note" not in types(quiet)
    assert types(told).count("turnlane.note") == 2


def test_a_second_attempt_begins_anew_in_its_own_block_of_numbers() -> None:
    first = events_of([STARTED, ("text.delta", {"item": "1", "agent": "a", "text": "lost"})])
    second = events_of([STARTED, ("message", message("2", "kept"))], attempt=2)
    ended = turn(status="completed", attempt=2, output=[{"type": "message", **message("2", "kept")}])
    stream = shown(turn(), [*first, *second], ended)
    begin = next(n for n, e in enumerate(stream) if e["sequence_number"] == EVENTS_PER_ATTEMPT)
    assert stream[begin]["type"] == "response.created"
    assert fold(stream[begin:]) == response_object(ended)
    # a reader that comes later sees the same second attempt
    again = shown(turn(attempt=2), second, ended)
    assert again == stream[begin:]


def test_a_turn_cancelled_in_the_queue_still_has_a_beginning_and_an_end() -> None:
    stream = shown(turn(status="queued", attempt=0), [], turn(status="cancelled", attempt=0))
    assert types(stream) == ["created", "failed"]


def test_output_that_no_event_showed_is_shown_at_the_end() -> None:
    output = [{"type": "message", **message("1", "hello")}]
    ended = turn(status="completed", output=output)
    assert fold(shown(turn(), events_of([STARTED]), ended)) == response_object(ended)


# --- any sequence a worker can produce ---


@st.composite
def attempts(draw: st.DrawFn) -> tuple[list[tuple[str, JsonObject]], list[JsonObject]]:
    """Steps of an attempt whose items are all closed, by agents that take turns or work side by side."""
    steps: list[tuple[str, JsonObject]] = [STARTED]
    output: list[JsonObject] = []
    for number in range(draw(st.integers(0, 6))):
        item = {"item": f"{number:x}", "agent": draw(st.sampled_from(["a", "b"]))}
        kind = draw(st.sampled_from(["message", "reasoning", "tool", "note"]))
        if kind == "note":
            steps.append(("note", {"agent": "a", "type": "t", "text": "x"}))
        elif kind == "tool":
            call = {**item, "call": "c", "name": "t", "arguments": "{}"}
            error = draw(st.none() | st.just({"type": "E", "hazard": None, "message": "m"}))
            result = {**call, "output": draw(st.text(max_size=5)) if error is None else None, "error": error}
            steps += [("tool.call", call), ("tool.result", result)]
            output.append({"type": "tool", **result})
        else:
            pieces = draw(st.lists(st.text(min_size=1, max_size=4), max_size=3))
            text = "".join(pieces) + draw(st.text(max_size=3))
            delta = "text.delta" if kind == "message" else "reasoning.delta"
            whole = (
                message(item["item"], text, agent=item["agent"]) if kind == "message" else {**item, "text": text}
            )
            steps += [(delta, {**item, "text": piece}) for piece in pieces] + [(kind, whole)]
            output.append({"type": kind, **whole})
    return steps, output


@given(attempts(), st.booleans(), st.integers(1, 3))
def test_any_stream_is_valid_contiguous_and_folds_to_what_is_retrieved(
    made: tuple[list[tuple[str, JsonObject]], list[JsonObject]], notes: bool, attempt: int
) -> None:
    steps, output = made
    begun = turn(attempt=attempt, options={"notes": notes})
    ended = begun.with_(status="completed", output=output, usage=Usage(1, 2, 3, 4), finished_at=2.0)
    stream = shown(begun, events_of(steps, attempt), ended)
    first = (attempt - 1) * EVENTS_PER_ATTEMPT
    assert [e["sequence_number"] for e in stream] == list(range(first, first + len(stream)))
    assert fold(stream) == response_object(ended)
    for event in stream:
        if event["type"] != "turnlane.note":
            STREAM_EVENT.validate_python(event)
    Response.model_validate(response_object(ended), strict=False)
    deltas: dict[str, str] = {}
    for event in stream:
        if event["type"] == "response.output_text.delta":
            deltas[event["item_id"]] = deltas.get(event["item_id"], "") + event["delta"]
        if event["type"] == "response.output_text.done":
            assert deltas.get(event["item_id"], "") == event["text"]


@given(attempts(), st.data())
def test_resuming_after_any_event_gives_exactly_the_rest(
    made: tuple[list[tuple[str, JsonObject]], list[JsonObject]], data: st.DataObject
) -> None:
    steps, output = made
    ended = turn(status="completed", output=output)
    whole = shown(turn(), events_of(steps), ended)
    seen = data.draw(st.integers(0, len(whole) - 1))
    again = shown(ended, events_of(steps), ended)
    assert [e for e in again if e["sequence_number"] > seen] == whole[seen + 1 :]


def test_the_openai_helper_for_streams_accepts_ours() -> None:
    from openai import omit
    from openai.lib.streaming.responses._responses import ResponseStreamState

    asked = {"item": "3", "call": "call_9", "agent": "a", "prompt": "Sure?", "reason": "user_proxy"}
    call = {"item": "2", "agent": "a", "call": "c", "name": "look", "arguments": "{}"}
    steps = [
        STARTED,
        ("text.delta", {"item": "1", "agent": "a", "text": "hello"}),
        ("message", message("1", "hello")),
        ("tool.call", call),
        ("tool.result", {**call, "output": "x", "error": None}),
        ("input.required", asked),
    ]
    output = [
        {"type": "message", **message("1", "hello")},
        {"type": "tool", **call, "output": "x", "error": None},
        {"type": "input.required", **asked},
    ]
    ended = turn(status="completed", output=output)
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    seen: list[Any] = []
    for event in shown(turn(), events_of(steps), ended):
        seen += state.handle_event(STREAM_EVENT.validate_python(event))
    assert seen[-1].type == "response.completed"
    assert seen[-1].response.output_text == "hello"


EXAMPLES: dict[str, JsonObject] = {
    "text.delta": {"item": "1", "agent": "a", "text": "x"},
    "message": message("1", "x"),
    "reasoning.delta": {"item": "2", "agent": "a", "text": "x"},
    "reasoning": {"item": "2", "agent": "a", "text": "x"},
    "tool.call": {"item": "3", "agent": "a", "call": "c", "name": "t", "arguments": "{}"},
    "tool.result": {"item": "3", "agent": "a", "call": "c", "name": "t", "output": "x", "error": None},
    "input.required": {"item": "4", "call": "c", "agent": "a", "prompt": "?", "reason": "handoff"},
}


def test_the_table_of_the_reference_page_is_what_the_stream_does() -> None:
    assert set(SHOWN_AS) == set(EVENT_KINDS)
    mapper = ResponseEvents(turn(options={"notes": True}))
    mapper.begin()
    in_order = ["started", *EXAMPLES, *sorted(set(EVENT_KINDS) - set(EXAMPLES) - {"started"})]
    for number, kind in enumerate(in_order):
        out = mapper.feed(TurnEvent(number, kind, 0.0, EXAMPLES.get(kind, {"agent": "a"})))
        assert tuple(event["type"] for event in out) == SHOWN_AS[kind]

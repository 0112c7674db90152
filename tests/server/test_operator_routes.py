"""Health, metrics, lanes and turns."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.responses import Response

from turnlane import hazards
from turnlane.runtime.conversation import Claim, LedgerEntry
from turnlane.server import ApiKeys, Readiness
from turnlane.telemetry.events import add_sink

from .conftest import SCRIPTS

pytestmark = pytest.mark.anyio


async def test_healthz_says_that_the_process_lives(served: Any) -> None:
    answer = await served.http().get("/healthz")
    assert answer.json() == {"status": "ok"}
    head = await served.http().head("/healthz")
    assert (head.status_code, head.content) == (200, b"")


async def test_readyz_says_whether_turns_are_accepted_and_why_not(serve: Any) -> None:
    now = Readiness(True)
    served = await serve(ready=lambda: now)
    http = served.http()
    assert (await http.get("/readyz")).json() == {"status": "ready"}
    now = Readiness(False, "the disk is full")
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"]["message"] == "the disk is full"
    now = Readiness(True)
    served.intake.draining = True
    answer = await http.get("/readyz")
    assert answer.status_code == 503
    assert "stopping" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"]


async def test_metrics_are_what_the_callable_gives(serve: Any) -> None:
    served = await serve(metrics=lambda: (b"turns 1\n", "text/plain; version=0.0.4"))
    answer = await served.http().get("/metrics")
    assert answer.content == b"turns 1\n"
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"


async def test_metrics_can_be_off(served: Any) -> None:
    assert (await served.http().get("/metrics")).status_code == 404


async def test_lanes_show_what_runs_and_waits(served: Any) -> None:
    client, http = served.openai(), served.http()
    first = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    conversation = first.conversation.id
    await client.responses.create(model="waits", input="y", conversation=conversation, background=True)
    shown = (await http.get("/lanes")).json()
    (lane,) = shown["lanes"]
    assert (lane["conversation"], lane["running"], lane["queued"]) == (conversation, first.id, 1)
    assert (shown["stats"]["running"], shown["stats"]["queued"]) == (1, 1)


async def test_turns_are_listed_newest_first_in_pages(served: Any) -> None:
    client, http = served.openai(), served.http()
    ids = [(await client.responses.create(model="echo", input=str(n))).id for n in range(3)]
    first = (await http.get("/turns", params={"limit": 2})).json()
    rest = (await http.get("/turns", params={"limit": 2, "before": first["turns"][-1]["id"]})).json()
    assert [t["id"] for t in first["turns"] + rest["turns"]] == ids[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)


async def test_turns_can_be_filtered(served: Any) -> None:
    client, http = served.openai(), served.http()
    good = await client.responses.create(model="echo", input="x")
    await client.responses.create(model="echo", input="x")
    params = {"status": "completed", "conversation": good.conversation.id}
    assert [t["id"] for t in (await http.get("/turns", params=params)).json()["turns"]] == [good.id]
    assert (await http.get("/turns", params={"status": "failed"})).json()["turns"] == []
    assert (await http.get("/turns", params={"status": "odd"})).status_code == 400


async def test_a_turn_is_shown_with_everything(served: Any) -> None:
    client, http = served.openai(), served.http()
    response = await client.responses.create(model="everything", input="x")
    shown = (await http.get(f"/turns/{response.id}")).json()
    assert shown["status"] == "completed"
    assert shown["input"][0]["content"][0]["text"] == "x"
    assert shown["events"][0][1] == "started"
    assert shown["superseded_events"] == []
    assert shown["usage"]["model_calls"] == 2


async def test_the_stack_of_a_failure_is_shown_on_this_machine(served: Any) -> None:
    http = served.http()
    await http.post("/v1/responses", json={"model": "fails", "input": "tool"})
    (turn,) = (await http.get("/turns")).json()["turns"]
    assert "stack" not in turn["failure"]
    whole = (await http.get(f"/turns/{turn['id']}")).json()
    assert whole["failure"]["stack"].startswith("Traceback")


async def test_events_of_a_lost_attempt_are_shown_as_superseded(serve: Any) -> None:
    released: list[Claim] = []

    async def gives_back_once(act: Any) -> None:
        await act.emit("text.delta", item=act.new_item(), agent="a", text="lost")
        if not released:
            released.append(act.claim)
            await act._engine.release(act.claim)
            act._engine = None  # nothing more may come of this attempt
            raise RuntimeError("given back")
        await act.say("kept")

    served = await serve(scripts={"again": gives_back_once})
    response = await served.openai().responses.create(model="again", input="x")
    assert response.output_text == "kept"
    assert response.model_dump()["attempt"] == 2
    shown = (await served.http().get(f"/turns/{response.id}")).json()
    assert "lost" in str(shown["superseded_events"])
    assert all(event[0] >= 1_000_000 for event in shown["events"])
    # the stream of the second attempt has numbers above everything a reader can have seen
    again = await served.openai().responses.retrieve(response.id, stream=True, starting_after=5)
    events = [event async for event in again]
    assert events[0].type == "response.created"
    assert events[0].sequence_number == 1_000_000


async def test_a_turn_can_be_cancelled(served: Any) -> None:
    client, http = served.openai(), served.http()
    begun = await client.responses.create(model="waits", input="x", background=True)
    await served.signals.wait("waiting")
    answer = await http.post(f"/turns/{begun.id}/cancel")
    assert answer.json()["cancel_requested"] is True
    ended = await served.engine.wait(begun.id, timeout=10)
    assert ended.status == "cancelled"


async def test_a_turn_can_be_run_again_once_it_has_ended(served: Any) -> None:
    client, http = served.openai(), served.http()
    response = await client.responses.create(model="echo", input="x")
    again = (await http.post(f"/turns/{response.id}/rerun")).json()
    assert again["id"] != response.id
    assert again["conversation"] == response.conversation.id
    ended = await served.engine.wait(again["id"], timeout=10)
    assert ended.output[0]["text"] == "you said: x"
    items = await client.responses.input_items.list(again["id"])
    assert items.data[0].id != (await client.responses.input_items.list(response.id)).data[0].id


async def test_a_turn_that_runs_cant_be_run_again(served: Any) -> None:
    begun = await served.openai().responses.create(model="waits", input="x", background=True)
    answer = await served.http().post(f"/turns/{begun.id}/rerun")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "turn_not_ended"


async def test_every_request_is_told_to_the_telemetry(served: Any) -> None:
    told: list[Any] = []
    remove = add_sink(lambda name, fields: told.append(dict(fields)) if name == "request.ended" else None)
    try:
        answer = await served.http().get("/v1/responses/resp_x", headers={"x-request-id": "r-1"})
        await served.http().get("/nowhere/resp_x")
    finally:
        remove()
    assert answer.status_code == 404
    first, second = told
    assert (first["method"], first["path"]) == ("GET", "/v1/responses/{response_id}")
    assert (first["status"], first["request_id"]) == (404, "r-1")
    assert first["seconds"] >= 0
    assert second["path"] == "unknown"


async def test_the_page_of_a_hazard_is_where_errors_say(served: Any) -> None:
    http = served.http()
    page = await http.get(hazards.url_of("TL201"))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/markdown")
    assert page.text.startswith("# TL201 shared-agent")
    index = await http.get("/hazards")
    assert all(hazard.code in index.text for hazard in hazards.all())
    missing = await http.get("/hazards/TL999")
    assert missing.status_code == 404
    assert "TL999" in missing.json()["error"]["message"]


# --- a turn that needs attention ---


async def needs_attention(served: Any) -> Any:
    """A turn that ended so."""
    return await served.openai().responses.create(model="needs_attention", input="pay", background=True)


async def test_a_turn_that_needs_attention_is_a_failure_with_its_own_code(served: Any) -> None:
    client = served.openai()
    with pytest.raises(openai.InternalServerError) as caught:
        await client.responses.create(model="needs_attention", input="pay")
    assert (caught.value.code, caught.value.type) == ("needs_attention", "tool_error")
    assert caught.value.response.headers["x-should-retry"] == "false"
    turn = caught.value.body["response_id"]  # type: ignore[index]
    shown: Any = await client.responses.retrieve(turn)
    Response.model_validate(shown.model_dump(mode="json"))
    assert (shown.status, shown.turn_status) == ("failed", "needs_attention")
    assert (shown.error.code, shown.error.failure_code, shown.error.tool) == (
        "server_error",
        "needs_attention",
        "charge_card",
    )
    events = [event async for event in await client.responses.retrieve(turn, stream=True)]
    assert (events[-1].type, events[-1].response) == ("response.failed", shown)
    with pytest.raises(openai.InternalServerError, match="charge_card"):
        await client.chat.completions.create(
            model="needs_attention", messages=[{"role": "user", "content": "pay"}]
        )


async def test_turns_that_need_attention_are_found_by_their_status(served: Any) -> None:
    await served.openai().responses.create(model="echo", input="x")
    turn = await needs_attention(served)
    await served.engine.wait(turn.id, timeout=10)
    found = (await served.http().get("/turns", params={"status": "needs_attention"})).json()["turns"]
    assert [shown["id"] for shown in found] == [turn.id]
    again = (await served.http().post(f"/turns/{turn.id}/rerun")).json()
    assert (again["input"][0]["content"], again["status"] in ("queued", "running")) == (
        found[0]["input"][0]["content"],
        True,
    )


async def test_the_ledger_of_a_turn_is_shown_and_its_answers_to_operators_only(serve: Any) -> None:
    begun = LedgerEntry("tool", "begun", "digest", "call-1", "charge_card", once=True)
    asked = LedgerEntry("model", "ended", "digest", "call-0", "gpt-4o", answer={"content": "secret plan"})

    async def charges(act: Any) -> None:
        await act._engine.record(act.claim, [asked, begun])
        await SCRIPTS["needs_attention"](act)

    user, operator = "user-key-0123456789", "ops-key-0123456789ab"
    served = await serve(
        scripts={"needs_attention": charges}, keys=ApiKeys([f"user {user}", f"ops {operator} admin"])
    )
    turn = await served.openai(user).responses.create(model="needs_attention", input="pay", background=True)
    await served.engine.wait(turn.id, timeout=10)
    mine = (await served.http(user).get(f"/turns/{turn.id}")).json()["ledger"]
    assert [(entry["kind"], entry["phase"], entry["name"], entry["once"]) for entry in mine] == [
        ("model", "ended", "gpt-4o", False),
        ("tool", "begun", "charge_card", True),
    ]
    assert "secret plan" not in str(mine)
    operators = (await served.http(operator).get(f"/turns/{turn.id}")).json()["ledger"]
    assert operators[0]["answer"] == {"content": "secret plan"}


async def test_readyz_tells_of_the_stores_trouble_without_its_password(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "postgresql://app:hunter2hunter2@db/turnlane can't be reached"
    monkeypatch.setattr(type(served.engine), "trouble", property(lambda self: sentence))
    answer = await served.http().get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    message = answer.json()["error"]["message"]
    assert message.endswith("@db/turnlane can't be reached")
    assert "hunter2" not in message


async def test_a_message_that_joined_a_turn_is_told_with_its_own_request_id(served: Any) -> None:
    client = served.openai()
    first = await client.responses.create(model="waits", input="x", background=True)
    options: Any = {"model": "waits", "conversation": first.conversation.id, "background": True}
    second = await client.responses.create(**options, input="y")
    told: list[Any] = []
    remove = add_sink(lambda name, fields: told.append((name, dict(fields))))
    try:
        await client.responses.create(
            **options,
            input="z",
            extra_body={"turnlane": {"when_busy": "merge"}},
            extra_headers={"x-request-id": "r-2"},
        )
    finally:
        remove()
    ((_, fields),) = [event for event in told if event[0].startswith("turn.")]
    assert (fields["turn"], fields["request_id"], fields["agent"]) == (second.id, "r-2", "waits")
    assert "turn.joined" in [name for name, _ in told]

"""Who may call, what they see, and where a server without keys may listen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from turnlane.server import ApiKeys, KeysError, check_binding
from turnlane.server.keys import LOCAL_CALLER, may_be_host, owner_of

pytestmark = pytest.mark.anyio

ALICE, BOB, OPS = "alice-key-0123456789", "bob-key-0123456789ab", "ops-key-0123456789ab"
LINES = ["# who may call", "", f"alice {ALICE}", f"bob {BOB}", f"ops {OPS} admin"]


@pytest.fixture
async def keyed(serve: Any) -> Any:
    return await serve(keys=ApiKeys(LINES), metrics=lambda: (b"up 1\n", "text/plain"))


async def test_a_key_is_needed(keyed: Any) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await keyed.openai("wrong-key-0123456789").models.list()
    assert caught.value.code == "invalid_api_key"
    http = keyed.http()
    for path in ("/v1/models", "/lanes", "/turns", "/metrics", "/openapi.json", "/nowhere"):
        answer = await http.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    for header in ("Basic x", "Bearer", f"Bearer {ALICE}x", ALICE):
        assert (await http.get("/v1/models", headers={"Authorization": header})).status_code == 401
    assert (await http.get("/v1/models", headers={"Authorization": f"bearer {ALICE}"})).status_code == 200


async def test_health_needs_no_key(keyed: Any) -> None:
    assert (await keyed.http().get("/healthz")).status_code == 200
    assert (await keyed.http().get("/readyz")).status_code == 200


async def test_the_hazard_pages_that_errors_lead_to_need_no_key(keyed: Any) -> None:
    assert (await keyed.http().get("/hazards")).status_code == 200
    assert (await keyed.http().get("/hazards/TL401")).status_code == 200
    assert (await keyed.http().get("/hazards/none")).status_code == 404
    assert (await keyed.http().get("/hazardsx")).status_code == 401


async def test_a_key_sees_only_its_own(keyed: Any) -> None:
    alice, bob = keyed.openai(ALICE), keyed.openai(BOB)
    mine = await alice.responses.create(model="echo", input="x")
    conversation = mine.conversation.id
    item = mine.output[0].id
    attempts: Any = [
        bob.responses.retrieve(mine.id),
        bob.responses.retrieve(mine.id, stream=True),
        bob.responses.cancel(mine.id),
        bob.responses.create(model="echo", input="x", conversation=conversation),
        bob.responses.create(model="echo", input="x", previous_response_id=mine.id),
        bob.conversations.retrieve(conversation),
        bob.conversations.update(conversation, metadata={}),
        bob.conversations.delete(conversation),
        bob.conversations.items.retrieve(item, conversation_id=conversation),
        bob.conversations.items.delete(item, conversation_id=conversation),
        bob.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "x"}],
            metadata={"conversation": conversation},
        ),
    ]
    unknown = mine.id[:-1] + ("0" if mine.id[-1] != "0" else "1")
    with pytest.raises(openai.NotFoundError) as caught:
        await alice.responses.retrieve(unknown)
    like_unknown = str(caught.value.message).replace(unknown, "")
    for attempt in attempts:
        with pytest.raises(openai.NotFoundError) as caught:
            await attempt
    with pytest.raises(openai.NotFoundError) as caught:
        await bob.responses.retrieve(mine.id)
    theirs = str(caught.value.message).replace(mine.id, "")
    assert theirs.split("request_id")[0] == like_unknown.split("request_id")[0]
    assert (await alice.responses.retrieve(mine.id)).id == mine.id


async def test_lanes_and_turns_show_the_own_ones_and_all_to_an_admin(keyed: Any) -> None:
    for key in (ALICE, BOB):
        await keyed.openai(key).responses.create(model="waits", input="x", background=True)
    alice, ops = keyed.http(ALICE), keyed.http(OPS)
    assert len((await alice.get("/turns")).json()["turns"]) == 1
    assert len((await ops.get("/turns")).json()["turns"]) == 2
    mine, all_of_them = (await alice.get("/lanes")).json(), (await ops.get("/lanes")).json()
    assert (len(mine["lanes"]), len(all_of_them["lanes"])) == (1, 2)
    assert mine["stats"] is None
    assert all_of_them["stats"]["running"] + all_of_them["stats"]["queued"] == 2
    others = next(t for t in (await ops.get("/turns")).json()["turns"] if t["key"] == owner_of("bob"))
    for path in (f"/turns/{others['id']}", f"/turns?before={others['id']}"):
        assert (await alice.get(path)).status_code == 404
    assert (await alice.post(f"/turns/{others['id']}/cancel")).status_code == 404
    assert (await ops.post(f"/turns/{others['id']}/cancel")).status_code == 200


async def test_the_stack_of_a_failure_is_for_admins(keyed: Any) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        await keyed.openai(ALICE).responses.create(model="fails", input="tool")
    turn_id = caught.value.body["response_id"]  # type: ignore[index]
    mine = (await keyed.http(ALICE).get(f"/turns/{turn_id}")).json()
    admins = (await keyed.http(OPS).get(f"/turns/{turn_id}")).json()
    assert "stack" not in mine["failure"]
    assert admins["failure"]["stack"].startswith("Traceback")


Failing = Callable[[Any], Awaitable[str]]
ASKED = {"x-request-id": "req_seen"}


async def _plain(client: Any) -> str:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.responses.create(model="private", input="x", extra_headers=ASKED)
    return str(caught.value.body["message"])  # type: ignore[index]


async def _streamed(client: Any) -> str:
    stream = await client.responses.create(model="private", input="x", stream=True, extra_headers=ASKED)
    events = [event async for event in stream]
    assert events[-1].type == "response.failed"
    return str(events[-1].response.error.message)


async def _retrieved(client: Any) -> str:
    made = await client.responses.create(model="private", input="x", background=True, extra_headers=ASKED)
    async for _ in await client.responses.retrieve(made.id, stream=True):
        pass
    cancelled = await client.responses.cancel(made.id)
    retrieved = await client.responses.retrieve(made.id)
    assert cancelled.error.message == retrieved.error.message
    return str(retrieved.error.message)


async def _chat(client: Any) -> str:
    said = [{"role": "user", "content": "x"}]
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(model="private", messages=said, extra_headers=ASKED)
    return str(caught.value.body["message"])  # type: ignore[index]


async def _chat_streamed(client: Any) -> str:
    said = [{"role": "user", "content": "x"}]
    with pytest.raises(openai.APIError) as caught:
        async for _ in await client.chat.completions.create(
            model="private", messages=said, stream=True, extra_headers=ASKED
        ):
            pass
    return str(caught.value.body["message"])  # type: ignore[index]


@pytest.mark.parametrize("ask", [_plain, _streamed, _retrieved, _chat, _chat_streamed])
async def test_a_private_failure_is_read_by_operators_only(serve: Any, ask: Failing) -> None:
    keyed = await serve(keys=ApiKeys(LINES))
    assert await ask(keyed.openai(ALICE)) == "ValueError: its text is in the server's log, request id req_seen"
    assert "secret" in await ask(keyed.openai(OPS))
    for key, sees in ((ALICE, False), (OPS, True)):
        http = keyed.http(key)
        turns = (await http.get("/turns")).json()["turns"]
        shown = (await http.get(f"/turns/{turns[-1]['id']}")).text
        assert ("secret" in shown, "secret" in str(turns)) == (sees, sees)


@pytest.mark.parametrize("ask", [_plain, _streamed, _retrieved, _chat, _chat_streamed])
async def test_without_keys_on_loopback_everybody_is_the_operator(serve: Any, ask: Failing) -> None:
    assert "secret" in await ask((await serve()).openai())


@pytest.mark.parametrize("ask", [_plain, _streamed, _retrieved, _chat, _chat_streamed])
async def test_without_keys_other_machines_are_no_operators(serve: Any, ask: Failing) -> None:
    reachable = await serve(host="0.0.0.0")  # the setting only: the test itself listens on loopback
    assert "secret" not in await ask(reachable.openai())


async def test_the_same_idempotency_key_of_two_callers_is_two_turns(keyed: Any) -> None:
    headers = {"Idempotency-Key": "once"}
    ids = {
        (await keyed.openai(key).responses.create(model="echo", input="x", extra_headers=headers)).id
        for key in (ALICE, BOB)
    }
    assert len(ids) == 2


async def test_without_keys_only_this_machine_is_answered(served: Any) -> None:
    http = served.http()
    for host in ("localhost:8080", "127.0.0.1", "[::1]:80", "app.localhost"):
        assert (await http.get("/v1/models", headers={"Host": host})).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"):
        answer = await http.get("/v1/models", headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "host_not_allowed"
    assert (await http.get("/healthz", headers={"Host": "10.0.0.1"})).status_code == 200


async def test_without_keys_pages_of_other_origins_are_refused(served: Any) -> None:
    http = served.http()
    answer = await http.post("/v1/conversations", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in answer.headers
    own = await http.post("/v1/conversations", headers={"Origin": served.url})
    assert own.status_code == 200


def test_the_bound_host_may_be_named() -> None:
    assert may_be_host("box.internal:8080", "box.internal")
    assert not may_be_host("other.internal:8080", "box.internal")
    # bound to every address without keys (--allow-anonymous) its name can't be known
    assert may_be_host("box.internal:8080", "0.0.0.0")
    assert may_be_host("box.internal:8080", "::")


def test_the_owner_depends_on_the_name_not_on_the_key() -> None:
    old, new = ApiKeys([f"alice {ALICE}"]), ApiKeys([f"alice {BOB}"])
    before, after = old.caller(f"Bearer {ALICE}"), new.caller(f"Bearer {BOB}")
    assert before is not None
    assert before == after
    assert before.owner == owner_of("alice")
    assert before.owner != LOCAL_CALLER.owner


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no API key"),
        (["# nothing"], "no API key"),
        (["alice"], "line 1: write NAME KEY"),
        (["alice short"], "fewer than 16"),
        ([f"alice {ALICE}", f"bob {ALICE}"], "line 2: the key of 'bob' is used twice"),
        ([f"alice {ALICE} root"], "line 1: write NAME KEY"),
    ],
)
def test_a_wrong_key_file_says_what_is_wrong(lines: list[str], says: str) -> None:
    with pytest.raises(KeysError, match=says):
        ApiKeys(lines)


def test_an_error_about_keys_does_not_show_them() -> None:
    with pytest.raises(KeysError) as caught:
        ApiKeys([f"alice {ALICE} root"])
    assert ALICE not in str(caught.value)


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("\n".join(LINES))
    assert len(ApiKeys.from_file(path)) == 3
    with pytest.raises(KeysError, match="can't read"):
        ApiKeys.from_file(tmp_path / "none")
    keys = ApiKeys.from_environment({"TURNLANE_API_KEYS": f"alice {ALICE}, ops {OPS} admin"})
    assert keys is not None
    assert len(keys) == 2
    assert ApiKeys.from_environment({}) is None


def test_other_machines_are_served_with_keys_only() -> None:
    keys = ApiKeys(LINES)
    for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1"):
        check_binding(host, None, allow_anonymous=False)
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        check_binding(host, keys, allow_anonymous=False)
        check_binding(host, None, allow_anonymous=True)
        with pytest.raises(KeysError, match="--api-key-file"):
            check_binding(host, None, allow_anonymous=False)

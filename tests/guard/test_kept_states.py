"""TL206 without a file: one user's saved state is loaded in another user's request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.replay import ReplayChatCompletionClient
from tests.guard.conftest import Watched

from turnlane.guard import kept_states, requests
from turnlane.guard.kept_states import mark_of
from turnlane.guard.requests import Request

pytestmark = pytest.mark.anyio


def agent() -> AssistantAgent:
    return AssistantAgent("support", ReplayChatCompletionClient(["fine"]))


async def turn(store: dict[str, Any], key: str, text: str, **keys: str) -> None:
    with requests.within(Request("asgi", "POST /chat", keys=keys)):
        made = agent()
        if key in store:
            await made.load_state(store[key])
        await made.run(task=text)
        store[key] = await made.save_state()


async def test_one_row_for_everybody(watched: Watched) -> None:
    store: dict[str, Any] = {}
    await turn(store, "row", "I am Ann", user_id="ann")
    await turn(store, "row", "I am Bob", user_id="bob")
    await turn(store, "row", "I am Eve", user_id="eve")
    hazard = watched.hazard("TL206")
    assert "another user's request, has saved" in hazard["message"]
    assert [stack["title"] for stack in hazard["stacks"]] == [
        "saved here, by another user's request",
        "loaded here",
    ]
    assert hazard["place"]["function"] == "turn"


async def test_a_row_each(watched: Watched) -> None:
    store: dict[str, Any] = {}
    for _ in range(2):
        for user in ("ann", "bob"):
            await turn(store, user, f"I am {user}", user_id=user)
    assert watched.hazards == []


async def test_two_users_who_say_the_same(watched: Watched) -> None:
    """Their states are alike, and each loads its own."""
    store: dict[str, Any] = {}
    for _ in range(2):
        for user in ("ann", "bob"):
            await turn(store, user, "Hello", user_id=user)
    assert watched.hazards == []


async def test_a_state_that_another_process_has_saved(watched: Watched) -> None:
    """It is not known here whose it is, and what another user saves here is like it."""
    store: dict[str, Any] = {}
    await turn(store, "bob", "Hello", user_id="bob")
    kept_states.uninstall()
    await turn(store, "ann", "Hello", user_id="ann")
    await turn(store, "bob", "Go on", user_id="bob")
    assert watched.hazards == []


async def test_states_that_other_processes_have_saved_beside_one_of_this(watched: Watched) -> None:
    store: dict[str, Any] = {}
    for user in ("bob", "eve"):
        await turn(store, user, f"Hello {user}", user_id=user)
    kept_states.uninstall()
    for user in ("ann", "joe"):
        await turn(store, user, f"Hello {'bob' if user == 'ann' else 'eve'}", user_id=user)
    for user in ("ann", "bob", "eve"):  # Ann finds her own, though Joe has saved since
        await turn(store, user, "Go on", user_id=user)
    assert watched.hazards == []


async def test_requests_that_do_not_say_whose_they_are(watched: Watched) -> None:
    store: dict[str, Any] = {}
    await turn(store, "row", "one")
    await turn(store, "row", "two")
    assert watched.hazards == []


async def test_a_state_that_many_start_from(watched: Watched) -> None:
    """Made before any user came."""
    first = agent()
    await first.run(task="You sell chairs.")
    template = await first.save_state()
    for user in ("ann", "bob"):
        await turn({"new": template}, "new", f"I am {user}", user_id=user)
    assert watched.hazards == []


def test_a_store_may_change_the_order_of_keys() -> None:
    one = {"llm": {"messages": [{"content": "hi", "source": "user"}]}, "version": "1"}
    other = {"version": "1", "llm": {"messages": [{"source": "user", "content": "hi"}]}}
    assert mark_of(one) == mark_of(other) != ()
    assert mark_of({"version": "1", "messages": []}) == ()


async def test_a_row_that_all_read_before_it_is_written_again(watched: Watched) -> None:
    """Users at once: the last who saved is whom all of them go on from."""
    store: dict[str, Any] = {}
    await turn(store, "row", "I am Ann, and my parrot is green", user_id="ann")
    for user in ("bob", "cleo", "dan", "eve"):
        await turn({"row": store["row"]}, "row", f"I am {user}", user_id=user)
    assert watched.codes == {"TL206"}


class Refused(Exception):
    """A store that has another version than this state follows."""


async def two_at_once(store: dict[str, Any], *, versions: bool = False, lock: bool = False) -> None:
    """Two messages of one conversation, and a third that shows what became of them."""
    turns = asyncio.Lock()
    begun = asyncio.Barrier(2)

    async def say(text: str, *, together: bool) -> None:
        with requests.within(Request("asgi", "POST /chat", keys={"conversation_id": "c-1"})) as request:
            async with turns if lock else contextlib.nullcontext():
                made, before = agent(), store.get("c-1")
                if before is not None:
                    await made.load_state(before)
                if together and not lock:
                    await begun.wait()
                await made.run(task=text)
                state = await made.save_state()
                if versions and store.get("c-1") is not before:
                    request.status = 409
                    return
                store["c-1"] = state

    await say("I am Ann", together=False)
    await asyncio.gather(say("Where is my parcel?", together=True), say("It is a green one.", together=True))
    await say("Thank you", together=False)


async def test_a_turn_that_is_written_over(watched: Watched) -> None:
    await two_at_once({})
    assert "a turn is lost" in watched.hazard("TL206")["message"]
    assert watched.codes == {"TL206"}


@pytest.mark.parametrize("right", ["versions", "lock"])
async def test_turns_of_one_conversation_that_are_kept_apart(watched: Watched, right: str) -> None:
    await two_at_once({}, **{right: True})
    assert watched.hazards == []

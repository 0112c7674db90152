"""Tools that must not run twice, and the key by which others can be asked twice."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_core.tools import FunctionTool
from tests.worker.conftest import PATIENCE

import turnlane
from turnlane.practice import Answer, ToolCall
from turnlane.testing.turns import tool_called

pytestmark = pytest.mark.anyio


def pays(request: Any) -> Any:
    """A model that looks something up, pays two invoices one after the other, and is done."""
    tools = [message for message in request.messages if message["role"] == "tool"]
    asked = [
        ToolCall("look", {"what": "order"}),
        ToolCall("pay", {"invoice": "7"}),
        ToolCall("pay", {"invoice": "8"}),
    ]
    return Answer(tool_calls=[asked[len(tools)]]) if len(tools) < 3 else "paid"


class Bank:
    """Counts payments; the one in whose middle the machine is to die waits there."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.keys: list[str] = []
        self.attempts: list[int] = []
        self.dies_in: str | None = None
        self.reached = asyncio.Event()

    async def pay(self, invoice: str) -> str:
        self.begun.append(invoice)
        self.keys.append(turnlane.tool_call().key)
        self.attempts.append(turnlane.tool_call().attempt)
        if self.dies_in == invoice:
            self.dies_in = None
            self.reached.set()
            await asyncio.Event().wait()
        return f"paid {invoice}"


@pytest.fixture
def bank(anyio_backend: str) -> Bank:
    return Bank()


def agent_with(client: Any, bank: Bank, mark: Callable[[Any], Any]) -> Callable[[], AssistantAgent]:
    def look(what: str) -> str:
        """Look something up."""
        return f"saw {what}"

    async def pay(invoice: str) -> str:
        """Pay an invoice."""
        return await bank.pay(invoice)

    tools = [look, mark(pay)]
    return lambda: AssistantAgent("clerk", client(), tools=tools, max_tool_iterations=9)


def as_it_is(tool: Any) -> Any:
    return tool


DECLARED: list[Any] = [
    pytest.param(turnlane.once, {}, id="decorated"),
    pytest.param(as_it_is, {"once_tools": {"pay"}}, id="by its name"),
    pytest.param(lambda pay: turnlane.once(FunctionTool(pay, "Pay.")), {}, id="a tool object"),
    pytest.param(
        lambda pay: FunctionTool(functools.partial(turnlane.once(pay)), "Pay.", name="pay"), {}, id="partial"
    ),
]


@pytest.mark.parametrize(("mark", "settings"), DECLARED)
async def test_a_turn_that_died_in_it_needs_attention(machine, client, provider, bank, mark, settings):
    provider.use(pays)
    served = await machine(agent_with(client, bank, mark), **settings)
    bank.dies_in = "8"
    turn = await served.send("pay 7 and 8")
    await asyncio.wait_for(bank.reached.wait(), PATIENCE)
    await served.recorded(turn, 8)
    await served.die_and_start()
    ended = await served.ended(turn)
    assert ended.status == "needs_attention"
    assert bank.begun == ["7", "8"], "nothing was run again"
    assert provider.received == 3
    failure = ended.failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.tool, failure.agent) == ("tool", "needs_attention", "pay", "agent")
    assert bank.keys[1] in failure.message
    assert "'pay'" in failure.message
    assert "nobody knows whether it acted" in failure.message
    assert not failure.private
    assert ended.usage.model_calls == 3


async def test_also_where_the_ledger_is_off(machine, client, provider, bank):
    provider.use(pays)
    served = await machine(agent_with(client, bank, turnlane.once), ledger=False)
    bank.dies_in = "8"
    turn = await served.send("pay 7 and 8")
    await asyncio.wait_for(bank.reached.wait(), PATIENCE)
    kept = await served.engine.ledger(turn.id)
    assert [(entry.name, entry.phase) for entry in kept] == [("pay", "begun"), ("pay", "ended"), ("pay", "begun")]
    await served.die_and_start()
    assert (await served.ended(turn)).status == "needs_attention"
    assert bank.begun == ["7", "8"]


async def test_whoever_looks_sees_how_far_the_turn_came(machine, client, provider, bank):
    provider.use(pays)
    served = await machine(agent_with(client, bank, turnlane.once))
    bank.dies_in = "8"
    turn = await served.send("pay 7 and 8")
    await asyncio.wait_for(bank.reached.wait(), PATIENCE)
    await served.until_durable("tool.call", 3)
    await served.die_and_start()
    ended = await served.ended(turn)
    shown = [(item["name"], item["arguments"], item["output"]) for item in ended.output]
    assert shown == [
        ("look", '{"what": "order"}', "saw order"),
        ("pay", '{"invoice": "7"}', "paid 7"),
        ("pay", '{"invoice": "8"}', None),
    ]
    seen = [event async for event in served.engine.events(turn.id)]
    assert [event.kind for event in seen if event.kind == "tool.call"] == ["tool.call"] * 3
    kept = await served.engine.ledger(turn.id)
    assert [(entry.name, entry.phase) for entry in kept if entry.once] == [
        ("pay", "begun"),
        ("pay", "ended"),
        ("pay", "begun"),
    ]


async def test_the_conversation_goes_on_from_before_it(machine, client, provider, bank):
    served = await machine(agent_with(client, bank, turnlane.once))
    first = await served.say("hello")
    provider.use(pays)
    bank.dies_in = "7"
    turn = await served.send("pay", first.conversation)
    await asyncio.wait_for(bank.reached.wait(), PATIENCE)
    await served.die_and_start()
    behind = await served.send("are you there?", first.conversation)
    assert (await served.ended(turn)).status == "needs_attention"
    provider.use(lambda request: " / ".join(request.user_messages))
    assert (await served.say("well?", first.conversation)).status == "completed"
    assert (await served.ended(behind)).status == "completed"
    assert "hello" in provider.requests[-1].text
    assert '"pay"' not in str(provider.requests[-1].body["messages"])


async def test_one_that_ended_is_not_run_again(machine, client, provider, bank):
    """The turn dies after it, in a tool that may be repeated."""
    provider.use(pays)
    stuck = asyncio.Event()
    asked: list[str] = []

    @turnlane.once
    async def pay(invoice: str) -> str:
        """Pay an invoice."""
        if invoice == "8":
            asked.append(invoice)
            return await other()
        return await bank.pay(invoice)

    async def other() -> str:
        return "paid 8"

    async def look(what: str) -> str:
        """Look something up."""
        return "seen"

    async def check() -> str:
        """Check the account."""
        if not stuck.is_set():
            stuck.set()
            await asyncio.Event().wait()
        return "checked"

    def script(request: Any) -> Any:
        tools = [message for message in request.messages if message["role"] == "tool"]
        return Answer(tool_calls=[ToolCall("check")]) if len(tools) == 3 else pays(request)

    provider.use(script)
    served = await machine(
        lambda: AssistantAgent("clerk", client(), tools=[look, pay, check], max_tool_iterations=9)
    )
    turn = await served.send("pay 7 and 8")
    await asyncio.wait_for(stuck.wait(), PATIENCE)
    await served.die_and_start()
    assert (await served.ended(turn)).status == "completed"
    assert (bank.begun, asked) == (["7"], ["8"])
    assert provider.received == 5


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_the_key_of_a_call_is_the_same_in_every_attempt(machine, client, provider, sync):
    provider.use(pays)
    keys: list[tuple[str, str, int]] = []
    reached = threading.Event()
    let_go = threading.Event()

    def note(invoice: str) -> None:
        call = turnlane.tool_call()
        assert call.name == "pay"
        keys.append((invoice, call.key, call.attempt))

    def pay_and_wait(invoice: str) -> str:
        """Pay an invoice."""
        note(invoice)
        if len(keys) == 2:
            reached.set()
            let_go.wait(PATIENCE)
        return f"paid {invoice}"

    async def pay_async(invoice: str) -> str:
        """Pay an invoice."""
        note(invoice)
        if len(keys) == 2:
            reached.set()
            await asyncio.Event().wait()
        return f"paid {invoice}"

    def look(what: str) -> str:
        """Look something up."""
        return "seen"

    pay = FunctionTool(pay_and_wait if sync else pay_async, "Pay an invoice.", name="pay")
    served = await machine(lambda: AssistantAgent("clerk", client(), tools=[look, pay], max_tool_iterations=9))
    turn = await served.send("pay")
    await served.until(reached.is_set)
    await served.die_and_start()
    assert (await served.ended(turn)).status == "completed"
    let_go.set()
    assert [(invoice, attempt) for invoice, _, attempt in keys] == [("7", 1), ("8", 1), ("8", 2)]
    seven, first, second = [key for _, key, _ in keys]
    assert first == second != seven
    other = await served.say("pay")
    assert other.status == "completed"
    assert len({key for _, key, _ in keys}) == 4, "another turn has other keys"


class TestTheDecorator:
    def test_keeps_the_function_as_it_is(self):
        def pay(invoice: str, amount: float = 1.0) -> str:
            """Pay an invoice."""
            return invoice

        before = FunctionTool(pay, "Pay.").schema
        marked = turnlane.once(pay)
        assert marked is pay
        assert inspect.signature(marked).parameters.keys() == {"invoice", "amount"}
        assert FunctionTool(marked, "Pay.").schema == before

    def test_says_what_it_can_t_mark(self):
        with pytest.raises(
            TypeError, match="decorate the function itself, or name the tool in the agent's setting"
        ):
            turnlane.once(print)


class TestToolCall:
    def test_outside_of_a_tool_says_where_to_ask(self):
        with pytest.raises(RuntimeError, match=r"call it in the tool itself.*turnlane.testing.turns.tool_called"):
            turnlane.tool_call()

    def test_in_a_test_of_the_tool(self):
        with tool_called("pay", "k1") as call:
            assert turnlane.tool_call() is call
            assert (call.name, call.key, call.attempt) == ("pay", "k1", 1)
        with pytest.raises(RuntimeError):
            turnlane.tool_call()

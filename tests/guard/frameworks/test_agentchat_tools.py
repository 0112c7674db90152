"""Tools of current AutoGen: what they raise, what they change, and how they stop."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from autogen_core import CancellationToken
from autogen_core.tools import BaseTool, FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel
from tests.guard.conftest import Watched
from tests.guard.frameworks.agentchat_programs import assistant, in_request, run, said

from turnlane.practice import Rule, ToolCall

Client = OpenAIChatCompletionClient


@pytest.fixture
def guard_settings() -> dict[str, Any]:
    """A machine that is busy with other tests holds the loop: that is another test's subject."""
    return {"threshold": 60.0, "grace": 0.2}


def calling(tool: str, *, times: int = 1, **arguments: Any) -> Rule:
    return Rule(when_offered=tool, call=[[ToolCall(tool, arguments)] * times], say="done")


def ask(tool: Any, rule: Rule) -> str:
    """One run of an agent with one tool."""

    async def program(client: Client) -> str:
        return await said(assistant(client, tools=[tool]), "hello")

    return str(run(program, rule, Rule(say="fine")))


def policy(policy_id: str) -> str:
    """The text of a policy."""
    return {"P-1": "Return within 30 days."}[policy_id]


def test_a_tool_that_raises(watched: Watched) -> None:
    assert ask(policy, calling("policy", policy_id="P-404")) == "'P-404'"
    hazard = watched.hazard("TL401")
    assert hazard["place"]["function"] == "policy"
    assert hazard["measures"] == {"exception": "KeyError"}
    assert watched.codes == {"TL401"}
    (failure,) = watched.of_kind("failure")
    assert failure["tool"] == "policy"
    assert failure["agent"] == "AssistantAgent 'support'"


def test_a_tool_that_says_what_is_wrong(watched: Watched) -> None:
    def known(policy_id: str) -> str:
        """The text of a policy."""
        return json.dumps({"error": "unknown_policy", "policy_id": policy_id})

    ask(known, calling("known", policy_id="P-404"))
    assert watched.hazards == []


def test_arguments_that_the_framework_refuses(watched: Watched) -> None:
    ask(policy, calling("policy", wrong="P-404"))
    assert watched.hazards == []


async def orders(order: str) -> str:
    """Look up an order."""
    raise ConnectionError("could not connect to postgres://shop:hunter2@db.internal/orders")


def test_a_tool_whose_secrets_reach_the_user(watched: Watched) -> None:
    assert "hunter2" in ask(orders, calling("orders", order="1"))
    assert watched.codes == {"TL405"}
    assert "hunter2" not in json.dumps([hazard["message"] for hazard in watched.hazards])


def test_a_tool_whose_secrets_stay_inside(watched: Watched) -> None:
    async def program(client: Client) -> None:
        assert await said(assistant(client, tools=[orders], reflect_on_tool_use=True), "hello") == "Sorry."

    run(program, calling("orders", order="1"), Rule(say="Sorry."))
    assert watched.codes == {"TL401"}


class Argument(BaseModel):
    """What the tool is given."""

    text: str


class OwnTool(BaseTool[Argument, str]):
    """A tool as a class."""

    def __init__(self) -> None:
        super().__init__(Argument, str, "own", "Raises.")

    async def run(self, args: Argument, cancellation_token: CancellationToken) -> str:
        raise LookupError(args.text)


def test_a_tool_of_the_users_own_class(watched: Watched) -> None:
    ask(OwnTool(), calling("own", text="x"))
    assert watched.codes == {"TL401"}


stock = {"lamp": 10, "chair": 10}
sold = 0
lock = asyncio.Lock()


async def reserve(item: str) -> str:
    left = stock[item]
    await asyncio.sleep(0.01)
    stock[item] = left - 1
    return f"{left - 1} left"


async def reserve_one_at_a_time(item: str) -> str:
    await asyncio.sleep(0)
    async with lock:
        left = stock[item]
        await asyncio.sleep(0.01)
        stock[item] = left - 1
    return f"{left - 1} left"


async def reserve_in_one_step(item: str) -> str:
    if item not in stock:
        return "unknown"
    await asyncio.sleep(0.01)
    stock[item] -= 1
    return "reserved"


async def count_sales(item: str) -> str:
    global sold
    before = sold
    await asyncio.sleep(0.01)
    sold = before + 1
    return "sold"


async def _write(item: str, left: int) -> None:
    stock[item] = left - 1


async def reserve_with_helpers(item: str) -> str:
    left = stock.get(item, 0)
    await asyncio.sleep(0.01)
    await _write(item, left)
    return "reserved"


def reserve_in_a_thread(item: str) -> str:
    left = stock[item]
    time.sleep(0.05)
    stock[item] = left - 1
    return f"{left - 1} left"


class Warehouse:
    """State of an object that all calls share."""

    def __init__(self) -> None:
        self.pieces = {"lamp": 10}
        self.lock = asyncio.Lock()

    async def take(self, item: str) -> str:
        left = self.pieces[item]
        await asyncio.sleep(0.01)
        self.pieces[item] = left - 1
        return "taken"

    async def take_alone(self, item: str) -> str:
        async with self.lock:
            return await self.take(item)


@pytest.mark.parametrize(
    "tool",
    [reserve, count_sales, reserve_with_helpers, reserve_in_a_thread, Warehouse().take],
    ids=lambda tool: tool.__name__,
)
def test_two_calls_that_change_the_same(watched: Watched, tool: Any) -> None:
    function = FunctionTool(tool, description="Reserves.")
    ask(function, calling(function.name, times=2, item="lamp"))
    assert watched.codes == {"TL403"}


@pytest.mark.parametrize(
    "tool", [reserve_one_at_a_time, reserve_in_one_step, Warehouse().take_alone], ids=lambda tool: tool.__name__
)
def test_two_calls_that_lose_nothing(watched: Watched, tool: Any) -> None:
    function = FunctionTool(tool, description="Reserves.")
    ask(function, calling(function.name, times=2, item="lamp"))
    assert watched.hazards == []


def test_two_calls_that_change_different_entries(watched: Watched) -> None:
    both = [ToolCall("reserve", {"item": item}) for item in ("lamp", "chair")]
    ask(FunctionTool(reserve, description="Reserves."), Rule(when_offered="reserve", call=[both], say="done"))
    assert watched.hazards == []


WAITING = threading.Lock()
BOTH = threading.Barrier(2)


def join_the_list(path: str, name: str) -> str:
    people = json.loads(Path(path).read_text())
    BOTH.wait(10)
    Path(path).write_text(json.dumps([*people, name]))
    return "joined"


def join_the_list_alone(path: str, name: str) -> str:
    with WAITING:
        people = json.loads(Path(path).read_text())
        Path(path).write_text(json.dumps([*people, name]))
    return "joined"


async def join_the_list_between_waits(path: str, name: str) -> str:
    people = json.loads(Path(path).read_text())
    await asyncio.to_thread(BOTH.wait, 10)
    Path(path).write_text(json.dumps([*people, name]))
    return "joined"


async def leave_a_note(path: str, name: str) -> str:
    await asyncio.sleep(0.01)
    Path(path).write_text(name)
    return "noted"


@pytest.mark.parametrize(
    ("tool", "codes"),
    [
        (join_the_list, {"TL403"}),
        (join_the_list_between_waits, {"TL403"}),
        (join_the_list_alone, set()),
        (leave_a_note, set()),
    ],
)
@pytest.mark.parametrize("served", [True, False], ids=["in requests", "in a script"])
def test_two_calls_that_change_a_file(
    watched: Watched, tmp_path: Path, tool: Any, codes: set[str], served: bool
) -> None:
    path = tmp_path / "waiting.json"
    path.write_text("[]")
    function = FunctionTool(tool, description="Joins.")

    async def program(client: Client) -> None:
        async def join() -> None:
            await said(assistant(client, tools=[function]), "hello")

        await asyncio.gather(*(in_request(join) if served else join() for _ in range(2)))

    run(program, calling(function.name, path=str(path), name="ann"))
    assert watched.codes == codes


async def slow_report(month: str) -> str:
    """Make a report."""
    await asyncio.sleep(3)
    return "report"


async def slow_report_that_can_stop(month: str) -> str:
    """Make a report."""
    try:
        await asyncio.sleep(3)
    except asyncio.CancelledError:
        return "stopped"
    return "report"


def stop(tool: Any, name: str) -> None:
    async def program(client: Client) -> None:
        token, begun = CancellationToken(), asyncio.Event()

        @functools.wraps(tool)
        async def begins(month: str) -> str:
            begun.set()
            return str(await tool(month))

        agent = assistant(client, tools=[FunctionTool(begins, description="Reports.", name=name)])
        task = asyncio.create_task(agent.run(task="hello", cancellation_token=token))
        await begun.wait()
        token.cancel()
        await asyncio.wait({task}, timeout=0.8)
        task.cancel()

    run(program, calling(name, month="May"))


def test_a_stop_that_does_not_end_the_run(watched: Watched) -> None:
    stop(slow_report, "slow_report")
    assert watched.hazard("TL404")["place"]["file"] == __file__
    assert watched.codes == {"TL404"}


def test_a_stop_that_the_tool_turns_into_a_result(watched: Watched) -> None:
    stop(slow_report_that_can_stop, "slow_report")
    assert watched.hazards == []


def test_a_tool_that_cancels_itself(watched: Watched) -> None:
    async def gives_up() -> str:
        raise asyncio.CancelledError

    async def program(client: Client) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(said(assistant(client, tools=[gives_up]), "hello"), 0.3)

    run(program, calling("gives_up"))
    assert watched.codes == {"TL404"}


boxes = {"lamp": {"pieces": 10}}


def take_from_a_box(item: str) -> str:
    left = boxes[item]["pieces"]
    time.sleep(0.05)
    boxes[item]["pieces"] = left - 1
    return "taken"


async def take_from_a_box_by_its_name(item: str) -> str:
    box = boxes.get(item, {})
    left = box["pieces"]
    await asyncio.sleep(0.01)
    box["pieces"] = left - 1
    return "taken"


@pytest.mark.parametrize("tool", [take_from_a_box, take_from_a_box_by_its_name], ids=lambda tool: tool.__name__)
def test_two_calls_that_change_the_inside_of_an_entry(watched: Watched, tool: Any) -> None:
    function = FunctionTool(tool, description="Takes one.")
    ask(function, calling(function.name, times=2, item="lamp"))
    assert watched.codes == {"TL403"}


class Till:
    """State that a class holds, for all of its objects."""

    cash: ClassVar[dict[str, int]] = {"euro": 100}
    takings = 0
    lock = asyncio.Lock()

    async def take(self) -> str:
        left = self.cash["euro"]
        await asyncio.sleep(0.01)
        self.cash["euro"] = left - 1
        return "taken"

    async def take_alone(self) -> str:
        async with self.lock:
            return await self.take()

    @classmethod
    async def take_by_class(cls) -> str:
        left = cls.cash["euro"]
        await asyncio.sleep(0.01)
        cls.cash["euro"] = left - 1
        return "taken"

    @staticmethod
    async def count() -> str:
        takings = Till.takings
        await asyncio.sleep(0.01)
        Till.takings = takings + 1
        return "counted"


class Desk:
    """A service that keeps its state in another object."""

    def __init__(self) -> None:
        self.warehouse = Warehouse()

    async def sell(self) -> str:
        left = self.warehouse.pieces["lamp"]
        await asyncio.sleep(0.01)
        self.warehouse.pieces["lamp"] = left - 1
        return "sold"

    async def sell_through_it(self) -> str:
        return await self.warehouse.take("lamp")

    async def sell_alone(self) -> str:
        return await self.warehouse.take_alone("lamp")


@pytest.mark.parametrize(
    "tool",
    [Till().take, Till.take_by_class, Till.count, Desk().sell, Desk().sell_through_it],
    ids=lambda tool: tool.__qualname__,
)
def test_two_calls_that_change_what_a_class_or_another_object_holds(watched: Watched, tool: Any) -> None:
    function = FunctionTool(tool, description="Takes one.")
    ask(function, calling(function.name, times=2))
    assert watched.codes == {"TL403"}


@pytest.mark.parametrize("tool", [Till().take_alone, Desk().sell_alone], ids=lambda tool: tool.__qualname__)
def test_a_lock_around_what_a_class_or_another_object_holds(watched: Watched, tool: Any) -> None:
    function = FunctionTool(tool, description="Takes one.")
    ask(function, calling(function.name, times=2))
    assert watched.codes == set()


def test_state_is_named_by_its_class(watched: Watched) -> None:
    function = FunctionTool(Till().take, description="Takes one.")
    ask(function, calling("take", times=2))
    assert watched.hazard("TL403")["message"].startswith("Two calls of the tool 'take' changed Till.cash['euro']")


class Bank:
    """A blocking one, slow to pay.

    Attributes:
        asked: a payment was asked for.
        may_pay: it may be made.
        paid: what was paid.
    """

    def __init__(self) -> None:
        self.asked, self.may_pay, self.done = threading.Event(), threading.Event(), threading.Event()
        self.paid: list[str] = []

    def refund(self, order: str) -> str:
        """Pay the price of an order back."""
        self.asked.set()
        self.may_pay.wait(30)
        self.paid.append(order)
        self.done.set()
        return "paid"

    async def refund_later(self, order: str) -> str:
        """Pay the price of an order back."""
        self.asked.set()
        await asyncio.to_thread(self.may_pay.wait, 30)
        self.paid.append(order)
        self.done.set()
        return "paid"

    async def refund_at_once(self, order: str) -> str:
        """Pay the price of an order back, and wait for the receipt."""
        self.paid.append(order)
        self.asked.set()
        await asyncio.to_thread(self.may_pay.wait, 30)
        self.done.set()
        return "paid"

    def look_up(self, order: str) -> str:
        """What was paid for an order."""
        self.asked.set()
        self.may_pay.wait(30)
        self.done.set()
        return str(order in self.paid)


@pytest.mark.parametrize(
    ("name", "codes"),
    [("refund", {"TL404"}), ("refund_later", {"TL404"}), ("refund_at_once", set()), ("look_up", set())],
)
def test_a_tool_that_goes_on_when_its_run_is_cancelled(watched: Watched, name: str, codes: set[str]) -> None:
    bank = Bank()
    tool = FunctionTool(getattr(bank, name), name=name, description="refunds")

    async def program(client: Client) -> None:
        async def handler() -> None:
            asked = asyncio.ensure_future(assistant(client, tools=[tool]).run(task="refund order 7"))
            await asyncio.to_thread(bank.asked.wait, 30)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            bank.may_pay.set()
            await asyncio.to_thread(bank.done.wait, 30)
            while asyncio.all_tasks() - {asyncio.current_task(), *others}:
                await asyncio.sleep(0)

        others = asyncio.all_tasks()
        await in_request(handler)

    run(program, calling(name, order="7"), Rule(say="fine"))
    assert watched.codes == codes

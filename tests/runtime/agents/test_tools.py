"""The tool guard: what the model and the user learn of a tool, and where it runs (TL401, TL405)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core.tools import (
    FunctionTool,
    StaticStreamWorkbench,
    StaticWorkbench,
    TextResultContent,
    ToolOverride,
    ToolResult,
    ToolSchema,
    Workbench,
)

from turnlane import ToolError
from turnlane.practice import Answer, ToolCall
from turnlane.runtime.agent import current_agent, current_run, current_tool

pytestmark = pytest.mark.anyio

SECRET = "postgres://u:p@h/db"


@pytest.fixture
def use(talk: Any, client: Any, provider: Any) -> Any:
    """An agent with tools that calls one of them, once, and then says what came back."""

    def begin(*tools: Any, call: str | None = None, args: Any = None, limits: Any = None, **options: Any) -> Any:
        def script(request: Any) -> Any:
            if request.tool_results:
                return f"the tool said: {request.tool_results[-1].text}"
            return Answer(tool_calls=[ToolCall(call or request.tools[0], args or {})])

        provider.use(script)
        given = {"tools": list(tools)} if tools else {}
        return talk(
            lambda: AssistantAgent("support", client(), reflect_on_tool_use=True, **given, **options),
            **(limits or {}),
        )

    return begin


def seen_anywhere(word: str, provider: Any, ended: Any) -> list[str]:
    """Where a word got to: prompts, events, output, the failure."""
    places = {
        "prompts": "".join(request.text for request in provider.requests),
        "events": json.dumps([event.to_json() for event in ended.events]),
        "output": json.dumps(list(ended.output)),
        "failure": str(ended.failure.to_json() if ended.failure else ""),
    }
    return [place for place, text in places.items() if word in text]


class TestErrors:
    async def test_a_key_error_is_a_typed_structured_error(self, use):
        def policy(policy_id: str) -> str:
            """Read a policy."""
            return {"P-1": "text"}[policy_id]

        ended = await use(policy, args={"policy_id": "P-404"}).say("policy P-404?")
        [item] = ended.items("tool")
        assert item["error"] == {
            "type": "KeyError",
            "hazard": "TL401",
            "tool": "policy",
            "message": "The tool 'policy' failed with KeyError. Its text is in the server's log.",
        }
        assert json.loads(item["output"]) == {"error": item["error"]}
        assert ended.data("tool.result")[0]["error"] == item["error"]
        assert ended.answer == f"the tool said: {item['output']}"

    async def test_control_the_bare_framework_tells_the_model_only_the_key(self, client, provider):
        def policy(policy_id: str) -> str:
            """Read a policy."""
            return {"P-1": "text"}[policy_id]

        provider.use(lambda request: Answer(tool_calls=[ToolCall("policy", {"policy_id": "P-404"})]))
        result = await AssistantAgent("support", client(), tools=[policy]).run(task="policy P-404?")
        assert result.messages[-1].to_text() == "'P-404'"

    @pytest.mark.parametrize("kind", ["function", "sync", "static workbench", "own workbench"])
    async def test_the_text_of_an_exception_stays_in_the_log(self, use, provider, kind):
        async def connect() -> str:
            """Connect."""
            raise RuntimeError(f"can't reach {SECRET}")

        def connect_sync() -> str:
            """Connect."""
            raise RuntimeError(f"can't reach {SECRET}")

        def bench() -> Workbench:
            return StaticWorkbench([FunctionTool(connect, "connects", name="connect")])

        conversation = {
            "function": lambda: use(connect),
            "sync": lambda: use(connect_sync),
            "static workbench": lambda: use(workbench=bench()),
            "own workbench": lambda: use(workbench=Own(fails=True)),
        }[kind]()
        ended = await conversation.say("go")
        assert seen_anywhere(SECRET, provider, ended) == []
        assert ended.items("tool")[0]["error"]["hazard"] in ("TL401", "TL405")

    async def test_control_the_bare_framework_shows_the_text_to_everybody(self, client, provider):
        def connect() -> str:
            """Connect."""
            raise RuntimeError(f"can't reach {SECRET}")

        provider.use(lambda request: Answer(tool_calls=[ToolCall("connect")]))
        result = await AssistantAgent("support", client(), tools=[connect]).run(task="go")
        assert SECRET in result.messages[-1].to_text()

    @pytest.mark.parametrize("workbench", [None, StaticWorkbench, StaticStreamWorkbench])
    async def test_the_text_of_a_tool_error_is_for_the_model_and_the_user(self, use, workbench):
        def look(order: str) -> str:
            """Look."""
            raise ToolError(f"There is no order {order}.")

        if workbench is None:
            conversation = use(look, args={"order": "9"})
        else:
            conversation = use(workbench=workbench([FunctionTool(look, "looks")]), args={"order": "9"})
        ended = await conversation.say("order 9?")
        error = ended.items("tool")[0]["error"]
        assert (error["type"], error["message"], error["hazard"]) == ("ToolError", "There is no order 9.", None)

    async def test_wrong_arguments_are_explained_without_their_values(self, use, provider):
        def add(first: int, second: int) -> int:
            """Add."""
            return first + second

        ended = await use(add, args={"first": "4111-1111-1111-1111"}).say("add")
        error = ended.items("tool")[0]["error"]
        assert error["type"] == "InvalidArguments"
        assert "first: Input should be a valid integer" in error["message"]
        assert "second: Field required" in error["message"]
        assert "4111" not in error["message"]

    @pytest.mark.parametrize("args", ["[1, 2]", '"x"', "7", "null"])
    async def test_arguments_that_are_no_object(self, use, args):
        def add(first: int) -> int:
            """Add."""
            return first

        ended = await use(add, args=args).say("add")
        assert ended.items("tool")[0]["error"]["type"] == "InvalidArguments"

    async def test_arguments_that_are_no_json(self, use):
        def add(first: int) -> int:
            """Add."""
            return first

        ended = await use(add, args='{"first": ').say("add")
        assert ended.items("tool")[0]["error"]["type"] == "InvalidArguments"
        assert ended.answer

    async def test_an_unknown_tool(self, use):
        def add(first: int) -> int:
            """Add."""
            return first

        ended = await use(add, call="subtract").say("subtract")
        assert ended.items("tool")[0]["error"]["type"] == "UnknownTool"
        assert ended.answer

    async def test_a_time_out(self, use):
        cancelled = asyncio.Event()

        async def slow() -> str:
            """Take long."""
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()
            return ""

        ended = await use(slow, limits={"tool_timeout": 0.05}).say("go")
        error = ended.items("tool")[0]["error"]
        assert (error["type"], error["hazard"]) == ("ToolTimeout", "TL306")
        assert "0.05 s" in error["message"]
        await asyncio.wait_for(cancelled.wait(), 5)

    async def test_an_error_that_the_model_got_over_is_not_the_turn_s(self, talk, client, provider):
        """An agent used as a tool fails, the model is told, and the run goes on to fail elsewhere."""

        def script(request):
            if request.system == "poet":
                return Answer(fault="unauthorized")
            if request.tool_results:
                return "no poem today"
            return Answer(tool_calls=[ToolCall("poet", {"task": "x"})])

        provider.use(script)

        def build():
            poet = AssistantAgent("poet", client(), system_message="poet")
            return AssistantAgent("boss", client(), tools=[AgentTool(poet)], reflect_on_tool_use=True)

        ended = await talk(build).say("a poem")
        assert ended.answer == "no poem today"
        assert ended.items("tool")[0]["error"] is not None
        assert ended.run.failure is None


class TestResults:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [({"a": 1}, '{"a": 1}'), ([1, 2], "[1, 2]"), (7, "7"), (None, "None"), (True, "True"), ("", "")],
        ids=str,
    )
    async def test_what_is_no_text(self, use, value, shown):
        async def give():  # type: ignore[no-untyped-def]
            """Give."""
            return value

        ended = await use(FunctionTool(give, "gives")).say("go")
        output = ended.items("tool")[0]["output"]
        assert output.replace("'", '"') == shown

    async def test_parallel_calls_of_one_agent_as_a_tool_wait_for_each_other(self, talk, client, provider):
        def script(request):
            if request.system == "poet":
                return f"poem {request.user_message}"
            if request.tool_results:
                return " / ".join(result.text for result in request.tool_results)
            return Answer(tool_calls=[ToolCall("poet", {"task": "one"}), ToolCall("poet", {"task": "two"})])

        provider.use(script)

        def build():
            poet = AssistantAgent("poet", client(), system_message="poet")
            tool = AgentTool(poet, return_value_as_last_message=True)
            return AssistantAgent("boss", client(), tools=[tool], reflect_on_tool_use=True, system_message="boss")

        ended = await talk(build).say("two poems")
        assert ended.answer == "poem one / poem two"
        assert [item["error"] for item in ended.items("tool")] == [None, None]
        assert all(request.status == 200 for request in provider.requests)


class TestWhereToolsRun:
    async def test_a_sync_tool_does_not_block_the_loop(self, use):
        loop_thread, seen, ticked = threading.get_ident(), [], threading.Event()
        asyncio.get_running_loop().call_later(0.01, ticked.set)

        def wait() -> str:
            """Wait for the loop."""
            seen.append(threading.get_ident())
            return str(ticked.wait(5))

        ended = await use(wait).say("go")
        assert ended.items("tool")[0]["output"] == "True"
        assert seen != [loop_thread]

    async def test_a_tool_knows_its_run_agent_and_name(self, use):
        seen: list[Any] = []

        async def ask() -> str:
            """Ask who I am."""
            seen.append((current_run.get(), current_agent.get(), current_tool.get()))
            return ""

        ended = await use(ask).say("go")
        assert seen == [(ended.run, "support", "ask")]

    async def test_two_tools_of_one_answer_run_at_once(self, talk, client, provider):
        both = asyncio.Barrier(2)

        async def meet(name: str) -> str:
            """Meet."""
            await asyncio.wait_for(both.wait(), 5)
            return f"met {name}"

        def script(request):
            if request.tool_results:
                return "done"
            return Answer(tool_calls=[ToolCall("meet", {"name": name}) for name in ("a", "b")])

        provider.use(script)
        ended = await talk(
            lambda: AssistantAgent("support", client(), tools=[meet], reflect_on_tool_use=True)
        ).say("x")
        assert [item["output"] for item in ended.items("tool")] == ["met a", "met b"]


class Own(Workbench):
    """A user's own workbench."""

    component_type = "workbench"

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails

    async def list_tools(self) -> list[ToolSchema]:
        return [ToolSchema(name="own", description="own", parameters={"type": "object", "properties": {}})]

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: Any = None,
        call_id: str | None = None,
    ) -> ToolResult:
        text = f"can't reach {SECRET}" if self._fails else f"{name} done"
        return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=self._fails)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def reset(self) -> None: ...

    async def save_state(self) -> Mapping[str, Any]:
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None: ...


class TestWorkbenches:
    async def test_an_own_workbench(self, use):
        ended = await use(workbench=Own()).say("go")
        assert ended.items("tool")[0]["output"] == "own done"

    async def test_two_workbenches(self, use):
        def add(first: int) -> int:
            """Add."""
            return first + 1

        benches = [Own(), StaticWorkbench([FunctionTool(add, "adds")])]
        ended = await use(workbench=benches, call="add", args={"first": 1}).say("go")
        assert ended.items("tool")[0]["output"] == "2"

    async def test_an_overridden_name(self, use):
        def look(order: str) -> str:
            """Look."""
            raise LookupError(SECRET)

        overrides = {"look": ToolOverride(name="find", description="finds")}
        bench = StaticWorkbench([FunctionTool(look, "looks")], overrides)
        ended = await use(workbench=bench, args={"order": "7"}).say("go")
        error = ended.items("tool")[0]["error"]
        assert (error["tool"], error["type"]) == ("find", "LookupError")

    async def test_what_a_subclass_of_the_framework_s_workbench_does_is_kept(self, use):
        class Audited(StaticWorkbench):
            def __init__(self, tools: Any) -> None:
                super().__init__(tools)
                self.calls: list[str] = []

            async def call_tool(self, name: str, *rest: Any, **options: Any) -> ToolResult:
                self.calls.append(name)
                return await super().call_tool(name, *rest, **options)

        def look() -> str:
            """Look."""
            return "found"

        bench = Audited([FunctionTool(look, "looks")])
        ended = await use(workbench=bench).say("go")
        assert bench.calls == ["look"]
        assert ended.items("tool")[0]["output"] == "found"

    async def test_in_a_team_an_own_workbench_is_guarded_too(self, talk, client, provider):
        def script(request):
            return "done" if request.tool_results else Answer(tool_calls=[ToolCall("own")])

        provider.use(script)
        ended = await talk(
            lambda: RoundRobinGroupChat(
                [AssistantAgent("ann", client(), workbench=Own(fails=True), reflect_on_tool_use=True)], max_turns=1
            )
        ).say("go")
        assert ended.items("tool")[0]["error"]["type"] == "ToolFailed"
        assert seen_anywhere(SECRET, provider, ended) == []


async def test_an_mcp_workbench(talk, client, provider):
    """A server process over stdio, made by the factory: it ends with its turn."""
    pytest.importorskip("mcp", reason="needs MCP: uv pip install 'autogen-ext[mcp]' 'mcp<2'")
    import sys

    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

    server = (
        "from mcp.server.fastmcp import FastMCP\n"
        "app = FastMCP('test')\n"
        "@app.tool()\n"
        "def add(first: int, second: int) -> int:\n"
        "    'Add.'\n"
        "    return first + second\n"
        "app.run()\n"
    )
    stopped: list[bool] = []

    class Watched(McpWorkbench):
        async def stop(self) -> None:
            stopped.append(True)
            await super().stop()

    def script(request):
        if request.tool_results:
            return "done"
        return Answer(tool_calls=[ToolCall("add", {"first": 1, "second": 2})])

    def build():
        bench = Watched(StdioServerParams(command=sys.executable, args=["-c", server]))
        return AssistantAgent("support", client(), workbench=bench, reflect_on_tool_use=True)

    provider.use(script)
    ended = await talk(build).say("add")
    assert ended.items("tool")[0]["output"] == "3"
    assert stopped == [True]

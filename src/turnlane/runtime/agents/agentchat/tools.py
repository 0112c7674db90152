"""The tool guard: deadline, a stop that returns at once, and errors that the model can read and users may.

It stands in front of an agent's workbench. It is no `StaticStreamWorkbench`, on purpose: the framework
consumes that kind through a generator which can't be stopped from outside (hazard TL404).
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage
from autogen_core import CancellationToken
from autogen_core.tools import (
    StaticStreamWorkbench,
    StaticWorkbench,
    TextResultContent,
    ToolResult,
    ToolSchema,
    Workbench,
)
from pydantic import ValidationError

from turnlane.runtime.agent import (
    ReentrantRun,
    Run,
    ToolError,
    TooManyModelCalls,
    TurnStopped,
    current_agent,
    current_tool,
)
from turnlane.runtime.agents.agentchat.human_answers import HumanAsked
from turnlane.runtime.agents.agentchat.team_tasks import push
from turnlane.runtime.agents.agentchat.transcript import Transcript
from turnlane.runtime.tool_calls import ToolCall, current_call, is_once
from turnlane.runtime.turn_ledger import ToolAsk, asked_by, digest
from turnlane.telemetry.events import emit


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a tool. `tool` is None where only the workbench knows it; `once`: it must not run twice.

    `ask` is None for an agent or team that runs as a tool: it runs again in every attempt, so that it remembers
    what it said, and the questions inside it are answered one by one.
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str | None
    asked: str
    tool: Any
    once: bool
    ask: ToolAsk | None

    @property
    def runs_agents(self) -> bool:
        return getattr(self.tool, "_task_runner", None) is not None


class GuardedWorkbench(Workbench):
    """A workbench around the user's own, for one run.

    The transcript is told what agents that are used as tools say while they run, and of structured errors.
    """

    component_type = "workbench"

    def __init__(self, inner: Workbench, run: Run, transcript: Transcript) -> None:
        self.inner = inner
        self._run = run
        self._transcript = transcript
        self._is_static = _is_static(inner)

    async def list_tools(self) -> list[ToolSchema]:
        return await self.inner.list_tools()

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Call a tool. Always returns a result, whatever happens: the framework hangs on everything else."""
        call = self._new_call(name, arguments or {}, call_id)
        if call.ask is not None and call.ask.answered is not None:
            return self._result_of_before(call.ask.answered.answer, call_id)
        started, failed_before = time.monotonic(), self._run.failure
        try:
            self._run.ledger.before_new()
            result, outcome = await self._call(call)
        except HumanAsked:
            return self._error(call, "HumanAsked", None, "A human was asked first.")
        emit(
            "tool.call", tool=name, agent=current_agent.get(), seconds=time.monotonic() - started, outcome=outcome
        )
        if outcome == "error":
            # What went wrong inside (an agent used as a tool) is told to the model and is not the turn's error.
            self._run.failure = failed_before
        if call.ask is not None and self._is_final(outcome):
            self._run.ledger.tool_ended(call.ask, result.model_dump(mode="json"), once=call.once)
            self._transcript.forget_inside(call.asked)
        return result

    def _new_call(self, name: str, arguments: Mapping[str, Any], call_id: str | None) -> _Call:
        tool = _raw_tool(self.inner, name) if self._is_static else None  # type: ignore[arg-type]
        asked = asked_by(digest([name, arguments]), current_agent.get())
        once = name in self._run.once_tools or is_once(tool) or is_once(getattr(tool, "_func", None))
        call = _Call(name, arguments, call_id, asked, tool, once, None)
        if call.runs_agents and not once:
            return call
        return replace(call, ask=self._run.ledger.tool_ask(name, asked))

    def _result_of_before(self, kept: Any, call_id: str | None) -> ToolResult:
        result = ToolResult.model_validate(kept)
        if result.is_error:
            self._transcript.note_tool_error(call_id or "", json.loads(result.to_text())["error"])
        return result

    def _is_final(self, outcome: str) -> bool:
        # An error after a human was asked may come from the asking: a team that runs as a tool ends by it.
        try:
            self._run.ledger.before_new()
        except HumanAsked:
            return outcome == "ok"
        return outcome != "cancelled"

    async def _call(self, call: _Call) -> tuple[ToolResult, str]:
        try:
            await self._begin(call)
        except TurnStopped:
            return self._stopped(call), "cancelled"
        except Exception as error:
            self._tell(call, error)
            return self._error(call, "NotStarted", None, f"The tool {call.name!r} was not started."), "error"
        # A token of the call's own: a stopped or late tool is told, without stopping the framework's run.
        token = CancellationToken()
        work = asyncio.ensure_future(self._in_tool(call, token))
        try:
            done = await self._finished_or_stopped(work)
        except asyncio.CancelledError:
            self._give_up(call, work, token)
            if not self._run.stop:
                raise
        if self._run.stop and not _came_back(work):
            # Not waited for: a tool may take its time to notice, or never do (a thread can't be stopped).
            self._give_up(call, work, token)
            return self._stopped(call), "cancelled"
        if not done:
            self._give_up(call, work, token)
            return self._error(call, "ToolTimeout", "TL306", self._timeout_text(call.name)), "timeout"
        return self._settled(work, call)

    async def _begin(self, call: _Call) -> None:
        """Return when another attempt would know of the call. Raises TurnStopped: the tool must not start."""
        with self._run.stoppable():
            if call.ask is not None:
                await self._run.ledger.tool_begins(call.ask, once=call.once)
        self._run.stop.check()

    async def _finished_or_stopped(self, work: asyncio.Future[ToolResult]) -> bool:
        """Wait for the tool, the stop or the time-out; True when the tool is done."""
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        forget = self._run.stop.on_set(lambda: stopped.cancel() and None)
        waiting: set[asyncio.Future[Any]] = {work, stopped}
        try:
            await asyncio.wait(waiting, timeout=self._run.tool_timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forget()
        return work.done()

    async def _in_tool(self, call: _Call, token: CancellationToken) -> ToolResult:
        current_tool.set(call.name)
        if call.ask is not None:
            turn = self._run.claim.turn
            current_call.set(ToolCall(call.name, call.ask.call, turn.attempt, turn.id, turn.conversation))
        with self._run.in_foreign_code():
            return await self._run_tool(call, token)

    async def _run_tool(self, call: _Call, token: CancellationToken) -> ToolResult:
        tool, name, arguments, call_id = call.tool, call.name, call.arguments, call.call_id
        if tool is None:
            return await self.inner.call_tool(name, arguments, token, call_id)
        # Called directly, because the workbench turns every exception into its bare text (TL401).
        if not hasattr(tool, "run_json_stream"):
            output = await tool.run_json(arguments, token, call_id=call_id)
            return _result(name, tool.return_value_as_string(output))
        last: Any = None
        async for piece in tool.run_json_stream(arguments, token, call_id=call_id):
            # What has the source "user" is the task that the tool was called with.
            if isinstance(piece, BaseAgentEvent | BaseChatMessage) and piece.source != "user":
                self._transcript.add(piece, inside=call.asked)
            last = piece
        return _result(name, tool.return_value_as_string(last))

    def _settled(self, work: asyncio.Future[ToolResult], call: _Call) -> tuple[ToolResult, str]:
        name = call.name
        if work.cancelled():
            text = f"The tool {name!r} cancelled itself."
            return self._error(call, "CancelledError", "TL404", text), "error"
        error = work.exception()
        if error is None:
            result = work.result()
            if result.is_error:
                return self._foreign_error(result, call), "error"
            return result, "ok"
        kind, hazard, text = _explain(name, error, self._run.too_many_calls)
        self._tell(call, error, hazard)
        return self._error(call, kind, hazard, text), "error"

    @staticmethod
    def _tell(call: _Call, error: BaseException, hazard: str | None = None) -> None:
        emit(
            "tool.failed",
            tool=call.name,
            agent=current_agent.get(),
            type=type(error).__name__,
            hazard=hazard,
            stack="".join(traceback.format_exception(error)),
        )

    def _foreign_error(self, result: ToolResult, call: _Call) -> ToolResult:
        """A workbench of another kind (MCP, ...) reports errors as text; that text may be anything (TL405)."""
        emit("tool.failed", tool=call.name, agent=current_agent.get(), type="ToolResult", stack=result.to_text())
        return self._error(call, "ToolFailed", "TL405", f"The tool {call.name!r} failed.")

    def _stopped(self, call: _Call) -> ToolResult:
        return self._error(call, "TurnStopped", "TL404", "The turn was stopped.")

    def _error(self, call: _Call, kind: str, hazard: str | None, text: str) -> ToolResult:
        error = {"type": kind, "message": text, "tool": call.name, "hazard": hazard}
        self._transcript.note_tool_error(call.call_id or "", error)
        return _result(call.name, json.dumps({"error": error}), is_error=True)

    def _timeout_text(self, name: str) -> str:
        return f"The tool {name!r} did not answer within {self._run.tool_timeout:g} s."

    def _give_up(self, call: _Call, work: asyncio.Future[ToolResult], token: CancellationToken) -> None:
        token.cancel()
        if call.runs_agents:
            push(work)
        else:
            work.cancel()
        work.add_done_callback(_forget_result)

    # --- the rest is the inner workbench's ---

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()

    async def reset(self) -> None:
        await self.inner.reset()

    async def save_state(self) -> Mapping[str, Any]:
        return await self.inner.save_state()

    async def load_state(self, state: Mapping[str, Any]) -> None:
        await self.inner.load_state(state)

    def let_go(self) -> Workbench:
        """Give back what this stands for; the run is over."""
        inner, self.inner = self.inner, None  # type: ignore[assignment]
        return inner

    def dump_component(self) -> Any:
        return self.inner.dump_component()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _explain(name: str, error: BaseException, too_many: TooManyModelCalls | None) -> tuple[str, str | None, str]:
    """Type, hazard and text of a failed tool, for the model and the user: no text of foreign exceptions."""
    if isinstance(error, ToolError):
        return "ToolError", None, str(error)
    if isinstance(error, ReentrantRun):
        return "ReentrantRun", "TL402", str(error)
    if _comes_from(error, too_many):
        return "TooManyModelCalls", "TL402", _too_many(name)
    if isinstance(error, ValidationError):
        return "InvalidArguments", "TL401", _invalid_arguments(name, error)
    kind = type(error).__name__
    return kind, "TL401", f"The tool {name!r} failed with {kind}. Its text is in the server's log."


def _comes_from(error: BaseException, too_many: TooManyModelCalls | None) -> bool:
    """Whether a tool failed by the bound of model calls. Told by its text: a team inside keeps nothing else."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None or too_many is None:
            return False
        if str(too_many) in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _too_many(name: str) -> str:
    return (
        f"The tool {name!r} came up against the turn's bound of model calls (setting max_model_calls): it runs "
        "its own agent again and again, or a team without an end."
    )


def _invalid_arguments(name: str, error: ValidationError) -> str:
    # Field names and pydantic's reasons help the model to ask better; the values stay out (TL405).
    reasons = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    return f"The arguments of tool {name!r} are not valid: {'; '.join(reasons)}."


def _is_static(workbench: Workbench) -> bool:
    """Whether the workbench calls its tools in the framework's own way; a user's subclass may do more."""
    if not isinstance(workbench, StaticWorkbench):
        return False
    kind = type(workbench)
    return kind.call_tool is StaticWorkbench.call_tool and (
        getattr(kind, "call_tool_stream", None) in (None, StaticStreamWorkbench.call_tool_stream)
    )


def _raw_tool(workbench: StaticWorkbench, name: str) -> Any | None:
    original = workbench._override_name_to_original.get(name, name)
    return next((tool for tool in workbench._tools if tool.name == original), None)


def _result(name: str, text: str, *, is_error: bool = False) -> ToolResult:
    return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=is_error)


def _came_back(work: asyncio.Future[Any]) -> bool:
    """Whether a tool gave its result, in the very moment of a stop: then it did act."""
    return work.done() and not work.cancelled() and work.exception() is None


def _forget_result(work: asyncio.Future[Any]) -> None:
    # Somebody has to look at the late exception, or asyncio complains when it is collected.
    if not work.cancelled():
        work.exception()

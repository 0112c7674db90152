"""The tool guard: deadline, a stop that returns at once, and errors that the model can read and users may.

It stands in front of an agent's workbench. It is no `StaticStreamWorkbench`, on purpose: the framework
consumes that kind through a generator which can't be stopped from outside (hazard TL404).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage
from autogen_core import CancellationToken
from autogen_core.tools import StaticStreamWorkbench, TextResultContent, ToolResult, ToolSchema, Workbench
from pydantic import ValidationError

from turnlane.runtime.agent import ReentrantRun, Run, ToolError, current_agent, current_tool
from turnlane.runtime.agents.agentchat.ledger import Ledger
from turnlane.telemetry.events import emit


class GuardedWorkbench(Workbench):
    """A workbench around the user's own, for one run.

    `on_inner` gets what agents that are used as tools say while they run; `on_error` gets a failed call's id
    and its structured error.
    """

    component_type = "workbench"

    def __init__(
        self,
        inner: Workbench,
        run: Run,
        ledger: Ledger | None,
        on_inner: Callable[[BaseAgentEvent | BaseChatMessage], None],
        on_error: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.inner = inner
        self._run = run
        self._ledger = ledger
        self._on_inner = on_inner
        self._on_error = on_error

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
        asked = ""
        if self._ledger is not None:
            asked = _fingerprint(name, arguments)
            if (kept := self._ledger.tool_answer(asked)) is not None:
                return ToolResult.model_validate(kept)
        started = time.monotonic()
        result, outcome = await self._call(name, arguments or {}, call_id)
        emit(
            "tool.call",
            tool=name,
            agent=current_agent.get(),
            seconds=time.monotonic() - started,
            outcome=outcome,
        )
        if self._ledger is not None and outcome in ("ok", "error"):
            self._ledger.keep_tool_answer(asked, result.model_dump(mode="json"))
        return result

    async def _call(self, name: str, arguments: Mapping[str, Any], call_id: str | None) -> tuple[ToolResult, str]:
        # A token of the call's own: a stopped or late tool is told, without stopping the framework's run.
        token = CancellationToken()
        work = asyncio.ensure_future(self._in_tool(name, arguments, token, call_id))
        try:
            done = await self._finished_or_stopped(work)
        except asyncio.CancelledError:
            self._give_up(work, token)
            if not self._run.stop:
                raise
        if self._run.stop:
            # Not waited for: a tool may take its time to notice, or never do (a thread can't be stopped).
            self._give_up(work, token)
            return self._error(name, call_id, "TurnStopped", "TL404", "The turn was stopped."), "cancelled"
        if not done:
            self._give_up(work, token)
            return self._error(name, call_id, "ToolTimeout", "TL306", self._timeout_text(name)), "timeout"
        return self._settled(work, name, call_id)

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

    async def _in_tool(
        self, name: str, arguments: Mapping[str, Any], token: CancellationToken, call_id: str | None
    ) -> ToolResult:
        current_tool.set(name)
        inner = self.inner
        if not isinstance(inner, StaticStreamWorkbench):
            return await inner.call_tool(name, arguments, token, call_id)
        tool = _raw_tool(inner, name)
        if tool is None:
            return await inner.call_tool(name, arguments, token, call_id)
        if not hasattr(tool, "run_json_stream"):
            # Called directly, because the workbench turns every exception into its bare text (TL401).
            output = await tool.run_json(arguments, token, call_id=call_id)
            return _result(name, tool.return_value_as_string(output))
        last: Any = None
        async for piece in tool.run_json_stream(arguments, token, call_id=call_id):
            if isinstance(piece, BaseAgentEvent | BaseChatMessage):
                self._on_inner(piece)
            last = piece
        return _result(name, tool.return_value_as_string(last))

    def _settled(self, work: asyncio.Future[ToolResult], name: str, call_id: str | None) -> tuple[ToolResult, str]:
        if work.cancelled():
            text = f"The tool {name!r} cancelled itself."
            return self._error(name, call_id, "CancelledError", "TL404", text), "error"
        error = work.exception()
        if error is None:
            result = work.result()
            if result.is_error:
                return self._foreign_error(result, name, call_id), "error"
            return result, "ok"
        kind, hazard, text = _explain(name, error)
        emit(
            "tool.failed",
            tool=name,
            agent=current_agent.get(),
            type=type(error).__name__,
            hazard=hazard,
            stack="".join(traceback.format_exception(error)),
        )
        return self._error(name, call_id, kind, hazard, text), "error"

    def _foreign_error(self, result: ToolResult, name: str, call_id: str | None) -> ToolResult:
        """A workbench of another kind (MCP, ...) reports errors as text; that text may be anything (TL405)."""
        emit("tool.failed", tool=name, agent=current_agent.get(), type="ToolResult", stack=result.to_text())
        return self._error(name, call_id, "ToolFailed", "TL405", f"The tool {name!r} failed.")

    def _error(self, name: str, call_id: str | None, kind: str, hazard: str | None, text: str) -> ToolResult:
        error = {"type": kind, "message": text, "tool": name, "hazard": hazard}
        self._on_error(call_id or "", error)
        return _result(name, json.dumps({"error": error}), is_error=True)

    def _timeout_text(self, name: str) -> str:
        return f"The tool {name!r} did not answer within {self._run.tool_timeout:g} s."

    def _give_up(self, work: asyncio.Future[ToolResult], token: CancellationToken) -> None:
        token.cancel()
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

    def dump_component(self) -> Any:
        return self.inner.dump_component()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _explain(name: str, error: BaseException) -> tuple[str, str | None, str]:
    """Type, hazard and text of a failed tool, for the model and the user: no text of foreign exceptions."""
    if isinstance(error, ToolError):
        return "ToolError", None, str(error)
    if isinstance(error, ReentrantRun):
        return "ReentrantRun", "TL402", str(error)
    if isinstance(error, ValidationError):
        return "InvalidArguments", "TL401", _invalid_arguments(name, error)
    kind = type(error).__name__
    return kind, "TL401", f"The tool {name!r} failed with {kind}. Its text is in the server's log."


def _invalid_arguments(name: str, error: ValidationError) -> str:
    # Field names and pydantic's reasons help the model to ask better; the values stay out (TL405).
    reasons = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
    ]
    return f"The arguments of tool {name!r} are not valid: {'; '.join(reasons)}."


def _raw_tool(workbench: StaticStreamWorkbench, name: str) -> Any | None:
    original = workbench._override_name_to_original.get(name, name)
    return next((tool for tool in workbench._tools if tool.name == original), None)


def _result(name: str, text: str, *, is_error: bool = False) -> ToolResult:
    return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=is_error)


def _forget_result(work: asyncio.Future[Any]) -> None:
    # Somebody has to look at the late exception, or asyncio complains when it is collected.
    if not work.cancelled():
        work.exception()


def _fingerprint(name: str, arguments: Mapping[str, Any] | None) -> str:
    text = json.dumps([name, arguments], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

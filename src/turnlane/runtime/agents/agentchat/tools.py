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
from collections.abc import Mapping
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

from turnlane.runtime.agent import ReentrantRun, Run, ToolError, TooManyModelCalls, current_agent, current_tool
from turnlane.runtime.agents.agentchat.ledger import Ledger
from turnlane.runtime.agents.agentchat.transcript import Transcript
from turnlane.telemetry.events import emit


class GuardedWorkbench(Workbench):
    """A workbench around the user's own, for one run.

    The transcript is told what agents that are used as tools say while they run, and of structured errors.
    """

    component_type = "workbench"

    def __init__(
        self,
        inner: Workbench,
        run: Run,
        ledger: Ledger | None,
        transcript: Transcript,
    ) -> None:
        self.inner = inner
        self._run = run
        self._ledger = ledger
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
        arguments = arguments or {}
        asked = _fingerprint(name, arguments)
        if self._ledger is not None:
            if (kept := self._ledger.tool_answer(asked)) is not None:
                return ToolResult.model_validate(kept)
            if self._ledger.question is not None:
                return self._error(name, call_id, "HumanAsked", None, "A human was asked first.")
        started, failed_before = time.monotonic(), self._run.failure
        result, outcome = await self._call(name, arguments, call_id, asked)
        emit(
            "tool.call", tool=name, agent=current_agent.get(), seconds=time.monotonic() - started, outcome=outcome
        )
        if outcome == "error":
            # What went wrong inside (an agent used as a tool) is told to the model and is not the turn's error.
            self._run.failure = failed_before
        if self._ledger is not None and self._is_final(outcome):
            self._ledger.keep_tool_answer(asked, result.model_dump(mode="json"))
            self._transcript.forget_inside(asked)
        return result

    def _is_final(self, outcome: str) -> bool:
        # An error after a human was asked may come from the asking: a team that runs as a tool ends by it.
        assert self._ledger is not None
        return outcome == "ok" or (outcome == "error" and self._ledger.question is None)

    async def _call(
        self, name: str, arguments: Mapping[str, Any], call_id: str | None, asked: str
    ) -> tuple[ToolResult, str]:
        # A token of the call's own: a stopped or late tool is told, without stopping the framework's run.
        token = CancellationToken()
        work = asyncio.ensure_future(self._in_tool(name, arguments, token, call_id, asked))
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
        self, name: str, arguments: Mapping[str, Any], token: CancellationToken, call_id: str | None, asked: str
    ) -> ToolResult:
        current_tool.set(name)
        with self._run.in_foreign_code():
            return await self._run_tool(name, arguments, token, call_id, asked)

    async def _run_tool(
        self, name: str, arguments: Mapping[str, Any], token: CancellationToken, call_id: str | None, asked: str
    ) -> ToolResult:
        tool = _raw_tool(self.inner, name) if self._is_static else None  # type: ignore[arg-type]
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
                self._transcript.add(piece, inside=asked)
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
        kind, hazard, text = _explain(name, error, self._run.too_many_calls)
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
        self._transcript.note_tool_error(call_id or "", error)
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


def _forget_result(work: asyncio.Future[Any]) -> None:
    # Somebody has to look at the late exception, or asyncio complains when it is collected.
    if not work.cancelled():
        work.exception()


def _fingerprint(name: str, arguments: Mapping[str, Any] | None) -> str:
    text = json.dumps([name, arguments], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

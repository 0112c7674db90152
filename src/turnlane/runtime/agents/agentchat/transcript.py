"""What an agentchat run yields, as Turnlane's events and output items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    StructuredMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
    UserInputRequestedEvent,
)
from autogen_core.models import AssistantMessage, FunctionExecutionResult

from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import JsonObject

_OPEN, _CLOSE = "<think>", "</think>"
"""The marks around reasoning in a stream of the framework's clients."""


@dataclass
class _Stream:
    """What a model has written so far of one message."""

    agent: str
    thinking: bool = False
    reasoning: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    reasoning_item: str = ""
    text_item: str = ""


class Transcript:
    """Turns what a run yields into events, and collects the turn's output items.

    `is_user` says which sources are the human's side: what they "say" is the input coming back.
    """

    def __init__(self, run: Run, *, is_user: Callable[[str], bool]) -> None:
        self._run = run
        self._is_user = is_user
        self._echoes: set[str] = set()
        self._finals: set[str] = set()
        self._streams: dict[str, _Stream] = {}
        self._latest: dict[str, str] = {}
        """The key of the stream that an agent wrote last."""
        self._tools: dict[str, JsonObject] = {}
        self._tool_errors: dict[str, JsonObject] = {}
        self._cut: dict[str, str] = {}
        self._said: set[str] = set()
        """Thoughts that are text beside tool calls, and no reasoning."""
        self._seen: Counter[str] = Counter()
        self._muted: Mapping[str, int] = {}
        self.output: list[JsonObject] = []
        self.last_message: BaseChatMessage | None = None

    def expect_echo(self, messages: Sequence[BaseChatMessage]) -> None:
        """The input itself, which teams yield first."""
        self._echoes.update(message.id for message in messages)

    def expect_final(self, message: BaseChatMessage) -> None:
        """An agent that runs alone gave this as its answer; what came before is commentary."""
        self._finals.add(message.id)

    def note_cut(self, text: str, reason: str) -> None:
        self._cut[text] = reason

    def note_said(self, text: str) -> None:
        self._said.add(text)

    def note_tool_error(self, call: str, error: JsonObject) -> None:
        self._tool_errors[call] = error

    # --- a run that is replayed ---

    @property
    def seen(self) -> dict[str, int]:
        """How many messages were taken, of the run itself ("") and inside tool calls, by the call's digest."""
        return dict(self._seen)

    def mute(self, seen: Mapping[str, int]) -> None:
        """Don't show the first messages of a run again: an earlier turn showed them.

        Counted instead of timed: a replay reaches the place where it goes on long before its messages come
        through the team's queues.
        """
        self._muted = dict(seen)

    def forget_inside(self, call: str) -> None:
        """A tool call that ended is answered from the ledger in a replay: nothing inside it comes again."""
        self._seen.pop(call, None)

    # --- what comes ---

    def add(self, message: BaseAgentEvent | BaseChatMessage, inside: str = "") -> None:
        """Take one message or event of the run, or of an agent that runs inside a tool call."""
        if isinstance(message, ModelClientStreamingChunkEvent):
            if self._seen[inside] >= self._muted.get(inside, 0):
                self._chunk(message)
            return
        if self._is_input(message):
            return
        self._seen[inside] += 1
        if isinstance(message, BaseChatMessage):
            self.last_message = message
        if self._seen[inside] > self._muted.get(inside, 0):
            self._show(message, inside)

    def ask_human(self, *, agent: str, prompt: str, reason: str) -> None:
        """The turn ends with a question; its `call` is what the client may answer."""
        question = {
            "item": self._run.new_item(),
            "call": f"call_{self._run.new_item()}",
            "agent": agent,
            "prompt": prompt,
            "reason": reason,
        }
        self.output.append({"type": "input.required", **question})
        self._run.emit("input.required", **question)

    def said_before(self, handoff: HandoffMessage) -> str | None:
        """What the agent said beside the call by which it handed over; it comes with the handoff as context."""
        for message in handoff.context:
            if isinstance(message, AssistantMessage):
                said = message.content if isinstance(message.content, str) else message.thought
                if said in self._said:
                    return _without_reasoning(said)[1] or None
        return None

    def say(self, handoff: HandoffMessage) -> None:
        """Show the text of a handoff to the outside as a message, for clients that only read messages."""
        self._message(handoff, handoff.content, None, phase="final_answer")

    def explain(self, agent: str, text: str) -> None:
        """Say why a run ended that said nothing."""
        self._tell(self._run.new_item(), agent, text, None, phase="final_answer")

    def finish(self) -> list[JsonObject]:
        """The output items; of the messages, the last is the final answer and the others are commentary."""
        messages = [item for item in self.output if item["type"] == "message"]
        for item in messages:
            item["phase"] = "final_answer" if item is messages[-1] else "commentary"
        # Agents that speak side by side end in another order than they began; the stream showed the latter.
        return sorted(self.output, key=lambda item: str(item["item"]))

    def _is_input(self, message: BaseAgentEvent | BaseChatMessage) -> bool:
        if isinstance(message, UserInputRequestedEvent):
            return True
        return isinstance(message, BaseChatMessage) and (
            message.id in self._echoes or self._is_user(message.source)
        )

    def _show(self, message: BaseAgentEvent | BaseChatMessage, inside: str) -> None:
        if isinstance(message, HandoffMessage):
            self._run.emit("handoff", agent=message.source, target=message.target, text=message.content)
        elif isinstance(message, BaseChatMessage):
            self._chat_message(message, inside)
        elif isinstance(message, ThoughtEvent):
            self._thought(message)
        elif isinstance(message, ToolCallRequestEvent):
            self._tool_calls(message)
        elif isinstance(message, ToolCallExecutionEvent):
            for result in message.content:
                self._tool_result(message.source, result)
        else:
            self._run.emit("note", agent=message.source, type=type(message).__name__, text=message.to_text())

    # --- messages ---

    def _chat_message(self, message: BaseChatMessage, inside: str) -> None:
        text, structured = message.to_text(), None
        if isinstance(message, StructuredMessage):
            structured = message.content.model_dump(mode="json")
            text = json.dumps(structured)
        phase = None
        if self._finals:
            phase = "final_answer" if message.id in self._finals else "commentary"
        self._message(message, text, structured, phase="commentary" if inside else phase)

    def _message(
        self, message: BaseChatMessage | ThoughtEvent, text: str, structured: Any, phase: str | None
    ) -> None:
        stream = self._stream_of(message, text)
        if stream is not None:
            self._close_reasoning(stream)
        item = (stream.text_item if stream else "") or self._run.new_item()
        self._tell(item, message.source, text, structured, phase)

    def _tell(self, item: str, agent: str, text: str, structured: Any, phase: str | None) -> None:
        said = {
            "item": item,
            "agent": agent,
            "text": text,
            "phase": phase,
            "incomplete": self._cut.get(text),
            "structured": structured,
        }
        self.output.append({"type": "message", **said})
        self._run.emit("message", **said)

    def _thought(self, thought: ThoughtEvent) -> None:
        stream = self._streams.get(self._latest.get(thought.source, ""))
        reasoned = stream is not None and self._close_reasoning(stream)
        streamed = "".join(stream.text) if stream is not None else ""
        if streamed == thought.content:
            # Text beside a tool call was streamed as a message before anyone could know: it stays one.
            self.note_said(thought.content)
        reasoning, said = thought.content, ""
        if thought.content in self._said:
            reasoning, said = _without_reasoning(thought.content)
        if reasoning and not reasoned:
            self._reasoning(self._run.new_item(), thought.source, reasoning)
        if said:
            self._message(thought, said, None, phase="commentary")

    def _reasoning(self, item: str, agent: str, text: str) -> None:
        self.output.append({"type": "reasoning", "item": item, "agent": agent, "text": text})
        self._run.emit("reasoning", item=item, agent=agent, text=text)

    # --- streams ---

    def _chunk(self, chunk: ModelClientStreamingChunkEvent) -> None:
        # Older versions of the framework give no id; then what follows by the same agent belongs together.
        key = getattr(chunk, "full_message_id", None) or f"of {chunk.source}"
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(chunk.source)
        self._latest[chunk.source] = key
        text = chunk.content
        if text.startswith(_OPEN) and not stream.text:
            stream.thinking = True
            text = text.removeprefix(_OPEN)
        if stream.thinking:
            thought, closed, text = text.partition(_CLOSE)
            stream.thinking = not closed
            self._reasoning_delta(stream, thought)
        if text:
            stream.text_item = stream.text_item or self._run.new_item()
            stream.text.append(text)
            self._run.emit("text.delta", item=stream.text_item, agent=stream.agent, text=text)

    def _reasoning_delta(self, stream: _Stream, text: str) -> None:
        if text:
            stream.reasoning_item = stream.reasoning_item or self._run.new_item()
            stream.reasoning.append(text)
            self._run.emit("reasoning.delta", item=stream.reasoning_item, agent=stream.agent, text=text)

    def _close_reasoning(self, stream: _Stream) -> bool:
        """Whether there was reasoning in it. Its text is what was streamed: the framework's own copy loses
        letters at both ends, and is not there at all beside a tool call."""
        if not stream.reasoning_item:
            return False
        self._reasoning(stream.reasoning_item, stream.agent, "".join(stream.reasoning))
        stream.reasoning_item = ""
        stream.reasoning.clear()
        return True

    def _stream_of(self, message: BaseChatMessage | ThoughtEvent, text: str) -> _Stream | None:
        """The stream that this message ends, by its id or else by its text."""
        key = message.id if message.id in self._streams else self._latest.get(message.source, "")
        stream = self._streams.get(key)
        if stream is None or (key != message.id and "".join(stream.text) != text):
            return None
        del self._streams[key]
        return stream

    # --- tools ---

    def _tool_calls(self, event: ToolCallRequestEvent) -> None:
        if (stream := self._streams.get(self._latest.get(event.source, ""))) is not None:
            self._close_reasoning(stream)
        for call in event.content:
            called = {
                "item": self._run.new_item(),
                "agent": event.source,
                "call": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
            item = {"type": "tool", **called, "output": None, "error": None}
            self._tools[call.id] = item
            self.output.append(item)
            self._run.emit("tool.call", **called)

    def _tool_result(self, agent: str, result: FunctionExecutionResult) -> None:
        item = self._tools.get(result.call_id)
        if item is None:
            return
        item["output"] = result.content
        if result.is_error:
            item["error"] = self._tool_errors.get(result.call_id) or _refused(item, result.content)
        self._run.emit(
            "tool.result",
            item=item["item"],
            agent=agent,
            call=result.call_id,
            name=result.name,
            output=result.content,
            error=item["error"],
        )


def _without_reasoning(text: str) -> tuple[str, str]:
    """Reasoning and text of what a model said beside tool calls; a local model may put both into its content."""
    if not text.lstrip().startswith(_OPEN) or _CLOSE not in text:
        return "", text if text.strip() else ""
    reasoning, _, said = text.lstrip().removeprefix(_OPEN).partition(_CLOSE)
    return reasoning.strip(), said.strip()


def _refused(item: JsonObject, text: str) -> JsonObject:
    """The error of a call that the framework itself turned down before any tool saw it."""
    try:
        json.loads(item["arguments"])
    except ValueError:
        kind = "InvalidArguments"
    else:
        kind = "UnknownTool" if "not found" in text else "ToolFailed"
    return {"type": kind, "message": text, "tool": item["name"], "hazard": "TL401"}

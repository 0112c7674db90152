"""Runs agents and teams of autogen-agentchat 0.7: fresh for each turn, guarded, and thrown away after it."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, Handoff, TaskResult, Team
from autogen_agentchat.messages import BaseChatMessage, HandoffMessage
from autogen_agentchat.teams import MagenticOneGroupChat, Swarm
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import Workbench
from pydantic import ValidationError

from turnlane.runtime.agent import (
    Answer,
    ReentrantRun,
    Run,
    SharedObject,
    StateMismatch,
    TooManyModelCalls,
    TurnStopped,
    current_tool,
)
from turnlane.runtime.agents import openai_client
from turnlane.runtime.agents.agentchat.discard import close_own
from turnlane.runtime.agents.agentchat.history import hide_from_conditions
from turnlane.runtime.agents.agentchat.human_answers import HumanAnswers
from turnlane.runtime.agents.agentchat.messages import (
    InputNotSupported,
    answer_text,
    to_messages,
    to_model_context,
)
from turnlane.runtime.agents.agentchat.model_client import BoundaryClient
from turnlane.runtime.agents.agentchat.team_tasks import Halt, branches_ended, end_tasks, read_all
from turnlane.runtime.agents.agentchat.tools import GuardedWorkbench
from turnlane.runtime.agents.agentchat.transcript import Transcript
from turnlane.runtime.agents.agentchat.unsaved import Unsaved
from turnlane.runtime.agents.agentchat.wiring import (
    CancelledByAgent,
    Memory,
    Parts,
    find_parts,
    put_in_place,
    refuse_shared,
    watch_agent,
    watch_team,
)
from turnlane.runtime.conversation import Failure, JsonObject, SavedState
from turnlane.telemetry.redact import redact

STATE_FORMAT: Final = "agentchat/1"


class AgentchatAdapter:
    """The adapter for `autogen_agentchat` agents and teams.

    From its making on, every `AsyncOpenAI` client shares one HTTP client (see `openai_client.install`).
    """

    framework = "autogen-agentchat"

    def __init__(self) -> None:
        openai_client.install()
        _quiet_the_runtime()
        _quiet_the_clients()
        self._memory = Memory()

    async def warm_up(self) -> None:
        """See `turnlane.runtime.agent.Adapter.warm_up`."""
        await openai_client.warm_up()

    def accepts(self, built: object) -> bool:
        return isinstance(built, ChatAgent | Team)

    def prepare(self, built: object, run: Run) -> PreparedAgent:
        """See `turnlane.runtime.agent.Adapter.prepare`."""
        assert isinstance(built, ChatAgent | Team)
        parts = find_parts(built)
        refuse_shared(parts, self._memory)
        if _wants_structure(parts):
            openai_client.warm_up_structured()  # at the start of the server, which builds each agent
        return PreparedAgent(built, parts, run)

    def failure(self, error: BaseException) -> Failure | None:
        """See `turnlane.runtime.agent.Adapter.failure`."""
        if isinstance(error, StateMismatch):
            return Failure(type="StateMismatch", message=str(error), kind="state", code="state_mismatch")
        if isinstance(error, SharedObject):
            return Failure(
                type="SharedObject", message=str(error), kind="agent", code="shared_object", hazard=error.hazard
            )
        if isinstance(error, ReentrantRun | TooManyModelCalls):
            return _refused(error)
        if isinstance(error, StateNotJson):
            return Failure(type="StateNotJson", message=str(error), kind="state", code="state_not_json")
        if isinstance(error, InputNotSupported):
            return Failure(type="InputNotSupported", message=str(error), kind="input", code="input_not_supported")
        return None

    async def close(self) -> None:
        await openai_client.close()


class PreparedAgent:
    """One agent or team, wired for one run."""

    version = STATE_FORMAT

    def __init__(self, built: ChatAgent | Team, parts: Parts, run: Run) -> None:
        self.kind = kind_of(built)
        self._built = built
        self._parts = parts
        self._run = run
        self._unsaved = Unsaved(parts)
        self._humans = HumanAnswers(run.ledger) if parts.humans else None
        self._state_before: Any = None
        self._pending: JsonObject | None = None
        """A turn that asked a human and waits for the answer."""
        self._handoff: JsonObject | None = None
        """The last turn handed over to somebody outside; Swarm wants its answer as a handoff."""
        self._question: JsonObject | None = None
        """What has to be kept when this turn asks a human."""
        self._unread: list[JsonObject] = []
        """Items that were added while a question waited. A replay can't be given them, or it would be none; so
        they come before the next input that is no answer."""
        self._stop_reason: str | None = None
        self._token = CancellationToken()
        self._halt = Halt(run, parts.teams, self._token)
        self._stand_ins: list[BoundaryClient | GuardedWorkbench] = []
        self._history: set[str] = set()
        """The ids of the messages that were said before the input."""
        humans = {human.name for human in parts.humans}
        self._transcript = Transcript(run, is_user=humans.__contains__)
        # Before the state is loaded: loading makes a team's managers, which take the model client with them.
        self._wire()

    async def load(self, state: SavedState) -> None:
        """See `turnlane.runtime.agent.Prepared.load`."""
        if state.version != self.version or state.kind != self.kind:
            raise self._mismatch(f"the conversation's saved state is of {state.kind} ({state.version})")
        if not isinstance(state.data, Mapping) or "agent" not in state.data:
            raise self._mismatch("the conversation's saved state is damaged")
        self._state_before = {"agent": state.data["agent"], "unsaved": state.data.get("unsaved", {})}
        self._pending = state.data.get("pending")
        self._handoff = state.data.get("handoff")
        self._unread = list(state.data.get("unread", ()))
        if self._state_before["agent"] is not None:
            await self._load(self._state_before)

    async def _load(self, state: JsonObject) -> None:
        theirs = type(self._built).__module__.startswith("autogen_")
        if theirs and not (isinstance(state["agent"], Mapping) and "type" in state["agent"]):
            # The framework takes {} and any other mapping for a state, and starts anew without a word.
            raise self._mismatch("the conversation's saved state is damaged")
        try:
            await self._built.load_state(state["agent"])
            await self._unsaved.load(state["unsaved"])
        except (ValueError, KeyError) as error:
            if not theirs:
                raise
            reason = str(error).partition("\n")[0]
            raise self._mismatch(f"the conversation's saved state does not load ({reason})") from error

    def _mismatch(self, what: str) -> StateMismatch:
        return StateMismatch(
            f"{what}, this agent is {self.kind} ({self.version}); the state was left as it is. Serve the earlier "
            "version of the agent under its name, or start a new conversation."
        )

    async def run(self, input: Sequence[JsonObject], items: Sequence[JsonObject]) -> Answer:
        """See `turnlane.runtime.agent.Prepared.run`."""
        if self._pending is not None and self._humans is not None:
            # A turn with the answer may have been interrupted by this one: then the human said both.
            before = [item for item in items if _is_answer(item)]
            self._humans.go_on_from(self._pending["ledger"], answer_text([*before, *input]))
            self._transcript.mute(self._pending["seen"])
            self._unread += [item for item in items if not _is_answer(item)]
            input, items = self._pending["input"], self._pending["items"]
        else:
            items = [*self._never_answered(), *self._unread, *items]
            self._unread = []
        messages = await self._messages(input, items)
        self._transcript.expect_echo(messages)
        try:
            await self._consume(messages)
        except Exception:
            if not self._human_asked() or self._run.stop:
                raise
            await self._ask(input, items)
        else:
            self._note_stop_reason()
            self._note_handoff()
            self._explain_silence()
        return Answer(self._transcript.finish(), self._run.incomplete)

    def _never_answered(self) -> list[JsonObject]:
        """What was said in a turn that waits for a human, whom this version of the agent asks no more."""
        if self._pending is None:
            return []
        answers = [
            {"type": "message", "role": "user", "content": text} for _, text in self._pending["ledger"]["answers"]
        ]
        return [*self._pending["items"], *self._pending["input"], *answers]

    async def save(self) -> SavedState:
        """See `turnlane.runtime.agent.Prepared.save`."""
        if self._question is not None:
            before = self._state_before or {"agent": None, "unsaved": {}}
            data = {**before, "pending": self._question}
        else:
            data = {"agent": await self._built.save_state(), "unsaved": await self._unsaved.save()}
        data["handoff"] = self._handoff
        if self._unread:
            data["unread"] = self._unread
        try:
            json.dumps(data, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise StateNotJson(
                f"the state of {self.kind} is not JSON ({error}): `save_state` of your agent class must return "
                "plain dicts, lists, strings and numbers"
            ) from error
        return SavedState(self.kind, self.version, data)

    async def discard(self) -> None:
        """Close clients and workbenches that only this run used."""
        await close_own(self._stand_ins)

    async def _consume(self, messages: list[BaseChatMessage]) -> None:
        stream = self._built.run_stream(task=messages, cancellation_token=self._token)
        try:
            with self._halt.reading():
                await read_all(stream, self._take)
        except BaseException:
            if not self._human_asked() or self._run.stop:
                await end_tasks(self._parts.teams)
            raise

    def _take(self, message: Any) -> None:
        if isinstance(message, TaskResult):
            self._stop_reason = message.stop_reason
        else:
            self._transcript.add(message)

    def _note_stop_reason(self) -> None:
        if self._stop_reason is not None:
            self._run.emit("note", agent=self._built.name, type="stop_reason", text=self._stop_reason)

    def _explain_silence(self) -> None:
        """Nobody said anything and nobody is asked: an empty answer would look like a fault of the server."""
        if not any(item["type"] in ("message", "input.required") for item in self._transcript.output):
            why = f": {self._stop_reason}" if self._stop_reason else ""
            self._transcript.explain(self._built.name, f"(ended without an answer{why})")

    def _human_asked(self) -> bool:
        return self._humans is not None and self._humans.question is not None

    async def _ask(self, input: Sequence[JsonObject], items: Sequence[JsonObject]) -> None:
        """End the turn with the question that a human was asked."""
        # What other branches have begun ends first: a tool that was cut off would be run again by the replay.
        with self._run.stoppable():
            await branches_ended(self._parts.teams)
        assert self._humans is not None
        assert self._humans.question is not None
        agent, prompt = self._humans.question
        self._transcript.ask_human(agent=agent, prompt=prompt, reason="user_proxy")
        self._question = {
            "input": list(input),
            "items": list(items),
            "seen": self._transcript.seen,
            "ledger": self._humans.to_json(),
        }

    def _wire(self) -> None:
        run, transcript, parts = self._run, self._transcript, self._parts

        def client(inner: ChatCompletionClient) -> BoundaryClient:
            self._stand_ins.append(made := BoundaryClient(inner, run, transcript.note_cut, transcript.note_said))
            return made

        def workbench(inner: Workbench) -> GuardedWorkbench:
            self._stand_ins.append(made := GuardedWorkbench(inner, run, transcript))
            return made

        put_in_place(parts, client, workbench)
        for agent in parts.agents:
            watch_agent(agent, run, self._note_error, transcript.expect_final if agent is self._built else None)
        for team in parts.teams:
            watch_team(team)
        hide_from_conditions(parts.teams, self._history)
        for human in parts.humans:
            human.input_func = self._input_of(human.name)
            human._is_async = True

    def _input_of(self, name: str) -> Any:
        async def ask(prompt: str, cancellation_token: CancellationToken | None = None) -> str:
            assert self._humans is not None
            return self._humans.answer(name, prompt)

        return ask

    async def _messages(self, input: Sequence[JsonObject], items: Sequence[JsonObject]) -> list[BaseChatMessage]:
        earlier = [*items, *(item for item in input if _is_background(item))]
        now = [item for item in input if not _is_background(item)]
        if self._handoff is not None and isinstance(self._built, Swarm):
            # Swarm finds the next speaker by the last handoff; plain text fails.
            answer = HandoffMessage(
                content=answer_text(now), source=self._handoff["target"], target=self._handoff["source"]
            )
            return [*self._history_of(earlier), answer]
        if isinstance(self._built, AssistantAgent):
            for llm_message in to_model_context(earlier):
                await self._built.model_context.add_message(llm_message)
            return to_messages(now)
        return [*self._history_of(earlier), *to_messages(now)]

    def _history_of(self, earlier: Sequence[JsonObject]) -> list[BaseChatMessage]:
        messages = to_messages(earlier)
        self._history.update(message.id for message in messages)
        return messages

    def _note_handoff(self) -> None:
        last = self._transcript.last_message
        self._handoff = None
        if not isinstance(last, HandoffMessage) or last.target in {agent.name for agent in self._parts.agents}:
            return
        self._handoff = {"source": last.source, "target": last.target}
        prompt = last.content
        if prompt == Handoff(target=last.target).message and (said := self._transcript.said_before(last)):
            prompt = said  # is shown already; the framework's own sentence tells nobody anything
        else:
            self._transcript.say(last)
        self._transcript.ask_human(agent=last.source, prompt=prompt, reason="handoff")

    def _note_error(self, error: Exception, agent: str) -> None:
        if self._human_asked() or isinstance(error, TurnStopped):
            return
        self._run.note_failure(self._no_answer(error, agent) or describe_error(error, agent))
        if current_tool.get() is None:
            self._halt.failed()

    def _no_answer(self, error: Exception, agent: str) -> Failure | None:
        """An agent with structured output reads the model's answer itself: then it is no error of the agent."""
        if not isinstance(error, ValidationError) or current_tool.get() is not None:
            return None
        wanted = {getattr(part, "_output_content_type", None) for part in self._parts.agents if part.name == agent}
        names = [kind.__name__ for kind in wanted if isinstance(kind, type)]
        if error.title not in names:
            return None
        answer = openai_client.AnswerMalformed(error.title, error)
        failure = openai_client.failure(answer, openai_client.fault(answer), agent=agent, provider="")
        return replace(failure, stack="".join(traceback.format_exception(error)))


class StateNotJson(Exception):
    """A user's agent class saves a state that can't be kept."""


def describe_error(error: BaseException, agent: str | None) -> Failure:
    """An exception of a user's agent, or of the framework, as users and operators see it."""
    stack = "".join(traceback.format_exception(error))
    if isinstance(error, ReentrantRun | TooManyModelCalls):
        return replace(_refused(error), agent=agent, tool=current_tool.get(), stack=stack)
    itself = isinstance(error, CancelledByAgent)
    return Failure(
        type="CancelledError" if itself else type(error).__name__,
        message=redact(str(error)) or type(error).__name__,
        kind="agent",
        code="agent_error",
        hazard="TL404" if itself else None,
        agent=agent,
        tool=current_tool.get(),
        stack=stack,
        private=not itself,
    )


def _wants_structure(parts: Parts) -> bool:
    return any(getattr(agent, "_output_content_type", None) is not None for agent in parts.agents) or any(
        isinstance(team, MagenticOneGroupChat) for team in parts.teams
    )


def _refused(error: ReentrantRun | TooManyModelCalls) -> Failure:
    if isinstance(error, TooManyModelCalls):
        code, hazard = "too_many_model_calls", error.hazard
    else:
        code, hazard = "reentrant_run", "TL402"
    return Failure(type=type(error).__name__, message=str(error), kind="agent", code=code, hazard=hazard)


def kind_of(built: ChatAgent | Team) -> str:
    """The class and, for teams, the participants: what a saved state belongs to."""
    name = f"{type(built).__module__.partition('.')[0]}.{type(built).__qualname__}"
    participants = getattr(built, "_participants", None)
    if not isinstance(built, Team) or not participants:
        return name
    inside = ", ".join(
        f"{participant.name}: {kind_of(participant)}" if isinstance(participant, Team) else participant.name
        for participant in participants
    )
    return f"{name}({inside})"


def _quiet_the_runtime() -> None:
    """The framework logs each error of a run three times with its stack, also where a run ends on purpose.

    The first error is kept and logged by the turn itself."""
    logger = logging.getLogger("autogen_core")
    if _not_told_by_the_turn not in logger.filters:
        logger.addFilter(_not_told_by_the_turn)


def _not_told_by_the_turn(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Error processing publish message", "Error constructing agent"))


_TOLD_OTHERWISE: Final = (
    # Found and reported by the model boundary, as errors instead of warnings.
    "No text content or tool calls",
    # Says only that the name of a model is an alias.
    "Resolved model mismatch",
    # The boundary reads the finish reason on the wire.
    "Finish reason mismatch",
    # The openai package's parsed answers can't be dumped without it; the framework dumps them for its log.
    r"Pydantic serializer warnings:"
    r"(\n[^\n]*PydanticSerializationUnexpectedValue[^\n]*field_name='parsed'[^\n]*)+\Z",
)


def _quiet_the_clients() -> None:
    for message in _TOLD_OTHERWISE:
        warnings.filterwarnings("ignore", message=message, category=UserWarning)


def _is_answer(item: JsonObject) -> bool:
    return item.get("type") == "function_call_output"


def _is_background(item: JsonObject) -> bool:
    return item.get("role") in ("system", "developer", "assistant")

"""A model client that sends every call through the model boundary."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Literal

from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from turnlane.runtime.agent import Run, current_agent
from turnlane.runtime.agents import openai_client
from turnlane.runtime.conversation import Failure
from turnlane.runtime.model import Inspected
from turnlane.runtime.retry import Fault
from turnlane.runtime.turn_ledger import asked_by, digest

try:
    from autogen_ext.models.openai import BaseOpenAIChatCompletionClient
except ImportError:  # autogen-ext without its openai extra: other clients work all the same

    class BaseOpenAIChatCompletionClient:  # type: ignore[no-redef]
        pass


_SAY_BESIDE_CALLS = tuple(f"autogen_ext.models.{name}" for name in ("openai", "azure", "ollama", "llama_cpp"))
_ANTHROPIC = "autogen_ext.models.anthropic"
_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


class BoundaryClient(ChatCompletionClient):
    """Stands in front of the client that the user's factory made, for one run.

    `on_cut` is told of texts that the model cut short: text and reason. `on_said` is told of texts that the model
    said beside tool calls: the framework passes them on as thoughts, like a model's reasoning.
    """

    component_type = "model"

    def __init__(
        self,
        inner: ChatCompletionClient,
        run: Run,
        on_cut: Callable[[str, str], None],
        on_said: Callable[[str], None],
    ) -> None:
        self.inner = inner
        openai_client.leave_retries_to_the_boundary(inner)
        self._run = run
        self._on_cut = on_cut
        self._on_said = on_said
        self.is_openai = isinstance(inner, BaseOpenAIChatCompletionClient)
        self.provider = _provider_of(inner)
        self.model = _model_of(inner)

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        asked = self._asked(messages, tools, tool_choice, json_output, extra_create_args)

        async def send() -> CreateResult:
            try:
                with openai_client.watched_call() as watch:
                    result = await self.inner.create(
                        messages,
                        tools=tools,
                        tool_choice=tool_choice,
                        json_output=json_output,
                        extra_create_args=extra_create_args,
                        cancellation_token=cancellation_token,
                    )
                    return _with_true_end(result, watch)
            except Exception as error:
                if self.is_openai:
                    raise openai_client.malformed(error, json_output) from error
                raise

        result = await self._run.boundary.call(self._run, self, send, asked)
        self._tell_said(result)
        return result

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = [],
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] = {},
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        asked = self._asked(messages, tools, tool_choice, json_output, extra_create_args)

        async def send() -> AsyncGenerator[str | CreateResult, None]:
            more: dict[str, Any] = {}
            if self.is_openai and "stream_options" not in self._create_args(extra_create_args):
                more["include_usage"] = True  # without it, OpenAI's streams count no tokens
            with openai_client.watched_call() as watch:
                try:
                    async for piece in self.inner.create_stream(
                        messages,
                        tools=tools,
                        tool_choice=tool_choice,
                        json_output=json_output,
                        extra_create_args=extra_create_args,
                        cancellation_token=cancellation_token,
                        **more,
                    ):
                        if not isinstance(piece, CreateResult):
                            yield piece
                            continue
                        result = _with_true_end(piece, watch)
                        self._check_end(result, watch)
                        yield result
                except Exception as error:
                    if self.is_openai:
                        raise openai_client.malformed(error, json_output) from error
                    raise
                finally:
                    await watch.close()

        async for piece in self._run.boundary.stream(self._run, self, send, asked):
            if isinstance(piece, CreateResult):
                self._tell_said(piece)
            yield piece

    # --- what the boundary asks (turnlane.runtime.model.Client) ---

    def fault(self, error: Exception) -> Fault:
        return openai_client.fault(error)

    def failure(self, error: Exception, fault: Fault) -> Failure:
        agent = current_agent.get() or self._run.agent
        return openai_client.failure(error, fault, agent=agent, provider=self.provider)

    def inspect(self, result: CreateResult) -> Inspected:
        problem: Exception | None = None
        if isinstance(result.content, str):
            if not result.content.strip() and result.finish_reason not in _CUT_SHORT:
                problem = openai_client.AnswerEmpty(f"{self.provider} ({self.model}) answered nothing")
        elif result.finish_reason in _CUT_SHORT:
            problem = openai_client.ToolCallCut(
                f"{self.provider} ({self.model}) ended inside a tool call: {result.finish_reason}"
            )
        return Inspected(
            input_tokens=result.usage.prompt_tokens,
            output_tokens=result.usage.completion_tokens,
            finish_reason=result.finish_reason,
            problem=problem,
        )

    def _check_end(self, result: CreateResult, watch: openai_client.WatchedCall) -> None:
        # Where the wire could not be read, usage is the sign of an end: it comes last with most providers.
        ended = watch.done or (result.usage.completion_tokens > 0 and not watch.seen)
        if self.is_openai and result.finish_reason == "unknown" and not ended:
            raise openai_client.AnswerCut(f"the stream of {self.provider} ({self.model}) ended before its end")

    def answered(self, result: CreateResult) -> None:
        reason = _CUT_SHORT.get(result.finish_reason)
        if reason is not None and isinstance(result.content, str):
            self._run.incomplete = reason
            self._on_cut(result.content, reason)

    def to_json(self, result: CreateResult) -> Any:
        return result.model_dump(mode="json")

    def from_json(self, kept: Any) -> CreateResult:
        return CreateResult.model_validate(kept)

    def _asked(
        self,
        messages: Sequence[LLMMessage],
        tools: Sequence[Tool | ToolSchema],
        tool_choice: Tool | str,
        json_output: bool | type[BaseModel] | None,
        extra: Mapping[str, Any],
    ) -> str:
        """A digest of what the model is asked. Two calls with the same digest may share an answer."""
        if not self._run.ledger.keeps_models:
            return ""
        words = [message.model_dump(mode="json", exclude={"id", "created_at"}) for message in messages]
        names = [tool["name"] if isinstance(tool, dict) else tool.name for tool in tools]
        choice = tool_choice.name if isinstance(tool_choice, Tool) else tool_choice
        shape = json_output.__qualname__ if isinstance(json_output, type) else json_output
        who = [current_agent.get(), choice, shape, dict(extra)]
        return asked_by(digest([words, names]), who)

    def _tell_said(self, result: CreateResult) -> None:
        if result.thought and not isinstance(result.content, str) and self._says_beside_calls():
            self._on_said(result.thought)

    def _says_beside_calls(self) -> bool:
        """Whether what this client calls a thought beside tool calls is the answer's text. Its reasoning is
        then nowhere but in the stream; a client of another library may mean reasoning by it."""
        modules = {base.__module__ for base in type(self.inner).__mro__}
        if any(name.startswith(_ANTHROPIC) for name in modules):
            return "thinking" not in self._create_args({})
        return any(name.startswith(_SAY_BESIDE_CALLS) for name in modules)

    def _create_args(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**getattr(self.inner, "_create_args", {}), **extra}

    # --- the rest is the inner client's ---

    async def close(self) -> None:
        await self.inner.close()

    def actual_usage(self) -> RequestUsage:
        return self.inner.actual_usage()

    def total_usage(self) -> RequestUsage:
        return self.inner.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        return self.inner.count_tokens(messages, tools=tools)

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = []) -> int:
        return self.inner.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> Any:
        return self.inner.model_info

    @property
    def model_info(self) -> ModelInfo:
        return self.inner.model_info

    def let_go(self) -> ChatCompletionClient:
        """Give back what this stands for; the run is over."""
        inner, self.inner = self.inner, None  # type: ignore[assignment]
        return inner

    def dump_component(self) -> Any:
        return self.inner.dump_component()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _with_true_end(result: CreateResult, watch: openai_client.WatchedCall) -> CreateResult:
    """AutoGen reports "unknown" when usage comes beside the finish reason, and never a cut beside tool calls."""
    said = watch.finish_reason
    if said in _CUT_SHORT or (said == "stop" and result.finish_reason == "unknown"):
        return result.model_copy(update={"finish_reason": said})
    return result


def _provider_of(client: ChatCompletionClient) -> str:
    # `netloc` of the HTTP library's URL is host and port, without the user's name and password.
    netloc = getattr(getattr(getattr(client, "_client", None), "base_url", None), "netloc", None)
    return netloc.decode("ascii", "replace") if isinstance(netloc, bytes) else type(client).__name__


def _model_of(client: ChatCompletionClient) -> str:
    args = getattr(client, "_create_args", None)
    return str(args.get("model", "")) if isinstance(args, Mapping) else type(client).__name__

"""autogen-core 0.4 to 0.7: model clients, tools, contexts, memories, cancellation and the runtime's messages."""

from __future__ import annotations

import functools
import weakref
from types import ModuleType
from typing import Any, Final

from turnlane.guard import answers, journals, objects, requests, runs, stacks, stopped, tools
from turnlane.guard.first_objects import first_of_each_class
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import Plain, replace, watch_construction, watch_entry
from turnlane.guard.runs import Run, ToolCall
from turnlane.guard.stacks import Stack
from turnlane.guard.states import watch_state

MAX_WRITERS: Final = 8
_FRAMEWORK: Final = ("builtins", "abc", "typing", "autogen_core._component_config")


class ClientEntry(Plain):
    """`create` and `create_stream` of a model client."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        return runs.begin(thing, "client", self.entry, stack)

    def result(self, run: Run, result: Any) -> None:
        # One client may wrap another and look at the reason itself: only what leaves the outermost counts.
        if run.parent is None or run.parent.watched.role == "client":
            return
        content = getattr(result, "content", None)
        reason = getattr(result, "finish_reason", None)
        if isinstance(content, str) and reason in answers.CUT and not answers.looks_at_reason(run.watched.type):
            answers.cut(run.parent, reason, content, run.stack)


def install() -> None:
    """Wait for the package's modules."""
    when_imported("autogen_core.models._model_client", _clients)
    when_imported("autogen_core.tools._base", _tools)
    when_imported("autogen_core.tools._function_tool", lambda module: _watch_tool_class(module.FunctionTool))
    when_imported("autogen_core.model_context._chat_completion_context", _contexts)
    when_imported("autogen_core.memory._base_memory", _memories)
    when_imported("autogen_core._cancellation_token", _tokens)
    when_imported("autogen_core._single_threaded_agent_runtime", _runtime)


def _clients(module: ModuleType) -> None:
    watch_construction(module.ChatCompletionClient, "client", after=first_of_each_class(_watch_client_class))


def _watch_client_class(kind: type) -> None:
    for owner in kind.__mro__:
        if owner.__module__ not in (*_FRAMEWORK, "autogen_core.models._model_client"):
            for entry in ("create", "create_stream"):
                if entry in vars(owner):
                    watch_entry(owner, entry, ClientEntry(entry))
            watch_state(owner, "close")


def _tools(module: ModuleType) -> None:
    watch_construction(module.BaseTool, "tool", after=first_of_each_class(_watch_tool_class))


def _watch_tool_class(kind: type) -> None:
    for owner in kind.__mro__:
        if owner.__module__ in (*_FRAMEWORK, "autogen_core.tools._base"):
            continue
        for entry in ("run", "run_stream"):
            if entry in vars(owner):
                tools.watch_tool(owner, entry, _tool_name, _tool_function, _about)


def _tool_name(tool: Any) -> str:
    return str(getattr(tool, "_name", None) or type(tool).__name__)


def _tool_function(tool: Any) -> Any:
    function = getattr(tool, "_func", None)
    return function.func if isinstance(function, functools.partial) else function or type(tool).run


def _about(call: ToolCall, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for value in (*args, *kwargs.values()):
        if type(value).__name__ == "CancellationToken":
            call.notes["token"] = weakref.ref(value)
        elif hasattr(value, "__dict__"):
            call.notes["arguments"] = tuple(vars(value).values())


def _contexts(module: ModuleType) -> None:
    watch_construction(module.ChatCompletionContext, "context", after=first_of_each_class(_watch_context_class))
    _watch_context_class(module.ChatCompletionContext)


def _watch_context_class(kind: type) -> None:
    for owner in kind.__mro__:
        if owner.__module__ not in _FRAMEWORK:
            for name in ("clear", "load_state"):
                watch_state(owner, name, after=runs.forget_state)


def _memories(module: ModuleType) -> None:
    watch_construction(module.Memory, "memory", after=first_of_each_class(_watch_memory_class))


def _watch_memory_class(kind: type) -> None:
    for owner in kind.__mro__:
        if owner.__module__ not in (*_FRAMEWORK, "autogen_core.memory._base_memory"):
            watch_state(owner, "add", after=_written)
            watch_state(owner, "clear", after=_cleared)


def _written(memory: Any) -> None:
    """Whose work has put something into a memory."""
    request = requests.current.get()
    if request is None:
        return
    watched = objects.watch(memory, "memory")
    writer = Run(watched, watched.name(memory), "add", stacks.capture())
    writer.request, writer.outcome = request, "ended"
    writers = watched.notes.setdefault("writers", [])
    writers[:] = [*writers, writer][-MAX_WRITERS:]


def _cleared(memory: Any) -> None:
    objects.watch(memory, "memory").notes.pop("writers", None)


def _tokens(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def cancel(self: Any) -> Any:
            calls = stopped.calls_of(self)
            result = original(self)
            if calls:
                stopped.asked(calls, stacks.capture())
            return result

        return cancel

    replace(module.CancellationToken, "cancel", make)


def _runtime(module: ModuleType) -> None:
    """A message is handled in a task of its own, begun by the runtime's; it goes on with its sender's work."""
    for name in ("SendMessageEnvelope", "PublishMessageEnvelope"):
        envelope = getattr(module, name, None)
        if envelope is not None:
            replace(envelope, "__init__", _remember_sender)
    for name in ("_process_send", "_process_publish"):
        replace(module.SingleThreadedAgentRuntime, name, _go_on_for_sender)


_SENDER: Final = "_turnlane_guard_sender"


def _remember_sender(original: Any) -> Any:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.__dict__[_SENDER] = (requests.current.get(), runs.current.get(), runs.current_tool.get())

    return __init__


def _go_on_for_sender(original: Any) -> Any:
    @functools.wraps(original)
    async def process(self: Any, message_envelope: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            sender = vars(message_envelope).get(_SENDER)
            if sender is not None:  # the task is this message's own: nothing needs to be put back
                request, run, tool = sender
                requests.current.set(request)
                runs.current.set(run)
                runs.current_tool.set(tool)
        except Exception as error:
            journals.trouble("runtime", error)
        return await original(self, message_envelope, *args, **kwargs)

    return process

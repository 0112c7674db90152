"""The table of agent frameworks says what their published source says."""

from __future__ import annotations

import importlib
import inspect

import pytest

from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.frameworks import ClassEntry, FunctionEntry, lookup


def a_class(name: str) -> ClassEntry:
    entry = lookup(name)
    assert isinstance(entry, ClassEntry), name
    return entry


@pytest.mark.parametrize(
    ("name", "role", "keeps_state"),
    [
        ("autogen_agentchat.agents.AssistantAgent", "agent", True),
        ("autogen_agentchat.agents.SocietyOfMindAgent", "agent", True),
        ("autogen_agentchat.agents.UserProxyAgent", "user_proxy", True),
        ("autogen_agentchat.teams.RoundRobinGroupChat", "team", True),
        ("autogen_agentchat.teams.Swarm", "team", True),
        ("autogen_agentchat.conditions.MaxMessageTermination", "termination", True),
        ("autogen_agentchat.task.TextMentionTermination", "termination", True),
        ("autogen_agentchat.tools.AgentTool", "tool", False),
        ("autogen_core.CancellationToken", "cancellation_token", True),
        ("autogen_core.SingleThreadedAgentRuntime", "runtime", False),
        ("autogen_core.RoutedAgent", "core_agent", False),
        ("autogen_core.memory.ListMemory", "memory", True),
        ("autogen_core.model_context.BufferedChatCompletionContext", "context", True),
        ("autogen_core.tools.FunctionTool", "tool", False),
        ("autogen_ext.agents.openai.OpenAIAssistantAgent", "agent", True),
        ("autogen_ext.models.anthropic.AnthropicChatCompletionClient", "client", False),
        ("autogen_ext.models.openai.AzureOpenAIChatCompletionClient", "client", False),
        ("autogen_ext.models.replay.ReplayChatCompletionClient", "client", True),
        ("autogen_ext.runtimes.grpc.GrpcWorkerAgentRuntime", "runtime", False),
        ("autogen_ext.teams.magentic_one.MagenticOne", "team", True),
        ("autogen_ext.tools.mcp.McpWorkbench", "workbench", False),
        ("autogenstudio.teammanager.TeamManager", "team_manager", False),
        ("autogen.AssistantAgent", "agent", True),
        ("autogen.UserProxyAgent", "user_proxy", True),
        ("autogen.GroupChat", "group_chat", True),
        ("autogen.GroupChatManager", "manager", True),
        ("autogen.OpenAIWrapper", "client", False),
        ("autogen.agentchat.contrib.gpt_assistant_agent.GPTAssistantAgent", "agent", True),
        ("autogen.beta.Agent", "stateless_agent", False),
        ("ag2.Agent", "stateless_agent", False),
        ("ag2.MemoryStream", "session", True),
        ("agent_framework.Agent", "stateless_agent", False),
        ("agent_framework.ChatAgent", "stateless_agent", False),
        ("agent_framework.AgentSession", "session", True),
        ("agent_framework.AgentThread", "session", True),
        ("agent_framework.Workflow", "workflow", True),
        ("agent_framework.WorkflowBuilder", "builder", False),
        ("agent_framework.azure.AzureAIClient", "client", False),
        ("agent_framework.openai.OpenAIChatClient", "client", False),
        ("openai.AsyncOpenAI", "openai_client", False),
        ("openai.AzureOpenAI", "openai_client", False),
        ("httpx.AsyncClient", "http_client", False),
        ("httpx2.Client", "http_client", False),
    ],
)
def test_role_and_state(name: str, role: str, keeps_state: bool) -> None:
    entry = a_class(name)

    assert (entry.role, entry.keeps_state) == (role, keeps_state)


@pytest.mark.parametrize(
    ("name", "method", "kind", "runs"),
    [
        # The same name means different things in different classes.
        ("autogen_agentchat.agents.AssistantAgent", "run", "async", True),
        ("autogen.AssistantAgent", "run", "sync", True),
        ("autogen_agentchat.teams.SelectorGroupChat", "reset", "async", False),
        ("autogen.AssistantAgent", "reset", "sync", False),
        ("autogen_core.SingleThreadedAgentRuntime", "start", "sync", False),
        ("autogen_ext.runtimes.grpc.GrpcWorkerAgentRuntime", "start", "async", False),
        ("autogen_ext.runtimes.grpc.GrpcWorkerAgentRuntimeHost", "start", "sync", False),
        ("agent_framework.Agent", "run", "async", True),
        ("ag2.Agent", "run", "sync", True),
        # Entry points.
        ("autogen_agentchat.agents.AssistantAgent", "run_stream", "stream", True),
        ("autogen_agentchat.agents.AssistantAgent", "on_messages", "async", True),
        ("autogen_agentchat.agents.AssistantAgent", "on_messages_stream", "stream", True),
        ("autogen_agentchat.teams.RoundRobinGroupChat", "run_stream", "stream", True),
        ("autogen.UserProxyAgent", "initiate_chat", "sync", True),
        ("autogen.UserProxyAgent", "a_initiate_chat", "async", True),
        ("autogen.ConversableAgent", "generate_reply", "sync", True),
        ("autogen.ConversableAgent", "a_send", "async", True),
        ("autogen.io.run_response.RunResponse", "process", "sync", True),
        ("autogen.AssistantAgent", "a_run_iter", "stream", True),
        ("autogen_core.SingleThreadedAgentRuntime", "publish_message", "async", True),
        ("autogen_ext.models.openai.OpenAIChatCompletionClient", "create_stream", "stream", True),
        ("agent_framework.ChatAgent", "run_stream", "stream", True),
        ("agent_framework.azure.AzureAIClient", "get_response", "async", True),
        ("autogen_agentchat.tools.AgentTool", "run_json", "async", True),
        ("ag2.Agent", "ask", "async", True),
        # What has to be awaited without being a run.
        ("autogen_agentchat.agents.AssistantAgent", "load_state", "async", False),
        ("autogen_agentchat.teams.Swarm", "save_state", "async", False),
        ("autogen_ext.models.openai.OpenAIChatCompletionClient", "close", "async", False),
        ("autogen_core.tools.FunctionTool", "run_json", "async", False),
        ("httpx.AsyncClient", "get", "async", False),
        ("httpx.Client", "get", "sync", False),
    ],
)
def test_methods(name: str, method: str, kind: str, runs: bool) -> None:
    found = a_class(name).method(method)

    assert found is not None
    assert (found.kind, found.runs) == (kind, runs)


def test_a_method_that_nobody_defines_is_unknown() -> None:
    assert a_class("autogen_agentchat.agents.AssistantAgent").method("initiate_chat") is None


def test_a_method_whose_kind_differs_between_releases_is_unknown() -> None:
    # sync in autogen-core 0.4.9, async in 0.7.5
    assert a_class("autogen_core.tools.FunctionTool").method("save_state_json") is None


def test_the_sync_chat_names_its_async_twin() -> None:
    chat = a_class("autogen.UserProxyAgent").method("initiate_chat")

    assert chat is not None
    assert chat.async_twin == "a_initiate_chat"


def test_a_keyword_that_makes_a_stream() -> None:
    run = a_class("agent_framework.Agent").method("run")

    assert run is not None
    assert run.streams_when == "stream"


@pytest.mark.parametrize(
    ("name", "method", "returned"),
    [
        ("autogen_agentchat.teams.Swarm", "load_component", "autogen_agentchat.teams.Swarm"),
        ("autogen_agentchat.agents.AssistantAgent", "load_component", "autogen_agentchat.agents.AssistantAgent"),
        ("agent_framework.openai.OpenAIChatClient", "as_agent", "agent_framework.Agent"),
        ("agent_framework.azure.AzureAIClient", "create_agent", "agent_framework.ChatAgent"),
        ("agent_framework.WorkflowBuilder", "build", "agent_framework.Workflow"),
        ("agent_framework.Agent", "create_session", "agent_framework.AgentSession"),
        ("openai.AsyncOpenAI", "chat", "openai.resources.chat.AsyncChat"),
        ("openai.resources.chat.AsyncChat", "completions", "openai.resources.chat.AsyncCompletions"),
    ],
)
def test_what_a_factory_gives(name: str, method: str, returned: str) -> None:
    found = a_class(name).method(method)

    assert found is not None
    assert lookup(found.returns) is a_class(returned)


def test_a_name_and_the_place_of_its_definition_are_one_class() -> None:
    assert lookup("autogen.AssistantAgent") is lookup("autogen.agentchat.assistant_agent.AssistantAgent")


def test_a_name_that_an_older_release_defined_elsewhere_is_the_newer_class() -> None:
    assert a_class("autogen_ext.memory.chromadb.ChromaDBVectorMemory").name.startswith(
        "autogen_ext.memory.chromadb._chromadb."
    )


def test_inheritance() -> None:
    assistant = a_class("autogen.AssistantAgent")

    assert assistant.is_a("autogen.ConversableAgent")
    assert not assistant.is_a("autogen.UserProxyAgent")


def test_constructor_parameters() -> None:
    assert a_class("autogen_agentchat.agents.AssistantAgent").parameters[:4] == (
        "name",
        "model_client",
        "*",
        "tools",
    )
    assert {"human_input_mode", "llm_config", "function_map"} <= set(a_class("autogen.UserProxyAgent").parameters)
    assert "input_func" in a_class("autogen_agentchat.agents.UserProxyAgent").parameters
    assert a_class("autogen.GroupChat").parameters[:2] == ("agents", "messages")


def test_functions() -> None:
    console = lookup("autogen_agentchat.ui.Console")
    chats = lookup("autogen.initiate_chats")

    assert isinstance(console, FunctionEntry)
    assert (console.kind, console.parameters[0]) == ("async", "stream")
    assert isinstance(chats, FunctionEntry)
    assert (chats.kind, chats.runs) == ("sync", True)
    assert lookup(chats.async_twin) == lookup("autogen.agentchat.a_initiate_chats")


def test_client_twins() -> None:
    assert lookup(a_class("openai.OpenAI").async_twin) is lookup("openai.AsyncOpenAI")
    assert a_class("openai.AsyncOpenAI").async_twin == ""


@pytest.mark.parametrize("name", ["autogen_ext.models.openai", "autogen", "agent_framework.azure.x", "openai"])
def test_framework_modules(name: str) -> None:
    assert frameworks.is_framework_module(name)


@pytest.mark.parametrize("name", ["autogenesis.Agent", "myproject.autogen", "agent", ""])
def test_other_modules(name: str) -> None:
    assert not frameworks.is_framework_module(name)
    assert lookup(name) is None


def test_unknown_names_are_unknown() -> None:
    assert lookup("autogen_agentchat.agents.NoSuchAgent") is None
    assert lookup("autogen_agentchat.messages.TextMessage") is None


def test_every_base_and_return_is_in_the_table() -> None:
    for name in frameworks.class_names():
        entry = a_class(name)
        for base in entry.bases:
            assert isinstance(lookup(base), ClassEntry), (name, base)
        for method in entry.methods.values():
            assert not method.returns or isinstance(lookup(method.returns), ClassEntry), (name, method)
            assert not method.async_twin or entry.method(method.async_twin), (name, method)


@pytest.mark.parametrize("module", ["autogen_agentchat.agents", "autogen_agentchat.teams", "autogen_core"])
def test_the_table_agrees_with_what_is_installed(module: str) -> None:
    imported = importlib.import_module(module)
    compared = 0
    for name in frameworks.class_names():
        entry = a_class(name)
        defined_in, _, plain = name.rpartition(".")
        real = getattr(imported, plain, None)
        if getattr(real, "__module__", "") != defined_in:
            continue
        for method in entry.methods.values():
            function = inspect.getattr_static(real, method.name, None)
            if not inspect.isfunction(function):
                continue
            compared += 1
            expected = {"async": inspect.iscoroutinefunction, "stream": inspect.isasyncgenfunction}.get(
                method.kind
            )
            if expected is not None and not inspect.isabstract(real):
                assert expected(function), (name, method)
            if inspect.iscoroutinefunction(function):
                assert method.kind in ("async", "stream"), (name, method)
    assert compared > 20

"""Which classes of the frameworks matter, and what their methods do: the judgement behind the generated table.

Everything else in the table is read from the published source; these lists are what a person has to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from turnlane.checker.libraries.frameworks import Role

RELEASES: tuple[tuple[str, ...], ...] = (
    # Each row is installed together and read as one. Newest first: what an older row adds is kept, as users are
    # on all of them; where they differ, the newer one counts.
    (
        "autogen-agentchat==0.7.5",
        "autogen-core==0.7.5",
        "autogen-ext==0.7.5",
        "autogenstudio==0.4.2.2",
        "openai==3.52.0",
        "httpx==0.28.1",
        "httpx2==2.16.2",
    ),
    ("autogen-agentchat==0.4.9", "autogen-core==0.4.9", "autogen-ext==0.4.9", "openai==1.66.0"),
    ("autogen-agentchat==0.4.0.dev8", "autogen-core==0.4.0.dev8", "autogen-ext==0.4.0.dev8"),
    ("autogen==0.14.1",),
    ("ag2==0.9.10",),
    ("ag2==0.8.7",),
    ("autogen-agentchat==0.2.40",),
    ("pyautogen==0.2.35",),
    ("ag2==1.2.1",),
    (
        "agent-framework-core==1.23.0",
        "agent-framework-openai==1.17.0",
        "agent-framework-foundry==1.15.0",
        "agent-framework-anthropic==1.0.0b261022",
        "agent-framework-orchestrations==1.4.0",
    ),
    ("agent-framework-core==1.0.0b260130", "agent-framework-azure-ai==1.0.0rc6"),
    (
        "agent-framework-core==1.0.0b251120",
        "agent-framework-azure-ai==1.0.0b251120",
        "agent-framework-anthropic==1.0.0b251120",
    ),
)

FAMILIES: Mapping[str, str] = {
    "autogen_agentchat": "agentchat",
    "autogen_core": "core",
    "autogen_ext": "ext",
    "autogen": "classic",
    "ag2": "ag2",
    "openai": "openai",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "autogenstudio": "studio",
}
"""By top-level module; `agent_framework*` is one family."""

ROOTS: Mapping[str, Role] = {
    # A class and all that inherit from it; the nearest root counts.
    "autogen_agentchat.base.ChatAgent": "agent",
    "autogen_agentchat.agents.BaseChatAgent": "agent",
    "autogen_agentchat.agents.UserProxyAgent": "user_proxy",
    "autogen_agentchat.base.Team": "team",
    "autogen_agentchat.base.TerminationCondition": "termination",
    "autogen_agentchat.teams.DiGraphBuilder": "builder",
    "autogen_core.AgentRuntime": "runtime",
    "autogen_ext.runtimes.grpc.GrpcWorkerAgentRuntimeHost": "runtime",
    "autogen_core.Agent": "core_agent",
    "autogen_core.BaseAgent": "core_agent",
    "autogen_core.CancellationToken": "cancellation_token",
    "autogen_core.models.ChatCompletionClient": "client",
    "autogen_core.model_context.ChatCompletionContext": "context",
    "autogen_core.memory.Memory": "memory",
    "autogen_core.tools.Tool": "tool",
    "autogen_core.components.tools.Tool": "tool",
    "autogen_core.components.models.ChatCompletionClient": "client",
    "autogen_core.components.model_context.ChatCompletionContext": "context",
    "autogen_core.base.AgentRuntime": "runtime",
    "autogen_core.base.Agent": "core_agent",
    "autogen_core.base.CancellationToken": "cancellation_token",
    "autogen_core.tools.Workbench": "workbench",
    "autogenstudio.teammanager.TeamManager": "team_manager",
    "autogen.agentchat.Agent": "agent",
    "autogen.agentchat.ConversableAgent": "agent",
    "autogen.agentchat.UserProxyAgent": "user_proxy",
    "autogen.agentchat.GroupChat": "group_chat",
    "autogen.agentchat.GroupChatManager": "manager",
    "autogen.oai.OpenAIWrapper": "client",
    "autogen.oai.client.OpenAIWrapper": "client",
    "autogen.tools.Tool": "tool",
    "autogen.io.run_response.RunResponseProtocol": "run",
    "autogen.io.run_response.AsyncRunResponseProtocol": "run",
    "autogen.io.run_response.RunResponse": "run",
    "autogen.io.run_response.AsyncRunResponse": "run",
    "autogen.io.run_response.RunIterResponse": "run",
    "autogen.io.run_response.AsyncRunIterResponse": "run",
    "autogen.agentchat.contrib.agent_builder.AgentBuilder": "builder",
    "autogen.agentchat.realtime.experimental.RealtimeAgent": "agent",
    "autogen.agentchat.group.patterns.pattern.Pattern": "builder",
    "autogen.beta.agent.Agent": "stateless_agent",
    "autogen.beta.Agent": "stateless_agent",
    "autogen.beta.MemoryStream": "session",
    "autogen.beta.agent.AgentReply": "session",
    "autogen.beta.agent.AgentRun": "run",
    "ag2.Agent": "stateless_agent",
    "ag2.MemoryStream": "session",
    "ag2.AgentReply": "session",
    "ag2.AgentRun": "run",
    "agent_framework.SupportsAgentRun": "stateless_agent",
    "agent_framework.AgentProtocol": "stateless_agent",
    "agent_framework.BaseAgent": "stateless_agent",
    "agent_framework.AgentSession": "session",
    "agent_framework.AgentThread": "session",
    "agent_framework.ChatMessageStore": "session",
    "agent_framework.ChatMessageStoreProtocol": "session",
    "agent_framework.Workflow": "workflow",
    "agent_framework.WorkflowAgent": "workflow",
    "agent_framework.WorkflowBuilder": "builder",
    "agent_framework.SequentialBuilder": "builder",
    "agent_framework.ConcurrentBuilder": "builder",
    "agent_framework.GroupChatBuilder": "builder",
    "agent_framework.HandoffBuilder": "builder",
    "agent_framework.MagenticBuilder": "builder",
    "agent_framework_orchestrations.SequentialBuilder": "builder",
    "agent_framework_orchestrations.ConcurrentBuilder": "builder",
    "agent_framework_orchestrations.GroupChatBuilder": "builder",
    "agent_framework_orchestrations.HandoffBuilder": "builder",
    "agent_framework_orchestrations.MagenticBuilder": "builder",
    "agent_framework.BaseChatClient": "client",
    "agent_framework.ChatClientProtocol": "client",
    "agent_framework.SupportsChatGetResponse": "client",
    "agent_framework.ContextProvider": "memory",
    "agent_framework.FunctionTool": "tool",
    "agent_framework.AIFunction": "tool",
    "agent_framework.MCPStdioTool": "workbench",
    "agent_framework.MCPStreamableHTTPTool": "workbench",
    "agent_framework.MCPWebsocketTool": "workbench",
    "openai.OpenAI": "openai_client",
    "openai.AsyncOpenAI": "openai_client",
    "openai.resources.chat.Chat": "openai_resource",
    "openai.resources.chat.AsyncChat": "openai_resource",
    "openai.resources.chat.Completions": "openai_resource",
    "openai.resources.chat.AsyncCompletions": "openai_resource",
    "openai.resources.responses.Responses": "openai_resource",
    "openai.resources.responses.AsyncResponses": "openai_resource",
    "openai.resources.Embeddings": "openai_resource",
    "openai.resources.AsyncEmbeddings": "openai_resource",
    "openai.resources.beta.Beta": "openai_resource",
    "openai.resources.beta.AsyncBeta": "openai_resource",
    "openai.resources.beta.chat.Chat": "openai_resource",
    "openai.resources.beta.chat.AsyncChat": "openai_resource",
    "openai.resources.beta.chat.Completions": "openai_resource",
    "openai.resources.beta.chat.AsyncCompletions": "openai_resource",
    "httpx.Client": "http_client",
    "httpx.AsyncClient": "http_client",
    "httpx2.Client": "http_client",
    "httpx2.AsyncClient": "http_client",
}

KEEPS_STATE: frozenset[Role] = frozenset(
    {
        "agent",
        "user_proxy",
        "team",
        "group_chat",
        "manager",
        "workflow",
        "session",
        "run",
        "context",
        "memory",
        "termination",
        "cancellation_token",
    }
)

STATELESS: tuple[str, ...] = (
    # Against their role: what they remember is keyed, or handed in with each call.
    "agent_framework.ContextProvider",  # gets the session it works for; keeps its notes in `session.state`
)
STATEFUL: tuple[str, ...] = (
    "autogen_ext.models.replay.ReplayChatCompletionClient",  # plays its answers in order, for whoever asks
)

RUNS: Mapping[Role, frozenset[str]] = {
    "agent": frozenset(
        {
            "run",
            "run_stream",
            "on_messages",
            "on_messages_stream",
            "a_run",
            "run_iter",
            "a_run_iter",
            "run_chat",
            "a_run_chat",
            "run_swarm",
            "a_run_swarm",
            "initiate_chat",
            "a_initiate_chat",
            "initiate_chats",
            "a_initiate_chats",
            "sequential_run",
            "a_sequential_run",
            "generate_reply",
            "a_generate_reply",
            "generate_oai_reply",
            "a_generate_oai_reply",
            "send",
            "a_send",
            "receive",
            "a_receive",
            "resume",
            "a_resume",
        }
    ),
    "team": frozenset({"run", "run_stream"}),
    "team_manager": frozenset({"run", "run_stream"}),
    "stateless_agent": frozenset({"run", "run_stream", "ask", "resume"}),
    "session": frozenset({"ask", "run"}),
    "run": frozenset({"process", "result"}),
    "workflow": frozenset(
        {
            "run",
            "run_stream",
            "run_from_checkpoint",
            "run_stream_from_checkpoint",
            "send_responses",
            "send_responses_streaming",
        }
    ),
    "runtime": frozenset({"send_message", "publish_message"}),
    "core_agent": frozenset({"on_message"}),
    "client": frozenset({"create", "create_stream", "get_response", "get_streaming_response"}),
    "openai_resource": frozenset({"create", "parse", "stream"}),
}
"""Methods that start a run, by role; `manager` and `user_proxy` are as `agent`."""

TOOL_RUNS: Mapping[str, frozenset[str]] = {
    # Tools that are agents inside.
    "autogen_agentchat.tools.AgentTool": frozenset({"run", "run_json", "run_stream", "run_json_stream"}),
    "autogen_agentchat.tools.TeamTool": frozenset({"run", "run_json", "run_stream", "run_json_stream"}),
}

FUNCTIONS: Mapping[str, bool] = {
    # Functions that belong in the table, and whether calling them starts a run.
    "autogen_agentchat.ui.Console": False,  # it runs whatever is handed in: the stream is what starts the run
    "autogen.initiate_chats": True,
    "autogen.agentchat.initiate_chats": True,
    "autogen.agentchat.a_initiate_chats": True,
    "autogen.agentchat.chat.a_initiate_chats": True,
    "autogen.agentchat.initiate_group_chat": True,
    "autogen.agentchat.a_initiate_group_chat": True,
    "autogen.agentchat.run_group_chat": True,
    "autogen.agentchat.a_run_group_chat": True,
    "autogen.agentchat.run_group_chat_iter": True,
    "autogen.agentchat.a_run_group_chat_iter": True,
    "autogen.agentchat.initiate_swarm_chat": True,
    "autogen.agentchat.a_initiate_swarm_chat": True,
    "autogen.agentchat.run_swarm": True,
    "autogen.agentchat.a_run_swarm": True,
    "autogen.agentchat.contrib.swarm_agent.initiate_swarm_chat": True,
    "autogen.agentchat.contrib.swarm_agent.a_initiate_swarm_chat": True,
    "autogen.agentchat.register_function": False,
    "autogen.register_function": False,
    "autogen_core.tool_agent.tool_agent_caller_loop": True,
    "autogen_ext.tools.mcp.mcp_server_tools": False,
    "autogen_ext.tools.mcp.create_mcp_server_session": False,
    "autogen_ext.code_executors.create_default_code_executor": False,
    "agent_framework.create_harness_agent": False,
    "agent_framework.ai_function": False,
    "agent_framework.tool": False,
    "ag2.tool": False,
}

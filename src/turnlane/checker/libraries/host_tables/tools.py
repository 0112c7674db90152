"""Functions that a model may call, and other functions that an agent framework calls back."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

_AGENTCHAT = Context("AutoGen tool", "tool", "threadpool")
_HUMAN = Context("AutoGen human input", "tool", "threadpool")
_TEAM = Context("AutoGen team", "tool", "loop")
_RUNTIME = Context("AutoGen runtime", "callback", "loop")
_CLASSIC = Context("AutoGen tool", "tool", "own", asynchronous="own loop")
# A synchronous chat calls a def in its own thread and an async def on a loop of its own; an a_ chat calls both on
# its loop. Most chats are synchronous, and what holds for them is what a reader expects.
_REPLY = Context("AutoGen reply function", "tool", "own", asynchronous="own loop")
_FRAMEWORK = Context("Agent Framework tool", "tool", "threadpool")  # on the loop before 1.0
_WORKFLOW = Context("Agent Framework workflow", "callback", "loop")
_AG2 = Context("AG2 tool", "tool", "threadpool")
_MCP = Context("MCP server", "tool", "loop")  # mcp 1.x calls a def on the loop
_MCP_THREADED = Context("MCP server", "tool", "threadpool")  # mcp 2.x, fastmcp 3
_MCP_KINDS = "tool resource prompt"

ROWS: list[Registration] = [
    *rows(_AGENTCHAT, "argument", "autogen_agentchat.agents.AssistantAgent", "tools"),
    *rows(_AGENTCHAT, "argument", "autogen_core.tools.FunctionTool", "0 func"),
    *rows(_HUMAN, "argument", "autogen_agentchat.agents.UserProxyAgent", "input_func"),
    *rows(_TEAM, "argument", "autogen_agentchat.teams.SelectorGroupChat", "selector_func candidate_func"),
    *rows(_RUNTIME, "decorator", methods("autogen_core", "message_handler event rpc")),
    *rows(_RUNTIME, "argument", "autogen_core.ClosureAgent.register_closure", "2 closure"),
    *rows(_CLASSIC, "argument", "autogen.register_function", "0 f"),
    *rows(_CLASSIC, "decorator", "autogen.ConversableAgent.register_for_llm autogen.tools.tool"),
    *rows(_CLASSIC, "decorator", "autogen.ConversableAgent.register_for_execution"),
    *rows(_CLASSIC, "argument", "autogen.ConversableAgent", "function_map functions"),
    *rows(_CLASSIC, "argument", "autogen.ConversableAgent.register_function", "0 function_map"),
    *rows(_REPLY, "argument", "autogen.ConversableAgent.register_reply", "1 reply_func"),
    *rows(_AG2, "decorator", "ag2.tool ag2.Agent.tool autogen.beta.tools.tool"),
    *rows(_AG2, "argument", "ag2.Agent autogen.beta.Agent", "tools"),
    *rows(_FRAMEWORK, "decorator", "agent_framework.ai_function agent_framework.tool"),
    *rows(_FRAMEWORK, "argument", "agent_framework.Agent agent_framework.ChatAgent", "tools"),
    *rows(_FRAMEWORK, "argument", methods("agent_framework.BaseChatClient", "as_agent create_agent"), "tools"),
    *rows(_WORKFLOW, "decorator", "agent_framework.handler agent_framework.executor"),
    *rows(_MCP, "decorator", methods("mcp.server.fastmcp.FastMCP", _MCP_KINDS)),
    *rows(_MCP_THREADED, "decorator", methods("mcp.server.MCPServer fastmcp.FastMCP", _MCP_KINDS)),
    *rows(_MCP_THREADED, "argument", "mcp.server.MCPServer.add_tool", "0 fn"),
    *rows(_MCP, "argument", "mcp.server.fastmcp.FastMCP.add_tool", "0 fn"),
    *rows(
        _MCP,
        "decorator",
        methods("mcp.server.lowlevel.Server", "call_tool list_tools read_resource list_resources get_prompt"),
    ),
]

"""What is known of the npm packages that make agents: which of their objects keep a conversation, which do not.

Looked up in each package's documentation and source. An agent that is a definition (Mastra, OpenAI Agents SDK,
AI SDK, LangGraph, ADK, VoltAgent) is right at module scope: a run carries its own messages or names a thread. One
that keeps the messages of its runs in itself (AutoGen and its ports, Strands, BeeAI, LlamaIndex's older agents,
LangChain's memories, chat sessions) belongs to one conversation.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Keeps = Literal["no", "yes", "memory"]
"""Whether the object holds what was said in it. "memory": when it is given a memory in its options."""


class Shape(NamedTuple):
    """What is known of one kind of object."""

    title: str
    """How messages call it: ``an `AgentExecutor` ``."""
    keeps: Keeps
    runs: frozenset[str]
    """Methods that run it and give a promise."""
    streams: frozenset[str] = frozenset()
    """Methods that run it and give something to iterate over, not a promise."""
    loop: bool = True
    """Whether a run is an agent's: model calls and tools in turns."""
    passed: bool = False
    """Whether it is used by being passed to a run: a memory, a session."""


class Maker(NamedTuple):
    """A class or function of a package that makes such an object."""

    package: re.Pattern[str]
    names: frozenset[str]
    shape: Shape


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _maker(
    package: str, names: str, title: str, keeps: Keeps, runs: str, streams: str = "", **more: bool
) -> Maker:
    shape = Shape(title, keeps, _names(runs), _names(streams), **more)
    return Maker(re.compile(rf"(?:{package})(?:/.*)?$"), _names(names), shape)


_LANGCHAIN: Final = "langchain|@langchain/(?:core|community|classic|langgraph|openai)"
_LANGCHAIN_RUNS: Final = "invoke call run stream batch streamLog"
_AUTOGEN_RUNS: Final = """run runStream run_stream initiateChat initiate_chat generateReply generate_reply send
    chat onMessages on_messages generateResponse start processMessage sendMessage resume"""

AUTOGEN: Final = re.compile(r"(^|[/@_-])(autogen|ag2)([/@_.-]|js|ts|$)", re.IGNORECASE)
"""Packages that port AutoGen: their agents keep a conversation, as AutoGen's do."""

AUTOGEN_SHAPE: Final = Shape("an AutoGen agent", "yes", _names(_AUTOGEN_RUNS), _names("runStream run_stream"))

MAKERS: Final = (
    _maker("@openai/agents(?:-core|-realtime)?", "Agent", "an `Agent`", "no", ""),
    _maker("@openai/agents(?:-core)?", "Runner", "a `Runner`", "no", "run"),
    _maker(
        "@openai/agents(?:-core|-openai)?",
        "MemorySession OpenAIConversationsSession",
        "a session",
        "yes",
        "addItems",
        loop=False,
        passed=True,
    ),
    _maker(
        "@openai/agents(?:-realtime)?", "RealtimeSession", "a `RealtimeSession`", "yes", "connect", "sendMessage"
    ),
    _maker(
        "@mastra/core",
        "Agent",
        "a Mastra `Agent`",
        "no",
        "generate stream generateVNext streamVNext generateLegacy streamLegacy network",
    ),
    _maker("ai", "ToolLoopAgent Experimental_Agent Agent", "a `ToolLoopAgent`", "no", "generate stream respond"),
    _maker(
        _LANGCHAIN,
        "AgentExecutor initializeAgentExecutorWithOptions initializeAgentExecutor",
        "an `AgentExecutor`",
        "memory",
        _LANGCHAIN_RUNS,
        "streamEvents",
    ),
    _maker(
        f"{_LANGCHAIN}|deepagents|@langchain/langgraph-(?:supervisor|swarm)",
        "createAgent createReactAgent createDeepAgent createSupervisor createSwarm ReactAgent",
        "a LangGraph agent",
        "no",
        _LANGCHAIN_RUNS,
        "streamEvents",
    ),
    _maker(
        _LANGCHAIN,
        "ConversationChain",
        "a `ConversationChain`",
        "yes",
        _LANGCHAIN_RUNS,
        "streamEvents",
        loop=False,
    ),
    _maker(
        _LANGCHAIN,
        "ConversationalRetrievalQAChain LLMChain RetrievalQAChain",
        "a chain with memory",
        "memory",
        _LANGCHAIN_RUNS,
        "streamEvents",
        loop=False,
    ),
    _maker(
        _LANGCHAIN,
        """BufferMemory BufferWindowMemory ConversationSummaryMemory ConversationSummaryBufferMemory
        ConversationTokenBufferMemory EntityMemory ChatMessageHistory InMemoryChatMessageHistory""",
        "a chat memory",
        "yes",
        "saveContext addMessage addUserMessage addAIMessage addAIChatMessage addMessages",
        loop=False,
        passed=True,
    ),
    _maker(
        "llamaindex|@llamaindex/.*",
        "OpenAIAgent ReActAgent ReACTAgent AnthropicAgent GeminiAgent OllamaAgent LLMAgent VertexGeminiAgent",
        "a LlamaIndex agent",
        "yes",
        "chat",
    ),
    _maker(
        "llamaindex|@llamaindex/.*",
        "ContextChatEngine SimpleChatEngine CondenseQuestionChatEngine",
        "a chat engine",
        "yes",
        "chat",
        loop=False,
    ),
    _maker(
        "llamaindex|@llamaindex/.*",
        "agent multiAgent AgentWorkflow",
        "an agent workflow",
        "no",
        "run",
        "runStream",
    ),
    _maker(
        "beeai-framework|bee-agent-framework",
        "ReActAgent BeeAgent ToolCallingAgent RequirementAgent StreamlitAgent",
        "a BeeAI agent",
        "yes",
        "run",
    ),
    _maker(
        "beeai-framework|bee-agent-framework",
        "UnconstrainedMemory TokenMemory SlidingMemory SummarizeMemory",
        "a chat memory",
        "yes",
        "add addMany",
        loop=False,
        passed=True,
    ),
    _maker("@strands-agents/sdk", "Agent", "a Strands `Agent`", "yes", "invoke", "stream"),
    _maker("@google/adk", "Runner InMemoryRunner", "an ADK `Runner`", "no", "", "runAsync runEphemeral"),
    _maker(
        "@voltagent/core",
        "Agent",
        "a VoltAgent `Agent`",
        "no",
        "generateText streamText generateObject streamObject",
    ),
    _maker("@inngest/agent-kit", "createAgent createNetwork Agent Network", "an AgentKit agent", "no", "run"),
    _maker("node-llama-cpp", "LlamaChatSession", "a `LlamaChatSession`", "yes", "prompt", loop=False),
)

METHOD_MAKERS: Final = {
    "startChat": (
        re.compile(r"@google/generative-ai|@google-cloud/vertexai|firebase/.*|@firebase/.*"),
        Shape("a chat session", "yes", _names("sendMessage sendMessageStream"), loop=False),
    ),
    "chats.create": (
        re.compile(r"@google/genai"),
        Shape("a chat session", "yes", _names("sendMessage sendMessageStream"), loop=False),
    ),
    "threads.create": (
        re.compile(r"openai"),
        Shape("a thread", "yes", frozenset(), loop=False, passed=True),
    ),
    "asChatEngine": (
        re.compile(r"llamaindex|@llamaindex/.*"),
        Shape("a chat engine", "yes", _names("chat"), loop=False),
    ),
    "getAgent": (
        re.compile(r"@mastra/.*"),
        Shape("a Mastra `Agent`", "no", _names("generate stream generateVNext streamVNext network")),
    ),
    "compile": (
        re.compile(r"@langchain/langgraph(/.*)?|@langchain/langgraph-.*"),
        Shape("a LangGraph graph", "no", _names(_LANGCHAIN_RUNS), _names("streamEvents")),
    ),
    "fromAgentAndTools": (
        re.compile(rf"(?:{_LANGCHAIN})(?:/.*)?"),
        Shape("an `AgentExecutor`", "memory", _names(_LANGCHAIN_RUNS), _names("streamEvents")),
    ),
    "fromLLM": (
        re.compile(rf"(?:{_LANGCHAIN})(?:/.*)?"),
        Shape("a chain with memory", "memory", _names(_LANGCHAIN_RUNS), loop=False),
    ),
}
"""Methods whose result is such an object, by the end of what is called, and the package of the receiver."""

RUN_FUNCTIONS: Final = {
    "run": re.compile(r"@openai/agents(-core)?"),
    "query": re.compile(r"@anthropic-ai/(claude-agent-sdk|claude-code)"),
}
"""Functions that run an agent: `run(agent, input)`."""

MODEL_FUNCTIONS: Final = {
    "generateText": True,
    "streamText": False,
    "generateObject": True,
    "streamObject": False,
}
"""Functions of the AI SDK, and whether they give a promise. With tools and steps they are an agent's run."""

STEPS: Final = frozenset(
    ["maxSteps", "stopWhen", "maxToolRoundtrips", "maxAutomaticRoundtrips", "experimental_maxAutomaticRoundtrips"]
)
"""Options of the AI SDK that let the model answer the results of its tools."""

MODEL_CALLS: Final = (
    ("completions", "create"),
    ("completions", "stream"),
    ("completions", "parse"),
    ("responses", "create"),
    ("responses", "stream"),
    ("messages", "create"),
    ("messages", "stream"),
    ("models", "generateContent"),
    ("models", "generateContentStream"),
)
"""How SDKs of model providers are called: the last two names."""

RUN_METHODS: Final = frozenset(
    method
    for shape in (
        AUTOGEN_SHAPE,
        *(maker.shape for maker in MAKERS),
        *(shape for _, shape in METHOD_MAKERS.values()),
    )
    for method in (*shape.runs, *shape.streams)
)
"""The methods that run any of these objects."""

SDK: Final = re.compile(
    r"(@openai/agents.*|@mastra/.*|ai|langchain|@langchain/.*|llamaindex|@llamaindex/.*|beeai-framework|"
    r"bee-agent-framework|@strands-agents/.*|@google/adk|@voltagent/.*|@inngest/agent-kit|deepagents|"
    r"@anthropic-ai/claude-agent-sdk|@autogen/.*)(/.*)?$"
)
"""Packages of agents."""


def shape_of(package: str, name: str) -> Shape | None:
    """What `new name()` or `name()` of a package makes; None: nothing of interest."""
    for maker in MAKERS:
        if name in maker.names and maker.package.match(package):
            return maker.shape
    if (
        AUTOGEN.search(package)
        and not package.startswith(".")
        and name.endswith(("Agent", "Team", "GroupChat", "Swarm", "GroupChatManager"))
    ):
        return AUTOGEN_SHAPE._replace(title=f"a `{name}`" if name[:1] not in "AEIOU" else f"an `{name}`")
    return None

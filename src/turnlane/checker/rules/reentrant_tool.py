"""TL402 in Python: a tool that runs the agent or team which is running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.facts import Expression
from turnlane.checker.python.project import AgentCall, Project, class_entry, class_name
from turnlane.checker.python.tools import HOSTS, Function, Made, functions_of, registered_later
from turnlane.checker.python.values import Instance, Ref
from turnlane.checker.rule import Example, Rule

MEMBERS: Final = ("participants", "agents", "groupchat", "agent", "initial_agent")
"""Keywords by which teams, group chats and managers get what they are made of; or the first argument."""

GROUPS: Final = frozenset({"team", "group_chat", "manager"})
RUNNING: Final = frozenset({"agent", "user_proxy", "team", "manager", "stateless_agent"})
ANSWERS: Final = frozenset({"generate_reply", "a_generate_reply", "generate_oai_reply", "a_generate_oai_reply"})
"""Classic methods that ask once with the messages they are given, beside the conversation."""

DEEPEST: Final = 4


class ReentrantTool(Rule):
    code = "TL402"
    language = "python"
    detects = (
        "A tool, or a function it calls, that runs the agent it is registered with, a team or group chat with it, "
        "or a new agent made with the same tool. Running another agent is right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


def support(model: OpenAIChatCompletionClient) -> AssistantAgent:
    async def ask_again(question: str) -> str:
        result = await agent.run(task=question)  # here
        return result.messages[-1].to_text()

    agent = AssistantAgent("support", model, tools=[ask_again])
    return agent
""",
            title="its own agent",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.tools import FunctionTool


class Research:
    def __init__(self, model):
        self.agent = AssistantAgent("researcher", model, tools=[FunctionTool(self.dig, description="Dig deeper")])
        self.team = RoundRobinGroupChat([self.agent], max_turns=2)

    async def dig(self, topic: str) -> str:
        return await self.ask(topic)

    async def ask(self, topic: str) -> str:
        result = await self.team.run(task=topic)  # here
        return result.messages[-1].to_text()
""",
            title="its team, through a helper",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


async def plan(task: str) -> str:
    result = await planner().run(task=task)  # here
    return result.messages[-1].to_text()


def planner() -> AssistantAgent:
    return AssistantAgent("planner", None, tools=[plan])
""",
            title="a new agent with the same tool",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent, register_function

assistant = AssistantAgent("assistant")
user = UserProxyAgent("user", human_input_mode="NEVER")


def clarify(question: str) -> str:
    return user.initiate_chat(assistant, message=question).summary  # here


register_function(clarify, caller=assistant, executor=user, description="Ask again")
""",
            title="the chat that calls it",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


async def ask_expert(question: str) -> str:
    expert = AssistantAgent("expert", None)
    result = await expert.run(task=question)
    return result.messages[-1].to_text()


def made(name: str, tools: list) -> AssistantAgent:
    return AssistantAgent(name, None, tools=tools)


async def ask_other(question: str) -> str:
    return str(await made("other", [ask_expert]).run(task=question))


support = AssistantAgent("support", None, tools=[ask_expert, ask_other])
chief = made("chief", [ask_other])
""",
            title="another agent",
        ),
        Example(
            """\
from autogen import AssistantAgent, UserProxyAgent, register_function

assistant = AssistantAgent("assistant")
planner = AssistantAgent("planner")
planner_user = UserProxyAgent("planner_user", human_input_mode="NEVER")
user = UserProxyAgent("user", human_input_mode="NEVER")


def ask_planner(question: str) -> str:
    planner_user.initiate_chat(planner, message=question)
    return planner_user.last_message()["content"]


register_function(ask_planner, caller=assistant, executor=user, description="Ask the planner")
""",
            title="another pair",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        runs = [call for call in project.agent_calls if call.role in RUNNING and _inside_tool(call)]
        if not runs:
            return
        owners = registered_later(project)
        for call in runs:
            tool = call.site.route.entry.frame.place
            target = _reenters(project, call, tool, owners)
            if target is not None:
                yield self._finding(project, call, target)

    def _finding(self, project: Project, call: AgentCall, target: Ref) -> Finding:
        tool = call.site.route.entry.frame.scope.name
        return Finding(
            self.code,
            project.site_place(call.site),
            f"tool `{tool}` runs the {class_name(target, project.evaluator)} that calls it "
            f"(`{project.callee_text(call.site)}`): the open run is broken, or starts itself again and again",
            "error",
            trace=project.trace(call.site),
        )


def _inside_tool(call: AgentCall) -> bool:
    situation = call.site.situation
    return situation.kind == "tool" and situation.host in HOSTS and call.name not in ANSWERS


def _reenters(
    project: Project, call: AgentCall, tool: Function, owners: Mapping[Made, set[Function]]
) -> Ref | None:
    """What is run in the middle of its own run; None: nothing, as far as is known."""
    receiver = call.receiver
    if receiver is None:
        return None
    if call.cls is not None and call.cls.family == "classic" and call.role not in GROUPS:
        partners = [
            ref
            for given in (*call.site.call.arguments, *(value for _, value in call.site.call.keywords))
            for ref in _values(project, call, given)
        ]
        # Two agents have one conversation for each pair: another partner is another conversation.
        if not any(_has_tool(project, ref, tool, owners, 0) for ref in partners):
            return None
    return receiver if _has_tool(project, receiver, tool, owners, 0) else None


def _values(project: Project, call: AgentCall, given: Expression) -> Iterator[Ref]:
    for ref in project.evaluator.evaluate(given, call.site.frame):
        if isinstance(ref.value, Instance):
            yield ref


def _has_tool(
    project: Project, ref: Ref, tool: Function, owners: Mapping[Made, set[Function]], depth: int
) -> bool:
    """Whether an agent was made with the tool or got it later, or a team has a member that did."""
    made = ref.value
    if not isinstance(made, Instance) or made.frame is None or made.call < 0 or depth > DEEPEST:
        return False
    if tool in owners.get((made.frame.place, made.call), ()):
        return True
    entry = class_entry(ref, project.evaluator)
    if entry is None:
        return False
    call = made.frame.scope.calls[made.call]
    if entry.role in GROUPS:
        given = [*call.arguments[:1], *(value for name, value in call.keywords if name in MEMBERS)]
        members = [one for part in given for one in _flat(project, part, made)]
        return any(_has_tool(project, one, tool, owners, depth + 1) for one in members)
    given = [value for name, value in call.keywords if name in {"tools", "functions", "function_map"}]
    return any(tool in functions_of(project, one) for part in given for one in _flat(project, part, made))


def _flat(project: Project, expression: Expression, made: Instance) -> Iterator[Ref]:
    """A value, or the values of a list."""
    assert made.frame is not None
    refs = project.evaluator.evaluate(expression, made.frame)
    yield from refs
    yield from project.evaluator.elements(refs)

"""TL304 in Python: a run that is started again after any error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.retries import RetryDecorator, retry_decorators, retry_loop, swallowed
from turnlane.checker.rule import Example, Rule

SELECTS: Final = frozenset({"retry", "on", "exception", "exceptions", "retry_on_exception"})
"""Arguments of retry decorators that say which errors are tried again."""

RUNNING_ROLES: Final = frozenset({"agent", "user_proxy", "team", "manager", "workflow", "stateless_agent"})


class BlindRetry(Rule):
    code = "TL304"
    language = "python"
    detects = (
        "A loop with `except Exception` around a run that starts the run again (a success leaves the loop), and a "
        "retry decorator without a choice of errors on a function that runs an agent. Retries of a single model "
        "call, and retries of named transient errors, are right."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent


async def answer(agent: AssistantAgent, text: str):
    for attempt in range(3):
        try:
            return await agent.run(task=text)  # here
        except Exception:
            await asyncio.sleep(2**attempt)
""",
            title="a loop",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from tenacity import retry, stop_after_attempt


@retry(stop=stop_after_attempt(3))
async def answer(agent: AssistantAgent, text: str):
    return await agent.run(task=text)  # here
""",
            title="a decorator",
        ),
    )
    good = (
        Example(
            """\
import openai
from autogen_agentchat.agents import AssistantAgent
from tenacity import retry, retry_if_exception_type


async def each(agent: AssistantAgent, texts):
    for text in texts:
        try:
            await agent.run(task=text)
        except Exception as error:
            print(error)


async def talk(agent: AssistantAgent):
    while True:
        try:
            text = input()
            if text == "bye":
                break
            print(await agent.run(task=text))
        except Exception as error:
            print(error)


async def transient(agent: AssistantAgent, text: str):
    for _ in range(3):
        try:
            return await agent.run(task=text)
        except openai.RateLimitError:
            pass


@retry(retry=retry_if_exception_type(openai.APIConnectionError))
async def named(agent: AssistantAgent, text: str):
    return await agent.run(task=text)
""",
            title="other loops, named errors",
        ),
        Example(
            """\
import asyncio

from autogen_agentchat.agents import AssistantAgent
from tenacity import retry, stop_after_attempt


async def looks(agent: AssistantAgent, text: str, most: int = 3):
    for attempt in range(most):
        try:
            return await agent.run(task=text)
        except Exception as error:
            is_rate_limit = "RateLimitError" in type(error).__name__
            if is_rate_limit and attempt < most:
                await asyncio.sleep(65)
            else:
                raise


@retry(stop=stop_after_attempt(3))
async def swallows(agent: AssistantAgent, text: str):
    try:
        return await agent.run(task=text)
    except Exception as error:
        return f"sorry: {error}"


async def serve(agent: AssistantAgent, socket):
    while True:
        try:
            message = await socket.receive_json()
            if message["type"] == "chat":
                await socket.send_json(await agent.run(task=message["text"]))
            elif message["type"] == "stop":
                break
        except Exception as error:
            await socket.send_json({"error": str(error)})
""",
            title="a look at the error, nothing to retry, a loop over messages",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for call in project.agent_calls:
            if call.role not in RUNNING_ROLES:
                continue
            site = call.site
            loop = retry_loop(site.frame.view, site.scope, site.call)
            if loop is not None and loop.catches_all:
                yield self._finding(project, call, "the loop around it")
                continue
            if swallowed(site.frame.view, site.scope, site.call.block):
                continue
            for decorator in retry_decorators(project, site.route):
                if _is_blind(decorator):
                    yield self._finding(project, call, f"`@{decorator.symbol}`")
                    break

    def _finding(self, project: Project, call: AgentCall, what: str) -> Finding:
        return Finding(
            self.code,
            project.site_place(call.site),
            f"{what} starts `{call.name}` again after any error: the message is sent a second time, and errors "
            "that can't pass are tried again too",
            "warning",
        )


def _is_blind(decorator: RetryDecorator) -> bool:
    call = decorator.call
    if call is None:
        return True
    if any(name in SELECTS for name, _ in call.keywords):
        return False
    # `backoff.on_exception(backoff.expo, openai.RateLimitError)` takes the errors by place.
    if decorator.symbol.startswith(("backoff.", "stamina.")):
        chosen = call.arguments[1:2] if decorator.symbol.startswith("backoff.") else call.arguments[:1]
        return any(getattr(one, "id", "") in {"Exception", "BaseException"} for one in chosen)
    return True

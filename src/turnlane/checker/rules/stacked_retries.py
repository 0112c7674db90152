"""TL305 in Python: retries around retries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding, Step
from turnlane.checker.python.catching import handlers, plain_name
from turnlane.checker.python.explore import Route
from turnlane.checker.python.facts import Items, Scope
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.retries import RetryLoop, retry_decorators, retry_loop, swallowed
from turnlane.checker.rule import Example, Rule

TRANSIENT: Final = re.compile(
    r"(?i)^(base)?exception$|rate|limit|time_?out|connect|apierror|apistatus|openaierror|server|unavailable|overload|"
    r"transient|temporar|retry|http|oserror|network"
)
"""Names of errors that a retry is for; also those above them."""


class StackedRetries(Rule):
    code = "TL305"
    language = "python"
    detects = (
        "Two or more retries of the program's own on the way to a run or a model call: decorators and loops, in "
        "one function or in functions that call each other. They multiply, and the SDK's own retries multiply "
        "with them. The finding stands at the innermost."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen_ext.models.openai import OpenAIChatCompletionClient
from tenacity import retry, stop_after_attempt


@retry(stop=stop_after_attempt(3))  # here
async def ask(client: OpenAIChatCompletionClient, messages):
    return await client.create(messages)


async def answer(client: OpenAIChatCompletionClient, messages):
    for attempt in range(5):
        try:
            return await ask(client, messages)
        except Exception:
            await asyncio.sleep(attempt)


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    print(await answer(client, []))


if __name__ == "__main__":
    asyncio.run(main())
""",
        ),
    )
    good = (
        Example(
            """\
from autogen_ext.models.openai import OpenAIChatCompletionClient
from tenacity import retry, stop_after_attempt


@retry(stop=stop_after_attempt(3))
async def ask(client: OpenAIChatCompletionClient, messages):
    return await client.create(messages)


async def main(client: OpenAIChatCompletionClient, questions):
    for question in questions:
        try:
            print(await ask(client, [question]))
        except Exception as error:
            print(error)
""",
            title="one retry",
        ),
        Example(
            """\
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openai import BadRequestError
from tenacity import retry, stop_after_attempt


@retry(stop=stop_after_attempt(3))
async def ask(client: OpenAIChatCompletionClient, messages):
    return await client.create(messages)


async def shorten(client: OpenAIChatCompletionClient, messages):
    while True:
        try:
            return await ask(client, messages)
        except BadRequestError:
            messages.pop(0)


@retry(stop=stop_after_attempt(3))
async def swallows(client: OpenAIChatCompletionClient, messages):
    try:
        return await ask(client, messages)
    except Exception as error:
        return f"sorry: {error}"


async def main(client: OpenAIChatCompletionClient):
    await shorten(client, [])
    await swallows(client, [])
""",
            title="other errors, and errors that go no further",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for call in project.agent_calls:
            steps = list(_retries_on_the_way(project, call))
            if len(steps) > 1:
                yield Finding(
                    self.code,
                    steps[0].place,
                    f"`{call.name}` is retried at {len(steps)} places on its way, which multiply with each other "
                    "and with the SDK's own retries",
                    "warning",
                    trace=tuple(steps),
                )


def _retries_on_the_way(project: Project, call: AgentCall) -> Iterator[Step]:
    for route, number in call.site.way():
        yield from _retries_of(project, route, number)
        if swallowed(route.frame.view, route.frame.scope, route.frame.scope.calls[number].block):
            return  # what stands further out never meets the error


def _retries_of(project: Project, route: Route, number: int) -> Iterator[Step]:
    """The retries of one function on the way, around the call it makes."""
    frame = route.frame
    scope = frame.scope
    call = scope.calls[number]
    loop = retry_loop(frame.view, scope, call)
    if loop is not None and _meets_transient_errors(scope, loop):
        yield Step(project.line_place(frame.path, scope.blocks[loop.loop].line), "a loop that tries again")
    if swallowed(frame.view, scope, call.block):
        return
    for decorator in retry_decorators(project, route):
        yield Step(project.line_place(frame.path, scope.span.line), f"`@{decorator.symbol}`")


def _meets_transient_errors(scope: Scope, loop: RetryLoop) -> bool:
    """Whether a loop catches what other retries catch too; one for a single other error does not multiply."""
    names = [
        plain_name(part)
        for handler in handlers(scope, loop.attempt)
        for one in handler.subject
        for part in (one.values if isinstance(one, Items) else (one,))
    ]
    return not names or any(TRANSIENT.search(name) for name in names)

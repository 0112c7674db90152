"""TL305 in Python: retries around retries."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding, Step
from turnlane.checker.python.explore import Route
from turnlane.checker.python.project import AgentCall, Project
from turnlane.checker.python.retries import retry_decorators, retry_loop
from turnlane.checker.rule import Example, Rule


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
    after = call.site.number
    for route in reversed(call.site.route.steps()):
        yield from _retries_of(project, route, after)
        after = route.call


def _retries_of(project: Project, route: Route, number: int) -> Iterator[Step]:
    """The retries of one function on the way, around the call it makes."""
    frame = route.frame
    scope = frame.scope
    loop = retry_loop(frame.view, scope, scope.calls[number])
    if loop is not None:
        yield Step(project.line_place(frame.path, scope.blocks[loop.loop].line), "a loop that tries again")
    for decorator in retry_decorators(project, route):
        yield Step(project.line_place(frame.path, scope.span.line), f"`@{decorator.symbol}`")

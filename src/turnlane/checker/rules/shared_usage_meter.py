"""TL208 in Python: one usage meter for all users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.python.project import Project, agent_calls_of
from turnlane.checker.rule import Example, Rule

METERS: Final = frozenset(
    {"total_usage", "actual_usage", "get_total_usage", "get_actual_usage", "print_usage_summary"}
)


class SharedUsageMeter(Rule):
    code = "TL208"
    language = "python"
    detects = (
        "A request handler, or a function it calls, that reads the usage totals of a model client or agent "
        "which all requests share. The usage of one result (`result.usage`, `messages[-1].models_usage`) is "
        "right."
    )
    bad = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str):
    result = await AssistantAgent("support", client).run(task=text)
    usage = client.total_usage()  # here
    return {"answer": result.messages[-1].to_text(), "tokens": usage.prompt_tokens}
""",
        ),
    )
    good = (
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


@app.post("/chat")
async def chat(text: str):
    result = await AssistantAgent("support", client).run(task=text)
    spent = sum(message.models_usage.prompt_tokens for message in result.messages if message.models_usage)
    return {"answer": result.messages[-1].to_text(), "tokens": spent}
""",
            title="the usage of this turn",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site in project.sites:
            if not site.situation.serves:
                continue
            for call in agent_calls_of(site):
                ref = call.receiver
                if call.name in METERS and ref is not None and ref.shared and ref.holder is not None:
                    place, _ = project.touch(site, ref.holder)
                    yield Finding(
                        self.code,
                        place,
                        f"`{ref.holder.name}.{call.name}()` counts the tokens of all users together, and "
                        f"{project.started_by(site)} takes it for one request's",
                        "warning",
                        trace=project.trace(site),
                    )

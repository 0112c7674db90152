import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery, Task

app = Celery(__name__)


class ReportTask(Task):
    name = "reports.write"

    async def write(self, text: str) -> str:
        model = OpenAIChatCompletionClient(model="gpt-4o-mini")
        writer = AssistantAgent("writer", model)
        editor = AssistantAgent("editor", model)
        team = RoundRobinGroupChat([writer, editor], termination_condition=MaxMessageTermination(3))
        try:
            return (await team.run(task=text)).messages[-1].to_text()
        finally:
            await model.close()

    def run(self, text: str) -> str:
        return asyncio.run(self.write(text))


app.register_task(ReportTask())

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = OpenAIChatCompletionClient(model="gpt-4o")


class Topic(BaseModel):
    topic: str


async def delegate(task: str) -> str:
    """Hand a part of the work to another researcher."""
    helper = AssistantAgent("helper", model, system_message="You research one question, alone.")
    return (await helper.run(task=task)).messages[-1].to_text()


async def research(task: str) -> str:
    researcher = AssistantAgent(
        "researcher",
        model,
        tools=[delegate],
        reflect_on_tool_use=True,
        system_message="Split the work and delegate the parts.",
    )
    result = await researcher.run(task=task)
    return result.messages[-1].to_text()


@app.post("/research")
async def research_topic(body: Topic):
    return {"report": await research(body.topic)}

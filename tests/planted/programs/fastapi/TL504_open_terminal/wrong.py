from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o")


class Message(BaseModel):
    message: str


def confirm(question: str) -> str:
    """Ask the operator whether to go on."""
    answer = input(f"{question} [y/n] ")
    return "yes" if answer.lower().startswith("y") else "no"


@app.post("/deploy")
async def deploy(body: Message):
    agent = AssistantAgent("deployer", client, tools=[confirm], system_message="Confirm before you deploy.")
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].to_text()}

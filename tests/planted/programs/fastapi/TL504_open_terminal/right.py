from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o")


class Message(BaseModel):
    message: str
    confirmed: bool = False


@app.post("/deploy")
async def deploy(body: Message):
    def confirm(question: str) -> str:
        """Ask the operator whether to go on."""
        return "yes" if body.confirmed else f"The operator has to confirm first: {question}"

    agent = AssistantAgent("deployer", client, tools=[confirm], system_message="Confirm before you deploy.")
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].to_text()}

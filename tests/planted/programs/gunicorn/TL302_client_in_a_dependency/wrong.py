from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Depends, FastAPI
from pydantic import BaseModel


class Question(BaseModel):
    question: str


def get_client() -> ChatCompletionClient:
    return OpenAIChatCompletionClient(model="gpt-4o-mini", temperature=0.2)


def get_agent(client: ChatCompletionClient = Depends(get_client)) -> AssistantAgent:
    return AssistantAgent("doctor", client, system_message="You explain laboratory values.")


app = FastAPI()


@app.post("/ask")
async def ask(body: Question, agent: AssistantAgent = Depends(get_agent)):
    result = await agent.run(task=body.question)
    return {"answer": result.messages[-1].to_text()}

from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    message: str


class Assistant:
    def __init__(self, client):
        self.agent = AssistantAgent(
            "assistant",
            client,
            tools=[self.think_again],
            reflect_on_tool_use=True,
            system_message="Use think_again when a question is difficult.",
        )

    async def think_again(self, question: str) -> str:
        """Think about a difficult question once more."""
        result = await self.agent.run(task=f"Think step by step: {question}")
        return result.messages[-1].to_text()

    async def answer(self, text: str) -> str:
        result = await self.agent.run(task=text)
        return result.messages[-1].to_text()


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(body: Message):
    return {"reply": await Assistant(app.state.client).answer(body.message)}

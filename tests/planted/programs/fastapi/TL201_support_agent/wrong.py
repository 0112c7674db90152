import os

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Customer support")

model_client = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key=os.environ["OPENAI_API_KEY"])

support = AssistantAgent(
    name="support",
    model_client=model_client,
    system_message="You are a friendly support agent of an online shop.",
)


class ChatRequest(BaseModel):
    message: str


@app.post("/chat")
async def chat(request: ChatRequest):
    result = await support.run(task=request.message)
    return {"reply": result.messages[-1].content}

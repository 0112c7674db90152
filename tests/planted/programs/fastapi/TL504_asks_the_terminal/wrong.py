from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    message: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    yield
    await app.state.client.close()


app = FastAPI(lifespan=lifespan)


@app.post("/refunds")
async def refunds(body: Message):
    clerk = AssistantAgent("clerk", app.state.client, system_message="Ask before you refund.")
    user = UserProxyAgent("user")
    team = RoundRobinGroupChat([clerk, user], termination_condition=TextMentionTermination("APPROVE"), max_turns=4)
    result = await team.run(task=body.message)
    return {"reply": result.messages[-1].to_text()}

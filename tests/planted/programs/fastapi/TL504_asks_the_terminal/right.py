from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import HandoffTermination
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
    clerk = AssistantAgent(
        "clerk", app.state.client, handoffs=["user"], system_message="Hand over to the user before you refund."
    )
    team = RoundRobinGroupChat([clerk], termination_condition=HandoffTermination(target="user"), max_turns=1)
    result = await team.run(task=body.message)
    return {"reply": result.messages[-1].to_text(), "state": await team.save_state()}

from contextlib import asynccontextmanager

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from pydantic import BaseModel


class StoryRequest(BaseModel):
    idea: str


@asynccontextmanager
async def lifespan(app: FastAPI):
    llm = OpenAIChatCompletionClient(model="gpt-4o")
    writer = AssistantAgent("writer", llm, system_message="You write short stories for children.")
    critic = AssistantAgent("critic", llm, system_message="You review stories. Say APPROVE when one is good.")
    stop = TextMentionTermination("APPROVE") | MaxMessageTermination(4)
    app.state.team = RoundRobinGroupChat([writer, critic], termination_condition=stop)
    yield
    await llm.close()


app = FastAPI(title="Stories", lifespan=lifespan)


@app.post("/stories")
async def create_story(body: StoryRequest, request: Request):
    team = request.app.state.team
    await team.reset()
    result = await team.run(task=f"Write a story about this idea: {body.idea}")
    return {"messages": [message.to_text() for message in result.messages], "stop": result.stop_reason}

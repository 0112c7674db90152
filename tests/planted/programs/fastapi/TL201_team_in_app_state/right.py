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
    app.state.llm = OpenAIChatCompletionClient(model="gpt-4o")
    yield
    await app.state.llm.close()


app = FastAPI(title="Stories", lifespan=lifespan)


def story_team(llm) -> RoundRobinGroupChat:
    writer = AssistantAgent("writer", llm, system_message="You write short stories for children.")
    critic = AssistantAgent("critic", llm, system_message="You review stories. Say APPROVE when one is good.")
    stop = TextMentionTermination("APPROVE") | MaxMessageTermination(4)
    return RoundRobinGroupChat([writer, critic], termination_condition=stop)


@app.post("/stories")
async def create_story(body: StoryRequest, request: Request):
    result = await story_team(request.app.state.llm).run(task=f"Write a story about this idea: {body.idea}")
    return {"messages": [message.to_text() for message in result.messages], "stop": result.stop_reason}

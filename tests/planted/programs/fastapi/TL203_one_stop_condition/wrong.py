from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel

TERMINATION = MaxMessageTermination(max_messages=5) | TextMentionTermination("TERMINATE")

app = FastAPI()
client = OpenAIChatCompletionClient(model="gpt-4o-mini")


class Debate(BaseModel):
    motion: str


@app.on_event("shutdown")
async def stop():
    await client.close()


@app.post("/debates")
async def debate(body: Debate):
    team = RoundRobinGroupChat(
        participants=[
            AssistantAgent("proposer", client, system_message="Argue for the motion."),
            AssistantAgent("opposer", client, system_message="Argue against the motion."),
        ],
        termination_condition=TERMINATION,
    )
    transcript = []
    async for message in team.run_stream(task=body.motion):
        if hasattr(message, "source"):
            transcript.append(f"{message.source}: {message.to_text()}")
    return {"transcript": transcript}

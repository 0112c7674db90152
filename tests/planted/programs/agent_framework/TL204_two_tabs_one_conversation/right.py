import asyncio
from collections import defaultdict

from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You help with homework.", name="tutor")
sessions: dict[str, AgentSession] = {}
lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)


@app.post("/conversations/{conversation_id}/messages")
async def post_message(conversation_id: str, text: str = Body(embed=True)):
    session = sessions.setdefault(conversation_id, agent.create_session(session_id=conversation_id))
    async with lanes[conversation_id]:
        response = await agent.run(text, session=session)
    return {"conversation_id": conversation_id, "text": response.text}

import asyncio
import logging
from typing import Dict

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

logger = logging.getLogger("rooms")
app = FastAPI()


class Text(BaseModel):
    text: str


class Room:
    def __init__(self, client):
        self.lock = asyncio.Lock()
        planner = AssistantAgent("planner", client, system_message="You plan trips.")
        local = AssistantAgent("local", client, system_message="You know the city.")
        self.team = RoundRobinGroupChat([planner, local], max_turns=2)


rooms: Dict[str, Room] = {}
client = OpenAIChatCompletionClient(model="gpt-4o", max_retries=0)


@app.post("/rooms/{room_id}/say")
async def say(room_id: str, body: Text):
    room = rooms.get(room_id)
    if room is None:
        room = rooms[room_id] = Room(client)
    async with room.lock:
        try:
            result = await room.team.run(task=body.text)
        except Exception as e:
            logger.exception("room %s failed", room_id)
            raise HTTPException(status_code=500, detail=str(e)[:80])
    return {"messages": [m.to_text() for m in result.messages]}

from collections import defaultdict
from asyncio import Lock

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ChatCompletionClient
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Body, Depends, FastAPI

app = FastAPI()
states: dict[str, dict] = {}
locks: dict[str, Lock] = defaultdict(Lock)
_client: ChatCompletionClient | None = None


async def client() -> ChatCompletionClient:
    global _client
    if _client is None:
        _client = OpenAIChatCompletionClient(model="gpt-4o")
    return _client


@app.post("/sessions/{session_id}/messages")
async def post_message(session_id: str, text: str = Body(embed=True), model=Depends(client)):
    async with locks[session_id]:
        assistant = AssistantAgent("assistant", model)
        if session_id in states:
            await assistant.load_state(states[session_id])
        result = await assistant.run(task=text)
        states[session_id] = dict(await assistant.save_state())
    return {"session": session_id, "text": result.messages[-1].to_text()}

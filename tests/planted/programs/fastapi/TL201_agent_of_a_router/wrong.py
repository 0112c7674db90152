import json

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import APIRouter, Body, FastAPI
from fastapi.responses import StreamingResponse


def assistant_router(model: str) -> APIRouter:
    router = APIRouter()
    client = OpenAIChatCompletionClient(model=model)
    assistant = AssistantAgent("assistant", client, model_client_stream=True)

    async def events(text: str):
        async for item in assistant.run_stream(task=text):
            if not isinstance(item, TaskResult):
                yield f"data: {json.dumps({'type': item.type, 'text': item.to_text()})}\n\n"
        yield "data: [DONE]\n\n"

    @router.post("/assistant")
    async def ask(input: str = Body(embed=True)):
        return StreamingResponse(events(input), media_type="text/event-stream")

    return router


app = FastAPI()
app.include_router(assistant_router("gpt-4o-mini"), prefix="/api/v2")

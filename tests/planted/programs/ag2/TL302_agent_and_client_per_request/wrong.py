import httpx2
from ag2 import Agent
from ag2.config import OpenAIConfig
from fastapi import Body, FastAPI

app = FastAPI()


def classifier() -> Agent:
    config = OpenAIConfig("gpt-4o-mini", http_client=httpx2.AsyncClient(timeout=httpx2.Timeout(30, connect=5)))
    return Agent("classifier", "Is it a bug, a question or praise?", config=config)


@app.post("/classify")
async def classify(text: str = Body(embed=True)):
    reply = await classifier().ask(text)
    return {"label": reply.body}

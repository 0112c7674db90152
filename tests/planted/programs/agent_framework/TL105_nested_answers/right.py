from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
client = OpenAIChatCompletionClient("gpt-4o-mini")


async def answer(question: str) -> str:
    agent = Agent(client, "Answer from the FAQ.", name="faq")
    return (await agent.run(question)).text


@app.post("/faq")
async def faq(q: str = Body(embed=True)):
    return {"a": await answer(q)}

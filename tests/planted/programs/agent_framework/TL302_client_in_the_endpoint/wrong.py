from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()


def make_agent(instructions: str) -> Agent:
    return Agent(
        client=OpenAIChatCompletionClient(model="gpt-4o-mini"),
        instructions=instructions,
        name="tagger",
    )


@app.post("/tag")
async def tag(text: str = Body(embed=True)):
    agent = make_agent("Answer with three tags.")
    response = await agent.run(text)
    return {"tags": response.text.split()}

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You write essays.", name="essayist")


@app.post("/essay")
async def essay(topic: str = Body(embed=True)):
    response = await agent.run(topic, options={"max_tokens": 60})
    return {"essay": response.text}

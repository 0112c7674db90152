from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI, HTTPException

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You write essays.", name="essayist")


@app.post("/essay")
async def essay(topic: str = Body(embed=True)):
    response = await agent.run(topic, options={"max_tokens": 60})
    if response.finish_reason != "stop":
        raise HTTPException(502, f"the essay is not complete: {response.finish_reason}")
    return {"essay": response.text}

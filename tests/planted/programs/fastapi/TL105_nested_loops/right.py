from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
model_client = OpenAIChatCompletionClient(model="gpt-4o")


@app.on_event("shutdown")
async def close_client():
    await model_client.close()


async def get_answer(question: str) -> str:
    agent = AssistantAgent(name="assistant", model_client=model_client)
    result = await agent.run(task=question)
    return result.messages[-1].content


@app.post("/ask")
async def ask(question: str = Body(embed=True)):
    return {"answer": await get_answer(question)}

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()
    client = OpenAIChatCompletionClient(model="gpt-4o-mini", temperature=0)

    @app.post("/v1/answers")
    async def answers(payload: dict):
        agent = AssistantAgent("answerer", client)
        result = agent.run(task=payload["text"])
        return {"answer": result.messages[-1].content}

    return app

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, request


def create_app():
    app = Flask("translator")

    async def translate(text):
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        agent = AssistantAgent("translator", client, system_message="Translate to French.")
        result = await agent.run(task=text)
        client.close()
        return result.messages[-1].content

    @app.post("/translate")
    def translate_view():
        return {"text": asyncio.run(translate(request.get_json()["text"]))}

    return app

from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI, Request
from pydantic import BaseModel


class Message(BaseModel):
    message: str


def create_agent(client, context=BufferedChatCompletionContext(buffer_size=20)):
    return AssistantAgent(
        "advisor",
        model_client=client,
        model_context=context,
        system_message="You advise on travel insurance.",
    )


async def startup():
    app.state.client = OpenAIChatCompletionClient(model="gpt-4o")


async def shutdown():
    await app.state.client.close()


app = FastAPI(on_startup=[startup], on_shutdown=[shutdown])


@app.post("/chat")
async def chat(body: Message, request: Request):
    agent = create_agent(request.app.state.client)
    result = await agent.run(task=body.message)
    return {"reply": result.messages[-1].content}

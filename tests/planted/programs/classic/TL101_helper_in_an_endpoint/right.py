import os

from autogen import AssistantAgent, UserProxyAgent
from fastapi import FastAPI
from pydantic import BaseModel

llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "timeout": 30}
app = FastAPI()


class Question(BaseModel):
    question: str


async def ask_agents(question: str) -> str:
    assistant = AssistantAgent("assistant", llm_config=llm_config)
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    chat = await user.a_initiate_chat(assistant, message=question, max_turns=1, silent=True)
    return chat.summary


@app.post("/ask")
async def ask(body: Question):
    return {"answer": await ask_agents(body.question)}

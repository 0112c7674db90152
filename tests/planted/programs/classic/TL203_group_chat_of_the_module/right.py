import os

from autogen import ConversableAgent, GroupChat, GroupChatManager
from fastapi import Body, FastAPI

llm = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
app = FastAPI()


def crew():
    names = ("chief", "cook", "waiter")
    members = [ConversableAgent(n, f"You are the {n}.", llm_config=llm, human_input_mode="NEVER") for n in names]
    group = GroupChat(members, messages=[], max_round=3)
    return members[0], GroupChatManager(group, llm_config=llm)


@app.post("/plan")
async def plan(goal: str = Body(embed=True)):
    chief, manager = crew()
    result = await chief.a_initiate_chat(manager, message=goal, clear_history=False)
    return [message["content"] for message in result.chat_history]

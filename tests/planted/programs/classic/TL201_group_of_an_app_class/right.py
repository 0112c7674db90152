import os

import autogen
from fastapi import Depends, FastAPI
from pydantic import BaseModel


class StoryService:
    def __init__(self):
        llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]}
        self.reader = autogen.UserProxyAgent("reader", human_input_mode="NEVER", code_execution_config=False)
        author = autogen.AssistantAgent("author", llm_config=llm_config)
        critic = autogen.AssistantAgent("critic", llm_config=llm_config)
        group = autogen.GroupChat(
            agents=[self.reader, author, critic],
            messages=[],
            max_round=3,
            speaker_selection_method="round_robin",
        )
        self.manager = autogen.GroupChatManager(groupchat=group, llm_config=llm_config)

    async def tell(self, idea: str) -> str:
        result = await self.reader.a_initiate_chat(self.manager, message=idea)
        return result.chat_history[-1]["content"]


class Idea(BaseModel):
    idea: str


app = FastAPI()


@app.post("/story")
async def story(idea: Idea, stories: StoryService = Depends(StoryService)):
    return {"story": await stories.tell(idea.idea)}

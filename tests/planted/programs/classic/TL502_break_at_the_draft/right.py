import os

from autogen import ConversableAgent, LLMConfig
from autogen.events.agent_events import TextEvent
from fastapi import Body, FastAPI

app = FastAPI()
llm = LLMConfig({"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}, cache_seed=None)


@app.post("/drafts")
async def first_draft(brief: str = Body(embed=True)):
    author = ConversableAgent("author", "Write a leaflet.", llm_config=llm)
    editor = ConversableAgent("editor", "Ask for a better version.", llm_config=llm)
    draft = ""
    async for event in editor.a_run_iter(author, message=brief, max_turns=1, yield_on=[TextEvent]):
        if event.content.sender == "author":
            draft = event.content.content
    return {"draft": draft}

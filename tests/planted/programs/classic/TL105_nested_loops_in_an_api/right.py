from autogen import AssistantAgent, LLMConfig, UserProxyAgent
from fastapi import Body, FastAPI

app = FastAPI(title="Chat")
config = LLMConfig({"model": "gpt-4o-mini", "api_type": "openai"})


class Chat:
    def __init__(self):
        self.assistant = AssistantAgent("assistant", llm_config=config)
        self.user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)

    async def say(self, message):
        return await self.user.a_initiate_chat(self.assistant, message=message, max_turns=1)


@app.post("/chat")
async def chat(message: str = Body(embed=True)):
    result = await Chat().say(message)
    return {"text": result.summary}

from openai import AsyncOpenAI
from fastapi import Depends, FastAPI
from pydantic import BaseModel


class Message(BaseModel):
    body: str


class ChatService:
    history = [{"role": "system", "content": "You are a travel agent."}]

    def __init__(self, client):
        self.client = client

    async def reply(self, text):
        self.history.append({"role": "user", "content": text})
        completion = await self.client.chat.completions.create(model="gpt-4o-mini", messages=self.history)
        answer = completion.choices[0].message
        self.history.append({"role": answer.role, "content": answer.content})
        return answer.content


client = AsyncOpenAI()
app = FastAPI()


def service():
    return ChatService(client)


@app.post("/messages")
async def post(message: Message, service: ChatService = Depends(service)):
    return {"body": await service.reply(message.body)}

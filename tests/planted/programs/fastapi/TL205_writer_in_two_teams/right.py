from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import Depends, FastAPI
from pydantic import BaseModel


class Brief(BaseModel):
    product: str


class Agency:
    def __init__(self, model):
        designer = AssistantAgent("designer", model, system_message="You describe one picture.")
        lawyer = AssistantAgent("lawyer", model, system_message="You check claims.")
        self.posters = RoundRobinGroupChat([self.writer(model), designer], max_turns=2)
        self.letters = RoundRobinGroupChat([self.writer(model), lawyer], max_turns=2)

    @staticmethod
    def writer(model) -> AssistantAgent:
        return AssistantAgent("writer", model, system_message="You write copy.")

    async def campaign(self, product: str) -> dict[str, str]:
        poster = await self.posters.run(task=f"A poster for {product}")
        letter = await self.letters.run(task=f"A letter to customers about {product}")
        return {"poster": poster.messages[-1].to_text(), "letter": letter.messages[-1].to_text()}


app = FastAPI()
model_client = OpenAIChatCompletionClient(model="gpt-4o")


def agency() -> Agency:
    return Agency(model_client)


@app.post("/campaign")
async def campaign(brief: Brief, agency: Agency = Depends(agency)):
    return await agency.campaign(brief.product)

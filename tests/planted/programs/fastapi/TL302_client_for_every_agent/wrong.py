from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from fastapi import FastAPI
from pydantic import BaseModel


class Trip(BaseModel):
    destination: str


ROLES = {
    "planner": "Plan each day.",
    "foodie": "Suggest a restaurant for each day.",
    "accountant": "Estimate the costs.",
}


def make_agents():
    agents = []
    for name, prompt in ROLES.items():
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        agents.append(AssistantAgent(name, client, system_message=prompt))
    return agents


app = FastAPI()


@app.post("/itinerary")
async def itinerary(trip: Trip):
    team = RoundRobinGroupChat(make_agents(), termination_condition=MaxMessageTermination(4))
    result = await team.run(task=f"Three days in {trip.destination}")
    return [{"from": m.source, "text": m.to_text()} for m in result.messages]

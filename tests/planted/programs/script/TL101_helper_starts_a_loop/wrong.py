"""Summarise a few tickets and print one line for each."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

TICKETS = ["printer on floor 2 is offline", "vpn drops every hour", "new laptop for Dana"]


def summarise(ticket, client):
    agent = AssistantAgent(
        name="summariser",
        model_client=client,
        system_message="Summarise the ticket in five words.",
    )
    result = asyncio.run(agent.run(task=ticket))
    return result.messages[-1].content


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    for ticket in TICKETS:
        print(ticket, "->", summarise(ticket, client))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

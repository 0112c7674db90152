"""Ten customers book seats for the same evening."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

free_seats = {"Hamlet": 25, "Macbeth": 40}


async def book(show: str, seats: int) -> str:
    """Book seats for a show."""
    left = free_seats[show]
    if left < seats:
        return "sold out"
    await asyncio.sleep(0.05)  # the till
    free_seats[show] = left - seats
    return f"{seats} seats for {show}"


async def customer(wish: str, client: OpenAIChatCompletionClient) -> str:
    agent = AssistantAgent("box_office", client, tools=[book])
    return (await agent.run(task=wish)).messages[-1].to_text()


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    answers = await asyncio.gather(*(customer(f"Please book {n} seats", client) for n in (2, 3, 4, 2, 3, 4, 2, 3)))
    print(*answers, sep="\n")
    print("left:", free_seats)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

"""Write one letter for each customer, several at a time."""

import asyncio
from dataclasses import dataclass

from autogen_agentchat.agents import AssistantAgent
from autogen_core.model_context import BufferedChatCompletionContext
from autogen_ext.models.openai import OpenAIChatCompletionClient

RECENT = BufferedChatCompletionContext(buffer_size=12)


@dataclass(frozen=True)
class Customer:
    name: str
    debt: str


CUSTOMERS = [
    Customer("Abel", "14 euro"),
    Customer("Bea", "230 euro"),
    Customer("Cato", "7 euro"),
    Customer("Daan", "65 euro"),
]


async def letter(customer: Customer, client: OpenAIChatCompletionClient) -> str:
    clerk = AssistantAgent("clerk", client, model_context=RECENT, system_message="You write polite reminders.")
    result = await clerk.run(task=f"{customer.name} owes {customer.debt}")
    return result.messages[-1].to_text()


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    for text in await asyncio.gather(*(letter(customer, client) for customer in CUSTOMERS)):
        print(text)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

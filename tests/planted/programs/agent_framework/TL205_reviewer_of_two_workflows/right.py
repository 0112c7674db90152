import asyncio

from agent_framework import Agent, AgentExecutor, WorkflowBuilder
from agent_framework.openai import OpenAIChatCompletionClient


def writer(client: OpenAIChatCompletionClient, name: str, task: str) -> AgentExecutor:
    return AgentExecutor(Agent(client, task, name=name))


async def main() -> None:
    client = OpenAIChatCompletionClient("gpt-4o-mini")
    offers, complaints = writer(client, "offers", "Write offers."), writer(client, "complaints", "Answer complaints.")
    first = writer(client, "reviewer", "Correct the letter.")
    second = writer(client, "reviewer", "Correct the letter.")
    selling = WorkflowBuilder(start_executor=offers).add_edge(offers, first).build()
    helping = WorkflowBuilder(start_executor=complaints).add_edge(complaints, second).build()

    offer = await selling.run("An offer to the harbour club, 40 percent off.")
    letter = await helping.run("Somebody's parcel was late.")
    print(offer.get_outputs()[-1].text)
    print(letter.get_outputs()[-1].text)


asyncio.run(main())

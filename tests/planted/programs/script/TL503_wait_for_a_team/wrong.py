import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    planner = AssistantAgent("planner", client, system_message="Plan the next step.")
    doer = AssistantAgent("doer", client, system_message="Carry out the plan.")
    team = RoundRobinGroupChat([planner, doer], max_turns=8)

    began = time.perf_counter()
    try:
        result = await asyncio.wait_for(team.run(task="Move the office to Utrecht"), timeout=0.5)
        print(result.messages[-1].to_text())
    except TimeoutError:
        print(f"gave up after {time.perf_counter() - began:.1f} s")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

import asyncio
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    planner = AssistantAgent("planner", client, system_message="Plan the next step.")
    doer = AssistantAgent("doer", client, system_message="Carry out the plan.")
    team = RoundRobinGroupChat([planner, doer], max_turns=8)

    began = time.perf_counter()
    stop = CancellationToken()
    run = asyncio.create_task(team.run(task="Move the office to Utrecht", cancellation_token=stop))
    done, _ = await asyncio.wait({run}, timeout=0.5)
    if done:
        print(run.result().messages[-1].to_text())
    else:
        stop.cancel()
        await asyncio.wait({run}, timeout=2)
        print(f"gave up after {time.perf_counter() - began:.1f} s")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

"""Ask for a report, but not for longer than a moment. `wait_for` is the emergency brake."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core import CancellationToken
from autogen_ext.models.openai import OpenAIChatCompletionClient

PATIENCE = 4.0


async def monthly_report(month: str) -> str:
    """Make the report of a month."""
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        return "stopped before it was ready"
    return f"report for {month}"


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    analyst = AssistantAgent("analyst", client, tools=[monthly_report])
    token = CancellationToken()
    run = asyncio.create_task(analyst.run(task="The report for May, please", cancellation_token=token))
    asyncio.get_running_loop().call_later(PATIENCE, token.cancel)
    try:
        result = await asyncio.wait_for(run, 12)
        print(result.messages[-1].to_text())
    except TimeoutError:
        print("still running", 8, "seconds after it was cancelled")
    except asyncio.CancelledError:
        print("cancelled")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

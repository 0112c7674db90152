"""Two editors improve a headline; the result goes to stdout."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def improve(headline, client):
    editors = [AssistantAgent(name, client) for name in ("first_editor", "second_editor")]
    team = RoundRobinGroupChat(editors, max_turns=2)
    print("editing", headline)
    async for message in team.run_stream(task=headline):
        last = message
    return last.messages[-1].to_text()


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    for headline in ("Council buys bridge", "Rain expected"):
        print(await improve(headline, client))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

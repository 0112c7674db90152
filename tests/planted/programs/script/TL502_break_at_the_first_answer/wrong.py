import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

PANEL = ("economist", "engineer", "lawyer", "teacher")


async def first_view(question: str, client: OpenAIChatCompletionClient) -> str:
    team = RoundRobinGroupChat([AssistantAgent(name, client) for name in PANEL], max_turns=8)
    view = ""
    async for message in team.run_stream(task=question):
        if not isinstance(message, TaskResult) and message.source in PANEL:
            view = f"{message.source}: {message.to_text()}"
            break
    return view


async def main() -> None:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    print(await first_view("Should the bridge be built?", client))
    await asyncio.sleep(1)
    print(await first_view("Should the tunnel be built?", client))
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

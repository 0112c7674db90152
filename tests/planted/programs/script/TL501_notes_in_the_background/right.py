import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

archive: list[str] = []


async def take_notes(text, client):
    scribe = AssistantAgent("scribe", client, system_message="Take notes of what is said.")
    result = await scribe.run(task=text)
    archive.append(result.messages[-1].to_text())


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    notes = []
    host = AssistantAgent("host", client)
    for question in ("Who opens the meeting?", "Who closes it?"):
        answer = (await host.run(task=question)).messages[-1].to_text()
        print(answer)
        notes.append(asyncio.create_task(take_notes(f"{question} {answer}", client)))
    await asyncio.gather(*notes)
    print(len(archive), "notes taken")
    # give back the connections
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

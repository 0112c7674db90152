import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


class Book:
    def __init__(self, client):
        self.client = client
        self.chapters = {}

    def team(self):
        author = AssistantAgent("author", self.client)
        lector = AssistantAgent("lector", self.client)
        return RoundRobinGroupChat([author, lector], max_turns=2)

    async def write(self, title):
        try:
            result = await self.team().run(task=f"Draft {title}")
        except Exception as error:
            print("could not write", title, "-", str(error).splitlines()[0])
            return
        self.chapters[title] = result.messages[-1].to_text()


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    book = Book(client)
    for title in ("chapter one", "chapter two", "chapter three", "chapter four"):
        await book.write(title)
    for title, text in book.chapters.items():
        print(title, "=", text)
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())

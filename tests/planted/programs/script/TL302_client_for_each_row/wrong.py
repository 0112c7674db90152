"""Tag the rows of a table."""

import asyncio
import csv
import io

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

TABLE = """id,text
1,my card was charged twice
2,how do I change my address
3,the app closes when I open it
4,please delete my account
5,where is my parcel
6,I want a second user
"""


async def tag(row: dict[str, str]) -> str:
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    tagger = AssistantAgent("tagger", client, system_message="Answer with one tag.")
    result = await tagger.run(task=row["text"])
    return result.messages[-1].to_text()


async def main() -> None:
    for row in csv.DictReader(io.StringIO(TABLE)):
        print(row["id"], await tag(row), sep="\t")


if __name__ == "__main__":
    asyncio.run(main())

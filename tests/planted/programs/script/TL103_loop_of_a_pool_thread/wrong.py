import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

FILES = sys.argv[1:] or ["billing.md", "shipping.md", "returns.md", "privacy.md"]


def review(name: str) -> str:
    loop = asyncio.get_event_loop()
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    reviewer = AssistantAgent("reviewer", model_client=client)
    result = loop.run_until_complete(reviewer.run(task=f"Review the document {name}"))
    loop.run_until_complete(client.close())
    return result.messages[-1].to_text()


def main() -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        for name, text in zip(FILES, pool.map(review, FILES), strict=True):
            print(f"{name}: {text}")


if __name__ == "__main__":
    main()

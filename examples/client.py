"""Talks to a running server with the official openai package: only the address differs.

Run it:  python examples/client.py [http://127.0.0.1:8080] [agent]
"""

import asyncio
import sys

from openai import AsyncOpenAI


async def main(url: str, agent: str) -> None:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none needed on loopback")
    conversation = await client.conversations.create()
    for text in ("Hello! My name is Ann.", "Where is my order 1001?", "What is my name?"):
        print(f"\n> {text}")
        stream = await client.responses.create(model=agent, conversation=conversation.id, input=text, stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type == "response.output_item.done" and event.item.type == "mcp_call":
                print(f"[{event.item.name}({event.item.arguments})] ", end="", flush=True)
    print()


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    asyncio.run(main(address, sys.argv[2] if len(sys.argv) > 2 else "support"))

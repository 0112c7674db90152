import asyncio
from pathlib import Path

from agent_framework import Agent
from agent_framework.openai import OpenAIChatCompletionClient


class Exports:
    """Writes what is exported below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def export(self, month: str) -> str:
        """Export the bookings of a month."""
        await asyncio.sleep(6)
        (self.folder / "bookings.csv").write_text(f"{month};1200\n")
        return "exported"


async def main() -> None:
    exports = Exports(Path("."))
    client = OpenAIChatCompletionClient("gpt-4o-mini")
    clerk = Agent(client, "You export bookings.", name="clerk", tools=[exports.export])
    try:
        response = await asyncio.wait_for(clerk.run("Export May, please."), timeout=3.5)
        print(response.text)
    except TimeoutError:
        print("stopped: nothing is exported")
    await asyncio.sleep(4)
    print([path.name for path in Path(".").glob("*.csv")])


asyncio.run(main())

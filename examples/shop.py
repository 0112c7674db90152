"""Several agents with settings, and resources that are made once per process and closed at its end.

Talk to it:  turnlane chat examples/shop.py --practice
Serve it:    turnlane serve examples/shop.py --practice, then examples/client.py in another terminal
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import App, ToolError


@dataclass
class Resources:
    """Each attribute is handed to the factories that have a parameter of its name."""

    database: sqlite3.Connection


@asynccontextmanager
async def resources() -> AsyncIterator[Resources]:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.executescript(
        "CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT, carrier TEXT, eta TEXT);"
        "INSERT INTO orders VALUES ('1001', 'shipped', 'PostNord', '2026-11-24');"
    )
    try:
        yield Resources(database)
    finally:
        database.close()


app = App(resources=resources)


@app.agent(deadline=60, max_running=50)
def orders(database: sqlite3.Connection) -> AssistantAgent:
    """Answers questions about orders out of the database."""

    def look_up_order(order_id: str) -> dict[str, str]:
        """Look up an order by its number."""  # a sync tool: it runs in a thread and blocks nobody
        row = database.execute("SELECT id, status, carrier, eta FROM orders WHERE id = ?", (order_id,)).fetchone()
        if row is None:
            raise ToolError(f"There is no order {order_id}.")
        return dict(zip(("order_id", "status", "carrier", "eta"), row, strict=True))

    return AssistantAgent(
        "orders",
        OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message="You are the support agent of a small shop.",
        tools=[look_up_order],
        reflect_on_tool_use=True,
        model_client_stream=True,
    )


@app.agent(name="small-talk", when_busy="reject", description="Just talks; refuses a second message meanwhile.")
def small_talk() -> AssistantAgent:
    return AssistantAgent("small_talk", OpenAIChatCompletionClient(model="gpt-4o-mini"), model_client_stream=True)

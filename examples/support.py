"""A support agent: looks up orders, says so when there is none, and hands over to a human.

Talk to it:  turnlane chat examples/support.py --practice
Serve it:    turnlane serve examples/support.py --practice, then examples/client.py in another terminal
"""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Handoff
from autogen_ext.models.openai import OpenAIChatCompletionClient

from turnlane import ToolError

ORDERS = {
    "1001": {"status": "shipped", "carrier": "PostNord", "eta": "2026-11-24"},
    "1002": {"status": "being packed", "carrier": "DHL", "eta": "2026-11-26"},
    "1003": {"status": "delivered", "carrier": "PostNord", "eta": "2026-11-18"},
}


async def look_up_order(order_id: str) -> dict[str, str]:
    """Look up an order by its number."""
    await asyncio.sleep(0.05)  # a real one would ask a database
    if order_id not in ORDERS:
        # The text of a ToolError may be read by the user; that of every other exception stays in the log.
        raise ToolError(f"There is no order {order_id}.")
    return {"order_id": order_id, **ORDERS[order_id]}


def support() -> AssistantAgent:
    """Called for each turn: a fresh agent, so that no user meets another's words."""
    return AssistantAgent(
        "support",
        model_client=OpenAIChatCompletionClient(model="gpt-4o-mini"),
        system_message="You are the support agent of a small shop. Be brief and friendly.",
        tools=[look_up_order],
        handoffs=[Handoff(target="human", message="I am passing you on to a colleague. What should I tell them?")],
        reflect_on_tool_use=True,
        model_client_stream=True,
    )

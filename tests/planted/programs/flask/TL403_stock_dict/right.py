import asyncio
import sqlite3
import time

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


def rows():
    return sqlite3.connect("inventory.db", timeout=10)


with rows() as connection:
    connection.execute("create table if not exists stock (item primary key, pieces)")
    connection.execute("insert or ignore into stock values ('lamp', 50), ('chair', 20)")


def check_out(item: str) -> str:
    """Take one piece of an item out of the stock."""
    time.sleep(0.1)  # print the label
    with rows() as connection:
        [(left,)] = connection.execute(
            "update stock set pieces = pieces - 1 where item = ? returning pieces", (item,)
        ).fetchall()
    return f"{left} left"


async def shop(message):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        agent = AssistantAgent("shop", client, tools=[check_out])
        return (await agent.run(task=message)).messages[-1].to_text()
    finally:
        await client.close()


@app.post("/buy")
def buy():
    return jsonify(reply=asyncio.run(shop(request.json["message"])))

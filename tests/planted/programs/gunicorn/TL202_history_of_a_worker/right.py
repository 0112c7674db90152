import asyncio
import json
import sqlite3

from autogen_core.models import AssistantMessage, SystemMessage, UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)


def database():
    rows = sqlite3.connect("library.db", timeout=10)
    rows.execute("create table if not exists message (user, role, content)")
    return rows


def history(user):
    kinds = {"user": UserMessage, "librarian": AssistantMessage}
    with database() as rows:
        said = rows.execute("select role, content from message where user = ? order by rowid", (user,)).fetchall()
    return [kinds[role](content=content, source=role) for role, content in said]


async def reply_to(user, text):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        system = SystemMessage(content="You are a librarian.")
        answer = await client.create([system, *history(user), UserMessage(content=text, source="user")])
    finally:
        await client.close()
    with database() as rows:
        rows.executemany(
            "insert into message values (?, ?, ?)", [(user, "user", text), (user, "librarian", answer.content)]
        )
    return answer.content


@app.post("/chat")
def chat():
    body = request.get_json()
    return jsonify(reply=asyncio.run(reply_to(body["user"], body["message"])))

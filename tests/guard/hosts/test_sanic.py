"""Sanic's own server, which compiles its methods anew when it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.guard.conftest import Watched

from turnlane.guard.launch import environment
from turnlane.guard.settings import GuardSettings

PROGRAM = """
import asyncio
import socket
import urllib.request

from sanic import Sanic, json

app = Sanic("chats")
listening = socket.create_server(("127.0.0.1", 0))
ADDRESS = f"http://127.0.0.1:{listening.getsockname()[1]}/chats/c-7"


@app.post("/chats/<conversation_id>")
async def chat(request, conversation_id):
    return json({"said": request.json["message"]})


def ask():
    for _ in range(2):
        urllib.request.urlopen(urllib.request.Request(ADDRESS, b'{"message": "hi"}'), timeout=20).read()


@app.after_server_start
async def talk(app):
    async def conversation():
        try:
            await asyncio.to_thread(ask)
        finally:
            app.stop()

    app.add_task(conversation())


if __name__ == "__main__":
    app.run(sock=listening, single_process=True, access_log=False)
"""


def test_each_request_of_its_own_server_is_one(tmp_path: Path) -> None:
    seen = Watched(tmp_path / "records.jsonl")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    settings = GuardSettings(output=str(seen.path), summary=False, requests=True)
    subprocess.run([sys.executable, str(file)], env=environment(settings), check=True, timeout=60)
    told = [(record["method"], record["path"], record["status"]) for record in seen.of_kind("request")]
    assert told == [("POST", "/chats/c-7", 200)] * 2
    assert seen.hazards == []
    assert seen.of_kind("where")[-1]["where"]["host"] == "sanic"

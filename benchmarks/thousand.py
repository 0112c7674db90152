"""Many conversations with one turn of a second each, at once: intake, engine and worker without HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from served_app import sleeper
from turnlane import App
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.conversation import Conversation, NewTurn, new_id
from turnlane.runtime.engines.embedded import EmbeddedEngine
from turnlane.runtime.intake import Intake
from turnlane.worker.collector import spare_what_is_loaded
from turnlane.worker.worker import TurnWorker


def turn() -> NewTurn:
    conversation = Conversation(new_id("conv"))
    text = {"type": "input_text", "text": "sleep"}
    message = {"id": new_id("msg"), "type": "message", "role": "user", "content": [text]}
    return NewTurn(
        new_id("resp"),
        conversation.id,
        "sleeper",
        [message],
        create_conversation=conversation,
        created_at=time.time(),
    )


async def run(count: int, folder: Path) -> dict[str, float]:
    app = App()
    app.add(sleeper)
    engine = EmbeddedEngine(folder)
    await engine.open()
    worker = TurnWorker(engine, app, [AgentchatAdapter()], capacity=count)
    await worker.start()
    spare_what_is_loaded()  # as `turnlane serve` does
    intake = Intake(engine, app.agents, worker.active)
    began, cpu = time.perf_counter(), time.process_time()
    accepted = await asyncio.gather(*(intake.submit(turn()) for _ in range(count)))
    sent = time.perf_counter()
    ended = await asyncio.gather(*(engine.wait(one.turn.id) for one in accepted))
    figures = {
        "seconds": time.perf_counter() - began,
        "sending": sent - began,
        "cpu": time.process_time() - cpu,
        "completed": sum(one is not None and one.status == "completed" for one in ended),
    }
    await worker.close()
    await engine.close()
    return figures


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if sys.platform == "win32":
            figures = asyncio.run(run(int(sys.argv[1]), Path(folder)))
        else:
            import uvloop  # the server has it too

            figures = uvloop.run(run(int(sys.argv[1]), Path(folder)))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

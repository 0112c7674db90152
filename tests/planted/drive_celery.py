"""Drives a real Celery worker: users are tasks in its broker, a folder below its working directory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeout

from .plant import Visit
from .setting import Setting
from .traffic import Sent, filled


async def drive(setting: Setting, names: Iterator[str]) -> list[Sent]:
    """Start the worker, send it the visits' tasks (`path` names the task, `json` its arguments), and stop it."""
    for folder in ("data_in", "control", "results"):
        (setting.folder / folder).mkdir()
    (setting.folder / "data_out").symlink_to("data_in")  # a worker reads what it sends as well: retries
    results = f"file://{setting.folder / 'results'}"
    worker = {"CELERY_BROKER_URL": "filesystem://", "CELERY_RESULT_BACKEND": results}
    setting = replace(setting, environment={**setting.environment, **worker})
    client = _client(setting, results)
    sent: list[Sent] = []
    async with setting.running(setting.command()):
        for group in setting.plant.visits:
            await asyncio.sleep(group.wait)
            users = [_User(client, group, next(names), number) for number in range(group.users)]
            for answers in await asyncio.gather(*(asyncio.to_thread(user.stay) for user in users)):
                sent += answers
        await asyncio.sleep(setting.plant.settle)
    return sent


def _client(setting: Setting, results: str) -> Celery:
    """A sender to the worker, whose program leaves the transport's folders at their defaults."""
    client = Celery("users", broker="filesystem://", backend=results, set_as_current=False)
    client.conf.broker_transport_options = {
        "data_folder_in": str(setting.folder / "data_in"),
        "data_folder_out": str(setting.folder / "data_in"),
        "control_folder": str(setting.folder / "control"),
    }
    client.conf.broker_pool_limit = 0
    return client


class _User:
    def __init__(self, client: Celery, group: Visit, word: str, number: int) -> None:
        self.client = client
        self.group = group
        self.word = word
        self.number = number

    def stay(self) -> list[Sent]:
        time.sleep(self.number * self.group.apart)
        return [self.ask(turn) for turn in range(1, self.group.turns + 1)]

    def ask(self, turn: int) -> Sent:
        group, request = self.group, f"{self.word}-{turn}"
        names = {"word": self.word, "turn": str(turn), "user": f"u-{self.word}", "conversation": f"c-{self.word}"}
        names["prompt"] = filled(group.prompt, names)
        started = time.monotonic()
        task = self.client.send_task(group.path, kwargs=filled(group.json, names), task_id=request)
        status: int | None = 200
        try:
            text = str(task.get(timeout=group.timeout, interval=0.05, disable_sync_subtasks=False))
        except CeleryTimeout:
            status, text = None, "TimeoutError"
        except Exception as error:  # whatever the task raised comes back here
            status, text = 500, f"{type(error).__name__}: {error}"
        return Sent(self.word, request, status, text, time.monotonic() - started)

"""Starts `turnlane` processes in a blink: it has imported everything already, and forks.

A schedule kills hundreds of processes, and importing AutoGen takes two seconds of CPU each time. What is forked is
a process of its own in all that matters here: own memory, sockets, locks, threads and event loop, killed by
`kill -9` like any other. The drain test and the examples' tests start the command itself.

Standard input takes one JSON object a line, {"number", "arguments", "env", "output"}; standard output tells
{"number", "pid"} when it runs and {"number", "status"} when it has ended. When the input closes, all are killed.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

from tests.faults import clock

_PR_SET_PDEATHSIG: Final = 1

PRELOADED: Final = (
    "autogen_agentchat.agents",
    "autogen_ext.models.openai",
    "openai.resources.chat.completions",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "turnlane.cli.main",
    "turnlane.cli.serve",
    "turnlane.cli.worker",
    "turnlane.runtime.agents.agentchat",
    "turnlane.runtime.engines.postgres.engine",
)
"""What `serve` and `worker` import late."""


def preload() -> None:
    for name in PRELOADED:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    gc.freeze()


def main() -> None:
    clock.install()  # before other modules keep a reference to time.time
    preload()
    children: dict[int, int] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    tell({"ready": True})
    pending = b""
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            reap(children)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                children[start(asked)] = asked["number"]
    for pid in children:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def start(asked: dict[str, Any]) -> int:
    """Fork, and tell who it is."""
    pid = os.fork()
    if pid == 0:
        become(asked)
    tell({"number": asked["number"], "pid": pid})
    return pid


def become(asked: dict[str, Any]) -> None:
    """In the child: a command of its own. Never returns."""
    status = 70
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sink = os.open(asked["output"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (sink, 1), (sink, 2)):
            os.dup2(source, target)
        os.environ.update(asked["env"])
        status = run(asked["arguments"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(arguments: list[str]) -> int:
    from turnlane.cli.main import main

    sys.argv = ["turnlane", *arguments]
    return main() or 0


def reap(children: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            pid, status = ended
            tell({"number": children.pop(pid), "status": os.waitstatus_to_exitcode(status)})


def tell(row: dict[str, Any]) -> None:
    os.write(1, json.dumps(row).encode() + b"\n")


if __name__ == "__main__":
    main()

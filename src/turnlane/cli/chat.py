"""`turnlane chat`: talk to an agent in the terminal, of a file or of a running server."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

from cyclopts import Parameter

from turnlane.cli.complaint import Complaint
from turnlane.cli.connection import Connection, Json, Refusal, sentence_of
from turnlane.cli.screen import Screen
from turnlane.telemetry.logs import LogLevel, start_logs

ENDS: Final = ("response.completed", "response.incomplete", "response.failed")
"""The last event of a stream; a cancelled turn ends as failed."""


def chat(
    *target: str,
    url: str | None = None,
    agent: str | None = None,
    conversation: str | None = None,
    api_key: str | None = None,
    data: Path | None = None,
    practice: Annotated[bool, Parameter(negative="")] = False,
    practice_script: Path | None = None,
    log_level: LogLevel | None = None,
) -> int:
    """Talk to an agent in the terminal. Ctrl-C cancels the running turn, Ctrl-D leaves.

    Without a terminal, every line of the input is a turn.

    Parameters
    ----------
    target
        FILE.py, FILE.py:function, module, module:function; or the address of a running server.
    url
        Address of a running server, in place of a target.
    agent
        Whom to talk to; by default the first.
    conversation
        Id of a conversation to go on with.
    api_key
        Key for the server; by default the environment variable TURNLANE_API_KEY.
    data
        Folder to keep conversations in; by default they are gone at the end.
    practice
        Answer model calls with the practice provider; needs no key.
    practice_script
        Script of the practice provider; implies --practice.
    log_level
        Log to stderr from this level on, stacks included; by default nothing is logged.
    """
    if url is None and len(target) == 1 and target[0].startswith(("http://", "https://")):
        url, target = target[0], ()
    if (url is None) == (not target):
        raise Complaint("give a file to talk to, or the --url of a running server, and not both")
    if url is None and conversation is not None and data is None:
        raise Complaint("--conversation needs --data: the folder that the conversation is kept in")
    with ExitStack() as stack:
        if url is None:
            folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnlane-chat-")))
            url = stack.enter_context(
                _served(target, folder, practice=practice, script=practice_script, log_level=log_level)
            )
        connection = stack.enter_context(Connection(url, api_key))
        return _Talk(connection, Screen(sys.stdout), agent, conversation).run(sys.stdin)


@contextmanager
def _served(
    target: tuple[str, ...], data: Path, *, practice: bool, script: Path | None, log_level: LogLevel | None
) -> Iterator[str]:
    """The address of a server of our own, in this process."""
    from turnlane.cli.assembly import complaints, running_in_thread
    from turnlane.runtime.loading import load_app
    from turnlane.runtime.settings import ServeSettings

    settings = ServeSettings(port=0, data=data, practice=practice, practice_script=script, grace=0)
    with ExitStack() as stack:
        # Silent, but not unheard: without a handler Python would write other packages' warnings to the terminal.
        out = sys.stderr if log_level else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.callback(start_logs(level=log_level or "error", format="text", stream=out))
        with complaints():
            server = stack.enter_context(running_in_thread(lambda: load_app(target), settings))
        yield server.url


class _Talk:
    """One conversation in a terminal."""

    def __init__(
        self, connection: Connection, screen: Screen, agent: str | None, conversation: str | None
    ) -> None:
        self._connection = connection
        self._screen = screen
        self._agent = agent or self._first_agent()
        self._conversation = conversation or connection.post("/v1/conversations", {})["id"]
        self._question: Json | None = None

    def run(self, lines: TextIO) -> int:
        """Until the input ends. Returns 1 if the last turn did not come to a good end."""
        screen = self._screen
        screen.aside(f"{self._agent}, conversation {self._conversation}; Ctrl-C cancels a turn, Ctrl-D leaves")
        ok = True
        for line in _typed(lines) if lines.isatty() else _piped(lines, screen):
            if line.strip():
                ok = self._turn(line)
        return 0 if ok else 1

    def _first_agent(self) -> str:
        models = self._connection.get("/v1/models")["data"]
        if not models:
            raise Complaint(f"{self._connection.url} has no agents")
        return str(models[0]["id"])

    def _turn(self, text: str) -> bool:
        """Say `text` and show the answer; False when the turn failed or was cancelled."""
        body = {
            "model": self._agent,
            "conversation": self._conversation,
            "input": self._input(text),
            "stream": True,
        }
        shown = _Shown(self._screen)
        try:
            for event in self._connection.stream("/v1/responses", body):
                shown.take(event)
        except Refusal as refusal:
            self._screen.error(str(refusal))
            return False
        except KeyboardInterrupt:
            self._cancel(shown.turn)
            return False
        finally:
            self._screen.end_line()
        self._question = shown.ended.get("input_required")
        if self._question and not shown.said(str(self._question.get("prompt"))):
            self._screen.question(f"{self._question.get('agent')} asks: {self._question.get('prompt')}")
        return shown.ended.get("status") in ("completed", "incomplete")

    def _input(self, text: str) -> Any:
        if self._question is None:
            return text
        return [{"type": "function_call_output", "call_id": self._question["call_id"], "output": text}]

    def _cancel(self, turn: str | None) -> None:
        found = turn or self._newest_turn()
        if found is None:
            self._screen.aside("not accepted; there is nothing to cancel")
            return
        self._connection.post(f"/turns/{found}/cancel")
        # The turn is told to stop and ends soon; only then is the conversation free for the next.
        last = [event for event in self._connection.follow(found) if event["type"] in ENDS]
        _Shown(self._screen).take(last[-1])

    def _newest_turn(self) -> str | None:
        """The turn that was accepted and whose first event had not arrived yet."""
        turns = self._connection.get("/turns", conversation=self._conversation, limit=1)["turns"]
        return str(turns[0]["id"]) if turns and turns[0]["status"] in ("queued", "running") else None


class _Shown:
    """What of a stream has been shown."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._speaker: str | None = None
        self._texts: dict[str, str] = {}
        self._agents: dict[str, str] = {}
        self.turn: str | None = None
        self.ended: Json = {}

    def said(self, text: str) -> bool:
        """Whether an agent has just said this: a handoff's text is both its message and its question."""
        return any(said.strip() == text.strip() for said in self._texts.values())

    def take(self, event: Json) -> None:
        """Show one event of the response stream; kinds that a reader has no use for are left out."""
        kind = event["type"]
        if kind == "response.created":
            self._begin(event["response"])
        elif kind == "response.output_item.added":
            self._agents[event["item"]["id"]] = event["item"].get("agent") or "agent"
        elif kind == "response.output_text.delta":
            self._delta(event["item_id"], event["delta"])
        elif kind == "response.output_item.done" and event["item"]["type"] == "mcp_call":
            self._tool(event["item"])
        elif kind in ENDS:
            self._end(event["response"])
        elif kind == "error":
            self._screen.error(sentence_of(event.get("error") or event))

    def _begin(self, response: Json) -> None:
        if self.turn is not None:
            self._screen.aside("the server was restarted; the turn runs again")
        self.turn = response["id"]
        self._speaker = None

    def _delta(self, item: str, piece: str) -> None:
        if self._speaker != item:
            self._speaker = item
            self._screen.speaker(self._agents.get(item, "agent"))
        self._texts[item] = self._texts.get(item, "") + piece
        self._screen.text(piece)

    def _tool(self, item: Json) -> None:
        self._speaker = None
        error = item.get("error")
        if error is None:
            outcome = _shortened(item.get("output") or "")
        else:
            said = " ".join(part.get("text", "") for part in error.get("content", []))
            outcome = f"failed: {said}" + (f" ({error['hazard']})" if error.get("hazard") else "")
        self._screen.aside(f"[{item['name']}({_shortened(item.get('arguments') or '')}) -> {outcome}]")

    def _end(self, response: Json) -> None:
        self.ended = response
        if response["status"] == "cancelled":
            self._screen.aside("cancelled; the conversation is as it was before")
        elif response.get("error"):
            self._screen.error(f"failed: {sentence_of({**response['error'], 'request_id': None})}")
        elif response.get("turn_status") == "interrupted":
            self._screen.aside("interrupted by a later message; what was said stays in the conversation")
        elif response.get("incomplete_details"):
            self._screen.aside(f"incomplete: {response['incomplete_details'].get('reason')}")


def _typed(terminal: TextIO) -> Iterator[str]:
    """Lines of a person, with editing and history."""
    import contextlib

    with contextlib.suppress(ImportError):  # Windows
        import readline  # noqa: F401 - importing it is what gives input() editing
    while True:
        try:
            yield input("> ")
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:
            sys.stdout.write("\n(Ctrl-D leaves)\n")


def _piped(lines: TextIO, screen: Screen) -> Iterator[str]:
    for line in lines:
        text = line.rstrip("\n")
        if text.strip():
            screen.aside(f"> {text}")
        yield text


def _shortened(text: str, bound: int = 120) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= bound else f"{one_line[: bound - 1]}…"

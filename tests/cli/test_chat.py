"""`turnlane chat`: lines in, answers out; questions, tools, failures, cancel."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from turnlane.cli.chat import _Shown, _Talk
from turnlane.cli.screen import Screen

from .conftest import Run, Serve, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "support.py"


def test_file_is_talked_to_line_by_line(run: Run) -> None:
    chat = run("chat", EXAMPLE, "--practice")
    chat.write("Hello! My name is Ann.\n\nWhere is my order 1001?\nI want to talk to a human.\n")
    assert chat.end() == 0
    said = "\n".join(chat.stdout)
    assert "support: " in said
    assert "Ann" in said
    assert "[look_up_order(" in said
    assert said.count("I am passing you on to a colleague.") == 2, "by the tool, and once as a message"
    assert chat.stderr == []


def test_conversation_goes_on_in_a_kept_folder(run: Run, echo: Path) -> None:
    first = run("chat", echo, "--data", "kept")
    first.write("hello\n")
    assert first.end() == 0
    conversation = next(line for line in first.stdout if "conversation conv_" in line).split()[2].rstrip(";")
    second = run("chat", echo, "--data", "kept", "--conversation", conversation)
    second.write("again\n")
    assert second.end() == 0
    assert "echo: echo again" in second.stdout
    turns = run("turns", "--data", "kept", "--conversation", conversation)
    assert turns.end() == 0
    assert len(turns.stdout) == 1 + 2


def test_running_server_is_talked_to(run: Run, serve: Serve, echo: Path) -> None:
    server = serve(echo)
    chat = run("chat", server.url, "--agent", "agent")
    chat.write("hello\n")
    assert chat.end() == 0
    assert "echo: echo hello" in chat.stdout


def test_failed_turn_says_what_failed_and_the_next_works(run: Run, echo: Path) -> None:
    chat = run("chat", echo)
    chat.write("fail hunter2\nhello\n")
    assert chat.end() == 0
    said = "\n".join(chat.stdout)
    assert "failed: " in said
    assert "agent agent" in said or "echo" in said
    assert "echo: echo hello" in said
    assert "hunter2" not in said.replace("> fail hunter2", "")
    assert chat.stderr == []


def test_stack_of_a_failure_is_shown_on_request(run: Run, echo: Path) -> None:
    chat = run("chat", echo, "--log-level", "error")
    chat.write("fail now\n")
    assert chat.end() == 1
    assert any("in on_messages" in line for line in chat.stderr)


def test_ctrl_c_cancels_the_running_turn_and_the_conversation_goes_on(
    run: Run, echo: Path, tmp_path: Path
) -> None:
    chat = run("chat", echo)
    chat.write(f"wait {tmp_path / 'gate'}\n")
    wait_until((tmp_path / "gate.running").exists)
    chat.send(signal.SIGINT)
    chat.wait_for("cancelled; the conversation is as it was before")
    chat.write("hello\n")
    assert chat.end() == 0
    assert "echo: echo hello" in chat.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.py"], "there is no file gone.py"),
        (["echo_app.py", "--url", "http://x"], "not both"),
        (["echo_app.py", "--conversation", "conv_1"], "needs --data"),
    ],
)
def test_mistake_is_one_sentence(run: Run, echo: Path, arguments: list[str], said: str) -> None:
    chat = run("chat", *arguments)
    assert chat.end() == 2
    assert len(chat.stderr) == 1
    assert said in chat.stderr[0]


# --- without processes ---


class Answers:
    """A connection that answers with prepared streams."""

    url = "http://server"

    def __init__(self, *streams: list[dict[str, Any]]) -> None:
        self.streams = list(streams)
        self.sent: list[tuple[str, Any]] = []

    def get(self, path: str) -> dict[str, Any]:
        return {"data": [{"id": "first"}, {"id": "second"}]}

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.sent.append((path, body))
        return {"id": "conv_new"}

    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        self.sent.append((path, body))
        yield from self.streams.pop(0)


def talk(connection: Answers, text: str, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    talking = _Talk(connection, Screen(out), options.get("agent"), options.get("conversation"))  # type: ignore[arg-type]
    return talking.run(io.StringIO(text)), out.getvalue()


def ended(status: str = "completed", **fields: Any) -> dict[str, Any]:
    kind = {"completed": "completed", "incomplete": "incomplete"}.get(status, "failed")
    response = {"status": status, "error": None, "incomplete_details": None, "input_required": None}
    return {"type": f"response.{kind}", "response": {**response, **fields}}


def test_first_agent_and_a_new_conversation_by_default() -> None:
    connection = Answers([ended()])
    assert talk(connection, "hi\n")[0] == 0
    assert connection.sent[0] == ("/v1/conversations", {})
    assert connection.sent[1][1] == {
        "model": "first", "conversation": "conv_new", "input": "hi", "stream": True,
    }  # fmt: skip


def test_answer_to_a_question_names_the_question() -> None:
    asked = {"call_id": "call_1", "agent": "human", "prompt": "approve?", "reason": "user_proxy"}
    connection = Answers([ended(input_required=asked)], [ended()], [ended()])
    status, said = talk(connection, "write\nyes\nmore\n", conversation="conv_1", agent="second")
    assert status == 0
    assert "human asks: approve?" in said
    inputs = [body["input"] for _, body in connection.sent]
    assert inputs[1] == [{"type": "function_call_output", "call_id": "call_1", "output": "yes"}]
    assert inputs[2] == "more"


@pytest.mark.parametrize(
    ("end", "said", "status"),
    [
        (ended("failed", error={"message": "it broke", "hazard": "TL401"}), "failed: it broke (TL401, see", 1),
        (ended("cancelled"), "cancelled; the conversation is as it was before", 1),
        (
            ended("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "incomplete: max_output_tokens",
            0,
        ),
    ],
)
def test_end_of_a_turn_is_told(end: dict[str, Any], said: str, status: int) -> None:
    found, shown = talk(Answers([end]), "hi\n")
    assert said in shown
    assert found == status


def test_messages_of_several_agents_tools_and_a_second_attempt() -> None:
    out = io.StringIO()
    shown = _Shown(Screen(out))
    delta = "response.output_text.delta"
    for event in [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.added", "item": {"id": "msg_1", "agent": "writer"}},
        {"type": delta, "item_id": "msg_1", "delta": "one "},
        {"type": delta, "item_id": "msg_1", "delta": "two"},
        {"type": "response.output_item.done", "item": {"type": "mcp_call", "name": "t", "arguments": "{}",
         "output": "x" * 200, "error": None}},
        {"type": "response.output_item.done", "item": {"type": "mcp_call", "name": "t", "arguments": "{}",
         "error": {"content": [{"type": "text", "text": "no order"}], "hazard": "TL401"}}},
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.added", "item": {"id": "msg_2", "agent": "critic"}},
        {"type": delta, "item_id": "msg_2", "delta": "fine"},
        {"type": "turnlane.something.new"},
    ]:  # fmt: skip
        shown.take(event)
    assert out.getvalue().splitlines() == [
        "writer: one two",
        f"  [t({{}}) -> {'x' * 119}…]",
        "  [t({}) -> failed: no order (TL401)]",
        "  the server was restarted; the turn runs again",
        "critic: fine",
    ]

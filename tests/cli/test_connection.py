"""Event streams are read by the line, and errors become sentences."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlane.cli.complaint import Complaint
from turnlane.cli.connection import Connection, Refusal, sentence_of, server_sent_events


def test_events_are_read_with_comments_names_and_several_lines_of_data() -> None:
    lines = [": hello", "event: a", 'data: {"n":', "data: 1}", "", ": still here", "", 'data:{"n": 2}', "",
             "data: [DONE]", "", 'data: {"n": 3}']  # fmt: skip
    assert list(server_sent_events(lines)) == [{"n": 1}, {"n": 2}]  # the last was cut: no empty line behind it


@given(st.lists(st.dictionaries(st.text(), st.text())))
def test_what_was_written_is_read(events: list[dict[str, str]]) -> None:
    text = "".join(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events)
    assert list(server_sent_events(text.split("\n"))) == events


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "no agent 'x'"}, "no agent 'x'"),
        (
            {"message": "it broke", "agent": "a", "tool": "t", "hazard": "TL401", "request_id": "req_1"},
            "it broke (agent a; tool t; TL401, see `turnlane explain TL401`; request req_1)",
        ),
        ({}, ""),
    ],
)
def test_error_object_as_a_sentence(error: dict[str, str], said: str) -> None:
    assert sentence_of(error) == said


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b'{"error": {"message": "no turn", "request_id": "req_1"}}', "no turn (request req_1)"),
        (502, b"<html>Bad Gateway</html>", "the server answered 502: <html>Bad Gateway</html>"),
        (500, b'{"error": "plain"}', "plain"),
        (500, b"[]", "the server answered 500: []"),
    ],
)
def test_refusal_says_what_the_server_said(status: int, body: bytes, said: str) -> None:
    with answering(status, body) as url, Connection(url) as connection:
        with pytest.raises(Refusal) as plain:
            connection.get("/turns/x")
        with pytest.raises(Refusal) as streamed:
            list(connection.stream("/v1/responses", {}))
    assert str(plain.value) == str(streamed.value) == said
    assert plain.value.http_status == status


def test_address_with_v1_is_the_same() -> None:
    with answering(200, b'{"ok": 1}') as url, Connection(f"{url}/v1/") as connection:
        assert connection.url == url
        assert connection.get("/v1/models") == {"ok": 1}


def test_nobody_there() -> None:
    with Connection("http://127.0.0.1:1") as connection, pytest.raises(Complaint, match="nothing answers at"):
        connection.get("/turns")

"""Whose request the code of a WSGI application belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Flask, Response, request, send_file
from tests.guard.hosts.present import active, in_request

from turnlane.guard import requests
from turnlane.guard.requests import Request

pytestmark = pytest.mark.usefixtures("watched")


class App:
    def __init__(self) -> None:
        self.seen: list[Request | None] = []
        self.flask = Flask(__name__)
        self.flask.add_url_rule("/chat/<conversation_id>", view_func=self.chat, methods=["POST"])
        self.flask.add_url_rule("/form", view_func=self.form, methods=["POST"])
        self.flask.add_url_rule("/stream", view_func=self.stream)
        self.flask.add_url_rule("/file", view_func=self.file)
        self.client = self.flask.test_client()

    def note(self) -> None:
        self.seen.append(requests.current.get())

    def chat(self, conversation_id: str) -> dict[str, str]:
        self.note()
        return {"heard": request.get_json()["message"]}

    def form(self) -> dict[str, str]:
        self.note()
        return dict(request.form)

    def stream(self) -> Response:
        def pieces() -> Iterator[str]:
            for piece in "abc":
                self.note()
                yield piece

        return Response(pieces())

    def file(self) -> Response:
        self.note()
        return send_file(BytesIO(b"content"), download_name="x.txt")

    @property
    def one(self) -> Request:
        (found,) = {request for request in self.seen if request is not None}
        return found


def test_path_body_and_headers_say_whose_it_is() -> None:
    app = App()
    body = {"message": "hi", "user_id": "ann"}
    answer = app.client.post("/chat/c1", json=body, headers={"x-request-id": "R1"})
    assert answer.json == {"heard": "hi"}
    assert app.one.id == "R1"
    assert app.one.keys == {"conversation_id": "c1", "user_id": "ann"}


def test_a_form_says_whose_it_is() -> None:
    app = App()
    assert app.client.post("/form", data={"chat_id": "c2", "text": "hi"}).json == {"chat_id": "c2", "text": "hi"}
    assert app.one.keys == {"chat_id": "c2"}


def test_a_stream_belongs_to_the_request_to_its_end() -> None:
    app = App()
    answer = app.client.get("/stream", buffered=False)
    request_seen = active()[0]
    assert not request_seen.ended
    assert answer.get_data(as_text=True) == "abc"
    assert app.seen == [request_seen] * 3
    assert request_seen.ended
    assert not in_request()


def test_an_answer_that_nobody_reads_ends_when_it_is_closed() -> None:
    app = App()
    answer = app.client.get("/stream", buffered=False)
    answer.close()
    assert active() == []


def test_a_file_is_sent_as_before() -> None:
    app = App()
    assert app.client.get("/file").data == b"content"
    assert app.one.ended

"""What is sent, to whom, and the sentences for what cannot be sent."""

from __future__ import annotations

import json
import re
import socket

import pytest

from turnlane.probe.options import ProbeOptions, prepared, target_of
from turnlane.probe.program import command_words
from turnlane.probe.reach import check_reach
from turnlane.probe.target import conversation_values, http_target, openai_target
from turnlane.probe.template import parsed
from turnlane.probe.trouble import ProbeError

VALUES = conversation_values(
    prompt="where?", word="w", conversation="c 1", user="u", turn=2, request="r", history=[("hi", "hello")]
)


def test_names_in_braces_are_filled_anywhere() -> None:
    target = http_target(
        "http://localhost/users/{user}/chat?c={conversation}",
        {"text": "{prompt}!", "deep": [{"{user}": "{turn}"}], "other": "{unknown}"},
        headers={"x-session": "{conversation}"},
    )
    wire = target.request(VALUES, {"stream": False})
    assert wire.url == "http://localhost/users/u/chat?c=c%201"
    assert wire.body == {"text": "where?!", "deep": [{"u": 2}], "other": "{unknown}", "stream": False}
    assert wire.headers == {"x-session": "c 1"}


def test_a_history_is_a_list_of_messages() -> None:
    said = [("user", "hi"), ("assistant", "hello"), ("user", "where?")]
    body = openai_target("http://localhost/v1", "support").request(VALUES, {}).body
    assert [(m["role"], m["content"]) for m in body["messages"]] == said
    ui = http_target("http://localhost", {"messages": "{ui_messages}"}).request(VALUES, {}).body
    assert [(m["role"], m["parts"][0]["text"]) for m in ui["messages"]] == said


@pytest.mark.parametrize("address", ["http://localhost:8080/v1", "http://localhost:8080/v1/chat/completions/"])
def test_an_openai_address_with_and_without_its_path(address: str) -> None:
    assert openai_target(address.rstrip("/"), "m").url == "http://localhost:8080/v1/chat/completions"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ProbeOptions(), "Say what to probe"),
        (ProbeOptions(target="a:b", openai="http://localhost"), "Say what to probe"),
        (ProbeOptions(url="localhost:8000"), "no address of a program"),
        (ProbeOptions(url="http://localhost:99999/"), "no address of a program"),
        (ProbeOptions(url="ws://localhost:8000/ws"), "does not speak through web sockets"),
        (ProbeOptions(url="http://localhost", json='{"message": "hi"}'), "write {prompt}"),
        (ProbeOptions(url="http://localhost", json='{"message": {prompt}}'), "Put quotes around"),
        (ProbeOptions(url="http://localhost", json="{"), "--json is not JSON"),
        (ProbeOptions(target="app"), "names no handler"),
        (ProbeOptions(target="app:chat", start="uvicorn"), "--start is for --url"),
        (ProbeOptions(url="http://localhost", start="uvicorn 'app"), "cannot be read"),
        (ProbeOptions(url="http://localhost", start="PORT=1"), "holds no command"),
        (ProbeOptions(url="http://localhost", script="gone.yaml"), "gone.yaml"),
        (ProbeOptions(url="http://localhost", upstream="api.openai.com"), "--upstream must be"),
        (ProbeOptions(url="http://localhost", upstream="http://[::1"), "--upstream must be"),
        (ProbeOptions(url="http://localhost", upstream="http://x:99999/v1"), "--upstream must be"),
        (ProbeOptions(url=f"http://{'a' * 70}/"), "has no address"),
        (ProbeOptions(url="http://localhost", json='{"m": "{prompt}", "t": NaN}'), "NaN is no number of JSON"),
        (ProbeOptions(url="http://localhost", headers={"x-key": "sécret"}), "--header 'x-key' holds"),
        (ProbeOptions(url="http://localhost", headers={"x-key": "sécret\nb"}), "--header 'x-key' holds"),
        (ProbeOptions(url="http://localhost", headers={"x key": "secret"}), "--header 'x key' holds"),
        (ProbeOptions(url="http://localhost", upstream="http://x/v1", inject="500=5%"), "leave out --script"),
        (ProbeOptions(url="http://localhost", inject="what=5%"), "what"),
        (ProbeOptions(url="http://localhost", levels="1,no"), "--levels '1,no' must be numbers"),
        (ProbeOptions(url="http://localhost", levels=()), "--levels () must be numbers"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(options: ProbeOptions, sentence: str) -> None:
    with pytest.raises(ProbeError, match=re.escape(sentence)) as caught:
        prepared(options)
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_port_that_is_left_open_is_chosen_once_for_all() -> None:
    target = target_of(ProbeOptions(url="http://127.0.0.1:{port}/chat", start="PORT={port} node app.js {port}"))
    assert target.command == ("node", "app.js", str(target.port))
    assert target.environment == {"PORT": str(target.port)}


def test_a_command_that_needs_a_shell_gets_one() -> None:
    words, settings = command_words("cd app && node server.js")
    assert words == ("/bin/sh", "-c", "cd app && node server.js")
    assert settings == {}


def test_another_machine_needs_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)  # no test asks a real name server
    with pytest.raises(ProbeError, match=r"192\.0\.2\.7.*--allow-remote"):
        check_reach("shop.example", allow_remote=False)
    check_reach("shop.example", allow_remote=True)


def test_this_machine_needs_none() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9", "0.0.0.0"):
        check_reach(host, allow_remote=False)


def test_no_password_of_an_address_is_in_a_report() -> None:
    address = "http://ann:hunter2@127.0.0.1:8000/chat?api_key=k-1&session_token={conversation}&q={prompt}"
    target = target_of(ProbeOptions(url=address))
    assert target.url == address
    assert target.name == "http://***@127.0.0.1:8000/chat?api_key=***&session_token={conversation}&q={prompt}"


def test_json_may_be_a_value() -> None:
    assert parsed(json.dumps({"m": "{prompt}"})) == {"m": "{prompt}"}
    assert target_of(ProbeOptions(url="http://localhost", json={"m": "{prompt}"})).json == {"m": "{prompt}"}

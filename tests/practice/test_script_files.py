"""Scripts from YAML and Python files: what they mean, and what is said about wrong ones."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from turnlane.practice import Budget, PracticeRequest, ScriptError, ToolCall, load_script, parse_script
from turnlane.practice.script_file import _FAULT_KEYS, _RULE_KEYS, _SCRIPT_KEYS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "practice.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def ask(script, text, tools=("look_up", "refund")):
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "tools": offered}
    return asyncio.run(script.answer(PracticeRequest(body)))


def test_everything_a_yaml_script_can_say():
    script = parse_script(
        """
        seed: 3
        latency: [0.1, 0.2]
        tokens_per_second: 50
        fallback: pardon?
        models: [small, large]
        budget: {requests_per_second: 5, burst: 10}
        faults:
          - {kind: server_error, status: 503, first: 2, rate: 0.5}
          - hang
        rules:
          - when: 'order (?P<id>\\d+)'
            call:
              - {tool: look_up, args: {order: "{id}"}}
              - [refund, {tool: look_up}]
            say: done
            latency: 0
            tokens_per_second: 10
            reasoning: hm
            finish_reason: length
          - when: broken
            fault: {kind: cut_stream, after_chunks: 4, reset: true}
        """,
        "x.yaml",
    )
    assert (script.seed, script.latency, script.tokens_per_second) == (3, [0.1, 0.2], 50)
    assert script.models == ("small", "large")
    assert isinstance(script.budget, Budget)
    assert (script.budget.requests_per_second, script.budget.burst) == (5, 10)
    assert [(f.kind, f.status, f.first, f.rate) for f in script.faults] == [
        ("server_error", 503, 2, 0.5),
        ("hang", 200, None, 1.0),
    ]
    answer = ask(script, "order 8")
    assert answer.tool_calls == (ToolCall("look_up", {"order": "8"}),)
    assert (answer.latency, answer.tokens_per_second, answer.reasoning) == (0, 10, "hm")
    assert ask(script, "order 8", tools=()).text == "done"
    fault = ask(script, "broken").fault
    assert (fault.kind, fault.after_chunks, fault.reset) == ("cut_stream", 4, True)
    assert ask(script, "what").text == "pardon?"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "s.yaml: the script is empty; it needs a key 'rules'"),
        ("rules: }", "s.yaml, line 1: this is not YAML: "),
        ("- say: x", "s.yaml, line 1: the script must be a mapping with keys such as 'rules', not "),
        ("rules:\n  say: x", "s.yaml, line 2: 'rules' must be a list, not {'say': 'x'}"),
        (
            "rules:\n  - hello",
            "s.yaml, line 2, rule 1: a rule must be a mapping with keys such as 'when', not 'hello'",
        ),
        (
            "rules:\n  - say: a\n  - sya: b",
            "s.yaml, line 3, rule 2: unknown key 'sya' in a rule; did you mean 'say'?",
        ),
        ("ruels: []", "s.yaml, line 1: unknown key 'ruels' in the script; did you mean 'rules'?"),
        ("rules:\n  - say: a\n    say: b", "s.yaml, line 3, rule 1: key 'say' is written twice in a rule"),
        ("rules:\n  - say: yes", "s.yaml, line 2, rule 1: 'say' must be text, not True"),
        (
            "rules:\n  - when: (\n    say: x",
            "s.yaml, line 2, rule 1: 'when' is not a regular expression: missing )",
        ),
        ("rules:\n\n\n  - say: '{nam}'", "s.yaml, line 4, rule 1: nothing fills {nam}; known are user_message"),
        ("rules:\n  - say: x\n    latency: fast", "s.yaml, line 2, rule 1: 'latency' must be seconds from 0"),
        ("rules:\n  - fault: boom", "s.yaml, line 2, rule 1: unknown fault 'boom'; there are rate_limit"),
        (
            "rules:\n  - fault: [hang]",
            "s.yaml, line 2, rule 1: a fault must be a mapping with keys such as 'kind'",
        ),
        ("rules:\n  - fault: {status: 500}", "s.yaml, line 2, rule 1: a fault needs a key 'kind'"),
        ("rules:\n  - call: {args: {}}", "s.yaml, line 2, rule 1: a tool call needs a key 'tool'"),
        ("rules:\n  - call: {tool: 3}", "s.yaml, line 2, rule 1: 'tool' must be a tool's name, not 3"),
        (
            "rules:\n  - call: {tool: x, args: 3}",
            "s.yaml, line 2, rule 1: 'args' must be a mapping or text, not 3",
        ),
        ("rules:\n  - call: 3", "s.yaml, line 2, rule 1: a tool call must be a mapping with keys such as 'tool'"),
        ("faults:\n  - hang\n  - {kind: hang, rate: 7}", "s.yaml, line 3, fault 2: 'rate' of a fault is a share"),
        ("budget: {burst: 3}", "s.yaml, line 1: a budget needs a key 'requests_per_second'"),
        ("budget: 0", "s.yaml, line 1: 'requests_per_second' must be a number above 0, not 0"),
        ("latency: -1", "s.yaml, line 1: 'latency' must be seconds from 0"),
        ("models: small", "s.yaml, line 1: 'models' must be a list of names, not 'small'"),
        ("seed: {}", "s.yaml, line 1: 'seed' must be a whole number, not {}"),
        ("fallback: 3", "s.yaml, line 1: 'fallback' must be text, not 3"),
        ("[" * 5000, "s.yaml"),
        ("rules: &a [*a]", "s.yaml"),
        ("rules: !!python/object:os.system []", "s.yaml, line 1: this is not YAML: could not determine"),
        (b"\xff\xfe\xff", "s.yaml: this is not YAML: "),
    ],
)
def test_wrong_scripts_get_one_sentence(text, sentence):
    with pytest.raises(ScriptError) as raised:
        parse_script(text, "s.yaml")
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_python_script(tmp_path):
    path = tmp_path / "my_script.py"
    path.write_text("async def answer(request):\n    return request.user_message[::-1]\n")
    assert ask(load_script(path), "abc").text == "cba"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1", r"a Python script needs a function answer\(request\)$"),
        ("x = 1\n1/0", "line 2: ZeroDivisionError: division by zero$"),
        ("def answer(:", r"script\.py, line 1: "),
    ],
)
def test_wrong_python_scripts(tmp_path, source, sentence):
    path = tmp_path / "script.py"
    path.write_text(source)
    with pytest.raises(ScriptError, match=sentence):
        load_script(path)


def test_missing_file(tmp_path):
    with pytest.raises(ScriptError, match=r"none\.yaml: cannot be read: No such file or directory"):
        load_script(tmp_path / "none.yaml")


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind == "yaml"])
def test_every_yaml_block_of_the_page_is_a_script(block):
    script = parse_script(block, "practice.md")
    assert script.rules or script.faults or script.budget


def test_every_python_script_of_the_page_loads(tmp_path):
    scripts = [text for kind, text in BLOCKS if kind == "python" and "def answer(" in text]
    assert scripts
    for number, text in enumerate(scripts):
        path = tmp_path / f"script_{number}.py"
        path.write_text(text)
        load_script(path)


def test_every_key_and_fault_is_on_the_page():
    from turnlane.practice.faults import KINDS

    page = PAGE.read_text(encoding="utf-8")
    missing = [key for key in (*_SCRIPT_KEYS, *_RULE_KEYS, *_FAULT_KEYS, *KINDS) if f"`{key}`" not in page]
    assert missing == []

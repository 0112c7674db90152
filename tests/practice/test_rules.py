"""Which rule applies, and what it says: no server needed."""

from __future__ import annotations

import asyncio

import pytest

from turnlane.practice import Answer, PracticeRequest, Rule, Script, ScriptError, ToolCall

TOOLS = ["look_up", "refund"]


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def called(name, result, call_id="c1"):
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


def request(*messages, tools=TOOLS, model="m", **more):
    offered = [{"type": "function", "function": {"name": name}} for name in tools]
    return PracticeRequest({"messages": list(messages), "model": model, "tools": offered, **more})


def ask(rules, *messages, **options) -> Answer:
    script = rules if isinstance(rules, Script) else Script(rules)
    return asyncio.run(script.answer(request(*messages, **options)))


@pytest.mark.parametrize(
    ("condition", "messages", "applies"),
    [
        ({"when": "hel+o"}, [user("well, HELLO there")], True),
        ({"when": "hello"}, [user("hello"), assistant("hi"), user("bye")], False),
        ({"when": "two"}, [user([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}])], True),
        ({"when_said": "hello"}, [user("hello"), assistant("hi"), user("bye")], True),
        ({"when_said": "hi"}, [user("hello"), assistant("hi"), user("bye")], False),
        ({"when_system": "shop"}, [system("You sell in a shop"), user("x")], True),
        ({"when_system": "shop"}, [user("shop")], False),
        ({"when_model": "^m$"}, [user("x")], True),
        ({"when_model": "gpt"}, [user("x")], False),
        ({"when_offered": "refund"}, [user("x")], True),
        ({"when_offered": "delete"}, [user("x")], False),
        ({"when_call": 1}, [user("x")], True),
        ({"when_call": 2}, [user("x")], False),
        ({"when_call": 2}, [user("x"), assistant("y"), user("z")], True),
        ({"when_call": "2+"}, [user("x"), assistant("y"), user("z"), assistant("y"), user("z")], True),
        ({"when_call": "2+"}, [user("x")], False),
        ({"when_result_of": "look_up"}, [user("x"), *called("look_up", "ok")], True),
        ({"when_result_of": "refund"}, [user("x"), *called("look_up", "ok")], False),
        ({"when_result_of": "look_up"}, [user("x"), *called("look_up", "ok"), user("y")], False),
        ({"when_result": "err"}, [user("x"), *called("look_up", "an error")], True),
        ({"when_result": "err"}, [user("err")], False),
        ({"when": "x", "when_call": 2}, [user("x")], False),
    ],
)
def test_conditions(condition, messages, applies):
    assert ask([Rule(**condition, say="yes"), Rule(say="no")], *messages).text == ("yes" if applies else "no")


def test_first_rule_that_applies_answers_and_the_fallback_else():
    script = Script([Rule(when="a", say="1"), Rule(when="a|b", say="2")], fallback="none")
    assert [ask(script, user(text)).text for text in "abc"] == ["1", "2", "none"]


def test_names_are_filled_from_groups_and_the_request():
    rule = Rule(
        when=r"order (?P<id>\d+)(?P<rest> please)?",
        when_said="my name is (?P<name>\\w+)",
        say="{name}: {id}{rest} on {model}, call {call}, first {first_message!r} {{id}} {}",
    )
    answer = ask([rule], user("my name is Bo"), user("my name is Al"), assistant("ok"), user("order 7"))
    assert answer.text == "Al: 7 on m, call 2, first {first_message!r} {id} {}"


def test_newest_of_what_was_said_counts():
    rule = Rule(when_said=r"name is (?P<name>\w+)", say="{name}")
    assert ask([rule], user("name is A"), user("name is B"), user("what?")).text == "B"


@pytest.mark.parametrize("result", ['{"a": {"b": [5, "x"]}}', "{'a': {'b': [5, 'x']}}"], ids=["json", "repr"])
def test_paths_into_a_tools_result(result):
    rule = Rule(say="{tool_result.a.b.1} {tool_result.a.b.0} {tool_result.a.b}|{tool_result.no.such}|{tool_name}")
    assert ask([rule], user("x"), *called("look_up", result)).text == 'x 5 [5, "x"]||look_up'


def test_plan_makes_its_calls_one_round_after_the_other():
    rule = Rule(
        when=r"(?P<n>\d+)",
        call=[
            ToolCall("look_up", {"id": "{n}", "all": [{"n": "{n}"}, 3]}),
            [ToolCall("refund"), ToolCall("look_up")],
        ],
        say="refunded: {tool_result}",
    )
    first = ask([rule], user("12"))
    assert first.tool_calls == (ToolCall("look_up", {"id": "12", "all": [{"n": "12"}, 3]}),)
    assert first.text is None
    second = ask([rule], user("12"), *called("look_up", "r1"))
    assert [c.tool for c in second.tool_calls] == ["refund", "look_up"]
    last = ask([rule], user("12"), *called("look_up", "r1"), *called("refund", "r2"))
    assert (last.text, last.tool_calls) == ("refunded: r2", ())
    again = ask([rule], user("12"), *called("look_up", "r1"), *called("refund", "r2"), assistant("ok"), user("13"))
    assert again.tool_calls[0].args["id"] == "13"


def test_calls_are_left_out_where_no_tool_may_be_called():
    rule = Rule(call=ToolCall("look_up"), say="done")
    assert ask([rule], user("x"), tools=[]).text == "done"
    assert ask([rule], user("x"), tool_choice="none").text == "done"
    assert ask([rule], user("x")).text is None


def test_a_plan_without_text_says_the_result():
    rule = Rule(call=ToolCall("look_up"))
    assert ask([rule], user("x"), *called("look_up", "42")).text == "42"


def test_result_of_several_calls_is_found_by_its_tool():
    messages = called("look_up", "first", "c1")
    other = called("refund", "second", "c2")
    messages[0]["tool_calls"] += other[0]["tool_calls"]
    rule = Rule(when_result_of="look_up", say="{tool_result} of {tool_results}")
    assert ask([rule], user("x"), *messages, other[1]).text == "first of first\nsecond"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "a rule needs something to do: 'say', 'call' or 'fault'"),
        ({"when": "(", "say": "x"}, "'when' is not a regular expression: "),
        (
            {"say": "{oder_id}", "when": "(?P<order_id>.)"},
            r"nothing fills \{oder_id\}; known are order_id, user_m",
        ),
        ({"say": 12}, "'say' must be text, not 12"),
        ({"say": "x", "latency": "fast"}, "'latency' must be seconds from 0, or a range such as"),
        ({"say": "x", "latency": (2, 1)}, "'latency' must be seconds from 0, or a range such as"),
        ({"say": "x", "tokens_per_second": -1}, "'tokens_per_second' must be a number from 0, not -1"),
        ({"say": "x", "when_call": 0}, "'when_call' must be a number from 1"),
        ({"say": "x", "finish_reason": "done"}, "'finish_reason' must be one of stop, length"),
        ({"fault": "explode"}, "unknown fault 'explode'; there are rate_limit, "),
    ],
)
def test_wrong_rules_say_what_is_wrong(options, sentence):
    with pytest.raises(ScriptError, match=sentence):
        Rule(**options)

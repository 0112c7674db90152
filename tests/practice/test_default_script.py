"""The default script is pleasant to talk to: conversations as the support example and small teams have them."""

from __future__ import annotations

import asyncio
import json

import pytest

from turnlane.practice import PracticeRequest, default_script

SUPPORT = {"role": "system", "content": "You are the support agent of a small shop."}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("look_up_order", "transfer_to_human")]
ORDERS = {
    "1001": {"order_id": "1001", "status": "shipped", "carrier": "PostNord", "eta": "2026-11-24"},
    "1002": {"order_id": "1002", "status": "packed", "carrier": None, "eta": None},
    "1003": {"order_id": "1003", "status": "delivered", "carrier": "DHL", "eta": "2026-11-01"},
}
UNKNOWN = {"error": {"code": "unknown_order", "message": "There is no such order."}}


class Conversation:
    """Talks as AutoGen does: calls the tools, then asks again without offering them."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.called = []

    def model(self, tools):
        body = {"model": "m", "messages": self.messages, **({"tools": tools} if tools else {})}
        return asyncio.run(default_script().answer(PracticeRequest(body)))

    def say(self, text, tools=TOOLS):
        self.messages.append({"role": "user", "content": text})
        answer = self.model(tools)
        if answer.tool_calls:
            self._run(answer.tool_calls)
            answer = self.model(())
        self.messages.append({"role": "assistant", "content": answer.text})
        return answer.text

    def _run(self, calls):
        made = []
        results = []
        for place, call in enumerate(calls):
            call_id = f"c{len(self.messages)}{place}"
            made.append({"id": call_id, "function": {"name": call.tool, "arguments": call.arguments()}})
            found = ORDERS.get(call.args.get("order_id"), UNKNOWN)
            results.append({"role": "tool", "tool_call_id": call_id, "content": json.dumps(found)})
            self.called.append((call.tool, dict(call.args)))
        self.messages += [{"role": "assistant", "content": None, "tool_calls": made}, *results]


@pytest.fixture
def talk():
    return Conversation(SUPPORT)


@pytest.mark.parametrize(
    ("said", "order", "phrases"),
    [
        ("Where is my order 1001?", "1001", ["order 1001 is shipped", "PostNord", "2026-11-24"]),
        ("order 1002", "1002", ["order 1002 is packed", "no delivery date yet"]),
        ("hi, what about order #1003 please", "1003", ["order 1003 has been delivered by DHL"]),
        ("can you check 1001 for me, that's my order", "1001", ["order 1001 is shipped"]),
        ("1001", "1001", ["order 1001 is shipped"]),
        ("Order 9999?", "9999", ["sorry", "cannot find an order 9999", "check the number"]),
    ],
)
def test_looks_up_orders(talk, said, order, phrases):
    answer = talk.say(said)
    assert talk.called == [("look_up_order", {"order_id": order})]
    assert [phrase for phrase in phrases if phrase not in answer] == []


def test_asks_for_the_number_and_takes_it(talk):
    assert "What is the number of your order?" in talk.say("Where is my order?")
    assert talk.called == []
    assert "order 1001 is shipped" in talk.say("it is 1001")


@pytest.mark.parametrize("said", ["I want to talk to a human", "give me an agent!", "I have a complaint"])
def test_hands_over_to_a_human(talk, said):
    talk.say(said)
    assert talk.called == [("transfer_to_human", {})]


def test_has_nobody_to_hand_over_to(talk):
    assert "nobody has given me a way" in talk.say("a human, please", tools=TOOLS[:1])
    assert talk.called == []


def test_remembers_the_name(talk):
    assert "not told me your name" in talk.say("What is my name?")
    assert talk.say("Hi, my name is Zoë").startswith("Nice to meet you, Zoë.")
    talk.say("Where is my order 1001?")
    assert talk.say("what's my name?") == "Your name is Zoë."
    talk.say("my name is O'Neill now")
    assert talk.say("What is my name?") == "Your name is O'Neill."


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("Hello!", "How can I help you?"),
        ("thanks a lot", "You are welcome"),
        ("bye", "Goodbye"),
        ("what can you do?", "practice provider"),
        ("sing me a song", "practice provider"),
    ],
)
def test_small_talk(talk, said, phrase):
    assert phrase in talk.say(said)


def test_writer_and_critic_converge():
    writer = Conversation({"role": "system", "content": "You are a writer. Revise by the critic's feedback."})
    critic = Conversation(
        {"role": "system", "content": "You are a critic of the writer's work. Say APPROVE at last."}
    )
    draft = writer.say("A poem about harbours")
    assert "A poem about harbours" in draft
    feedback = critic.say(draft)
    assert "APPROVE" not in feedback
    second = writer.say(feedback)
    assert second != draft
    assert critic.say(second) == "APPROVE"


def test_selector_names_one_of_those_it_may():
    prompt = (
        "Read the conversation. Then select the next role from ['critic', 'writer'] to play. Only return the role."
    )
    assert Conversation({"role": "system", "content": prompt}).say("x", tools=()) == "critic"
    assert Conversation().say(prompt, tools=()) == "critic"


def test_it_is_paced_to_look_natural():
    script = default_script()
    assert (script.latency, script.tokens_per_second) == (0.15, 60)

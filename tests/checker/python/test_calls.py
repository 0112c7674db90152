"""How arguments meet parameters, and what calls of things outside the project give."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

AGENT = "class Agent:\n    def run(self): return 1\nagent = Agent()\n"


@pytest.mark.parametrize(
    ("signature", "call", "expected"),
    [
        ("a, b", "f(agent, 1)", ["Agent module"]),
        ("b, a", "f(1, agent)", ["Agent module"]),
        ("b=1, *, a", "f(a=agent)", ["Agent module"]),
        ("a=None", "f()", ["None"]),
        ("a=True", "f(False)", []),
        ("a=Agent()", "f()", ["Agent default"]),
        ("a=Agent()", "f(unknown)", []),
        ("a=Agent()", "f(None)", []),
        ("a: Agent = None", "f(unknown)", ["Agent? given"]),
        ("a: Agent", "f(other)", ["Agent? given"]),
        ("a", "f(*others)", []),
        ("b, a=None", "f(*others, agent)", ["None"]),
        ("a=None, **more", "f(b=agent)", ["None"]),
        ("a", "f('a long text')", []),
        ("a", "f(agent.run)", ["def Agent.run module"]),
        ("a", "f(lambda: 1)", ["def <lambda>"]),
        ("a", "f(agent if other else None)", ["Agent module", "None"]),
    ],
)
def test_arguments_meet_parameters(signature: str, call: str, expected: list[str]) -> None:
    assert Checked(f"{AGENT}def f({signature}): look(a)\n{call}\n").met() == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class S:\n    def f(self, a): look(a)\nS().f(agent)", ["Agent module"]),
        ("class S:\n    @staticmethod\n    def f(a): look(a)\nS.f(agent)", ["Agent module"]),
        ("class S:\n    @classmethod\n    def f(cls, a): look(a)\nS.f(agent)", ["Agent module"]),
        ("class S:\n    def __init__(self, a): look(a)\nS(agent)", ["Agent module"]),
        ("class S:\n    def __call__(self, a): look(a)\nS()(agent)", ["Agent module"]),
        ("class S:\n    def f(self): look(self)\nS().f()", ["S"]),
        ("class S:\n    def f(self): look(self)\ns = S()\ns.f()", ["S module"]),
        ("class S:\n    def f(self): look(self)\ns = S()\ng = s.f\ng()", ["S module"]),
    ],
)
def test_methods_get_their_object_and_their_arguments(code: str, expected: list[str]) -> None:
    assert Checked(AGENT + code).met() == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(a): look(a)\ndef g(a): f(a)\ng(agent)", ["Agent module"]),
        ("def f(a):\n    def g(): look(a)\n    g()\nf(agent)", ["Agent module"]),
        ("def f(a):\n    return lambda: look(a)\nf(agent)()", ["Agent module"]),
        ("def f(a): look(a)\ndef g():\n    own = Agent()\n    f(own)\ng()", ["Agent"]),
        ("def f(a): look(a)\nf(agent)\nf(Agent())", ["Agent", "Agent module"]),
    ],
)
def test_values_go_down_the_calls(code: str, expected: list[str]) -> None:
    assert sorted(Checked(AGENT + code).met()) == expected


LIBRARIES = """\
import asyncio, copy, functools, threading
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("AssistantAgent('a', None)", ["AssistantAgent"]),
        ("AssistantAgent('a', None).run", ["AssistantAgent.run"]),
        ("AssistantAgent('a', None).run(task='x')", ["coroutine[]"]),
        ("AssistantAgent('a', None).run_stream(task='x')", ["stream[]"]),
        ("RoundRobinGroupChat([]).nothing()", []),
        ("RoundRobinGroupChat.load_component({})", ["RoundRobinGroupChat"]),
        ("asyncio.new_event_loop()", ["AbstractEventLoop"]),
        ("threading.Lock()", ["Lock"]),
        ("asyncio.get_event_loop().run_until_complete", ["AbstractEventLoop.run_until_complete"]),
        ("copy.copy(AssistantAgent('a', None))", ["AssistantAgent"]),
        ("functools.Something()", ["Something"]),
        ("functools.something()", []),
        ("asyncio.sleep(1)", []),
    ],
)
def test_calls_of_libraries_give_objects_of_their_classes(expression: str, expected: list[str]) -> None:
    assert Checked(f"{LIBRARIES}def f(): look({expression})\n").values() == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("d.get('a')", ["Agent module"]),
        ("d.get('a', None)", ["Agent module", "None"]),
        ("d.pop('a')", ["Agent module"]),
        ("d.values()", ["dict[Agent] module"]),
        ("[a for a in d.values()]", ["list[Agent module]"]),
        ("[b for a, b in d.items()]", ["list[Agent module]"]),
        ("list(d.values())[0]", ["Agent module"]),
        ("tuple([agent])[0]", ["Agent module"]),
        ("next(iter([agent]))", ["Agent module"]),
        ("sorted([agent])[0]", ["Agent module"]),
        ("dict(x=agent)['x']", ["Agent module"]),
        ("d.clear()", []),
    ],
)
def test_methods_and_functions_of_containers(expression: str, expected: list[str]) -> None:
    assert Checked(f"{AGENT}d = {{'a': Agent()}}\ndef f(): look({expression})\n").values() == expected


def test_a_default_dictionary_keeps_by_key() -> None:
    program = Checked(
        f"import collections\n{AGENT}d = collections.defaultdict(list)\n"
        "def f(k):\n    d[k] = Agent()\n    look(d[k])\n"
    )

    assert program.values() == ["Agent keyed"]

"""What rules ask of a project: calls of agents, the line to show, the way there."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

from turnlane.checker.finding import Place
from turnlane.checker.python.project import agent_calls_of, class_entry, class_name

HEAD = """\
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from fastapi import FastAPI
app = FastAPI()
agent = AssistantAgent("a", None)
@app.post("/")
async def chat(text):
    """


def text(program: Checked, place: Place) -> str:
    """`PATH:TEXT` of a place of one line."""
    line = program.files[place.path].splitlines()[place.line - 1]
    return f"{place.path}:{line.encode()[place.column : place.end_column].decode()}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await agent.run(task=text)", ["run async agent"]),
        ("agent.run_stream(task=text)", ["run_stream stream agent"]),
        ("await RoundRobinGroupChat([agent]).run(task=text)", ["run async team"]),
        ("await agent.on_reset(text)", []),
        ("await other.run(task=text)", []),
        ("f = agent.run\n    await f(task=text)", ["run async agent"]),
        ("await Mine('a', None).run(task=text)\nclass Mine(AssistantAgent): pass", ["run async agent"]),
        ("await Mine('a').run(text)\nclass Mine(AssistantAgent):\n    async def run(self, text): pass", []),
    ],
)
def test_calls_that_start_a_run(code: str, expected: list[str]) -> None:
    calls = Checked(HEAD + code).project.agent_calls

    assert [f"{call.name} {call.kind} {call.role}" for call in calls] == expected


def test_an_agent_call_has_the_object_with_its_lifetime() -> None:
    (call,) = Checked(f"{HEAD}await agent.run(task=text)").project.agent_calls

    assert call.receiver is not None
    assert call.receiver.lifetime == "module"
    assert call.receiver.holder is not None
    assert call.receiver.holder.name == "agent"


@pytest.mark.parametrize(
    ("code", "name", "role"),
    [
        ("look(agent)", "AssistantAgent", "agent"),
        ("look(Mine())\nclass Mine(AssistantAgent): pass", "Mine", "agent"),
        ("look(Mine())\nclass Base(RoundRobinGroupChat): pass\nclass Mine(Base): pass", "Mine", "team"),
        ("look(Mine())\nclass Mine: pass", "Mine", None),
        ("look([agent])", "", None),
    ],
)
def test_the_framework_class_of_an_object(code: str, name: str, role: str | None) -> None:
    program = Checked(HEAD + code)
    (ref,) = program.refs()

    entry = class_entry(ref, program.evaluator)

    assert class_name(ref, program.evaluator) == name
    assert (entry.role if entry is not None else None) == role


# --- Places ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("await agent.run(task=text)", "main.py:agent.run(task=text)"),
        ("await answer(text)\nasync def answer(text): await agent.run(task=text)", "main.py:agent.run(task=text)"),
        ("await answer(agent)\nasync def answer(one): await one.run(task='x')", "main.py:answer(agent)"),
        ("await answer(\n        agent,\n    )\nasync def answer(one): await one.run(task='x')", "main.py:agent"),
        (
            "await answer(agent)\nasync def answer(one): await deeper(one)\n"
            "async def deeper(one): await one.run(task='x')",
            "main.py:answer(agent)",
        ),
    ],
)
def test_a_shared_object_is_shown_where_it_is_read(code: str, expected: str) -> None:
    program = Checked(HEAD + code)
    call = next(call for call in program.project.agent_calls if call.site.situation.serves)
    assert call.receiver is not None
    assert call.receiver.holder is not None

    place, route = program.project.touch(call.site, call.receiver.holder)

    assert text(program, place) == expected
    assert route.frame.place == call.receiver.holder.reader


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("look()", "main.py:look()"),
        ("plain()\ndef plain(): look()", "main.py:look()"),
        ("far.plain()\nimport far\n# file: far.py\ndef plain(): look()", "main.py:far.plain()"),
        (
            "middle()\nimport far\ndef middle(): far.plain()\n# file: far.py\ndef plain(): look()",
            "main.py:middle()",
        ),
        (
            "await far.later()\nimport far\n# file: far.py\nasync def later(): plain()\ndef plain(): look()",
            "far.py:look()",
        ),
    ],
)
def test_async_code_leaves_where_another_file_begins(code: str, expected: str) -> None:
    program = Checked(HEAD + code)
    (site,) = program.sites("chat")

    place, _ = program.project.crossing(site)

    assert text(program, place) == expected


def test_the_ways_to_a_call_are_told_apart_by_the_lines_that_leave_for_it() -> None:
    program = Checked(f"{HEAD}one()\n    two()\ndef one(): plain()\ndef two(): plain()\ndef plain(): look()\n")
    (site,) = program.sites("chat")

    def ways(through: bool) -> list[list[str]]:
        found = program.project.ways(site, lambda frame: through)
        return sorted([step.frame.scope.name for step in way.route.steps()] for way in found)

    assert ways(True) == [["chat", "one", "plain"], ["chat", "two", "plain"]]
    assert ways(False) == []


# --- Words -------------------------------------------------------------------------------------------------------


def test_the_trace_leads_from_the_handler_to_the_call() -> None:
    program = Checked(f"{HEAD}one(text)\ndef one(text): look(text)\n")
    (site,) = program.sites("chat")

    assert [(step.place.line, step.text) for step in program.project.trace(site)] == [
        (7, "handler `chat` (FastAPI)"),
        (8, "calls `one`"),
        (9, "`look`"),
    ]
    assert program.project.started_by(site) == "handler `chat` (FastAPI)"
    assert program.project.way(site) == "`chat` -> `one` -> `look`"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("agent.run(task='x')", "agent.run"),
        ("(agent\n    .run)(task='x')", "agent.run"),
        ("make().run(x)", "make(...).run"),
        ("(await later()).run(x)", "later(...).run"),
    ],
)
def test_how_a_call_is_named(call: str, expected: str) -> None:
    program = Checked(f"{HEAD}{call}\ndef make(): return agent\nasync def later(): return agent\n")
    site = next(s for s in program.project.sites if list(agent_calls_of(s)))

    assert program.project.callee_text(site) == expected


def test_a_line_is_shown_without_its_indentation() -> None:
    program = Checked("if x:\n    'ä'; look()  \n")

    assert program.project.line_place("main.py", 2) == Place("main.py", 2, 4, 2, 16)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("import autogen", True), ("def ask_llm(): pass", True), ("run(my_agent)", True), ("print(1)", False)],
)
def test_a_program_has_to_do_with_agents_by_its_imports_or_its_words(code: str, expected: bool) -> None:
    assert Checked(code).project.uses_agents is expected


def test_a_function_that_requests_reach_twice_has_one_serving_route() -> None:
    program = Checked(f"{HEAD}one()\n    one()\ndef one(): pass\ndef nobody(): pass\n")

    assert [route.frame.scope.name for route in program.project.serving_routes] == ["chat", "one"]


def test_the_tree_of_a_file_is_none_when_it_does_not_parse() -> None:
    program = Checked("x = 1\n")
    program.project.sources["main.py"].text = "x = ("  # type: ignore[index]

    assert program.project.tree("main.py") is None

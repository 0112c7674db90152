"""TL401 in Python: a tool that lets an exception out, whose bare text the model then takes for the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnlane.checker.finding import Finding
from turnlane.checker.libraries.hosts import by_symbol
from turnlane.checker.python.catching import escapes, plain_name, raised_name
from turnlane.checker.python.entries import Entry
from turnlane.checker.python.facts import (
    Attribute,
    Awaited,
    CallRef,
    Choice,
    Constant,
    Expression,
    Items,
    Name,
    Other,
    Raise,
    Scope,
    Span,
    Subscript,
    Text,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.request_data import mentions, names_in
from turnlane.checker.python.tools import AUTOGEN, tools
from turnlane.checker.python.values import symbol_of
from turnlane.checker.rule import Example, Rule

PROGRAMMERS_ERRORS: Final = frozenset({"NotImplementedError", "AssertionError", "TypeError"})
"""What says that the program is wrong, not the model's arguments."""

CANCELS: Final = frozenset({"CancelledError", "KeyboardInterrupt", "SystemExit", "GeneratorExit"})

ASKS: Final = frozenset({"exists", "isfile", "is_file", "access"})
"""Calls that look whether a file is there."""

INJECTED: Final = "context_variables"
"""A parameter that the framework fills, not the model."""

HARMLESS: Final = frozenset({"cache", "lru_cache", "wraps", "staticmethod", "classmethod"})


class ToolRaises(Rule):
    code = "TL401"
    language = "python"
    detects = (
        "A function registered as a tool of an AutoGen agent (`tools=[...]`, `FunctionTool`, `register_function`, "
        "`register_for_llm`, `function_map`) that raises by a statement of its own, reads a file whose name is an "
        "argument, or looks an argument up in a dictionary of the module, where nothing in the tool catches the "
        "error. Calls that may fail are not reported, nor tools under a decorator of the project, tests, MCP "
        "servers, and Agent Framework, which hides the text."
    )
    bad = (
        Example(
            """\
from autogen import ConversableAgent, register_function

assistant = ConversableAgent("assistant")
user = ConversableAgent("user", llm_config=False, human_input_mode="NEVER")


def calculator(a: int, b: int, operator: str) -> int:
    if operator == "+":
        return a + b
    else:
        raise ValueError("Invalid operator")  # here


register_function(calculator, caller=assistant, executor=user, description="A calculator")
""",
            title="a raise of its own",
        ),
        Example(
            """\
import os

from autogen_core.tools import FunctionTool


def search(query: str, language: str = "en") -> str:
    key = os.getenv("SEARCH_KEY")
    if not key:
        raise ValueError("SEARCH_KEY is not set")  # here
    if language not in {"en", "de"}:
        raise ValueError(f"Unknown language {language}")
    try:
        return query
    except Exception as error:
        raise RuntimeError(f"Search failed: {error}") from error


tool = FunctionTool(search, description="Search the web")
""",
            title="many raises of one tool",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent

POLICIES = {"P-1": "Return within 30 days."}


def policy(policy_id: str) -> str:
    \"\"\"Return the text of a policy.\"\"\"
    return POLICIES[policy_id]  # here


agent = AssistantAgent("support", None, tools=[policy])
""",
            title="an argument as a key",
        ),
        Example(
            """\
from autogen_core.tools import FunctionTool


def read_file_content(file_path: str) -> str:
    with open(file_path, "r", encoding="utf-8") as file:  # here
        return file.read()


read = FunctionTool(read_file_content, description="Read a file")
""",
            title="a file that the model names",
        ),
        Example(
            """\
import requests
from autogen import ConversableAgent

assistant = ConversableAgent("assistant")


def weather(city: str) -> dict:
    try:
        response = requests.get("https://example.com", params={"q": city})
        return response.json()
    except requests.exceptions.RequestException as error:
        raise Exception(f"Weather data not available at this location: {city}")  # here


assistant.register_for_llm(description="The weather")(weather)
""",
            title="raised again, with another text",
        ),
        Example(
            """\
from autogen_agentchat.agents import AssistantAgent


def memory(action: str) -> str:
    if action == "list":
        return "nothing"
    raise ValueError("action must be list")  # here


def make_agent(name: str, tools: list) -> AssistantAgent:
    return AssistantAgent(name, None, tools=tools)


agent = make_agent("librarian", [memory])
""",
            title="through a factory",
        ),
    )
    good = (
        Example(
            """\
import json

from autogen_agentchat.agents import AssistantAgent

POLICIES = {"P-1": "Return within 30 days."}


def policy(policy_id: str) -> str:
    \"\"\"Return the text of a policy.\"\"\"
    if policy_id not in POLICIES:
        return json.dumps({"error": "unknown_policy", "hint": "Ask the user for an id like P-1."})
    return json.dumps({"text": POLICIES[policy_id]})


agent = AssistantAgent("support", None, tools=[policy])
""",
            title="a structured error",
        ),
        Example(
            """\
import asyncio
from collections import defaultdict

from autogen_agentchat.agents import AssistantAgent
from turnlane import ToolError

SEEN = defaultdict(int)


def guarded(tool):
    def run(*args):
        try:
            return tool(*args)
        except Exception:
            return "It failed."

    return run


def caught(number: int, path: str) -> str:
    try:
        if number < 0:
            raise ValueError("negative")
        return open(path).read()
    except Exception as error:
        return f"It failed: {type(error).__name__}"


@guarded
def wrapped(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return number


def told(number: int) -> int:
    if number < 0:
        raise ToolError("The number must not be negative.")
    return number


async def cancelled(seconds: float) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        raise
    return "done"


def counted(word: str) -> int:
    return SEEN[word]


def abstract(word: str) -> int:
    raise NotImplementedError


agent = AssistantAgent("support", None, tools=[caught, wrapped, told, cancelled, counted, abstract])


def no_tool(number: int) -> int:
    raise ValueError("negative")
""",
            title="caught, guarded, no tool",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for entry in tools(project, frozenset({AUTOGEN})):
            frame = entry.frame
            if _is_test(frame.path) or _passes_on(frame.scope) or not _plainly_decorated(project, frame):
                continue
            for (span, what, asked), more in _first_of_each(frame):
                yield self._finding(project, entry, span, what + more, information=asked)

    def _finding(self, project: Project, entry: Entry, span: Span, what: str, *, information: bool) -> Finding:
        name = entry.frame.scope.name
        return Finding(
            self.code,
            project.place(entry.frame.path, span),
            f"tool `{name}` {what}: the model is told only the text of the exception{_and_user(entry)}",
            "information" if information else "warning",
        )


Escape = tuple[Span, str, bool]
"""Where an exception leaves, how for the message, and whether the tool looks first if all is well."""


def _first_of_each(frame: Frame) -> Iterator[tuple[Escape, str]]:
    """The first place of each kind, and how many more there are: one wrapper around the tool repairs them all."""
    raised: list[Escape] = [(span, what, False) for span, what in _raises(frame)]
    looked: list[Escape] = [(span, what, False) for span, what in _lookups(frame)]
    opened: list[Escape] = [
        (span, "reads a file that may be missing or not readable", asked) for span, asked in _opens(frame)
    ]
    for found in (raised, looked, opened):
        if found:
            more = len(found) - 1
            yield found[0], f" (and at {more} more place{'s' * (more > 1)} below)" if more else ""


def _and_user(entry: Entry) -> str:
    """What the user is told; in classic AutoGen the model goes on and answers."""
    registration = entry.registration
    if registration is not None and registration.context.asynchronous == "own loop":
        return ", not what it may do now"
    return ", and by default that is the user's answer"


def _is_test(path: str) -> bool:
    *folders, file = path.split("/")
    return file.startswith("test_") or file.endswith("_test.py") or "tests" in folders


def _passes_on(scope: Scope) -> bool:
    """Whether the function only stands around the tool: `def wrapper(*args, **kwargs)`."""
    kinds = [parameter.kind for parameter in scope.parameters]
    return bool(kinds) and all(kind in {"*", "**"} for kind in kinds)


def _plainly_decorated(project: Project, frame: Frame) -> bool:
    """Whether no decorator stands between the framework and the function: one of the project may catch."""
    return all(_is_plain(project, decorator, frame) for decorator in frame.scope.decorators)


def _is_plain(project: Project, decorator: Expression, frame: Frame) -> bool:
    around = project.evaluator.around(frame)
    callee = around.scope.calls[decorator.number].callee if isinstance(decorator, CallRef) else decorator
    if plain_name(callee) in HARMLESS:
        return True
    return any(by_symbol(symbol_of(ref)) for ref in project.evaluator.evaluate(callee, around))


MEANT_FOR_THE_MODEL: Final = frozenset({"ToolError", "ToolException", "ModelRetry", "ToolRetryError"})
"""Exceptions whose text a guard gives to the model on purpose: Turnlane's own, and others'."""


# --- What leaves the tool ---------------------------------------------------------------------------------------


def _raises(frame: Frame) -> Iterator[tuple[Span, str]]:
    scope = frame.scope
    for one in scope.raises:
        name = raised_name(one, scope)
        if (
            name in PROGRAMMERS_ERRORS | CANCELS | MEANT_FOR_THE_MODEL
            or _meets_cancel(frame, one)
            or _tests_injected(frame, one)
        ):
            continue
        if escapes(frame.view, scope, one.block, name):
            yield one.span, f"raises `{name}`" if name else "lets an exception out"


def _meets_cancel(frame: Frame, one: Raise) -> bool:
    """Whether a bare `raise` lets a cancellation pass."""
    around = frame.view.blocks_around(frame.scope, one.block)
    branch = next(
        (frame.scope.blocks[block] for block in around if frame.scope.blocks[block].kind == "except"), None
    )
    return branch is not None and any(plain_name(kind) in CANCELS for kind in branch.subject)


def _tests_injected(frame: Frame, one: Raise) -> bool:
    scope = frame.scope
    tests = [test for block in frame.view.blocks_around(scope, one.block) for test in scope.blocks[block].subject]
    return any(INJECTED in names_in(test, scope) for test in tests)


def _opens(frame: Frame) -> Iterator[tuple[Span, bool]]:
    """Where a file is read whose name is an argument, and whether the tool asks first if it is there."""
    scope = frame.scope
    given = {parameter.name for parameter in scope.parameters} - {"self", "cls"}
    asked = any(plain_name(call.callee) in ASKS for call in scope.calls)
    for call in scope.calls:
        if not (isinstance(call.callee, Name) and call.callee.id == "open" and call.arguments):
            continue
        modes = [*call.arguments[1:2], *(value for name, value in call.keywords if name == "mode")]
        reads = all(isinstance(mode, Constant) and str(mode.value)[:1] == "r" for mode in modes)
        named = reads and mentions(call.arguments[0], scope, given)
        if named and escapes(frame.view, scope, call.block, "FileNotFoundError"):
            yield call.span, asked


# --- Dictionaries -----------------------------------------------------------------------------------------------


def _lookups(frame: Frame) -> Iterator[tuple[Span, str]]:
    """`POLICIES[policy_id]`, where the function never asks whether the key is there."""
    scope = frame.scope
    tables = _tables(frame)
    if not tables:
        return
    for expression, span, block in _statements(scope):
        for table, key in _subscripts(expression, scope):
            if table in tables and _is_free(frame, table, key) and escapes(frame.view, scope, block, "KeyError"):
                yield span, f"looks `{key}` up in `{table}` and raises `KeyError` when it is not there"


def _tables(frame: Frame) -> frozenset[str]:
    """The module's variables that are a dictionary written out, and never changed."""
    module = frame.view.scopes[0]
    values = {
        one.target.id: one.value
        for one in module.assignments
        if isinstance(one.target, Name) and not one.augmented
    }
    return frozenset(
        name
        for name, value in values.items()
        if isinstance(value, Items) and value.kind == "dict" and value.keys and not value.each
    )


def _is_free(frame: Frame, table: str, key: str) -> bool:
    """Whether the model may give any text as the key, and nothing in the function looks at it first."""
    scope = frame.scope
    parameter = next((one for one in scope.parameters if one.name == key), None)
    if parameter is None or plain_name(parameter.annotation or Constant(None)) not in {"str", "int", ""}:
        return False
    if isinstance(parameter.annotation, Subscript):
        return False  # `Literal["a", "b"]`, `Annotated[...]`
    if any(isinstance(one.target, Name) and one.target.id in {table, key} for one in scope.assignments):
        return False
    tests = [test for block in scope.blocks if block.kind in {"if", "else", "while"} for test in block.subject]
    return not any(name in {table, key} for test in tests for name in names_in(test, scope))


def _statements(scope: Scope) -> Iterator[tuple[Expression, Span, int]]:
    for result in scope.results:
        yield result.value, result.span, result.block
    for assignment in scope.assignments:
        yield assignment.value, assignment.span, assignment.block
    for call in scope.calls:
        for value in (call.callee, *call.arguments, *(value for _, value in call.keywords)):
            yield value, call.span, call.block


def _subscripts(expression: Expression, scope: Scope, depth: int = 0) -> Iterator[tuple[str, str]]:
    """A variable and the key it is looked up with; not inside calls, which are looked at by themselves."""
    if depth > 8:
        return
    match expression:
        case Subscript(base=Name(id=table), key=Name(id=key)):
            yield table, key
        case Subscript(base=base) | Attribute(base=base):
            yield from _subscripts(base, scope, depth + 1)
        case Awaited(value=value):
            yield from _subscripts(value, scope, depth + 1)
        case Items(values=parts, each=False) | Choice(options=parts) | Text(parts=parts) | Other(parts=parts):
            for part in parts:
                yield from _subscripts(part, scope, depth + 1)
        case _:
            return

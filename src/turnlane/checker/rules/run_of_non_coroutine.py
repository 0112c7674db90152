"""TL109 in Python: the result of a plain function is awaited, or handed to `asyncio.run`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from turnlane.checker import edits
from turnlane.checker.edits import Change, Code
from turnlane.checker.finding import Finding, Fix, Place
from turnlane.checker.libraries.frameworks import ClassEntry, FunctionEntry, lookup
from turnlane.checker.libraries.frameworks import Method as MethodEntry
from turnlane.checker.python.awaitables import Awaitables, is_plain
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Attribute, CallRef, Constant, Expression, Items, Name, Scope, Text
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.project import Project
from turnlane.checker.python.running import known_entry
from turnlane.checker.python.values import External, FunctionObject, Method, Ref, symbol_of
from turnlane.checker.rule import Example, Rule

_FAMILIES: Final = frozenset({"classic", "agentchat", "core", "openai"})
"""Whose plain methods have been plain in all releases."""

_RUNNERS: Final = frozenset(
    {
        "asyncio.run",
        "asyncio.create_task",
        "asyncio.ensure_future",
        "asyncio.wait_for",
        "asyncio.gather",
        "asyncio.shield",
        "asyncio.run_coroutine_threadsafe",
        "asyncio.Runner.run",
        "asyncio.AbstractEventLoop.run_until_complete",
        "asyncio.AbstractEventLoop.create_task",
        "uvloop.run",
    }
)
_RUNNER_NAMES: Final = frozenset(symbol.rpartition(".")[2] for symbol in _RUNNERS)


class RunOfNonCoroutine(Rule):
    code = "TL109"
    language = "python"
    detects = (
        "`await`, `asyncio.run`, `create_task` and the like around a call that gives no coroutine: a "
        "synchronous chat or model call, or a plain function of the project that returns nothing. Silent when "
        "the function may return something to await, when a decorator may change it, or a subclass makes it "
        "async."
    )
    fixes = (
        "`await user.initiate_chat(...)` becomes `await user.a_initiate_chat(...)`, unsafe; "
        "`asyncio.run(user.initiate_chat(...))` becomes the plain call, and a needless `await` goes: safe."
    )
    bad = (
        Example(
            """\
import asyncio

from autogen import AssistantAgent, UserProxyAgent


def answer(text: str, llm_config: dict) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config=llm_config)
    result = asyncio.run(user.initiate_chat(support, message=text, max_turns=1))  # here
    return result.summary


async def ask(user: UserProxyAgent, support: AssistantAgent, text: str) -> str:
    await user.initiate_chat(support, message=text)  # here
    return user.last_message(support)["content"]
""",
            after="""\
import asyncio

from autogen import AssistantAgent, UserProxyAgent


def answer(text: str, llm_config: dict) -> str:
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    support = AssistantAgent("support", llm_config=llm_config)
    result = user.initiate_chat(support, message=text, max_turns=1)
    return result.summary


async def ask(user: UserProxyAgent, support: AssistantAgent, text: str) -> str:
    await user.a_initiate_chat(support, message=text)
    return user.last_message(support)["content"]
""",
            title="a sync chat",
        ),
        Example(
            """\
import asyncio

from openai import OpenAI

client = OpenAI()


def setup() -> None:
    print("ready")


async def main() -> None:
    await setup()  # here
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=[])  # here
    print(answer)


def start() -> None:
    print("start")


if __name__ == "__main__":
    asyncio.run(start())  # here
""",
            title="plain functions and the sync client",
        ),
    )
    good = (
        Example(
            """\
import asyncio
import functools

from autogen import AssistantAgent, UserProxyAgent
from autogen_core import CancellationToken
from openai import AsyncOpenAI

client = AsyncOpenAI()


def start(user: UserProxyAgent, support: AssistantAgent):
    return user.a_initiate_chat(support, message="hello")


def asyncify(function):
    @functools.wraps(function)
    async def inner(*arguments):
        return await asyncio.to_thread(function, *arguments)

    return inner


@asyncify
def slow() -> None:
    print("slow")


class Base:
    def prepare(self) -> None:
        print("prepare")

    def abstract(self) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        await self.prepare()
        await self.abstract()


class Child(Base):
    async def prepare(self) -> None: ...


class Worker:
    async def work(self) -> None: ...

    async def start(self) -> None:
        await self.work()


class Mock(Worker):
    def work(self) -> None:
        print("worked")


async def main(user: UserProxyAgent, support: AssistantAgent) -> None:
    await start(user, support)
    await slow()
    await client.chat.completions.create(model="gpt-4o-mini", messages=[])
    await asyncio.to_thread(user.initiate_chat, support, message="hello")
    await Mock().start()
    token = CancellationToken()
    await token.link_future(asyncio.ensure_future(start(user, support)))


asyncio.run(main(UserProxyAgent("user"), AssistantAgent("support")))
""",
            title="what gives a coroutine after all",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        plain = _PlainCalls(project)
        ways: dict[Place, list[Site]] = {}
        for site in project.sites:
            use = site.call.use
            if use == "awaited" or (use == "argument" and _may_be_run(site)):
                ways.setdefault(project.site_place(site), []).append(site)
        for sites in ways.values():
            given = [plain.gives(ref) for site in sites for ref in site.targets]
            if all(given) and (sites[0].call.use == "awaited" or _is_run(project, sites[0])):
                yield _finding(self.code, project, sites[0], given[0])


def _may_be_run(site: Site) -> bool:
    user = site.call.user
    callee = site.scope.calls[user].callee if 0 <= user < len(site.scope.calls) else None
    return isinstance(callee, Attribute | Name) and _last_name(callee) in _RUNNER_NAMES


def _last_name(expression: Expression) -> str:
    if isinstance(expression, Name):
        return expression.id
    return expression.name if isinstance(expression, Attribute) else ""


def _is_run(project: Project, site: Site) -> bool:
    """Whether the call stands where a coroutine is wanted: the first argument of a runner, any of `gather`."""
    user = site.scope.calls[site.call.user]
    refs = project.evaluator.evaluate(user.callee, site.frame)
    if not refs or any(symbol_of(ref) not in _RUNNERS for ref in refs):
        return False
    made = CallRef(site.number)
    wanted = user.arguments if _last_name(user.callee) == "gather" else user.arguments[:1]
    return any(isinstance(one, CallRef) and one == made for one in wanted)


def _finding(code: str, project: Project, site: Site, gives: str) -> Finding:
    name = project.callee_text(site)
    if site.call.use == "awaited":
        return Finding(
            code,
            project.site_place(site),
            f"`{name}` is a plain function and gives {gives}: it has run when `await` raises TypeError",
            "error",
            fix=_awaited_fix(project, site),
        )
    runner = site.scope.calls[site.call.user]
    return Finding(
        code,
        project.place(site.path, runner.span),
        f"`{name}` is a plain function and gives {gives}: it has run when `{_last_name(runner.callee)}` finds no "
        "coroutine and raises",
        "error",
        fix=_runner_fix(project, site),
    )


# --- What a call gives ----------------------------------------------------------------------------------------


class _PlainCalls:
    """Knows which calls give something that surely can't be awaited."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._awaitables = Awaitables(project)

    def gives(self, ref: Ref) -> str:
        """What calling a value gives, for the message; empty when it may be awaited."""
        value = ref.value
        if isinstance(value, FunctionObject):
            return self._of_function(value)
        entry = known_entry(value)
        if entry is None or entry.kind != "sync" or not isinstance(value, Method | External):
            return ""
        return "its result" if _is_surely_sync(value, entry) else ""

    def _of_function(self, function: FunctionObject) -> str:
        scope = self._project.program[function.path].scopes[function.scope]
        if scope.kind != "function" or scope.is_async or scope.is_generator or not is_plain(scope):
            return ""
        if self._awaitables.is_overridden(function, scope) or not _does_something(scope):
            return ""
        frame = self._project.evaluator.function_frame(function)
        if not all(self._is_value(one.value, frame) for one in scope.results):
            return ""
        return "no coroutine" if scope.results else "None"

    def _is_value(self, result: Expression, frame: Frame) -> bool:
        """Whether a returned expression is surely no coroutine."""
        if isinstance(result, Constant | Text | Items):
            return True
        if isinstance(result, CallRef):
            refs = self._project.evaluator.evaluate(frame.scope.calls[result.number].callee, frame)
            return bool(refs) and all(
                not isinstance(ref.value, FunctionObject) and self.gives(ref) for ref in refs
            )
        return False


def _is_surely_sync(value: Method | External, entry: MethodEntry | FunctionEntry) -> bool:
    """Whether the method has been a plain one in all releases, and gives no future."""
    if isinstance(entry, FunctionEntry):
        return entry.runs and entry.family in _FAMILIES
    cls = lookup(value.cls) if isinstance(value, Method) else None
    if not isinstance(cls, ClassEntry) or cls.family not in _FAMILIES:
        return False
    return entry.runs or (cls.family == "classic" and cls.role in {"agent", "user_proxy", "manager", "group_chat"})


def _does_something(scope: Scope) -> bool:
    """Whether the function is more than the place of one that a subclass writes."""
    abstract = any(_last_name(one) == "abstractmethod" for one in scope.decorators)
    return not abstract and bool(scope.results or (scope.calls and not scope.raises))


# --- Fixes ----------------------------------------------------------------------------------------------------


def _code(project: Project, path: str) -> Code | None:
    return edits.parse(project.sources[path], project.program[path].module.cells)


def _awaited_fix(project: Project, site: Site) -> Fix | None:
    """Await the async form where there is one; else leave `await` out."""
    code = _code(project, site.path)
    call = code.expression(site.call.span, ast.Call) if code is not None else None
    if code is None or call is None:
        return None
    twins = {entry.async_twin.rpartition(".")[2] for ref in site.targets if (entry := known_entry(ref.value))}
    if len(twins) == 1 and (twin := twins.pop()):
        end = code.end(call.func)
        start = end - len(_attribute_name(call.func))
        return code.fix(f"Await `{twin}`", [Change(start, end, twin)], safe=False)
    around = code.parents.get(call)
    if not isinstance(around, ast.Await) or any(isinstance(ref.value, Method) for ref in site.targets):
        return None
    return code.fix("Leave `await` out", [Change(code.start(around), code.start(call), "")], safe=True)


def _attribute_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _runner_fix(project: Project, site: Site) -> Fix | None:
    """Call it plainly in place of `asyncio.run(...)`."""
    code = _code(project, site.path)
    runner = site.scope.calls[site.call.user]
    node = code.expression(runner.span, ast.Call) if code is not None else None
    call = code.expression(site.call.span, ast.Call) if code is not None else None
    if (
        code is None
        or node is None
        or call is None
        or _last_name(runner.callee) not in {"run", "run_until_complete"}
    ):
        return None
    around = [
        code.source.text[code.start(node) : code.start(call)],
        code.source.text[code.end(call) : code.end(node)],
    ]
    if len(node.args) != 1 or any("#" in part for part in around):
        return None
    changes = [Change(code.start(node), code.start(call), ""), Change(code.end(call), code.end(node), "")]
    return code.fix("Call it plainly", changes, safe=True)

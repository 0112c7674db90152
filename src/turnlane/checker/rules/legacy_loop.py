"""TL104 in Python: a loop that nobody made is asked for, and driven."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker import edits
from turnlane.checker.finding import Finding
from turnlane.checker.python.explore import Site
from turnlane.checker.python.loops import FOREVER, LOOP, Maker, has_loop, makers_of, missing_loops, patched_files
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import code_of


class LegacyLoop(Rule):
    code = "TL104"
    language = "python"
    detects = (
        "`run_until_complete` or `run_forever` on the loop that `asyncio.get_event_loop()` gave to plain "
        "code, also when it is kept in a variable or an attribute. Silent where `get_event_loop()` stands in "
        "a `try` that makes a loop when there is none, after `set_event_loop`, and in async code. In a "
        "thread it is TL103."
    )
    fixes = (
        "`asyncio.run(main())` instead, and what only made or closed the loop is deleted: safe for an `async "
        "def` of the file."
    )
    bad = (
        Example(
            """\
import asyncio


async def main() -> None:
    print("done")


if __name__ == "__main__":
    loop = asyncio.get_event_loop()
    loop.run_until_complete(main())  # here
""",
            after="""\
import asyncio


async def main() -> None:
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="in a script",
        ),
        Example(
            """\
import asyncio


class Suite:
    def run_tests(self) -> None:
        loop = asyncio.get_event_loop()
        try:
            loop.run_until_complete(self.all_tests())  # here
        finally:
            loop.close()

    def tear_down(self) -> None:
        if asyncio.get_event_loop().is_running():
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        else:
            asyncio.get_event_loop().run_until_complete(self.close())  # here

    async def all_tests(self) -> None: ...

    async def close(self) -> None: ...
""",
            title="in functions that nobody calls",
        ),
        Example(
            """\
import asyncio


class Client:
    def __init__(self) -> None:
        self.loop = asyncio.get_event_loop()

    def ask(self, text: str) -> str:
        return self.loop.run_until_complete(self.answer(text))  # here

    async def answer(self, text: str) -> str:
        return text
""",
            title="kept in an attribute",
        ),
        Example(
            """\
import asyncio


async def serve() -> None: ...


asyncio.get_event_loop().run_until_complete(serve())  # here
asyncio.get_event_loop().run_forever()
""",
            title="driven twice",
        ),
    )
    good = (
        Example(
            """\
import asyncio


async def main() -> None:
    loop = asyncio.get_event_loop()
    await loop.run_in_executor(None, print, "done")


def start() -> None:
    try:
        loop = asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
    loop.run_until_complete(main())


def own() -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def given() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    asyncio.get_event_loop().run_until_complete(main())
""",
            title="loops that are there",
        ),
        Example(
            """\
import asyncio

import pytest


@pytest.fixture
def event_loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
""",
            title="a fixture with a loop of its own",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        patched = patched_files(project)
        in_threads = {(site.frame.place, site.number) for site in missing_loops(project)}
        first: dict[tuple[str, int], Site] = {}
        for site in project.calls_of((f"{LOOP}.run_until_complete", FOREVER)):
            if site.situation.loop is True or (site.path in patched and _is_fallback(site)):
                continue
            maker = next((one for one in makers_of(project, site) if _is_legacy(one)), None)
            if maker is None or has_loop(site.route, maker) or (maker.frame.place, maker.number) in in_threads:
                continue
            # One `asyncio.run` takes the place of all that a function does with the loop.
            before = first.get(site.frame.place)
            if before is None or site.number < before.number:
                first[site.frame.place] = site
        for site in first.values():
            yield self._finding(project, site)

    def _finding(self, project: Project, site: Site) -> Finding:
        code = code_of(project, site.path)
        return Finding(
            self.code,
            project.site_place(site),
            "the loop of `asyncio.get_event_loop()` is run here: there is none on Python 3.14, "
            "nor on any version after an `asyncio.run`, and RuntimeError is raised",
            "warning",
            fix=edits.legacy_loop(code, site.call.span) if code is not None else None,
        )


def _is_fallback(site: Site) -> bool:
    """Whether the call is the answer to a refused `asyncio.run`, with `nest_asyncio`: that is TL105's business."""
    return any(block.kind == "except" for block in site.blocks())


def _is_legacy(maker: Maker) -> bool:
    return maker.symbol == "asyncio.get_event_loop" and not maker.frame.scope.is_async

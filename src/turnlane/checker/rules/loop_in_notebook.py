"""TL102 in Python: a notebook cell starts an event loop, beside the one that the kernel runs."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker.finding import Finding
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import fix_of, nested_runs


class LoopInNotebook(Rule):
    code = "TL102"
    language = "python"
    detects = (
        "`asyncio.run`, `loop.run_until_complete` and the like in a cell, or in a function that a cell "
        "calls. Silent when the notebook applies `nest_asyncio` (that is TL105), and for functions that no "
        "cell calls."
    )
    fixes = "`asyncio.run(x)` in a cell becomes `await x`: safe. In a helper that becomes async with it: unsafe."
    bad = (
        Example(
            """\
# file: demo.ipynb
# %%
import asyncio


async def main():
    return 1
# %%
result = asyncio.run(main())  # here
print(result)
""",
            title="in a cell",
        ),
        Example(
            """\
# file: demo.ipynb
# %%
import asyncio


async def main():
    return 1


def start():
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(main())  # here
# %%
start()
""",
            title="in a helper that a cell calls",
        ),
        Example(
            """\
# file: demo.ipynb
# %%
import asyncio

import nest_asyncio

nest_asyncio.apply()


async def main():
    return 1
# %%
asyncio.run(main())  # here
""",
            title="patched",
        ),
    )
    good = (
        Example(
            """\
# file: demo.ipynb
# %%
import asyncio


async def main():
    return 1


def start():
    return asyncio.run(main())
# %%
await main()
""",
            title="awaited",
        ),
        Example(
            """\
# file: demo.ipynb
# %%
import asyncio

import nest_asyncio

nest_asyncio.apply()


async def main():
    return 1
# %%
await main()
""",
            title="patched and awaited",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for site, place in nested_runs(project):
            if not place.path.endswith(".ipynb"):
                continue
            runner = project.callee_text(site)
            yield Finding(
                self.code,
                place,
                f"`{runner}` raises RuntimeError here: the notebook's kernel already runs a loop",
                "error",
                trace=project.trace(site),
                fix=fix_of(project, site) if site.path == place.path else None,
            )
        for site, place in nested_runs(project, patched=True):
            if place.path.endswith(".ipynb") and site.situation.kind == "cell":
                yield Finding(
                    self.code,
                    place,
                    f"`{project.callee_text(site)}` works here only because of `nest_asyncio`: without it the "
                    "notebook's kernel, which already runs a loop, refuses",
                    "information",
                    trace=project.trace(site),
                    fix=fix_of(project, site) if site.path == place.path else None,
                )

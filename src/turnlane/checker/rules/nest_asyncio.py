"""TL105 in Python: `nest_asyncio` patches the event loop."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker import edits
from turnlane.checker.finding import Finding, Place, Severity
from turnlane.checker.python.explore import Site
from turnlane.checker.python.loops import PATCHERS
from turnlane.checker.python.project import Project
from turnlane.checker.rule import Example, Rule
from turnlane.checker.rules._nested import code_of


class NestAsyncio(Rule):
    code = "TL105"
    language = "python"
    detects = (
        "Every `nest_asyncio.apply()`: an error where requests of several users pass, a warning in a program, "
        "information in a notebook."
    )
    fixes = "The imports and the call are deleted: unsafe, since nested runs then fail as TL101 and TL102 say."
    bad = (
        Example(
            """\
import asyncio

import nest_asyncio

nest_asyncio.apply()  # here


async def main() -> None:
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
""",
            after="""\
import asyncio


async def main() -> None:
    print("done")


if __name__ == "__main__":
    asyncio.run(main())
""",
            title="in a program",
        ),
        Example(
            """\
# file: demo.ipynb
# %%
from nest_asyncio import apply

apply()  # here
# %%
print(1)
""",
            title="in a notebook",
        ),
        Example(
            """\
import asyncio


def call(coroutine):
    loop = asyncio.get_event_loop()
    if loop.is_running():
        import nest_asyncio

        nest_asyncio.apply()  # here
    return loop.run_until_complete(coroutine)
""",
            title="as a last resort",
        ),
    )
    good = (
        Example(
            """\
import asyncio


async def main() -> None:
    print("nest_asyncio.apply()")


if __name__ == "__main__":
    asyncio.run(main())
""",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        sites: dict[Place, list[Site]] = {}
        for site in project.calls_of(PATCHERS):
            sites.setdefault(project.site_place(site), []).append(site)
        for place, there in sites.items():
            code = code_of(project, place.path)
            yield Finding(
                self.code,
                place,
                "`nest_asyncio.apply()` lets runs nest: a run then returns only after all that started later, "
                "and uvloop refuses it",
                _severity(place, there),
                fix=edits.remove_nest_asyncio(code) if code is not None else None,
            )


def _severity(place: Place, sites: list[Site]) -> Severity:
    if any(site.situation.serves for site in sites):
        return "error"
    return "information" if place.path.endswith(".ipynb") else "warning"

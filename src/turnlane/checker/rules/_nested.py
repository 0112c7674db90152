"""What TL101 and TL102 share: the calls that drive a loop on a thread where one runs already."""

from __future__ import annotations

from collections.abc import Iterator

from turnlane.checker import edits
from turnlane.checker.edits import Code
from turnlane.checker.finding import Fix, Place
from turnlane.checker.python.explore import Site
from turnlane.checker.python.facts import Read
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.loops import (
    FOREVER,
    RUNNERS,
    Maker,
    asks,
    caught,
    makers_of,
    patched_files,
    runs_where_a_loop_runs,
)
from turnlane.checker.python.project import Project
from turnlane.checker.python.values import FunctionObject


def nested_runs(project: Project, *, patched: bool = False) -> Iterator[tuple[Site, Place]]:
    """Calls that drive a loop although one runs on their thread, and the line that has to change.

    A call comes once for each line in which async code leaves for it. With `patched`, those and only those come
    that `nest_asyncio` allows.
    """
    allowed = patched_files(project)
    for site in project.calls_of({*RUNNERS, FOREVER}):
        if (site.path in allowed) is not patched or site.situation.loop is False:
            continue
        if runs_where_a_loop_runs(site) or _drives_the_running(project, site):
            yield site, project.site_place(site)
        elif site.situation.loop and not caught(site) and not asks(site.frame):
            for way in project.ways(site, _plain):
                if not _converted(way):
                    yield way, project.crossing(way)[0]


def _drives_the_running(project: Project, site: Site) -> bool:
    """Whether the loop that is driven is the running one, as `get_running_loop()` gave it right here."""
    return any(
        maker.symbol == "asyncio.get_running_loop" and maker.frame is site.frame and _is_told_by(maker, site)
        for maker in makers_of(project, site)
    )


def _is_told_by(maker: Maker, site: Site) -> bool:
    """Whether nothing between the two decides otherwise: no `except` for a thread without a loop, no `if`."""
    around = set(site.frame.view.blocks_around(site.scope, maker.call.block))
    between = (
        block
        for number, block in enumerate(site.scope.blocks)
        if number not in around and number in set(site.frame.view.blocks_around(site.scope, site.call.block))
    )
    return all(block.kind not in {"except", "if", "else"} for block in between)


def _plain(frame: Frame) -> bool:
    return not asks(frame)


def _converted(site: Site) -> bool:
    """Whether a decorator made a plain function on the way awaitable: it then runs in a thread."""
    for before, route in zip(site.route.steps(), site.route.steps()[1:], strict=False):
        scope = route.frame.scope
        call = before.frame.scope.calls[route.call]
        if not scope.is_async and scope.decorators and call.use in {"awaited", "async entered", "async iterated"}:
            return True
    return False


def fix_of(project: Project, site: Site) -> Fix | None:
    """Await it: as it stands in async code; in a plain function, by making that and its callers async."""
    code = code_of(project, site.path)
    if code is None:
        return None
    return edits.unwrap_runner(code, site.call.span) or _made_async(project, code, site)


def code_of(project: Project, path: str) -> Code | None:
    """A file as the builders of edits want it."""
    return edits.parse(project.sources[path], project.program[path].module.cells)


def _made_async(project: Project, code: Code, site: Site) -> Fix | None:
    scope = site.scope
    if scope.kind != "function" or _handed_over(project, scope.name):
        return None
    callers: dict[Place, Code] = {}
    for other in project.sites:
        for ref in other.targets:
            value = ref.value
            if isinstance(value, FunctionObject) and (value.path, value.scope) == site.frame.place:
                there = code_of(project, other.path)
                if there is None:
                    return None
                callers[project.site_place(other)] = there
    if not callers:
        return None
    return edits.make_async(code, site.call.span, [(there, place) for place, there in callers.items()])


def _handed_over(project: Project, name: str) -> bool:
    """Whether the function is also used otherwise than by calling it."""
    return any(
        _is_other_use(read, name)
        for view in project.program.modules.values()
        for scope in view.scopes
        for read in scope.reads
    )


def _is_other_use(read: Read, name: str) -> bool:
    return (read.name == name and read.use != "callee") or (read.attribute == name and read.use == "attribute")

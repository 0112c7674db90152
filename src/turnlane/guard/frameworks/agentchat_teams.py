"""autogen-agentchat 0.4 to 0.7: teams, their participants and their termination conditions."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

from turnlane.guard import answers, journals, meetings, objects, runs, two_teams
from turnlane.guard.first_objects import first_of_each_class
from turnlane.guard.imports import when_imported
from turnlane.guard.journal import Sighting
from turnlane.guard.objects import Role, Watched
from turnlane.guard.patching import Plain, replace, watch_construction, watch_entry
from turnlane.guard.runs import Run
from turnlane.guard.stacks import Stack
from turnlane.guard.states import watch_state

ENTRIES: Final = ("run", "run_stream")


class TeamEntry(Plain):
    """`run` and `run_stream` of a team."""

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def begin(self, thing: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stack: Stack) -> Run | None:
        from turnlane.guard.frameworks.agentchat import asked

        watched = objects.watch(thing, "team")
        outer = run_of_team(thing) if runs.current.get() is None else None
        run = runs.begin(
            thing,
            "team",
            self.entry,
            stack,
            uses=conditions(getattr(thing, "_termination_condition", None)),
            leftover=0 if watched.last is None else 1,
            text=asked(args, kwargs),
            outer=outer,
        )
        if run is not None:
            run.notes["answers"] = True
        return run

    def item(self, run: Run, item: Any) -> None:
        run.notes["complete"] = type(item).__name__ == "TaskResult"

    def result(self, run: Run, result: Any) -> None:
        from turnlane.guard.frameworks.agentchat import answer_of

        answers.answered(run, answer_of(result))


def install() -> None:
    """Wait for the package's modules."""
    when_imported("autogen_agentchat.base._team", _teams)
    when_imported("autogen_agentchat.teams._group_chat._base_group_chat", _group_chats)
    when_imported("autogen_agentchat.base._termination", _conditions)
    meetings.rules.append(in_two_teams)


def _teams(module: ModuleType) -> None:
    watch_construction(module.Team, "team", after=first_of_each_class(_watch_class))


def _conditions(module: ModuleType) -> None:
    watch_construction(module.TerminationCondition, "termination")


def _group_chats(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            try:
                _join(self)
            except Exception as error:
                journals.trouble("team", error)

        return __init__

    replace(module.BaseGroupChat, "__init__", make)
    _watch_class(module.BaseGroupChat)


def _watch_class(kind: type) -> None:
    for owner in kind.__mro__:
        if owner.__module__ in ("builtins", "autogen_agentchat.base._team", "autogen_agentchat.base._task"):
            continue
        for entry in ENTRIES:
            if entry in vars(owner):
                watch_entry(owner, entry, TeamEntry(entry))
        watch_state(owner, "reset", after=forget)
        watch_state(owner, "load_state", after=forget)
        watch_state(owner, "save_state")


def _join(team: Any) -> None:
    """Remember whose participants they are."""
    for participant in getattr(team, "_participants", ()):
        role: Role = "team" if hasattr(participant, "_participants") else "agent"
        watched = objects.watch(participant, role)
        teams: list[weakref.ref[Any]] = watched.notes.setdefault("teams", [])
        teams[:] = [ref for ref in teams if ref() is not None][-8:]
        teams.append(weakref.ref(team))


def forget(team: Any) -> None:
    """The team's state was reset or replaced. One that failed stays broken: its manager's loop has ended."""
    watched = objects.known(team)
    if watched is not None and watched.last is not None and watched.last.outcome not in ("failed", "cancelled"):
        runs.forget_state(team)


def conditions(condition: Any) -> list[tuple[object, Role]]:
    """A termination condition and those that it is put together from."""
    if condition is None:
        return []
    found: list[tuple[object, Role]] = [(condition, "termination")]
    for part in getattr(condition, "_conditions", ()):
        found += conditions(part)
    return found


def run_of_team(participant: Any) -> Run | None:
    """The run of the team that a participant works for now, where the team's runtime was started by another."""
    watched = objects.known(participant)
    if watched is None:
        return None
    for team in _teams_of(watched):
        known = objects.known(team)
        if known is not None and known.active:
            return known.active[-1]  # type: ignore[no-any-return]
    return None


def in_two_teams(run: Run, met: Sequence[Run]) -> Sighting | None:
    """One agent works in two teams: what it heard in the first is in its prompts in the second (TL205)."""
    watched = run.watched
    outer = run.parent
    if outer is None or outer.watched.role != "team" or "teams" not in watched.notes:
        return None
    before = next((one for one in met if _in_another_team(one, outer)), None)
    if before is None and watched.dirty and run.leftover:
        before = watched.last
    if before is None or not _in_another_team(before, outer):
        return None
    first = before.notes.get("team") or (before.parent.watched if before.parent else None)
    return two_teams.sighting(run, before, run.watched, first, outer.watched) if first is not None else None


def _in_another_team(one: Run, outer: Run) -> bool:
    return (
        one.parent is not None
        and one.parent.watched.role == "team"
        and one.parent.watched is not outer.watched
        and one.parent not in tuple(outer.ancestors())
        and one.parent is not outer
    )


def _teams_of(watched: Watched) -> list[Any]:
    refs: list[weakref.ref[Any]] = watched.notes.get("teams", [])
    return [team for team in (ref() for ref in refs) if team is not None]

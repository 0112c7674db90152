"""The summary at the end, made from records of one or several processes."""

from __future__ import annotations

from typing import Any

from turnlane.guard import summary


def hazard(code: str = "TL201", *, pid: int = 1, line: int = 7, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "hazard",
        "time": 1.0,
        "pid": pid,
        "code": code,
        "name": "shared-agent",
        "message": "Two requests run one agent at once.",
        "fix": "Build it per turn.",
        "place": {"file": "/srv/app.py", "line": line, "function": "chat"},
        "object": "AssistantAgent 'support'",
        "stacks": [
            {
                "title": "the first run",
                "frames": [{"file": "/srv/app.py", "line": 7, "function": "chat", "text": "await agent.run()"}],
            }
        ],
        **changes,
    }


def start(pid: int = 1) -> dict[str, Any]:
    return {"kind": "start", "time": 0.0, "pid": pid}


def test_nothing_seen_is_said_with_the_number_of_processes() -> None:
    assert summary.text([start(1), start(2)]) == "turnlane guard: no hazard seen in 2 processes.\n"


def test_a_hazard_is_told_with_place_stacks_and_fix() -> None:
    told = summary.text([start(), hazard()], directory="/srv")
    assert told.splitlines() == [
        "turnlane guard: 1 hazard seen in 1 process.",
        "",
        "TL201 shared-agent at app.py:7, once",
        "  Two requests run one agent at once.",
        "    the first run:",
        "      app.py:7 chat    await agent.run()",
        "  Do this: Build it per turn.",
        "",
        "More about a code: turnlane explain TL201",
    ]


def test_of_a_deep_stack_the_programs_own_line_is_shown() -> None:
    sdk = [
        {"file": f"/venv/lib/site-packages/openai/_{n}.py", "line": n, "function": f"f{n}", "text": "..."}
        for n in range(6)
    ]
    own = {"file": "/srv/app.py", "line": 7, "function": "label", "text": "client.create()"}
    deep = {"title": "used here", "frames": [{**own, "line": 3}, own, *sdk]}
    told = summary.text([start(), hazard(stacks=[deep])], directory="/srv").splitlines()
    shown = told[told.index("    used here:") + 1 : told.index("  Do this: Build it per turn.")]
    assert shown[:2] == ["      app.py:3 label    client.create()", "      app.py:7 label    client.create()"]
    assert len(shown) == 3


def test_one_place_in_several_processes_is_one_hazard_with_all_its_counts() -> None:
    records = [
        *(record for pid in (1, 2) for record in (start(pid), hazard(pid=pid))),
        {"kind": "end", "time": 2.0, "pid": 1, "counts": {"TL201 /srv/app.py:7": 5}},
        {"kind": "end", "time": 2.0, "pid": 2, "counts": {"TL201 /srv/app.py:7": 3}},
    ]
    assert "TL201 shared-agent at app.py:7, 8 times in 2 processes" in summary.text(records, directory="/srv")


def test_processes_that_a_fork_made_are_counted() -> None:
    ended = [{"kind": "end", "time": 2.0, "pid": pid, "counts": {}} for pid in (1, 2, 3)]
    assert "1 hazard seen in 3 processes." in summary.text([start(1), hazard(pid=2), *ended], directory="/srv")


def test_a_killed_process_has_no_counts_and_its_hazard_still_counts() -> None:
    assert "app.py:7, once" in summary.text([start(), hazard()], directory="/srv")


def test_unlike_places_stay_apart() -> None:
    told = summary.text([start(), hazard(line=7), hazard(line=9), hazard("TL401", line=7)])
    assert told.startswith("turnlane guard: 3 hazards seen in 1 process.")


def test_a_part_of_the_guard_that_failed_is_told() -> None:
    told = summary.text(
        [start(), {"kind": "trouble", "time": 1.0, "pid": 1, "where": "x", "error": "KeyError: 1"}]
    )
    assert "the guard itself failed in x and did not watch it: KeyError: 1" in told

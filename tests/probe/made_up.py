"""A report as a probe of a shared agent makes it, small, for the tests of what shows reports."""

from __future__ import annotations

from dataclasses import replace

from turnlane.probe.report import (
    Cause,
    Evidence,
    FaultReport,
    Frame,
    Hazard,
    Leak,
    Level,
    Place,
    ProviderCall,
    Report,
    RequestRecord,
    Stack,
    Verdict,
)

FRAME = Frame("/srv/app.py", 12, "chat", "return await agent.run(task=text)")


def request(number: int, concurrency: int, **changes: object) -> RequestRecord:
    began = number * 0.05
    made = RequestRecord(
        id=f"r{number}",
        concurrency=concurrency,
        round=1,
        turn=1 + number % 2,
        user=f"user {number // 2}",
        conversation=f"c{number // 2}",
        prompt=f"word{number}",
        started=began,
        finished=began + 0.25,
        status=200,
        answer="fine",
        calls=(ProviderCall(number=number, started=began + 0.02, finished=began + 0.22, status=200),),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def clean() -> Report:
    requests = tuple(request(number, 1) for number in range(4))
    level = Level(
        concurrency=1, requests=4, succeeded=4, lost=0, reordered=0, p50=0.25, p99=0.26, provider_p50=0.2
    )
    return Report(
        target="app:chat", started="2026-11-21T12:00:00+00:00", seconds=3.0, levels=(level,), requests=requests
    )


def shared_agent() -> Report:
    cause = Cause(
        text="BadRequestError: tool_calls must be followed by tool messages",
        kind="openai.BadRequestError",
        message="Error code: 400 <b>",
        source="guard",
        frames=(FRAME,),
        agent="support",
        tool="pay",
    )
    requests = (
        request(0, 5, leaked=("user 1",)),
        request(1, 5, status=500, cause=cause),
        request(2, 5, lost=True),
        request(3, 5),
    )
    leak = Leak(
        owner="user 1",
        seen_by="user 0",
        where="prompt",
        concurrency=5,
        round=1,
        word="zebra<script>",
        text="remember zebra<script>alert(1)</script>",
        owner_request="r2",
        seen_request="r0",
    )
    first = clean()
    level = Level(
        concurrency=5, requests=4, succeeded=3, errors={cause.text: 1}, leaks=1, lost=1, reordered=0, p50=0.25,
        p99=1.5, provider_p50=0.2, loop_lag=0.004, open_files=14, provider_calls_per_request=1.0,
    )  # fmt: skip
    verdict = Verdict(
        code="TL201",
        confidence=0.95,
        summary="One agent object serves every user.",
        fix="Build the agent per turn.",
        minimal_level=5,
        evidence=(
            Evidence(experiment="fresh agents", before="1 of 4 leaked", after="0 of 4 leaked", vanished=True),
        ),
        place=Place("/srv/app.py", 5),
    )
    return replace(
        first,
        levels=(*first.levels, level),
        requests=(*first.requests, *requests),
        leaks=(leak,),
        verdicts=(verdict,),
        hazards=(
            Hazard(
                code="TL201",
                name="shared-agent",
                message="Two requests run one agent at once.",
                fix="Build the agent per turn.",
                time=1.0,
                place=Place("/srv/app.py", 12, "chat"),
                stacks=(Stack("the first run", (FRAME,)),),
                count=3,
            ),
        ),
        faults=(FaultReport(fault="429=10/s", met=3, requests=2, reached_user=1, shown_as={"HTTP 500": 1}),),
        notes=("The provider answers after 0.2 s.",),
        where={"host": "uvicorn"},
    )

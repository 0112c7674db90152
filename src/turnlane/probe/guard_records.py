"""What the guard wrote inside the program, read while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnlane.guard.record_file import RecordFile
from turnlane.probe.clock import Clock
from turnlane.probe.report import Cause, Frame, Hazard, Place, Stack
from turnlane.probe.tracebacks import without_particulars

Record = Mapping[str, Any]


class GuardRecords:
    """All that the guard has written, as its file grows."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path)
        self._records: list[Record] = []

    def read(self) -> Sequence[Record]:
        """All records so far."""
        self._records += self._file.new()
        return self._records


@dataclass(frozen=True, slots=True)
class Window:
    """The records of a stretch of time, by what they are about."""

    records: Sequence[Record]

    def of(self, kind: str) -> list[Record]:
        """The records of one kind."""
        return [record for record in self.records if record.get("kind") == kind]

    def failures(self) -> dict[str, Cause]:
        """The first failure of each request, by the request's id."""
        found: dict[str, Cause] = {}
        for record in sorted(self.of("failure"), key=lambda r: not r.get("first")):
            if record.get("request") and record["request"] not in found:
                found[record["request"]] = _cause(record)
        return found

    def processes(self) -> dict[str, int]:
        """The process that served each request, by the request's id."""
        return {record["request"]: record["pid"] for record in self.of("request") if record.get("request")}

    def most(self, measure: str) -> float | None:
        """The highest gauge of one kind."""
        values = [record[measure] for record in self.of("gauge") if record.get(measure) is not None]
        return max(values, default=None)

    def hazards(self, clock: Clock) -> tuple[Hazard, ...]:
        """The hazards, each with how often it was seen, as far as the process has told."""
        counts = self._counts()
        return tuple(_hazard(record, clock, counts) for record in self.of("hazard"))

    def _counts(self) -> dict[tuple[int, str], int]:
        return {
            (record["pid"], key): count
            for record in self.of("end")
            for key, count in (record.get("counts") or {}).items()
        }


def window(records: Iterable[Record], start: float, end: float, clock: Clock) -> Window:
    """The records from `start` to `end`, in seconds since the probe's start."""
    return Window([record for record in records if start <= clock.of_wall(record.get("time", 0)) <= end])


def merged(hazards: Iterable[Hazard]) -> tuple[Hazard, ...]:
    """Hazards of several processes or levels; one code at one place is one hazard."""
    found: dict[tuple[str, str, str], Hazard] = {}
    for hazard in hazards:
        key = (hazard.code, str(hazard.place), hazard.object if hazard.place is None else "")
        known = found.get(key)
        found[key] = replace(known, count=known.count + hazard.count) if known else hazard
    return tuple(found.values())


def _hazard(record: Record, clock: Clock, counts: Mapping[tuple[int, str], int]) -> Hazard:
    place = _place(record.get("place"))
    key = f"{record['code']} {place.file}:{place.line}" if place else record["code"]
    return Hazard(
        code=record["code"],
        name=record.get("name") or "",
        message=record.get("message") or "",
        fix=record.get("fix") or "",
        time=clock.of_wall(record.get("time", 0)),
        place=place,
        object=record.get("object") or "",
        stacks=tuple(Stack(s.get("title") or "", frames_of(s.get("frames"))) for s in record.get("stacks") or ()),
        requests=tuple(map(str, record.get("requests") or filter(None, [record.get("request")]))),
        pid=record.get("pid", 0),
        count=counts.get((record.get("pid", 0), key), 1),
        measures=record.get("measures") or {},
    )


def _place(value: Any) -> Place | None:
    if not isinstance(value, Mapping) or not value.get("line"):
        return None
    return Place(str(value.get("file") or ""), int(value["line"]), str(value.get("function") or ""))


def frames_of(value: Any) -> tuple[Frame, ...]:
    """A stack of a record."""
    return tuple(
        Frame(
            str(f.get("file") or ""),
            int(f.get("line") or 0),
            str(f.get("function") or ""),
            str(f.get("text") or ""),
        )
        for f in value or ()
        if isinstance(f, Mapping)
    )


def _cause(record: Record) -> Cause:
    exception = record.get("exception") or {}
    kind, message = str(exception.get("type") or "Exception"), str(exception.get("message") or "")
    return Cause(
        text=one_line(kind, message),
        kind=kind,
        message=message,
        source="guard",
        frames=frames_of(exception.get("frames")),
        agent=record.get("agent"),
        tool=record.get("tool"),
    )


def one_line(kind: str, message: str) -> str:
    """An exception as one line, without what differs between requests, so that equal ones count together."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "")
    short = kind.rpartition(".")[2]
    return without_particulars(f"{short}: {first}" if first else short)

"""Runs planted programs, and says which reports were right.

python -m tests.planted.run [--only CODE|host|glob] [--times 3] [--verb guard|probe|bare] [--twin wrong|right]
    [--users 20]

`bare` runs them without guard and probe, to see that the wrong ones do harm and the right ones do not.
Exit 1: a hazard was not named, or a right program was blamed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import json
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnlane.practice import PracticeProvider

from . import traffic
from .plant import TWINS, Plant, plants
from .setting import ProgramFailed, Setting, environment_for, free_port, listening, prepared
from .traffic import Sent, words

VERBS = ("guard", "probe", "bare")
PROBE_WITHIN = 180.0
TURNLANE = (sys.executable, "-m", "turnlane")

Driver = Callable[[Setting, Iterator[str]], Awaitable[list[Sent]]]


@dataclass(frozen=True)
class Outcome:
    """What one run of a twin showed.

    Attributes:
        plant, twin, verb: what ran, and under what.
        codes: the codes reported.
        harm: what users and provider saw.
        trouble: why it could not be run; empty if it could.
        seconds: how long it took.
        text: the records or the report.
    """

    plant: Plant
    twin: str
    verb: str
    codes: frozenset[str] = frozenset()
    harm: dict[str, int | float] = field(default_factory=dict)
    trouble: str = ""
    seconds: float = 0.0
    text: str = ""

    @property
    def ok(self) -> bool:
        """The wrong twin's hazard is named; of the right one nothing is said."""
        if self.trouble:
            return False
        return not self.codes if self.twin == "right" else bool(self.codes & self.plant.wanted)

    @property
    def others(self) -> frozenset[str]:
        """Codes that are not true of the program."""
        return self.codes if self.twin == "right" else self.codes - self.plant.true


async def run_plant(plant: Plant, twin: str, verb: str) -> Outcome:
    """Run one twin once, under `guard`, `probe` or `bare`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as name:
        try:
            outcome = await (_probed if verb == "probe" else _driven)(plant, twin, verb, Path(name))
        except Exception as error:
            trouble = str(error) if isinstance(error, ProgramFailed) else traceback.format_exc()
            outcome = Outcome(plant, twin, verb, trouble=trouble)
    return Outcome(**{**vars(outcome), "seconds": time.monotonic() - started})


async def _driven(plant: Plant, twin: str, verb: str, folder: Path) -> Outcome:
    records = folder / ".records.jsonl"
    prefix = (*TURNLANE, "guard", "--output", str(records), "--") if verb == "guard" else ()
    async with PracticeProvider(plant.script) as provider:
        environment = environment_for(plant, provider.base_url)
        setting = Setting(plant, folder, prepared(plant, twin, folder), provider, environment, prefix, twin)
        sent = await driver_of(plant)(setting, words())
        harm = traffic.harm(sent, provider)
    lines = records.read_text().splitlines() if records.exists() else []
    if verb == "guard" and not lines:
        raise ProgramFailed(f"the guard wrote no record:\n{setting.last_lines()}")
    answers = "\n".join(f"{one.request} {one.status} {one.seconds:.2f} {one.text[:300]}" for one in sent)
    text = "\n".join(lines) if verb == "guard" else f"{setting.last_lines(6000)}\n{answers}"
    return Outcome(plant, twin, verb, codes_of(lines), harm, text=text)


def codes_of(lines: Sequence[str]) -> frozenset[str]:
    """The hazards in the guard's records."""
    values = [json.loads(line) for line in lines]
    return frozenset(value["code"] for value in values if value["kind"] == "hazard")


def driver_of(plant: Plant) -> Driver:
    """What brings a plant's program to work: its host's own module, or else HTTP requests, or just running it."""
    if importlib.util.find_spec(f"tests.planted.drive_{plant.host}"):
        drive: Driver = importlib.import_module(f"tests.planted.drive_{plant.host}").drive
        return drive
    return drive_server if "{port}" in plant.start else drive_script


async def drive_server(setting: Setting, names: Iterator[str]) -> list[Sent]:
    """Start a server, send it what the plant says, and stop it.

    Raises:
        ProgramFailed: it did not start.
    """
    port = free_port()
    async with setting.running(setting.command(port)) as process:
        await listening(setting, process, port)
        sent = await traffic.visit(f"http://127.0.0.1:{port}", setting.plant.visits, names)
        await asyncio.sleep(setting.plant.settle)
    return sent


async def drive_script(setting: Setting, names: Iterator[str]) -> list[Sent]:
    """Run a program to its end, or for as long as the plant says."""
    async with setting.running(setting.command()) as process:
        try:
            await asyncio.wait_for(process.wait(), setting.plant.seconds)
        except TimeoutError:
            return [Sent("", "", None, "did not end", setting.plant.seconds)]
    status = 500 if process.returncode else 200
    return [Sent("", "", status, setting.last_lines(), 0.0)]


async def _probed(plant: Plant, twin: str, verb: str, folder: Path) -> Outcome:
    file = prepared(plant, twin, folder)
    async with PracticeProvider(plant.script) as unused:  # the probe brings its own
        setting = Setting(plant, folder, file, unused, environment_for(plant, None), TURNLANE, twin)
        port = free_port()
        async with setting.running(_probe_words(setting, port)) as process:
            await asyncio.wait_for(process.wait(), PROBE_WITHIN)
    path = folder / ".report.json"
    if not path.exists():
        raise ProgramFailed(f"the probe wrote no report:\n{setting.last_lines()}")
    report: dict[str, Any] = json.loads(path.read_text())
    codes = frozenset(verdict["code"] for verdict in report["verdicts"])
    return Outcome(plant, twin, verb, codes, text=json.dumps(report, indent=1))


def _probe_words(setting: Setting, port: int) -> list[str]:
    plant = setting.plant
    first = plant.visits[0]
    where = ["--url", f"http://127.0.0.1:{port}{first.path}", "--method", first.method]
    body = ["--json", json.dumps(first.json)] if first.json is not None else []
    headers = [word for name, value in first.headers.items() for word in ("--header", f"{name}: {value}")]
    inject = ["--inject", plant.inject] if plant.inject else []
    # Elsewhere the probe has to find by itself what brings the mistake out.
    own_script = plant.by == ("probe",) and plant.script.parent == plant.folder
    script = ["--script", str(plant.script)] if own_script else []
    start = ["--start", " ".join(setting.command(port))]
    report = ["--output-format", "json", "--output", ".report.json"]
    return ["probe", *where, *body, *headers, *inject, *script, *start, *report, *plant.options]


def lines_of(outcome: Outcome) -> Iterator[str]:
    """An outcome as a row of the table."""
    mark = "ok  " if outcome.ok or (outcome.verb == "bare" and not outcome.trouble) else "MISS"
    if outcome.twin == "right" and outcome.codes:
        mark = "FALSE"
    seen = " ".join(sorted(outcome.codes)) or "-"
    others = f"  others: {' '.join(sorted(outcome.others))}" if outcome.others and outcome.twin == "wrong" else ""
    what = outcome.harm if outcome.verb == "bare" else seen + others
    yield f"{mark:5} {outcome.verb:5} {outcome.twin:5} {outcome.plant.name:55} {outcome.seconds:5.1f} s  {what}"
    yield from (f"      {line}" for line in outcome.trouble.splitlines()[-12:])


def summary(outcomes: Sequence[Outcome]) -> str:
    """The percentages."""
    wrong = [outcome for outcome in outcomes if outcome.twin == "wrong"]
    right = [outcome for outcome in outcomes if outcome.twin == "right"]
    named = sum(outcome.ok for outcome in wrong)
    blamed = sum(bool(outcome.codes) for outcome in right)
    broken = sum(bool(outcome.trouble) for outcome in outcomes)
    doubtful = sum(bool(outcome.others) for outcome in wrong)
    share = f" ({100 * named / len(wrong):.1f} %)" if wrong else ""
    return (
        f"{named} of {len(wrong)} planted named{share}, {doubtful} of them with further codes; "
        f"{blamed} of {len(right)} right programs blamed; {broken} could not be run"
    )


async def run_all(options: argparse.Namespace) -> list[Outcome]:
    """Run what is asked for, some at a time, and print each as it ends."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # and with it what it started
    at_once = asyncio.Semaphore(options.jobs)
    verbs = [options.verb] if options.verb else ["guard", "probe"]
    twins = [options.twin] if options.twin else TWINS

    async def one(plant: Plant, twin: str, verb: str) -> Outcome:
        async with at_once:
            outcome = await run_plant(plant, twin, verb)
        sys.stdout.write("\n".join(lines_of(outcome)) + "\n")
        if options.show:
            sys.stdout.write(outcome.text + "\n")
        sys.stdout.flush()
        return outcome

    chosen = [_crowded(plant, options.users) for only in options.only.split(",") for plant in plants(only)]
    todo = [
        one(plant, twin, verb)
        for _ in range(options.times)
        for plant, verb, twin in itertools.product(chosen, verbs, twins)
        if verb == "bare" or verb in plant.by
    ]
    return await asyncio.gather(*todo)


def _crowded(plant: Plant, users: int) -> Plant:
    visits = [
        replace(visit, users=max(visit.users, users)) if visit.users > 1 else visit for visit in plant.visits
    ]
    return replace(plant, visits=tuple(visits))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="*", help="code, host, framework or name; patterns; several with commas")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--verb", choices=VERBS)
    parser.add_argument("--twin", choices=TWINS)
    parser.add_argument("--users", type=int, default=0, help="at least so many users at once, where several come")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at once")
    parser.add_argument("--show", action="store_true", help="print the records and reports")
    options = parser.parse_args()
    try:
        outcomes = asyncio.run(run_all(options))
    except asyncio.CancelledError:
        return 1
    if options.verb != "bare":
        sys.stdout.write(summary(outcomes) + "\n")
    return 0 if options.verb == "bare" or all(outcome.ok for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

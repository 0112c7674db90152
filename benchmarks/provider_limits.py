"""What sharing a provider's limits does and costs: worker processes, PostgreSQL, and the practice provider.

    python benchmarks/provider_limits.py [--quick] [--only learned|configured|free] [--json FILE]

The same calls from one process, from ten that know nothing of each other, and from ten that share what they learn:
how many are refused, and how long it takes. Then what sharing costs where nothing is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2

from turnlane.practice import Budget, PracticeProvider, Rule, Script
from turnlane.runtime.agent import Run
from turnlane.runtime.conversation import Claim, Failure, Turn
from turnlane.runtime.engines.postgres import schema
from turnlane.runtime.engines.postgres.engine import PostgresEngine
from turnlane.runtime.limits import ProviderLimits
from turnlane.runtime.model import Inspected, ModelBoundary
from turnlane.runtime.retry import Fault, classify
from turnlane.testing.postgres_server import PostgresServer

WORKERS = 10


class Refused(Exception):
    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(answer.status_code)
        self.fault = classify(answer.status_code, None, answer.headers)


class Client:
    """A model client without a framework, so that the boundary is what is measured."""

    model = "practice"

    def __init__(self, base_url: str, http: httpx2.AsyncClient) -> None:
        self.provider = base_url.split("/")[2]
        self._http = http
        self._url = f"{base_url}/chat/completions"
        self.sent: list[float] = []
        self.refused = 0

    async def send(self) -> dict[str, Any]:
        self.sent.append(time.time())
        body = {"model": "practice", "messages": [{"role": "user", "content": "hello"}]}
        answer = await self._http.post(self._url, json=body, headers={"authorization": "Bearer practice"})
        if answer.status_code != 200:
            self.refused += 1
            raise Refused(answer)
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, error: Exception) -> Fault:
        return error.fault if isinstance(error, Refused) else Fault("transient")

    def failure(self, error: Exception, fault: Fault) -> Failure:
        return Failure(type(error).__name__, str(error), kind="provider")

    def inspect(self, result: dict[str, Any]) -> Inspected:
        return Inspected(result["usage"]["prompt_tokens"], result["usage"]["completion_tokens"])

    def answered(self, result: dict[str, Any]) -> None:
        pass

    def to_json(self, result: dict[str, Any]) -> Any:
        return result

    def from_json(self, kept: Any) -> dict[str, Any]:
        return dict(kept)


def new_run(boundary: ModelBoundary) -> Run:
    turn = Turn("resp_1", "conv_1", "a", key="", position=0, status="running", attempt=1, input=())
    return Run(Claim(turn, None), "a", lambda event: None, boundary)


async def open_boundary(stack: AsyncExitStack, job: dict[str, Any]) -> ModelBoundary:
    limits = {job["provider"].split("/")[2]: ProviderLimits(requests_per_minute=job["per_minute"])}
    shared = None
    if job["database"]:
        engine = PostgresEngine(job["database"])
        await engine.open()
        stack.push_async_callback(engine.close)
        shared = engine.shared_limits
    boundary = ModelBoundary(limits=limits if job["per_minute"] else {}, shared=shared)
    stack.push_async_callback(boundary.close)
    return boundary


async def work(job: dict[str, Any]) -> None:
    """A worker process: says that it is ready, waits for the others, makes its calls, tells what happened."""
    async with AsyncExitStack() as stack:
        limits = httpx2.Limits(max_connections=1000)
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=120, limits=limits))
        boundary = await open_boundary(stack, job)
        client = Client(job["provider"], http)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        seconds = await (one_by_one if job["one_by_one"] else all_at_once)(boundary, client, job["calls"])
        told = {"sent": client.sent, "refused": client.refused, "seconds": seconds, "cpu": time.process_time()}
    print(json.dumps(told), flush=True)


async def all_at_once(boundary: ModelBoundary, client: Client, calls: int) -> list[float]:
    start = time.perf_counter()
    await asyncio.gather(*(boundary.call(new_run(boundary), client, client.send) for _ in range(calls)))
    return [time.perf_counter() - start]


async def one_by_one(boundary: ModelBoundary, client: Client, calls: int) -> list[float]:
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        await boundary.call(new_run(boundary), client, client.send)
        seconds.append(time.perf_counter() - start)
    return seconds


def run_workers(number: int, **job: Any) -> list[dict[str, Any]]:
    """The same job in so many processes at once; what each of them told."""
    command = [sys.executable, __file__, "--work", json.dumps(job)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(number)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = []
    for process in processes:
        output, _ = process.communicate(timeout=600)
        told.append(json.loads(output))
    return told


def most_within(moments: list[float], seconds: float) -> int:
    moments = sorted(moments)
    return max(sum(1 for later in moments[n:] if later - first <= seconds) for n, first in enumerate(moments))


def learned(database: str, quick: bool) -> Iterator[dict[str, Any]]:
    """A provider whose rate nobody wrote down."""
    rate, calls = 20, 100 if quick else 600
    for workers, shared in ((1, False), (WORKERS, False), (WORKERS, True)):
        script = Script([Rule(say="hello", latency=0.2)], budget=Budget(rate, rate))
        job = {"database": database if shared else None, "calls": calls // workers}
        told = told_by_workers(workers, script, job)
        yield {
            "what": f"learned: {calls} calls, the provider takes {rate}/s",
            "workers": named(workers, shared),
            "refused": sum(one["refused"] for one in told),
            "seconds": round(max(one["seconds"][0] for one in told), 1),
            "at best": round((calls - rate) / rate + 0.2, 1),
        }


def configured(database: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Limits that were written down: 60 requests at once and 10 a second."""
    for shared in (False, True):
        script = Script([Rule(say="hello", latency=0.2)])
        calls = 10 if quick else 30
        job = {"database": database if shared else None, "per_minute": 600, "calls": calls}
        told = told_by_workers(WORKERS, script, job)
        moments = [moment for one in told for moment in one["sent"]]
        yield {
            "what": f"configured: {calls * WORKERS} calls, 600 requests per minute",
            "workers": named(WORKERS, shared),
            "most in 10 s": most_within(moments, 10.0),
            "allowed in 10 s": 60 + 100,
            "seconds": round(max(one["seconds"][0] for one in told), 1),
        }


def free(database: str, quick: bool) -> Iterator[dict[str, Any]]:
    """What it costs where nothing is limited; twice, since the machine is never quite quiet."""
    for shared in (False, True, False, True):
        script = Script([Rule(say="hello", latency=0.05)])
        job = {"database": database if shared else None, "calls": 20 if quick else 200, "one_by_one": True}
        seconds = told_by_workers(1, script, job)[0]["seconds"]
        yield {
            "what": "no limit: a model of 50 ms, one call after the other",
            "workers": named(1, shared),
            "p50 ms": round(1000 * statistics.median(seconds), 2),
            "p90 ms": round(1000 * statistics.quantiles(seconds, n=10)[8], 2),
        }


PARTS = {"learned": learned, "configured": configured, "free": free}


def told_by_workers(number: int, script: Script, job: dict[str, Any]) -> list[dict[str, Any]]:
    with PracticeProvider.in_thread(script, keep_requests=0) as provider:
        usual = {"per_minute": None, "one_by_one": False, "provider": provider.base_url}
        return run_workers(number, **(usual | job))


def named(workers: int, shared: bool) -> str:
    return f"{workers} {'sharing' if shared else 'alone'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        asyncio.run(work(json.loads(options.work)))
        return
    found = []
    with PostgresServer() as server:
        database = server.url(server.create_database())
        asyncio.run(schema.migrate(database))
        for name, rows in PARTS.items():
            for row in rows(database, options.quick) if options.only in (None, name) else ():
                found.append(row)
                print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

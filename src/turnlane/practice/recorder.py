"""What the provider has been asked: one record per request, for tests to look at."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .prompt import prompt_text

_SECRET_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "cookie"})


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request, as far as it has come when the record was taken.

    Attributes:
        number: from 1, in the order of arrival.
        started: when it arrived, in seconds of the monotonic clock.
        finished: when its answer ended; None while it runs.
        method: the HTTP method.
        path: the path without its query.
        headers: names in lower case; keys and cookies are redacted.
        body: the JSON value sent; None if there was none, or it was no JSON. Of a request for a response: the chat
            request that means the same.
        status: the HTTP status answered; None while there is no answer, and for a dropped connection.
        fault: the kind of fault that it met; None for none.
        disconnected: whether the client went away before the answer's end.
        finish_reason: that of the answer, whether or not a fault has spoilt it; None while there is no answer.
    """

    number: int
    started: float
    finished: float | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int | None
    fault: str | None
    disconnected: bool
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """All text of its messages: what a model would have read."""
        return prompt_text(self.body)

    def as_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)


class Recorder:
    """Keeps the last `keep` requests and counts those that run; 0 keeps none but still counts.

    Reading is safe from any thread.
    """

    def __init__(self, keep: int = 10_000) -> None:
        self._keep = keep
        self._records: OrderedDict[int, RecordedRequest] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, concurrent.futures.Future[None]]] = []
        self.received = 0
        """How many requests have arrived since the last `clear`."""
        self.running = 0
        """How many requests are being answered."""
        self.peak_running = 0
        """The most that were answered at once since the last `clear`."""
        self._numbers = 0

    def arrived(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: object) -> int:
        """Note a request; returns its number."""
        with self._lock:
            self._numbers += 1
            self.received += 1
            self.running += 1
            self.peak_running = max(self.peak_running, self.running)
            if self._keep:
                self._note(self._numbers, method, path, headers, body)
            number = self._numbers
            woken = [w for w in self._waiting if w[0] <= self.received]
            self._waiting = [w for w in self._waiting if w[0] > self.received] if woken else self._waiting
        for _, future in woken:
            if not future.done():
                future.set_result(None)
        return number

    def _note(
        self, number: int, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: object
    ) -> None:
        self._records[number] = RecordedRequest(
            number=number,
            started=time.monotonic(),
            finished=None,
            method=method,
            path=path,
            headers=_redacted(headers),
            body=body,
            status=None,
            fault=None,
            disconnected=False,
        )
        if len(self._records) > self._keep:
            self._records.popitem(last=False)

    def met(self, number: int, fault: str) -> None:
        """Note the fault that a request meets when it meets it: one that hangs may never end."""
        with self._lock:
            if (record := self._records.get(number)) is not None:
                self._records[number] = replace(record, fault=fault)

    def composed(self, number: int, finish_reason: str) -> None:
        """Note why the answer ends that a request is about to be given."""
        with self._lock:
            if (record := self._records.get(number)) is not None:
                self._records[number] = replace(record, finish_reason=finish_reason)

    def finished(self, number: int, status: int | None, fault: str | None, *, disconnected: bool) -> None:
        """Note how a request ended."""
        with self._lock:
            self.running -= 1
            record = self._records.get(number)
            if record is not None:
                self._records[number] = replace(
                    record, finished=time.monotonic(), status=status, fault=fault, disconnected=disconnected
                )

    def records(self) -> list[RecordedRequest]:
        """The requests kept, oldest first."""
        with self._lock:
            return list(self._records.values())

    def clear(self) -> None:
        """Forget all requests and counts. Those that run go on, and are counted as running."""
        with self._lock:
            self._records.clear()
            self.received = 0
            self.peak_running = self.running

    async def wait_for(self, n: int, timeout: float) -> None:
        """Wait until `n` requests have arrived since the last `clear`.

        Raises:
            TimeoutError: they did not within `timeout` seconds; says how many did.
        """
        try:
            await asyncio.wait_for(asyncio.wrap_future(self._wait(n)), timeout)
        except TimeoutError:
            raise self._too_few(n, timeout) from None

    def wait_in_thread(self, n: int, timeout: float) -> None:
        """The same, blocking; not for the loop that the provider runs in."""
        try:
            self._wait(n).result(timeout)
        except TimeoutError:
            raise self._too_few(n, timeout) from None

    def _wait(self, n: int) -> concurrent.futures.Future[None]:
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._lock:
            if self.received >= n:
                future.set_result(None)
            else:
                self._waiting.append((n, future))
        return future

    def _too_few(self, n: int, timeout: float) -> TimeoutError:
        return TimeoutError(f"{self.received} of {n} requests reached the practice provider in {timeout:g} s")


def _redacted(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    shown = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    for name in _SECRET_HEADERS & shown.keys():
        shown[name] = "redacted"
    return shown

"""What the prompts of a program's model calls tell of its retries: tries, messages and tools repeated."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from turnlane.practice import RecordedRequest
from turnlane.practice.prompt import content_text
from turnlane.probe.canary import CANARY, ECHO, echoes
from turnlane.probe.report import RequestRecord

RETRY_COUNT: Final = "x-stainless-retry-count"
"""Header in which OpenAI's SDKs, in Python and Node, say which attempt of their own a request is, from 0."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The tries of one logical model call: requests with the same body.

    Attributes:
        count: how many there were.
        restarts: how often the SDK's own count began anew after it had retried: a layer around the SDK that tried
            again what the SDK had given up.
        by_sdk: how many of them the SDK counts as its own tries, in one row; 0 where it says no count.
    """

    count: int
    restarts: int
    by_sdk: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """Something that a retry did a second time."""

    what: Literal["message", "tool"]
    sentence: str


def attempts_of(records: Iterable[RecordedRequest]) -> list[Attempts]:
    """The tries of every logical call, in the order of the first."""
    same: dict[str, list[RecordedRequest]] = defaultdict(list)
    for record in records:
        same[json.dumps(record.body, sort_keys=True)].append(record)
    return [_attempts(tries) for tries in same.values()]


def _attempts(tries: Sequence[RecordedRequest]) -> Attempts:
    counts = [int(text) for record in tries if (text := record.headers.get(RETRY_COUNT, "")).isdecimal()]
    restarts = sum(now == 0 and before > 0 for before, now in itertools.pairwise(counts))
    return Attempts(len(tries), restarts, max(counts, default=-1) + 1)


def usual_times_said(requests: Iterable[RequestRecord], recorded: Mapping[int, RecordedRequest]) -> int:
    """The most often that a prompt holds a message of the user where no model call failed: several runs may share
    a history."""
    undisturbed = (request for request in requests if all(map(_answered, _calls_of(request, recorded))))
    times = (times_said(one.prompt, call.body) for one in undisturbed for call in _calls_of(one, recorded))
    return max(times, default=1)


def repeated_by_retries(
    request: RequestRecord, recorded: Mapping[int, RecordedRequest], usual: int = 1
) -> list[Repeat]:
    """What a retry repeated in one request of a user, after a model call of it had failed.

    Nothing is taken for a repetition that was in the program's prompts before the failure: a team may show the
    user's message to several agents, and each of them may call the same tool.

    Args:
        request: the request.
        recorded: the provider's calls, by number.
        usual: see `usual_times_said`.
    """
    calls = _calls_of(request, recorded)
    failed = next((place for place, call in enumerate(calls) if not _answered(call)), None)
    if failed is None:
        return []
    before, after = calls[: failed + 1], calls[failed + 1 :]
    return [*_messages_again(request, before, after, usual), *_tools_again(before, after)]


def _calls_of(request: RequestRecord, recorded: Mapping[int, RecordedRequest]) -> list[RecordedRequest]:
    return [recorded[call.number] for call in request.calls if call.number in recorded]


def _answered(record: RecordedRequest) -> bool:
    return record.status == 200 and record.fault is None


def _messages_again(
    request: RequestRecord, before: Sequence[RecordedRequest], after: Sequence[RecordedRequest], usual: int
) -> Iterator[Repeat]:
    """The user's message stands in a prompt more often than usual, and than in the agent's before the failure."""
    earlier: dict[str, int] = defaultdict(int)
    for record in before:
        agent = agent_of(record.body)
        earlier[agent] = max(earlier[agent], times_said(request.prompt, record.body))
    for record in after:
        agent, times = agent_of(record.body), times_said(request.prompt, record.body)
        if agent in earlier and times > max(usual, earlier[agent], 1):
            yield Repeat("message", f"The user's message was sent again: a prompt holds it {times} times.")
            return


def _tools_again(before: Sequence[RecordedRequest], after: Sequence[RecordedRequest]) -> Iterator[Repeat]:
    """A tool ran again, with the same arguments, in a prompt that no longer shows that it had run before."""
    done = {(agent_of(record.body), *run): id_ for record in before for run, id_ in tool_runs(record.body).items()}
    told: set[str] = set()
    for record in after:
        runs = tool_runs(record.body)
        for (name, arguments), id_ in runs.items():
            first = done.get((agent_of(record.body), name, arguments))
            if first not in (None, id_, *runs.values()) and name not in told:
                told.add(name)
                yield Repeat("tool", f"The tool {name!r} had run, and was run a second time by the retry.")


def times_said(prompt: str, body: Any) -> int:
    """How many messages of the user in `body` hold the canary of `prompt`."""
    own = echoes(prompt)
    if not own:
        return 0
    word = own[-1].replace(ECHO, CANARY, 1)
    return sum(message.get("role") == "user" and word in content_text(message) for message in messages_of(body))


def tool_runs(body: Any) -> dict[tuple[str, str], str]:
    """The tool calls that have a result in the prompt: name and arguments, and the id of the last such call."""
    messages = messages_of(body)
    answered = {message.get("tool_call_id") for message in messages if message.get("role") == "tool"}
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return {
        (call["function"]["name"], str(call["function"].get("arguments"))): call["id"]
        for call in calls
        if call.get("id") in answered and isinstance(call.get("function"), Mapping)
    }


def tool_results(body: Any) -> list[tuple[str, str]]:
    """The results in the prompt: name of the tool, and the text."""
    messages = messages_of(body)
    names = {
        call.get("id"): str((call.get("function") or {}).get("name"))
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    return [
        (names.get(message.get("tool_call_id"), ""), content_text(message))
        for message in messages
        if message.get("role") == "tool"
    ]


def agent_of(body: Any) -> str:
    """What tells the agents of a program apart: their instructions."""
    return "\n".join(content_text(m) for m in messages_of(body) if m.get("role") in ("system", "developer"))


def messages_of(body: Any) -> list[Mapping[str, Any]]:
    """The messages of a request's body, whatever was sent."""
    messages = body.get("messages") if isinstance(body, Mapping) else None
    return [message for message in messages or () if isinstance(message, Mapping)]


def most_at_once(records: Iterable[RecordedRequest]) -> int:
    """The most calls that were being answered at one moment."""
    moments: Counter[tuple[float, int]] = Counter()
    for record in records:
        moments[record.started, 1] += 1
        if record.finished is not None:
            moments[record.finished, -1] += 1
    running = most = 0
    for (_, step), count in sorted(moments.items()):
        running += step * count
        most = max(most, running)
    return most

"""The reference page of the HTTP surface, made from the code.

`python -m turnlane.server.reference --write docs/reference/http.md`; a test checks that the page is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from turnlane.runtime.conversation import EVENT_KINDS, OUTPUT_ITEMS, Status, Turn, WhenBusy
from turnlane.server.app import ALL_OPERATIONS
from turnlane.server.chat_completion import finish_reason
from turnlane.server.openapi import STATUS_TEXT, statuses_of
from turnlane.server.operation import Operation
from turnlane.server.parameters import CHAT_PARAMETERS, RESPONSE_PARAMETERS
from turnlane.server.problem import FAILURE_STATUS, WITHOUT_ANSWER
from turnlane.server.response_events import FINAL_EVENT, SHOWN_AS
from turnlane.server.response_object import STATUS
from turnlane.server.settings import ServerSettings

ITEM_OF: Final[Mapping[str, str]] = {
    "message": "`message` with one `output_text` part; also `agent`, `phase` (`commentary` or `final_answer`) "
    "and, for structured answers, `structured`",
    "reasoning": "`reasoning` with one `summary_text`; also `agent`",
    "tool": "`mcp_call`, OpenAI's item for tools that the server runs: `name`, `arguments`, `output`, `error`; "
    "`server_label` is the agent",
    "input.required": "`function_call` named `request_user_input`; its `arguments` are `{prompt, agent, reason}`",
}
"""The wire item of each neutral output item."""


STATUS_MEANING: Final[Mapping[Status, str]] = {
    "queued": "waits in its lane",
    "running": "an agent runs",
    "completed": "answered",
    "incomplete": "the model cut its answer short; `incomplete_details.reason` says why",
    "failed": "the first error is in `error`",
    "cancelled": "a user cancelled it, or a later message rolled it back (`error.failure_code` is `rolled_back`); "
    "the agent has not seen it",
    "interrupted": "a later message stopped it; `output` is what was said until then, and the agent knows it",
    "needs_attention": "its process died inside a tool that must not run twice; somebody has to look, and "
    "`error.failure_code` is `needs_attention`",
}

STRATEGY_MEANING: Final[Mapping[WhenBusy, tuple[str, str]]] = {
    "enqueue": ("stay", "waits behind the others"),
    "reject": ("stay", "is refused: 409, code `conversation_busy`"),
    "interrupt": (
        "the running one is stopped, and all end as `interrupted`: what was said and what users wrote stays, for "
        "the history and for the agent",
        "runs next",
    ),
    "rollback": (
        "the running one is stopped, and all end as `cancelled`: they stay in the history, but the agent never "
        "sees them again",
        "runs next",
    ),
    "merge": ("stay", "becomes part of the last one that waits; waits like `enqueue` when none does"),
    "debounce": (
        "stay",
        "like `merge`, and the turn starts only after `debounce` seconds without a further message; of different "
        "waits the one that ends last counts",
    ),
}


def page() -> str:
    """The whole page."""
    sections = [
        _INTRODUCTION,
        "## Routes\n\n" + _routes(),
        "## Parameters of `POST /v1/responses`\n\n" + _PARAMETERS_NOTE + _parameters(RESPONSE_PARAMETERS),
        "## Parameters of `POST /v1/chat/completions`\n\n" + _CHAT_NOTE + _parameters(CHAT_PARAMETERS),
        "## Statuses\n\n" + _STATUS_NOTE + _turn_statuses(),
        "## Double texting\n\n" + _DOUBLE_TEXTING_NOTE + _strategies() + _DOUBLE_TEXTING_END,
        "## Output items\n\n" + _items(),
        _QUESTIONS,
        "## Stream events\n\n" + _STREAM_NOTE + _events(),
        _STREAM_END,
        "## Errors\n\n" + _ERRORS_NOTE + _statuses(),
        "### Failed turns\n\n" + _FAILED_NOTE + _failures(),
        _KEYS,
        "## Settings\n\n" + _settings(),
    ]
    joined = "\n\n".join(section.strip() for section in sections) + "\n"
    return joined.replace("\n\n\n", "\n\n")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _routes() -> str:
    return _table(["route", "what", "errors"], (_route(operation) for operation in ALL_OPERATIONS))


def _route(operation: Operation) -> Sequence[str]:
    errors = ", ".join(str(status) for status in statuses_of(operation) if status != 405)
    note = " Needs no key." if operation.open else ""
    return [f"`{operation.method} {operation.path}`", operation.summary + note, errors]


def _parameters(parameters: Mapping[str, tuple[str, str]]) -> str:
    rows = ([f"`{name}`", kind, why] for name, (kind, why) in parameters.items())
    return _table(["parameter", "is", "note"], rows)


def _items() -> str:
    rows = ([f"`{kind}`", data, ITEM_OF[kind]] for kind, data in OUTPUT_ITEMS.items())
    return _table(["in Turnlane", "its data", "on the wire"], rows)


def _events() -> str:
    rows = (
        [f"`{kind}`", meaning, "<br>".join(f"`{type}`" for type in SHOWN_AS[kind]) or "the last event, see below"]
        for kind, meaning in EVENT_KINDS.items()
    )
    return _table(["in Turnlane", "meaning", "on the wire"], rows)


def _turn_statuses() -> str:
    head = ["`turn_status`", "meaning", "`status`", "last event of the stream", "chat: `finish_reason`"]
    return _table(head, (_turn_status(status) for status in STATUS))


def _turn_status(status: Status) -> Sequence[str]:
    event = FINAL_EVENT.get(status)
    return [
        f"`{status}`",
        STATUS_MEANING[status],
        f"`{STATUS[status]}`",
        f"`{event}`" if event else "",
        _chat(status),
    ]


def _chat(status: Status) -> str:
    if status not in FINAL_EVENT:
        return ""
    if status in WITHOUT_ANSWER:
        return "an error instead"
    turn = Turn(
        "", "", "", "", 0, status, 1, (), incomplete="max_output_tokens" if status == "incomplete" else None
    )
    return f"`{finish_reason(turn)}`" + (" or `content_filter`" if status == "incomplete" else "")


def _strategies() -> str:
    rows = ([f"`{name}`", before, message] for name, (before, message) in STRATEGY_MEANING.items())
    return _table(["`when_busy`", "turns that have not ended", "the message"], rows)


def _statuses() -> str:
    return _table(["status", "meaning"], ([str(status), text] for status, text in STATUS_TEXT.items()))


def _failures() -> str:
    rows = ([f"`{kind}`", f"`{kind}_error`", str(status)] for kind, status in FAILURE_STATUS.items())
    return _table(["whose fault", "`type`", "status"], rows)


def _settings() -> str:
    rows = (
        [f"`{name}`", str(field.default), field.description or ""]
        for name, field in ServerSettings.model_fields.items()
    )
    return _table(["setting", "default", "meaning"], rows)


_INTRODUCTION: Final = """
<!-- Made by `python -m turnlane.server.reference --write docs/reference/http.md`; edit the code instead. -->

# HTTP

The surface is OpenAI's: point the official `openai` client at `http://HOST:PORT/v1`. A model is an agent, a
response is a turn, and a conversation is a lane of turns that run one after the other. Beside it are our
own routes for operators. The machine-readable form is at `GET /openapi.json`.

Every answer has the header `x-request-id`: yours if you sent one (letters, digits, `_.:-`), else a new one.
Bodies are JSON and must say so (`Content-Type: application/json`).
"""

_PARAMETERS_NOTE: Final = """
A parameter that is not listed gets 400, so that a misspelt one is noticed. The header `Idempotency-Key`
gives the same turn for the same request, also after a restart; with another body it gets 409. When the last
items of `input` follow messages of an assistant, the earlier ones are history: the agent reads them, and
only the rest is the input. Images must be `data:` URLs, because the server fetches no addresses that users
name.

Extra fields of the response: `turn_status` (see [Statuses](#statuses)), `attempt` (2 after a crash),
`input_required`, `request_id`, in the answer of a create also `joined`; `usage` also has `model_calls` and
`retries`. One response can't be deleted; delete its conversation.

"""

_CHAT_NOTE: Final = """
The conversation is named by `metadata.conversation` or the header `Turnlane-Conversation` and must exist.
Without one the messages make a new one, whose id is in the answer (`conversation`; the turn's is
`response_id`), so the next request can go on with it. The content is the text of all agents' messages in
the order in which they began, joined by a blank line, and a question to the user last; plain and streamed
it is the same. When a turn is started again after part of its text was streamed, the stream ends with the
error `run_again`: read the response instead. Parameters that are not listed are ignored.

"""

_STATUS_NOTE: Final = """
A response's `status` is one of OpenAI's words, so that every client can read it; the turn's own is the extra field
`turn_status`, also of a chat completion and of every item that a conversation has from a turn. What has no answer
(`failed`, `cancelled`, `needs_attention`) a plain create answers with an error, see [Failed turns](#failed-turns).
An `incomplete_details.reason` of null means that the model is not to blame: a later message interrupted the turn.

"""

_DOUBLE_TEXTING_NOTE: Final = """
What a message does while its conversation has turns that have not ended: the field `turnlane: {"when_busy": ...,
"debounce": ...}`, or the headers `Turnlane-When-Busy` and `Turnlane-Debounce` for clients that can't send fields
of ours; without either the agent's settings. In an idle conversation all of them are the same, but that `debounce`
waits. How to choose: [double texting](../how-to/double-texting.md).

"""

_DOUBLE_TEXTING_END: Final = """

A message that became part of another's turn is answered with that turn's response, plain, streamed from its start
or in the background: its `joined` is true, and the header `Turnlane-Joined: true` says so for streams, too. Its
`Idempotency-Key` names that turn from then on. A joined turn is still one turn: cancelling it cancels all its
messages. A plain create whose turn is interrupted by a later message answers 200 with what was said until then.
"""

_QUESTIONS: Final = """
### Questions to the user

A turn that needs a human ends with a `function_call` named `request_user_input`; the response's extra field
`input_required` has its `call_id`, `prompt`, `agent` and `reason`. The next turn of the conversation is the
answer: plain text, or a `function_call_output` item with that `call_id`. It may come days later and after a
restart.
"""

_STREAM_NOTE: Final = """
`stream=true` on create, or `GET /v1/responses/{id}?stream=true` at any time. The first event is
`response.created`. `sequence_number` rises by one; attempt *n* of a turn begins at (*n* - 1) x 1,000,000
with a `response.created` of its own, and what was shown of an earlier attempt is void. `starting_after=N`
gives exactly the events with a higher number. Events of kind `turnlane.note` are sent only with `turnlane:
{"notes": true}`: they are not in OpenAI's types, and clients that validate strictly refuse them. An item
that is still open when a tool is called, or when the turn ends, is closed; one that was cut off has the
status `incomplete`. Which message of a team is the final answer is known only at the end, so a message's
`phase` may be null in its own events; the last event has it.

A client that disconnects does not stop the turn (hazard TL502). After 15 seconds of silence a comment line
is sent.

"""

_STREAM_END: Final = """
The last event ([which one](#statuses)) holds the whole response, the same that `GET /v1/responses/{id}`
answers. An event `error` means that the stream broke and not the turn, because the server stops or its store is
away: stream again with `starting_after`. Its `sequence_number` is that of the event before it, so a client that
keeps the last number it saw misses nothing.

"""

_ERRORS_NOTE: Final = """
Every error is OpenAI's error object, `{"error": {"message", "type", "param", "code"}}`, with extra fields
beside: `request_id` always; `hazard`, `hazard_url`, `agent`, `tool`, `error_type`, `response_id` and
`conversation_id` where there are such. `x-should-retry: false` tells the `openai` client not to send the
request again on its own. What belongs to another key is answered like what does not exist.

"""

_FAILED_NOTE: Final = """
A plain create whose turn fails answers with an error; a stream ends with `response.failed`; a retrieved
response has the same fields in its `error`, where `code` is one of OpenAI's and ours is `failure_code`.
When a failure's text may hold what users must not read, `message` is its type and the request id under which
the server's log has the text. Admin keys, and callers of a server without keys on loopback, read it themselves.

"""

_KEYS: Final = """
## Keys

`--api-key-file FILE` or the environment variable `TURNLANE_API_KEYS`: one `NAME KEY` a line (in the
variable also separated by commas), `NAME KEY admin` for operators, `#` for comments. Send `Authorization:
Bearer KEY`. What a key makes belongs to its NAME, so a key can be replaced, and two keys can share a name
while you do it. A key sees only its own conversations and turns; an admin key sees all of them in `/lanes`
and `/turns`, with the stacks of failures.

Without keys the server listens on loopback only, answers only requests whose `Host` is this machine (a web
page could otherwise reach it through DNS rebinding) and refuses pages of other origins. There are no CORS
headers.
"""


def main(arguments: Sequence[str]) -> int:
    """Print the page, or write it to the file after `--write`."""
    if len(arguments) == 2 and arguments[0] == "--write":
        path = Path(arguments[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(), encoding="utf-8")
        return 0
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""The reference pages that are made from the code: CLI, settings, events, metrics.

`python -m turnlane.cli.reference --write docs/reference`; a test checks that the pages are current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from turnlane.checker.reference import options as check_options
from turnlane.cli.connection import KEY_VARIABLE
from turnlane.cli.main import command_line
from turnlane.runtime.app import AgentSettings
from turnlane.runtime.conversation import EVENT_KINDS
from turnlane.runtime.settings import (
    OTHER_VARIABLES,
    ProcessSettings,
    ServeSettings,
    WorkerSettings,
    flag_of,
    variable_of,
)
from turnlane.telemetry.events import EVENTS
from turnlane.telemetry.logs import CONTENT_FIELDS, FIRST_FIELDS, LEVELS, QUIET
from turnlane.telemetry.prometheus import MAX_VALUES, METRICS

_NOTE: Final = (
    "<!-- Made by `python -m turnlane.cli.reference --write docs/reference`; edit the code instead. -->\n\n"
)


def pages() -> Mapping[str, str]:
    """File name and text of every page."""
    made = {"cli.md": _cli(), "settings.md": _settings(), "events.md": _events(), "metrics.md": _metrics()}
    return {name: f"{_NOTE}{text.strip()}\n" for name, text in made.items()}


def _cli() -> str:
    body = _with_check(command_line().generate_docs(usage_name="turnlane").partition("\n")[2])
    return f"""
# Command line

Every error is one sentence on stderr, `turnlane: ...`. The exit status is 0, or 2 for a mistake in what was typed
or in the app's file, or 1 for work that failed. Environment variables are listed under [settings](settings.md).
{_tidy(body)}
"""


def _with_check(markdown: str) -> str:
    """With the options of `check`, which cyclopts does not know: its command line is made by argparse."""
    heading = "## turnlane check\n"
    before, _, rest = markdown.partition(heading)
    after = rest.partition("\n## ")[2]
    return f"{before}{heading}\n{check_options()}\n## {after}"


def _tidy(markdown: str) -> str:
    # cyclopts takes how this very process was started for a part of the usage of verbs within verbs.
    markdown = markdown.replace(" -m turnlane.cli.reference", "")
    return "\n".join(line.rstrip() for line in markdown.splitlines())


def _settings() -> str:
    agent = [
        (f"`{name}`", _default(field), _range(field), field.description or "")
        for name, field in AgentSettings.model_fields.items()
    ]
    others = [(f"`{name}`", meaning) for name, meaning in OTHER_VARIABLES.items()]
    others.append((f"`{KEY_VARIABLE}`", "The key that `turnlane chat` and `turnlane turns` send."))
    return f"""
# Settings

## Of a process

For `turnlane serve` and `turnlane worker`. A flag wins over its environment variable. Times are seconds, sizes are
bytes.

{_process_table(ProcessSettings)}

For `turnlane serve` only:

{_process_table(ServeSettings)}

For `turnlane worker` only:

{_process_table(WorkerSettings)}

Other environment variables:

{_table(("variable", "meaning"), others)}

## Of an agent

Arguments of `@app.agent(...)` and `app.add(...)`.

{_table(("setting", "default", "range", "meaning"), agent)}
"""


def _events() -> str:
    logged = [(f"`{name}`", LEVELS[name], meaning) for name, meaning in EVENTS.items()]
    streamed = [(f"`{name}`", meaning) for name, meaning in EVENT_KINDS.items()]
    return f"""
# Events

## Of the process: log lines

One line each, on stderr: readable on a terminal, JSON elsewhere (`--log-format`). First in every line are
{_listed(FIRST_FIELDS)}, as far as they are known. The type of an exception is `error`, its stack is `stack`
(on a terminal: under the line). Secrets are masked. What users and models say is shown with `--log-content`
only; it is in {_listed(sorted(CONTENT_FIELDS))}.

`request.ended` and failed calls have a higher level than in the table when they tell of an error; probes
(`/healthz`, `/readyz`, `/metrics`) are `debug`. `engine.trouble` that stays the same is said again after
{QUIET:.0f} s of quiet. What other packages log from warnings up comes as `log`.

{_table(("event", "level", "what, and its fields"), logged)}

## Of a turn

Kept with the turn, shown by `turnlane turns show --json` as `[number, kind, time, data]`, and turned into the
events of OpenAI's stream (see [HTTP](http.md)). Attempt n numbers its events from (n - 1) * 1,000,000.

{_table(("kind", "what, and its data"), streamed)}
"""


def _metrics() -> str:
    rows = [(f"`{metric.shown_name}`", metric.kind, _listed(metric.labels), metric.meaning) for metric in METRICS]
    return f"""
# Metrics

`GET /metrics`, in Prometheus' text format. Labels never hold ids or what users send; past {MAX_VALUES} values of a
label, all further ones are `other`. Beside these are the process's own: `process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, `process_start_time_seconds`.

{_table(("metric", "kind", "labels", "meaning"), rows)}
"""


# --- pieces ---


def _process_table(settings: type[ProcessSettings]) -> str:
    """The settings that a class adds to those that it inherits."""
    inherited = ProcessSettings.model_fields if settings is not ProcessSettings else {}
    rows = [
        (f"`{flag_of(name)}`", f"`{variable_of(name)}`", _default(field), _range(field), field.description or "")
        for name, field in settings.model_fields.items()
        if name not in inherited
    ]
    return _table(("flag", "variable", "default", "range", "meaning"), rows)


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return ""
    return f"`{'on' if field.default else 'off'}`" if isinstance(field.default, bool) else f"`{field.default}`"


def _range(field: FieldInfo) -> str:
    """What values a setting may have: a choice, or bounds."""
    choices = _choices(field.annotation)
    if choices:
        return _listed(choices)
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = ((sign, getattr(bound, name, None)) for bound in field.metadata for name, sign in signs.items())
    return " ".join(f"{sign} {value:g}" for sign, value in bounds if value is not None)


def _choices(annotation: Any) -> Sequence[str]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Print all pages, or write them into the folder after `--write`."""
    if len(arguments) == 2 and arguments[0] == "--write":
        folder = Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in pages().items():
            (folder / name).write_text(text, encoding="utf-8")
        return 0
    sys.stdout.write("\n".join(pages().values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

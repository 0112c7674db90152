"""`turnlane guard -- COMMAND`: runs a command with the guard in every Python process of it."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

from cyclopts import Parameter
from cyclopts.validators import Number

from turnlane.cli import watched_command
from turnlane.cli.complaint import Complaint
from turnlane.guard import summary
from turnlane.guard.describing import one_line
from turnlane.guard.launch import environment
from turnlane.guard.record_file import RecordFile
from turnlane.guard.settings import GuardSettings

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at what the command's processes have written."""


def guard(
    *command: str,
    strict: Annotated[bool, Parameter(negative=())] = False,
    output: Path | None = None,
    threshold: Annotated[float, Parameter(validator=Number(gt=0))] = 0.25,
) -> int:
    """Run a command and report the hazards that show in it: a race detector for agents.

    Each hazard is a line of JSON on stderr while the command runs; a summary follows at its end. The exit
    status is the command's own.

    Parameters
    ----------
    command
        The command, after `--`: python app.py, uvicorn app:app, gunicorn, celery, streamlit, pytest.
    strict
        Raise an error at the place of a hazard, in the command's own code.
    output
        File for all records, as lines of JSON; one that exists is replaced.
    threshold
        Seconds that the event loop may stand still before it is reported.
    """
    if not command:
        raise Complaint("say what to run after two dashes:  turnlane guard -- python app.py")
    with _record_path(output) as path:
        settings = GuardSettings(output=str(path), strict=strict, threshold=threshold, summary=False)
        with _Told(path, sys.stderr) as told:
            status = watched_command.run(command, environment(settings))
    _say(_last_words(told.records, command), sys.stderr)
    return status


@contextmanager
def _record_path(output: Path | None) -> Iterator[Path]:
    """The file that the records go to: the user's own, or one for now."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="turnlane-guard-", ignore_cleanup_errors=True) as folder:
            yield Path(folder) / "records.jsonl"
        return
    if output.exists() and not output.is_file():
        raise Complaint(
            f"{output} is no file that records can be read from again; name another file with --output"
        )
    try:
        output.open("w").close()
    except OSError as error:
        raise Complaint(f"{output} can't be written: {error.strerror}; name another file with --output") from None
    yield output.absolute()  # the command's processes may change their directory


def _last_words(records: Sequence[dict[str, Any]], command: Sequence[str]) -> str:
    """The summary; or why there is nothing to sum up."""
    # The first run knows more of where it is than the start of a process: the loop, and who owns it.
    places = [record for kind in ("where", "start") for record in records if record["kind"] == kind]
    if places:
        return f"\nran in: {one_line(places[0]['where'])}\n{summary.text(records)}"
    return (
        f"\nturnlane guard: no process of `{shlex.join(command)}` loaded the guard, nothing was watched: it needs "
        "Python 3.11 or newer, started without -I, -E and -S and with the environment that it is given\n"
    )


class _Told:
    """Repeats the hazards on a stream while a command runs, and keeps all records for its end."""

    def __init__(self, path: Path, out: TextIO) -> None:
        self.records: list[dict[str, Any]] = []
        self._file = RecordFile(path)
        self._out = out
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="records", daemon=True)

    def __enter__(self) -> _Told:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._take()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self._take()

    def _take(self) -> None:
        for record in self._file.new():
            self.records.append(record)
            if record["kind"] == "hazard":
                _say(json.dumps(record, ensure_ascii=False) + "\n", self._out)


def _say(text: str, out: TextIO) -> None:
    """Tell it; a reader that has seen enough, such as `head`, does not change what the command comes to."""
    with suppress(BrokenPipeError):
        out.write(text)
        out.flush()

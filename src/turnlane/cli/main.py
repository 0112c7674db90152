"""The command `turnlane`: finds the verb, runs it, and turns every failure into one sentence.

Verbs are named by their place and imported when they are used, so that `turnlane --help` and `turnlane explain`
start in a quarter of a second.
"""

from __future__ import annotations

import os
import sys

from turnlane import __version__
from turnlane.cli.complaint import FAILED, USAGE, Complaint

TYPE_CHECKING = False  # the constant of `typing`, without the 8 ms of importing it; mypy knows the name
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, TextIO

    from cyclopts import App, CycloptsError

HELP: Final = "Find what breaks AutoGen agents under load, and serve them so that it cannot happen."

ENVIRONMENT_PREFIX: Final = "TURNLANE_"
"""As in `turnlane.runtime.settings`, whose import costs 100 ms."""

VERBS: Final = {
    "serve": ("turnlane.cli.serve:serve", "Serve the agents of a file over HTTP."),
    "worker": ("turnlane.cli.worker:worker", "Run the agents of a file for `turnlane serve` in other processes."),
    "migrate": (
        "turnlane.cli.migrate:migrate",
        "Show the schema of a database and move it to this version; the version before works on with it.",
    ),
    "move": (
        "turnlane.cli.move:move",
        "Copy all conversations of an engine into an empty one. Neither may be in use; the source stays as it is.",
    ),
    "chat": (
        "turnlane.cli.chat:chat",
        "Talk to an agent in the terminal. Ctrl-C cancels the running turn, Ctrl-D leaves.",
    ),
    "turns": ("turnlane.cli.turns:verbs", "List, show, cancel and re-run turns."),
    "practice": (
        "turnlane.cli.practice:practice",
        "Run the practice provider: OpenAI's API with scripted answers.",
    ),
    "check": (
        "turnlane.cli.check:check",
        "Find the hazards in Python, notebooks, TypeScript, packages and deployment files.",
    ),
    "probe": (
        "turnlane.cli.probe:probe",
        "Let simulated users talk to a program, and name the cause of what goes wrong.",
    ),
    "guard": (
        "turnlane.cli.guard:guard",
        "Run a command and report the hazards that show in it: a race detector for agents.",
    ),
    "doctor": (
        "turnlane.cli.doctor:doctor",
        "Say where a project's agents run, and which of its packages conflict.",
    ),
    "explain": ("turnlane.cli.explain:explain", "Show the page of a hazard, such as TL201."),
}
"""Each verb: where it is, and its line in `turnlane --help`."""

CONFIGURED: Final = ("serve", "worker")
"""Verbs that also read environment variables: TURNLANE_PORT of a container is not its practice provider's port."""


def command_line() -> App:
    """The whole command line."""
    from cyclopts import App
    from cyclopts.config import Env

    app = App(
        name="turnlane",
        help=HELP,
        version=__version__,
        # In place of cyclopts' boxes: one sentence, see `_told`.
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
        # Markdown would cost 90 ms more, a third of the start.
        help_format="plaintext",
    )
    for name, (place, summary) in VERBS.items():
        options: dict[str, Any] = {"config": Env(ENVIRONMENT_PREFIX, command=False)} if name in CONFIGURED else {}
        app.command(place, name=name, help=summary, **options)
    return app


def main(arguments: Sequence[str] | None = None, *, errors: TextIO | None = None) -> int:
    """Run a command line (default: this process's). Returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    err = errors or sys.stderr
    try:
        if words[:1] == ["check"]:
            return _check(words[1:], err, whole_process=arguments is None)
        status = _verb(words, err)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _open_closed_streams() -> None:
    """Let what is written into a closed stream, as after `>&-`, be lost."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the process ends


def _check(words: Sequence[str], err: TextIO, *, whole_process: bool) -> int:
    """Run `check` without the rest of the command line: its warm runs have 90 ms in all.

    With `whole_process` nothing comes after it in this process.
    """
    from turnlane.checker import warm

    status = warm.replay(words, err)
    if status is not None:
        sys.stdout.flush()
        return status
    import gc

    from turnlane.checker.command import Streams
    from turnlane.checker.command import main as check

    if whole_process:
        gc.disable()
    status = check(words, Streams(sys.stdout, err))
    sys.stdout.flush()
    if whole_process:
        err.flush()
        # Freeing the facts of a large project, one by one, takes longer than checking a small one.
        os._exit(status)
    return status


def _verb(words: Sequence[str], err: TextIO) -> int:
    """Run a verb that is found by cyclopts."""
    from cyclopts import CycloptsError

    try:
        status = command_line()(words)
    except CycloptsError as error:
        from turnlane.telemetry.redact import redact

        # What was typed may be the URL of an engine, with its password.
        err.write(f"turnlane: {redact(_told(error))}\n")
        return USAGE
    except Complaint as complaint:
        err.write(f"turnlane: {complaint}\n")
        return complaint.status
    return status if isinstance(status, int) else 0


def _told(error: CycloptsError) -> str:
    """One sentence about arguments that can't be used."""
    from pydantic import ValidationError

    cause = next((cause for cause in _causes(error) if isinstance(cause, ValidationError)), None)
    if cause is None:
        return " ".join(str(error).split())
    problem = cause.errors(include_url=False)[0]
    field = "-".join(str(part) for part in problem["loc"]).replace("_", "-")
    return f"--{field} {problem['input']}: {problem['msg']}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    sys.exit(main())

"""A planted mistake: a program that makes it, its corrected twin, and what drives both."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
SCRIPTS = HERE / "scripts"

TWINS = ("wrong", "right")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a group of users does at the same time; groups come one after the other.

    Attributes:
        path, method, json, form, headers: the request. In every text `{prompt}`, `{word}` (the user's own secret
            word), `{conversation}` and `{user}` are filled in.
        prompt: what a user says; its default names the word and the turn.
        users: how many at once.
        turns: how often each of them asks, one after the other.
        together: whether they all are in one conversation.
        leave_after: seconds after which a user goes away without an answer; None stays.
        timeout: seconds that a user waits for an answer.
        apart: seconds between the starts of two users.
        wait: seconds of silence before the group comes.
    """

    path: str = "/chat"
    method: str = "POST"
    json: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    prompt: str = "My code word is {word}. Question {turn}: what can you do for me?"
    users: int = 20
    turns: int = 1
    together: bool = False
    leave_after: float | None = None
    timeout: float = 30.0
    apart: float = 0.0
    wait: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One folder below `programs/`.

    Attributes:
        folder: where it is.
        code: the hazard that the wrong twin has; `TL301/TL605` where either code is the right one.
        also: codes that are true of it as well: they may be reported beside it, but do not do instead.
        host: what runs it: fastapi, flask, gunicorn, streamlit, celery, notebook, node, script.
        framework: agentchat, classic, ag2, agent_framework or openai; for Node ai-sdk or plain.
        by: the verbs that must name the hazard: guard, probe, or both.
        start: the command; `{file}`, `{module}` and `{port}` are filled in.
        start_of_right: the right twin's, where it differs.
        script: script of the practice provider, in the folder or in `scripts/`.
        inject: faults for the probe.
        options: further options of the probe.
        environment: variables for the program.
        stdin: "closed", or "open": a pipe that nobody writes to.
        settle: seconds from the last answer to the program's end.
        seconds: how long a program without a port may take.
        visits: who comes, for a program with a port.
    """

    folder: Path
    code: str
    host: str
    framework: str
    start: str
    also: tuple[str, ...] = ()
    by: tuple[str, ...] = ("guard",)
    start_of_right: str | None = None
    script: Path = SCRIPTS / "plain.yaml"
    inject: str = ""
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = "closed"
    settle: float = 0.5
    seconds: float = 30.0
    visits: tuple[Visit, ...] = ()

    @property
    def name(self) -> str:
        """Host and folder, as `--only` takes it."""
        return str(self.folder.relative_to(PROGRAMS))

    @property
    def wanted(self) -> frozenset[str]:
        """The codes of which a report on the wrong twin must name one."""
        return frozenset(self.code.split("/"))

    @property
    def true(self) -> frozenset[str]:
        """All codes that may be said of the wrong twin."""
        return self.wanted | frozenset(self.also)

    def program(self, twin: str) -> Path:
        """The file of a twin."""
        [path] = self.folder.glob(f"{twin}.*")
        return path

    def command(self, twin: str) -> str:
        """What starts a twin, with its names in braces."""
        return self.start_of_right if twin == "right" and self.start_of_right else self.start


def read(folder: Path) -> Plant:
    """The plant of a folder.

    Raises:
        ValueError: `plant.toml` has a key that nothing reads, or lacks one.
    """
    value = tomllib.loads((folder / "plant.toml").read_text())
    try:
        visits = tuple(Visit(**visit) for visit in value.pop("request", []))
        by = tuple(part.strip() for part in value.pop("by", "guard").replace("both", "guard,probe").split(","))
        script = _script(folder, value.pop("script", "plain.yaml"))
        lists = {key: tuple(value.pop(key)) for key in ("also", "options") if key in value}
        return Plant(folder=folder, visits=visits, by=by, script=script, **lists, **value)
    except TypeError as error:
        raise ValueError(f"{folder / 'plant.toml'}: {error}") from None


def plants(only: str = "*") -> Iterator[Plant]:
    """The plants whose code, host, framework or name `only` matches, as a shell would."""
    for path in sorted(PROGRAMS.rglob("plant.toml")):
        plant = read(path.parent)
        names = (plant.code, *plant.wanted, plant.host, plant.framework, plant.name, plant.folder.name)
        if any(fnmatch(name, only) for name in names):
            yield plant


def _script(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).exists() else SCRIPTS / name

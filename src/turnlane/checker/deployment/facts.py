"""What is kept of one package or deployment file: requirements, start commands, time-outs, pinned runtimes.

Plain tuples, made from the bytes of one file alone, so that they can be kept between runs and sent between
processes. Versions and ranges are kept as they are written; `versions.py` and `npm_versions.py` read them.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Span(NamedTuple):
    """A part of one line: the line from 1, the columns in UTF-8 bytes from 0."""

    line: int
    column: int
    end_column: int


FileKind = Literal[
    "requirements",
    "pyproject",
    "lock",
    "pipfile",
    "setup",
    "conda",
    "package.json",
    "dockerfile",
    "compose",
    "procfile",
    "gunicorn",
    "script",
    "unit",
    "platform",
    "runtime",
]
"""`setup`: setup.py and setup.cfg; `unit`: of systemd; `platform`: Vercel, SAM, Cloud Run and their like."""


class Requirement(NamedTuple):
    """One package that a file asks for."""

    ecosystem: Literal["pypi", "npm"]
    name: str
    """For PyPI in its normal form: lower case, runs of `-_.` as one `-`."""
    specifier: str
    """PEP 440 (of Poetry translated to it), or a range of npm; empty: any version."""
    span: Span
    """The requirement's whole text, without quotes."""
    extras: tuple[str, ...] = ()
    group: str = ""
    """Name of an optional group, which is installed with the main one (the empty name) or not at all."""
    direct: bool = False
    """From a URL, a folder or a workspace: its version is not in this file."""
    specifier_span: Span | None = None
    """Where the specifier itself stands, when it can be rewritten in place; for an empty one, where it belongs."""
    pinned: bool = False
    """Exactly one version."""


class Include(NamedTuple):
    """A requirements file that another file names: `-r base.txt`, `pip install -r backend/requirements.txt`."""

    path: str
    """As written, with forward slashes."""
    line: int


Program = Literal["gunicorn", "uvicorn", "hypercorn", "flask", "fastapi", "uwsgi"]


class Server(NamedTuple):
    """One start command of a server, or the settings file of one."""

    program: Program
    span: Span
    app: str = ""
    """The target as written, `main:app`; empty: not named there."""
    folder: str = ""
    """What `--chdir` or `--app-dir` names; relative to the file's folder."""
    workers: int | None = None
    """None: the default, which is 1; -1: some number that only a run knows."""
    threads: int | None = None
    worker_class: str = ""
    preload: bool = False
    preload_span: Span | None = None
    reload: bool = False
    reload_span: Span | None = None
    timeout: float | None = None
    """In seconds; None: the program's default."""
    timeout_span: Span | None = None
    config: str = ""
    """Path of the settings file that the command names; what stands there is not read into this."""
    production: bool = True
    """False when the place says that it is for development: a script, a file or stage named `dev`."""

    @property
    def several(self) -> bool:
        """Whether it starts more than one worker process."""
        return self.workers is not None and (self.workers > 1 or self.workers == -1)

    @property
    def forks_after_import(self) -> bool:
        """Whether the workers are copies of a process that has already imported the app."""
        return self.preload


class TimeLimit(NamedTuple):
    """How long a platform lets a function or a request run."""

    platform: str
    """As its makers write it: `Vercel`, `AWS Lambda`."""
    name: str
    """Of the function or service in the file; may be a pattern of paths."""
    seconds: float
    default: bool
    """True when the file says nothing and the platform's default holds."""
    key: str
    """The setting to change: `maxDuration`, `Timeout`."""
    span: Span
    code: str = ""
    """Folder of the function's code, relative to the file's; empty: the file's own folder."""


class Runtime(NamedTuple):
    """A version of Python or Node that a file chooses."""

    language: Literal["python", "node"]
    version: str
    """As written, without a tag's suffix: `3.9`, `22`."""
    span: Span


class Engines(NamedTuple):
    """`engines.node` of a package.json."""

    range: str
    span: Span


class DeploymentFile(NamedTuple):
    """The facts of one file."""

    path: str
    kind: FileKind
    requirements: tuple[Requirement, ...] = ()
    includes: tuple[Include, ...] = ()
    servers: tuple[Server, ...] = ()
    limits: tuple[TimeLimit, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    engines: Engines | None = None
    name: str = ""
    """Of the package that the file describes."""
    other_runtime: bool = False
    """Of a package.json: its scripts start Bun, Deno or a Cloudflare worker, or it names its runtime otherwise."""
    problems: tuple[tuple[int, str], ...] = ()
    """Line (0: the whole file) and sentence of what could not be read."""

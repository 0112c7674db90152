"""Files that start servers and build images: Dockerfile, Compose, Procfile, scripts, units."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from turnlane.checker.deployment.commands import Word, commands, installed, server
from turnlane.checker.deployment.facts import DeploymentFile, FileKind, Include, Requirement, Runtime, Server, Span
from turnlane.checker.deployment.requirements import span
from turnlane.checker.deployment.yaml_nodes import Node, read_yaml
from turnlane.checker.source import Source

_DEVELOPMENT = re.compile(
    r"(?:^|[^a-z])(?:dev|devel|development|local|debug|test|tests|testing|override|reload)(?:[^a-z]|$)"
)


def for_development(name: str) -> bool:
    """Whether a name of a file, a stage or a service says that it is not what users meet."""
    return _DEVELOPMENT.search(name.lower()) is not None


class _Instruction(NamedTuple):
    name: str
    start: int
    end: int
    """Of its arguments, in characters."""


_INSTRUCTION = re.compile(r"[ \t]*([A-Za-z]+)[ \t]+")
_CONTINUED = re.compile(r"(?:\\[ \t]*\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*|[^\n])*")


def _instructions(text: str) -> Iterator[_Instruction]:
    at = 0
    while at < len(text):
        match = _INSTRUCTION.match(text, at)
        whole = _CONTINUED.match(text, match.end() if match else at)
        end = whole.end() if whole else at
        if match:
            yield _Instruction(match[1].upper(), match.end(), end)
        at = end + 1


class _Image:
    """What is found while the instructions of a Dockerfile are read in their order."""

    def __init__(self, path: str, source: Source) -> None:
        self.source = source
        self.development = for_development(path.rsplit("/", 1)[-1])
        self.stage = ""
        self.arguments: dict[str, str] = {}
        self.requirements: list[Requirement] = []
        self.includes: list[Include] = []
        self.servers: list[Server] = []
        self.runtimes: list[Runtime] = []

    def read(self, instruction: _Instruction) -> None:
        body = self.source.text[instruction.start : instruction.end]
        match instruction.name:
            case "FROM":
                self.base(body, instruction.start)
            case "ARG":
                name, _, default = body.strip().partition("=")
                self.arguments[name] = default.strip("\"'")
            case "COPY" | "ADD":
                self.copied(body, instruction.start)
            case "RUN" | "CMD" | "ENTRYPOINT":
                self.command(instruction)

    def base(self, body: str, start: int) -> None:
        match = re.match(r"(?:--platform=\S+\s+)?(\S+)(?:\s+as\s+(\S+))?", body.strip(), re.IGNORECASE)
        if match is None:
            return
        self.stage = match[2] or ""
        image = re.sub(
            r"\$\{?(\w+)(?::-([^}]*))?\}?", lambda use: self.arguments.get(use[1]) or use[2] or "", match[1]
        )
        runtime = re.fullmatch(r"(?:[\w.:-]+/)*(python|node):(\d+(?:\.\d+)*)(?:[-.]?[\w.-]*)?", image)
        if runtime:
            place = span(self.source, start, start + len(body.rstrip()))
            self.runtimes.append(Runtime("python" if runtime[1] == "python" else "node", runtime[2], place))

    def copied(self, body: str, start: int) -> None:
        line = self.source.position(start)[0]
        for name in re.findall(r"[^\s\"',\[\]]+", body)[:-1]:
            if re.search(r"(?:requirements[\w.-]*\.txt|pyproject\.toml|Pipfile|package\.json)$", name):
                self.includes.append(Include(name.removeprefix("./"), line))

    def command(self, instruction: _Instruction) -> None:
        production = not (self.development or for_development(self.stage))
        for words in _image_commands(self.source.text, instruction):
            if instruction.name == "RUN":
                found, includes = installed(words, self.source)
                self.requirements += found
                self.includes += includes
            elif (started := server(words, self.source, production)) is not None:
                self.servers.append(started)


def _image_commands(text: str, instruction: _Instruction) -> Iterator[list[Word]]:
    """Of both forms: `CMD gunicorn app:app` and `CMD ["gunicorn", "app:app"]`."""
    body = text[instruction.start : instruction.end]
    if not body.lstrip().startswith("["):
        yield from commands(text, instruction.start, instruction.end)
        return
    words = [
        Word(match[1], instruction.start + match.start(1), instruction.start + match.end(1))
        for match in re.finditer(r'"((?:\\.|[^"\\])*)"', body)
    ]
    yield from of_words(text, words)


def of_words(text: str, words: list[Word]) -> Iterator[list[Word]]:
    """A command given word by word; of `sh -c "..."`, the commands inside."""
    for place, word in enumerate(words[:-1]):
        if word.text in ("-c", "-lc", "-ec") and words[0].text.rsplit("/", 1)[-1] in ("sh", "bash", "ash"):
            yield from commands(text, words[place + 1].start, words[place + 1].end)
            return
    if words:
        yield words


def dockerfile(path: str, source: Source) -> DeploymentFile:
    """Read a Dockerfile or Containerfile."""
    image = _Image(path, source)
    for instruction in _instructions(source.text):
        image.read(instruction)
    return DeploymentFile(
        path,
        "dockerfile",
        tuple(image.requirements),
        tuple(image.includes),
        tuple(image.servers),
        runtimes=tuple(image.runtimes),
    )


STARTS = re.compile(r"gunicorn|uvicorn|hypercorn|flask|fastapi|uwsgi|pip[\d.]* install")
"""Matches any text that could start a server or install a package: a first, cheap look."""


def compose(path: str, source: Source) -> DeploymentFile:
    """Read the commands of the services of a Compose file."""
    document = read_yaml(source.text)
    servers: list[Server] = []
    in_development = for_development(path.rsplit("/", 1)[-1])
    for name, service in document.node.member("services").members():
        production = not (in_development or for_development(name))
        for key in ("command", "entrypoint"):
            for words in _yaml_commands(source, service.member(key)):
                servers.extend(filter(None, [server(words, source, production)]))
    return DeploymentFile(path, "compose", servers=tuple(servers), problems=document.problems)


def _yaml_commands(source: Source, node: Node) -> Iterator[list[Word]]:
    if node.kind == "list":
        yield from of_words(source.text, [Word(item.text, *item.span) for item in node.items])
    elif node.kind == "text":
        yield from commands(source.text, *node.span)


def procfile(path: str, source: Source) -> DeploymentFile:
    """Read a Procfile: `web: gunicorn app:app`."""
    return _lines(
        path, "procfile", source, re.compile(r"\s*[\w-]+:\s*"), not for_development(path.rsplit("/", 1)[-1])
    )


def unit(path: str, source: Source) -> DeploymentFile:
    """Read the `ExecStart` of a unit of systemd."""
    return _lines(path, "unit", source, re.compile(r"\s*ExecStart=\s*"), production=True)


def _lines(path: str, kind: FileKind, source: Source, prefix: re.Pattern[str], production: bool) -> DeploymentFile:
    servers: list[Server] = []
    for match in re.finditer(r"(?:\\\r?\n|[^\n])+", source.text):
        if start := prefix.match(match[0]):
            for words in commands(source.text, match.start() + start.end(), match.end()):
                servers.extend(filter(None, [server(words, source, production)]))
    return DeploymentFile(path, kind, servers=tuple(servers))


def script(path: str, source: Source) -> DeploymentFile:
    """Read a shell script or a Makefile. What it starts may be for development: no rule may take it for more."""
    servers: list[Server] = []
    requirements: list[Requirement] = []
    for words in commands(source.text):
        if (started := server(words, source, production=False)) is not None:
            servers.append(started)
        else:
            requirements += installed(words, source)[0]
    return DeploymentFile(path, "script", tuple(requirements), servers=tuple(servers))


def gunicorn_settings(path: str, source: Source) -> DeploymentFile:
    """Read the plain values of a `gunicorn.conf.py`."""
    try:
        tree = ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 0
        return DeploymentFile(
            path, "gunicorn", problems=((line, f"it is not valid Python ({error}); it was left out"),)
        )
    read = dict(_plain_values(tree))
    if not {"workers", "worker_class", "preload_app", "timeout", "bind", "threads", "wsgi_app"} & set(read):
        return DeploymentFile(path, "gunicorn")
    first = next(iter(read.values()))[1]
    return DeploymentFile(path, "gunicorn", servers=(_from_settings(read, first),))


def _plain_values(tree: ast.Module) -> Iterator[tuple[str, tuple[object, Span]]]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            end = statement.end_col_offset or 0
            value = statement.value.value if isinstance(statement.value, ast.Constant) else ...
            yield statement.targets[0].id, (value, Span(statement.lineno, statement.col_offset, end))


def _from_settings(read: dict[str, tuple[object, Span]], first: Span) -> Server:
    def value(name: str) -> object:
        return read[name][0] if name in read else None

    def place(name: str) -> Span | None:
        return read[name][1] if name in read else None

    workers, threads, timeout = value("workers"), value("threads"), value("timeout")
    return Server(
        "gunicorn",
        first,
        app=str(value("wsgi_app") or "") if isinstance(value("wsgi_app"), str) else "",
        workers=workers if isinstance(workers, int) else -1 if "workers" in read else None,
        threads=threads if isinstance(threads, int) else -1 if "threads" in read else None,
        worker_class=str(value("worker_class")) if "worker_class" in read else "",
        preload=value("preload_app") is True,
        preload_span=place("preload_app"),
        reload=value("reload") is True,
        reload_span=place("reload"),
        timeout=float(timeout) if isinstance(timeout, int | float) else -1 if "timeout" in read else None,
        timeout_span=place("timeout"),
    )

"""Command lines: which server they start and how, and which packages they install."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from turnlane.checker.deployment.facts import Include, Program, Requirement, Server, Span
from turnlane.checker.deployment.requirements import requirement, span
from turnlane.checker.source import Source


class Word(NamedTuple):
    """One word of a command."""

    text: str
    """Without its quotes."""
    start: int
    end: int
    """Offsets in the file, in characters."""


_WORD = re.compile(
    # A comment line inside a continued command is a Dockerfile's; in a shell it would end the command.
    r"(?P<space>(?:[ \t\r]|\\[ \t]*\r?\n(?:[ \t]*\#[^\n]*\n)*)+)"
    r"|(?P<comment>(?<![^\s;&|])\#[^\n]*)"
    r"|(?P<end>&&|\|\||[;&|\n()])"
    r"|(?P<word>(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\$\(\([^\n]*?\)\)|\$\([^()\n]*\)|\\.|[^\s;&|()\"'\\])+)"
    r"|(?P<other>.)",
    re.DOTALL,
)


def commands(text: str, start: int = 0, end: int | None = None) -> Iterator[list[Word]]:
    """The simple commands of a shell text between two offsets; also those inside `sh -c "..."`."""
    words: list[Word] = []
    for match in _WORD.finditer(text, start, len(text) if end is None else end):
        if match["word"]:
            words.append(_word(match[0], match.start()))
        elif match["end"] and words:
            yield from _with_inner(text, words)
            words = []
    if words:
        yield from _with_inner(text, words)


def _word(raw: str, start: int) -> Word:
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'":
        return Word(raw[1:-1], start + 1, start + len(raw) - 1)
    return Word(raw, start, start + len(raw))


def _with_inner(text: str, words: list[Word]) -> Iterator[list[Word]]:
    inner = shell_argument(words)
    if inner is not None:
        yield from commands(text, inner.start, inner.end)
    else:
        yield words


def shell_argument(words: Sequence[Word]) -> Word | None:
    """The command text of `sh -c "..."`."""
    if len(words) > 2 and _basename(words[0]) in ("sh", "bash", "zsh", "ash") and words[1].text in _DASH_C:
        return words[2]
    return None


_DASH_C = frozenset({"-c", "-lc", "-ec", "-euc", "-exc", "-xc"})

_PROGRAMS: Final[dict[str, Program]] = {
    "gunicorn": "gunicorn",
    "uvicorn": "uvicorn",
    "hypercorn": "hypercorn",
    "flask": "flask",
    "fastapi": "fastapi",
    "uwsgi": "uwsgi",
}
_BEFORE = re.compile(
    r"exec|nohup|env|time|sudo|poetry|uv|pdm|pipenv|hatch|run|python[\d.]*|-[mEuO]|--|--no-sync|--no-dev|--frozen|tini"
    r"|/.*/tini|/tini|dumb-init|ddtrace-run|opentelemetry-instrument|newrelic-admin|run-program|\w+=.*|@?-?|then|do"
)
"""Words that may stand before the program of a command without changing what it is."""


def _basename(word: Word) -> str:
    return word.text.rsplit("/", 1)[-1]


def server(words: Sequence[Word], source: Source, production: bool) -> Server | None:
    """The server that a command starts; None when it starts none."""
    for place, word in enumerate(words):
        program = _PROGRAMS.get(_basename(word).lstrip("@-"))
        if program is not None:
            return _READERS.get(program, _plain)(program, _Command(words[place:], source, production))
        if not _comes_before(word.text):
            return None
    return None


def _comes_before(text: str) -> bool:
    return _BEFORE.fullmatch(text) is not None or _BEFORE.fullmatch(text.rsplit("/", 1)[-1]) is not None


class _Command(NamedTuple):
    words: Sequence[Word]
    """From the program's name on."""
    source: Source
    production: bool

    @property
    def span(self) -> Span:
        return span(self.source, self.words[0].start, self.words[-1].end)


class _Options(NamedTuple):
    values: dict[str, tuple[str, Word]]
    """Long name, value and the word that it stands in; flags have an empty value."""
    targets: list[Word]


def _options(words: Sequence[Word], short: dict[str, str], flags: frozenset[str]) -> _Options:
    found = _Options({}, [])
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if not word.text.startswith("-") or word.text == "-":
            found.targets.append(word)
            continue
        name, equals, value = word.text.partition("=")
        if not name.startswith("--") and len(name) > 2 and name[:2] in short:
            name, value, equals = name[:2], name[2:] + equals + value, "="
        name = short.get(name, name)
        if not equals and name not in flags and at < len(words) and not words[at].text.startswith("-"):
            value = words[at].text
            at += 1
        found.values[name] = (value, word)
    return found


_GUNICORN_SHORT = {
    "-w": "--workers", "-k": "--worker-class", "-t": "--timeout", "-c": "--config", "-b": "--bind", "-n": "--name",
    "-e": "--env", "-u": "--user", "-g": "--group", "-m": "--umask", "-p": "--pid",
}  # fmt: skip
_GUNICORN_FLAGS = frozenset({
    "--preload", "--reload", "--daemon", "-D", "--capture-output", "--check-config", "--print-config", "--spew",
    "--no-sendfile", "--enable-stdio-inheritance", "--strip-header-spaces", "--log-syslog", "-R", "--reuse-port",
    "--disable-redirect-access-to-syslog", "--proxy-protocol", "--no-control-socket",
})  # fmt: skip


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.strip("\"'"))
    except ValueError:
        return -1


def _whole(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else int(number) if abs(number) < 1e6 else -1


def _gunicorn(program: Program, command: _Command) -> Server:
    options = _options(command.words, _GUNICORN_SHORT, _GUNICORN_FLAGS)
    read = {key: value for key, (value, _) in options.values.items()}
    return Server(
        program,
        command.span,
        app=options.targets[0].text if options.targets else "",
        folder=read.get("--chdir", ""),
        workers=_whole(read.get("--workers")),
        threads=_whole(read.get("--threads")),
        worker_class=read.get("--worker-class", ""),
        preload="--preload" in read,
        preload_span=_span_of(options, "--preload", command.source),
        reload="--reload" in read,
        reload_span=_span_of(options, "--reload", command.source),
        timeout=_number(read.get("--timeout")),
        timeout_span=_span_of(options, "--timeout", command.source),
        config=read.get("--config", ""),
        production=command.production,
    )


def _span_of(options: _Options, name: str, source: Source) -> Span | None:
    if name not in options.values:
        return None
    word = options.values[name][1]
    return span(source, word.start, word.end)


_PLAIN_FLAGS = frozenset({
    "--reload", "--debug", "--factory", "--proxy-headers", "--no-proxy-headers", "--no-access-log", "--access-log",
    "--use-colors", "--no-use-colors", "--no-debug", "--with-threads", "--debugger", "--no-server-header",
    "--no-date-header", "--no-reload", "--no-debugger",
})  # fmt: skip


def _plain(program: Program, command: _Command) -> Server | None:
    options = _options(command.words, {"-w": "--workers"} if program == "hypercorn" else {}, _PLAIN_FLAGS)
    targets = [word.text for word in options.targets]
    if program in ("flask", "fastapi") and not {"run", "dev"} & set(targets):
        return None
    read = {key: value for key, (value, _) in options.values.items()}
    reloading = _reloading(program, options, command.source)
    return Server(
        program,
        command.span,
        app=next((target for target in targets if target not in ("run", "dev")), read.get("--app", "")),
        folder=read.get("--app-dir", ""),
        workers=_whole(read.get("--workers")),
        reload=reloading is not None,
        reload_span=reloading,
        production=command.production,
    )


def _reloading(program: Program, options: _Options, source: Source) -> Span | None:
    """The word that makes the server load the app again when a file changes."""
    for name in ("--reload", "--debug") if program in ("flask", "hypercorn") else ("--reload",):
        if (found := _span_of(options, name, source)) is not None:
            return found
    dev = next((word for word in options.targets if program == "fastapi" and word.text == "dev"), None)
    return span(source, dev.start, dev.end) if dev else None


def _uwsgi(program: Program, command: _Command) -> Server:
    short = {"-p": "--processes", "-w": "--module"}
    options = _options(command.words, short, frozenset({"--lazy-apps", "--lazy", "--master", "-M"}))
    read = {key: value for key, (value, _) in options.values.items()}
    settings_file = {"--ini", "--yaml", "--json", "--xml"} & set(read) or options.targets
    return Server(
        program,
        command.span,
        app=read.get("--module", ""),
        workers=_whole(read.get("--processes") or read.get("--workers")),
        threads=_whole(read.get("--threads")),
        # uWSGI imports the app before it forks, unless told to be lazy; a settings file may tell it.
        preload=not settings_file and not {"--lazy-apps", "--lazy"} & set(read),
        preload_span=command.span,
        production=command.production,
    )


_READERS: Final[dict[str, Callable[[Program, _Command], Server | None]]] = {"gunicorn": _gunicorn, "uwsgi": _uwsgi}

_INSTALLERS = re.compile(r"pip[\d.]*")


def installed(words: Sequence[Word], source: Source) -> tuple[list[Requirement], list[Include]]:
    """The requirements and requirements files of `pip install ...`; empty for other commands."""
    texts = [word.text for word in words]
    place = next((at for at, word in enumerate(words) if _INSTALLERS.fullmatch(_basename(word))), None)
    if place is None or "install" not in texts[place : place + 3]:
        return [], []
    if not all(_comes_before(text) for text in texts[:place]):
        return [], []
    found: list[Requirement] = []
    includes: list[Include] = []
    rest = words[texts.index("install", place) + 1 :]
    for before, word in zip((None, *rest), rest, strict=False):
        if before is not None and before.text in ("-r", "--requirement"):
            includes.append(Include(word.text, source.position(word.start)[0]))
        elif not word.text.startswith("-") and (item := requirement(word.text, word.start, source)):
            found.append(item)
    return found, includes

"""Package and deployment files as a language of the checker."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from turnlane.checker.deployment.facts import DeploymentFile, FileKind
from turnlane.checker.finding import Finding, Note
from turnlane.checker.language import Language, Sources
from turnlane.checker.rule import Rule
from turnlane.checker.settings import Settings
from turnlane.checker.shares import Look, Resolve
from turnlane.checker.source import Source, Unreadable, decode

_LONGEST: Final = 30_000_000
"""Bytes; a longer file is not one that people write."""

_NAMES: Final[tuple[tuple[re.Pattern[str], FileKind, str], ...]] = (
    (
        re.compile(r"(?:.*[-_.])?(?:requirements?|constraints?)(?:[-_.].*)?\.(?:txt|in|pip)"),
        "requirements",
        "requirements",
    ),
    (re.compile(r"pyproject\.toml"), "pyproject", "pyproject"),
    (re.compile(r"(?:uv|poetry|pdm)\.lock|Pipfile\.lock"), "lock", "lock"),
    (re.compile(r"Pipfile"), "pipfile", "pipfile"),
    (re.compile(r"setup\.cfg"), "setup", "setup_cfg"),
    (re.compile(r"setup\.py"), "setup", "setup_py"),
    (re.compile(r"(?:conda[-_.]?)?env(?:ironment)?(?:[-_.].*)?\.ya?ml"), "conda", "conda"),
    (re.compile(r"package\.json"), "package.json", "package_json"),
    (re.compile(r"(?:.+\.)?(?:Dockerfile|Containerfile)(?:[-_.].*)?|.+\.dockerfile"), "dockerfile", "dockerfile"),
    (re.compile(r"(?:docker-)?compose(?:[-_.].*)?\.ya?ml"), "compose", "compose"),
    (re.compile(r"Procfile(?:\..*)?"), "procfile", "procfile"),
    (re.compile(r"gunicorn[._]conf(?:ig)?\.py"), "gunicorn", "gunicorn_settings"),
    (re.compile(r".+\.service"), "unit", "unit"),
    (re.compile(r".+\.(?:sh|bash|mk)|Makefile"), "script", "script"),
    (re.compile(r"vercel\.json"), "platform", "vercel"),
    (re.compile(r"host\.json"), "platform", "host_json"),
    (
        re.compile(r"(?:serverless|template|sam|app|service|render|cloudrun)(?:[-_.].*)?\.ya?ml"),
        "platform",
        "template",
    ),
    (re.compile(r"(?:fly|railway)(?:\..*)?\.toml"), "platform", "platform_toml"),
    (re.compile(r"railway\.json"), "platform", "platform_json"),
    (
        re.compile(r"\.python-version|\.nvmrc|\.node-version|\.tool-versions|runtime\.txt"),
        "runtime",
        "version_file",
    ),
)
"""File names, their kind, and the function that reads them."""

_ANY_NAME: Final = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _, _ in _NAMES))

_NEEDED: Final[dict[str, re.Pattern[bytes]]] = {
    "conda": re.compile(rb"dependencies"),
    "setup_py": re.compile(rb"(?:install|extras)_require"),
    "compose": re.compile(rb"gunicorn|uvicorn|hypercorn|flask|fastapi|uwsgi"),
    "script": re.compile(rb"gunicorn|uvicorn|hypercorn|flask|fastapi|uwsgi|pip[\d.]* install"),
    "template": re.compile(
        rb"AWS::(?:Serverless|Lambda)::Function|^provider|serving\.knative\.dev|^entrypoint|startCommand",
        re.MULTILINE,
    ),
}
"""Without these words a file of this reader holds nothing of interest, and is not parsed."""


class Deployment:
    """See `turnlane.checker.language.Language`."""

    name = "deployment"
    version = 2

    def takes(self, path: str) -> bool:
        """Whether the file's name is one of a package or deployment file."""
        return _ANY_NAME.fullmatch(path.rsplit("/", 1)[-1]) is not None

    def extract(self, path: str, data: bytes, /) -> DeploymentFile:
        """Read one file. What is wrong with it is one of the facts' problems."""
        kind, reader = _reader_of(path)
        if len(data) > _LONGEST:
            return DeploymentFile(path, kind, problems=((0, "it is longer than 30 MB; it was left out"),))
        needed = _NEEDED.get(reader)
        if needed is not None and not needed.search(data):
            return DeploymentFile(path, kind)
        try:
            found = _READERS[reader](path, Source(path, _text(data)))
        except Unreadable as error:
            return DeploymentFile(path, kind, problems=((0, f"{error}; it was left out"),))
        return _without_places_to_write(found) if data.startswith(_UTF16) else found

    def look(self, data: bytes, /) -> Look:
        """Nothing: all files are checked together."""
        return Look()

    def resolver(self, paths: Sequence[str], /) -> Resolve | None:
        """None: which files belong together is not looked for."""
        return None

    def check(
        self, facts: Mapping[str, Any], sources: Sources, rules: Sequence[Rule], settings: Settings
    ) -> Iterable[Finding | Note]:
        """Ask the rules about all files together."""
        from turnlane.checker.deployment.project import Project

        # A copy of a file elsewhere has the same facts: only the key says where it stands.
        files = [file._replace(path=path) for path, file in sorted(facts.items())]
        for file in files:
            for line, text in file.problems:
                yield Note(file.path, line, text)
        project = Project(files)
        for rule in rules:
            yield from rule.check(project)


_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _text(data: bytes) -> str:
    """Also of UTF-16 with its mark, which `pip freeze > requirements.txt` in PowerShell writes and pip reads.

    Raises:
        Unreadable: it is neither that nor UTF-8.
    """
    if not data.startswith(_UTF16):
        return decode(data)
    try:
        return data.decode("utf-16")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not utf-16, as its mark says: byte {error.start} can't be decoded") from None


def _without_places_to_write(file: DeploymentFile) -> DeploymentFile:
    """So that no fix is offered: fixes write UTF-8."""
    return file._replace(requirements=tuple(item._replace(specifier_span=None) for item in file.requirements))


def _reader_of(path: str) -> tuple[FileKind, str]:
    name = path.rsplit("/", 1)[-1]
    return next(
        ((kind, reader) for pattern, kind, reader in _NAMES if pattern.fullmatch(name)), ("platform", "nothing")
    )


def _from(module: str, function: str) -> Callable[[str, Source], DeploymentFile]:
    def read(path: str, source: Source) -> DeploymentFile:
        from importlib import import_module

        found: DeploymentFile = getattr(import_module(f"turnlane.checker.deployment.{module}"), function)(
            path, source
        )
        return found

    return read


def _nothing(path: str, source: Source) -> DeploymentFile:
    return DeploymentFile(path, "platform")


_READERS: Final[dict[str, Callable[[str, Source], DeploymentFile]]] = {
    "requirements": _from("requirements", "requirements_file"),
    **{
        name: _from("manifests", name)
        for name in ("pyproject", "lock", "pipfile", "setup_cfg", "setup_py", "conda", "version_file")
    },
    "package_json": _from("node_packages", "package_json"),
    **{
        name: _from("start_files", name)
        for name in ("dockerfile", "compose", "procfile", "unit", "script", "gunicorn_settings")
    },
    **{
        name: _from("platforms", name)
        for name in ("vercel", "host_json", "template", "platform_toml", "platform_json")
    },
    "nothing": _nothing,
}
"""By name; each module is imported with the first file that it reads."""

DEPLOYMENT: Final[Language] = Deployment()

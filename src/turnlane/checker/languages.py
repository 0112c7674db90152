"""Which languages there are. Each is imported when the first file of its kind is met."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from turnlane.checker.language import Language

PLACES: Final = {
    "python": ("turnlane.checker.python.language", "PYTHON"),
    "typescript": ("turnlane.checker.typescript.language", "TYPESCRIPT"),
    "deployment": ("turnlane.checker.deployment.language", "DEPLOYMENT"),
}
"""Name, module and object of each language."""

SUFFIXES: Final[dict[str, tuple[str, ...]]] = {
    ".py": ("python",),
    ".pyi": ("python",),
    ".pyw": ("python",),
    ".ipynb": ("python",),
    ".ts": ("typescript",),
    ".tsx": ("typescript",),
    ".mts": ("typescript",),
    ".cts": ("typescript",),
    ".js": ("typescript",),
    ".jsx": ("typescript",),
    ".mjs": ("typescript",),
    ".cjs": ("typescript",),
}
"""Suffixes that decide without asking, so that a tree of Python imports no TypeScript."""

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "gunicorn.conf.py": ("python", "deployment"),
    "gunicorn_conf.py": ("python", "deployment"),
    "gunicorn_config.py": ("python", "deployment"),
    "setup.py": ("python", "deployment"),
}
"""Programs that also say how something is installed or served."""

_NEVER: Final = frozenset(  # a list of forty would be forty lines
    (  # noqa: SIM905
        ".md .rst .png .jpg .jpeg .gif .svg .ico .webp .pdf .css .scss .html .htm .csv .tsv .parquet .xml .jsonl "
        ".pyc .so .zip .gz .tar .whl .woff .woff2 .ttf .mp3 .mp4 .wav .db .sqlite .log .proto .cs .csproj .sln "
        ".java .go .rs .c .h .cpp .rb .php .sql .jinja .j2 .tmpl .map .typed .snap .bin .pt .npy .pkl"
    ).split()
)
"""Suffixes of files that no language reads."""


@cache
def language(name: str) -> Language:
    """The language of this name, one of `PLACES`."""
    module, attribute = PLACES[name]
    found: Language = getattr(import_module(module), attribute)
    return found


def languages_of(path: str) -> tuple[str, ...]:
    """Names of the languages that read the file."""
    name = path.rsplit("/", 1)[-1]
    if name in NAMES:
        return NAMES[name]
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix in _NEVER:
        return ()
    return ("deployment",) if language("deployment").takes(path) else ()

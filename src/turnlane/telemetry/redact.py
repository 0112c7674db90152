"""Secrets never reach a log, an answer or an error.

`redact` knows secrets by three signs: by their own shape (`sk-...`, `AKIA...`, a private key), by the name
beside them (`password=...`, `Authorization: Bearer ...`, `postgres://user:password@host`), and by value: what
stands in an environment variable whose name says that it is a secret. The last catches what has no shape.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

MASK: Final = "***"

MIN_VALUE: Final = 8
"""Characters. A shorter value of an environment variable would hide ordinary words."""

MIN_PIECE: Final = 16
"""Characters of a piece of a value that holds several secrets."""

_SECRET_WORDS: Final = frozenset(
    f"{word}{plural}"
    for word in ("KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PGPASSWORD", "PASSWD", "PASSPHRASE")
    for plural in ("", "S")
)
# TURNLANE_API_KEY_FILE holds the name of a file, and messages must be able to name that file.
_PLACE_WORDS: Final = frozenset({"FILE", "PATH", "DIR", "ID", "NAME"})

# What is kept is in a group, what is masked is outside of all groups.
_SHAPES: Final = (
    r"(\bsk-)[A-Za-z0-9_-]{8,}",  # OpenAI, Anthropic, and those who copied them
    r"(\bAKIA|\bASIA)[0-9A-Z]{12,}",  # AWS access key ids
    r"(\bgh[pousr]_|\bgithub_pat_|\bglpat-|\bhf_|\bxox[abeprs]-|\bAIza)[A-Za-z0-9_-]{16,}",
    r"(\beyJ)[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",  # a JSON web token
    r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[^-]{1,8000}",
    r"(://[^\s/:@]*:)[^\s/]+(?=@)",  # postgres://user:password@host, also when the password holds an @
    r"(\b(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}",
)
_NAMES: Final = (
    r"(?:api|access|private)[_-]?key|secret(?:[_-]?(?:access[_-]?)?key)?|token|passw(?:or)?d|pwd\b|passphrase"
)
# name = value, name: value, "name": "value", {'name': 'value'}, and JSON text inside JSON text. A quoted value
# goes up to its closing quote, so that a password with spaces is masked whole.
_PAIR: Final = (
    rf"((?i:{_NAMES})\\?[\"']?\s{{0,3}}[=:]\s{{0,3}})"
    r"(?:(\")(?:[^\"\\]|\\.)+|(')(?:[^'\\]|\\.)+|(\\\")(?:(?!\\\").)+|[^\s\"'&,;)}\]\\]+)"
)

# Every match holds one of these, in lower case. Looking for a fixed string costs 30 ns, trying every alternative
# at every position 150 ns a character, and nearly no text of a log line holds a sign.
_SIGNS: Final = ("sk-", "bearer", "basic", "akia", "asia", "eyj", "xox", "aiza", "glpat-", "hf_", "github_pat_")
_GITHUB_SIGNS: Final = ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")
_SIGNS_WITH_PUNCTUATION: Final = ("://", "key", "token", "secret", "passw", "pwd", "passphrase")


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """The values that must not be shown: of variables named as keys, tokens, secrets or passwords.

    Values shorter than `MIN_VALUE` characters are left out.
    """
    values = [value for name, value in environ.items() if _names_a_secret(name)]
    # Several in one variable, as in TURNLANE_API_KEYS; the bound leaves words of a pass phrase alone.
    pieces = [piece for value in values for piece in re.split(r"[\s,;]+", value) if len(piece) >= MIN_PIECE]
    return sorted({value for value in (*values, *pieces) if len(value) >= MIN_VALUE})


def redactor(values: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that masks secrets of every shape, and `values` wherever they stand.

    It returns the very same object when there was nothing to mask.
    """
    # Exact values first and the longest first: a value must be masked whole, not by a shape inside it.
    exact = sorted(values, key=len, reverse=True)
    substitute = re.compile("|".join([*map(re.escape, exact), *_SHAPES, _PAIR]), re.DOTALL).subn

    def redact(text: str) -> str:
        if not (any(value in text for value in exact) or _may_hold_a_secret(text)):
            return text
        cleaned, count = substitute(_masked, text)
        return cleaned if count else text

    return redact


def remember_secrets(environ: Mapping[str, str] | None = None) -> None:
    """Take the secrets of the environment (default: `os.environ`) as they are now, for `redact`.

    To be called again when a user's file may have loaded a `.env`.
    """
    global _redact
    _redact = redactor(secret_values(os.environ if environ is None else environ))


def redact(text: str) -> str:
    """`text` with every secret masked; the same object when there is none."""
    if _redact is None:
        remember_secrets()
        assert _redact is not None
    return _redact(text)


_redact: Callable[[str], str] | None = None


def _may_hold_a_secret(text: str) -> bool:
    """Whether a pattern could match: quick, and right when it says no."""
    low = text.lower()
    for sign in _SIGNS:  # a loop and not any(...): half the time, and this runs for every field of every line
        if sign in low:
            return True
    if "gh" in low and any(sign in low for sign in _GITHUB_SIGNS):
        return True
    if ":" not in low and "=" not in low and "--" not in low:
        return False
    return any(sign in low for sign in _SIGNS_WITH_PUNCTUATION)


def _names_a_secret(variable: str) -> bool:
    words = re.split(r"[^A-Z0-9]+", variable.upper())
    return words[-1] not in _PLACE_WORDS and not _SECRET_WORDS.isdisjoint(words)


def _masked(match: re.Match[str]) -> str:
    """What stays of a secret: the sign by which it was known, and an opening quote."""
    return "".join(filter(None, match.groups())) + MASK

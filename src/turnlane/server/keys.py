"""API keys: who may call, what they own, and where a server without keys may listen."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

from turnlane.runtime.conversation import LOCAL_KEY

ENVIRONMENT_VARIABLE: Final = "TURNLANE_API_KEYS"
MIN_KEY_LENGTH: Final = 16


class KeysError(Exception):
    """The key file, the environment variable or the address to bind is not right. Says what to do."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `owner` is stored with everything the caller makes."""

    owner: str
    name: str
    admin: bool

    def owns(self, key: str) -> bool:
        return self.owner == key

    def may_operate(self, key: str) -> bool:
        """Whether the operator's pages (/lanes, /turns) show what belongs to `key`."""
        return self.admin or self.owner == key


LOCAL_CALLER: Final = Caller(owner=LOCAL_KEY, name=LOCAL_KEY, admin=True)
"""Everybody, on a server without keys that only this machine can reach: its operator."""

ANONYMOUS_CALLER: Final = Caller(owner=LOCAL_KEY, name="anonymous", admin=False)
"""Everybody, on a server without keys that other machines can reach (`--allow-anonymous`): no operator, so that
stacks and private error texts stay in the log."""


def owner_of(name: str) -> str:
    """The stored owner of a key's NAME: stable when the key itself is changed."""
    return "key_" + hashlib.sha256(name.encode()).hexdigest()[:24]


class ApiKeys:
    """The keys that may call. Only digests are kept in memory."""

    def __init__(self, lines: Iterable[str], *, source: str = "the keys") -> None:
        """Read `NAME KEY [admin]` lines; `#` starts a comment line.

        Raises:
            KeysError: a line is malformed, a key is short or used twice, or there is none.
        """
        self._callers: dict[bytes, Caller] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.strip().startswith("#"):
                self._add(line.split(), f"{source}, line {number}")
        if not self._callers:
            raise KeysError(f"{source} has no API key; write one a line: NAME KEY [admin]")

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Raises KeysError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise KeysError(f"can't read the API key file {path}: {error}") from None
        return cls(text.splitlines(), source=str(path))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """The keys of TURNLANE_API_KEYS (lines, or separated by commas); None when it is not set.

        Raises:
            KeysError
        """
        text = environment.get(ENVIRONMENT_VARIABLE)
        if not text or not text.strip():
            return None
        return cls(text.replace(",", "\n").splitlines(), source=ENVIRONMENT_VARIABLE)

    def __len__(self) -> int:
        return len(self._callers)

    def caller(self, authorization: str | None) -> Caller | None:
        """Who an `Authorization` header belongs to; None when it is missing or no key of ours.

        The lookup goes by digest, so its time tells nothing about a key.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = _digest(key.strip())
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                return caller
        return None

    def _add(self, words: list[str], where: str) -> None:
        if len(words) not in (2, 3) or words[2:] not in ([], ["admin"]):
            raise KeysError(f"{where}: write NAME KEY, or NAME KEY admin")
        name, key = words[:2]
        if len(key) < MIN_KEY_LENGTH:
            raise KeysError(f"{where}: the key of {name!r} has fewer than {MIN_KEY_LENGTH} characters")
        digest = _digest(key)
        if digest in self._callers:
            raise KeysError(f"{where}: the key of {name!r} is used twice")
        self._callers[digest] = Caller(owner=owner_of(name), name=name, admin=len(words) == 3)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_binding(host: str, keys: ApiKeys | None, allow_anonymous: bool) -> None:
    """Refuse to serve other machines without keys.

    Raises:
        KeysError: with what to do instead.
    """
    if keys is not None or allow_anonymous or is_loopback(host):
        return
    raise KeysError(
        f"{host} can be reached from other machines, and there are no API keys: anybody could use your agents. "
        f"Give --api-key-file or set {ENVIRONMENT_VARIABLE}, or bind 127.0.0.1; "
        "--allow-anonymous serves everybody on purpose."
    )


def host_name(header: str) -> str:
    """The name in a `Host` header, without its port: `[::1]:80` is `::1`."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def may_be_host(header: str | None, bound_to: str) -> bool:
    """Whether a `Host` header names this server, on a server without keys.

    A page on the web can point its own name at 127.0.0.1 and so reach us from a browser (DNS rebinding);
    it can't change the Host header, which is then that name.
    """
    if header is None or _is_every_address(bound_to):
        return True  # None: HTTP/1.0 tools, browsers always send it. Every address: `--allow-anonymous`
    name = host_name(header)
    return is_loopback(name) or name == bound_to.strip("[]").lower()


def _is_every_address(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False

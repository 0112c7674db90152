"""Which addresses may be probed: those of this machine, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from functools import cache

from turnlane.probe.trouble import ProbeError


def check_reach(host: str, *, allow_remote: bool) -> None:
    """Let `host` pass if every address it resolves to is a loopback address.

    Raises:
        ProbeError: it is another machine, or has no address.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:  # a name may be longer than a name can be
        why = getattr(error, "strerror", None) or error
        raise ProbeError(f"{host} has no address ({why}): check its spelling.") from None
    remote = sorted(address for address in found if not _is_loopback(address))
    if remote and not allow_remote:
        raise ProbeError(
            f"{host} ({remote[0]}) is not this machine, and a probe sends it many requests at once. "
            "Give --allow-remote if it is yours."
        )


def free_port(host: str = "127.0.0.1") -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def accepts(host: str, port: int, timeout: float = 0.5) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def is_this_machine(host: str) -> bool:
    """Whether a host as it is written is this machine; asks no name server."""
    try:
        return _is_loopback(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def verification(host: str) -> ssl.SSLContext | bool:
    """How the certificate of `host` is looked at, as httpx2 wants it told.

    On this machine not at all: it is a self-made one, and nobody stands between.
    """
    return False if is_this_machine(host) else _usual_verification()


@cache
def _usual_verification() -> ssl.SSLContext:
    return ssl.create_default_context()  # one for all, it costs 30 ms


def _is_loopback(address: str) -> bool:
    """Also of `0.0.0.0`, which servers print as their address: whoever connects to it comes to this machine."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    meant = getattr(parsed, "ipv4_mapped", None) or parsed
    return bool(meant.is_loopback or meant.is_unspecified)

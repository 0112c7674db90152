"""Which addresses may be probed: those of this machine, unless the user says otherwise."""

from __future__ import annotations

import ipaddress
import socket

from turnlane.probe.trouble import ProbeError


def check_reach(host: str, *, allow_remote: bool) -> None:
    """Let `host` pass if every address it resolves to is a loopback address.

    Raises:
        ProbeError: it is another machine, or has no address.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ProbeError(f"{host} has no address ({error.strerror or error}): check its spelling.") from None
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


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback

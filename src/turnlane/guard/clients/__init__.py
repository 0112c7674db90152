"""Model clients: whose loop and process they belong to, how they end, and what their calls show on the wire."""

from __future__ import annotations

from turnlane.guard.clients import belonging, cut_answers, dropped, sdk, wire


def install() -> None:
    """Wait for the HTTP clients and the SDKs."""
    wire.install()
    sdk.install()
    belonging.install()
    dropped.install()
    cut_answers.install()


def uninstall() -> None:
    """Forget what was seen."""
    dropped.forget()

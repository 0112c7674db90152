"""What keeps the probe from probing, as a sentence."""

from __future__ import annotations


class ProbeError(Exception):
    """The target cannot be probed. Its text says what happened and what to do next, in clear sentences."""

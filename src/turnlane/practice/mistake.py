"""The one error that a wrong script gives."""

from __future__ import annotations


class ScriptError(ValueError):
    """A script that cannot be used; its text is one sentence that says where and what to write instead."""

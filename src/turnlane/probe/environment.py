"""The environment of the program: the frameworks' own settings point at the probe's provider."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

KEY: Final = "sk-practice"

_ADDRESSES: Final = (
    "OPENAI_BASE_URL",  # openai's SDKs in Python and Node, ai-sdk, autogen-ext, agent_framework
    "OPENAI_API_BASE",  # openai before 1.0, and what copies it
)
_KEYS: Final = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
_MODELS: Final = (
    "OPENAI_MODEL",
    "OPENAI_CHAT_MODEL",
    "OPENAI_CHAT_MODEL_ID",  # agent_framework
    "OPENAI_RESPONSES_MODEL_ID",
    "OPENAI_MODEL_NAME",
)
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CONFIG_LIST: Final = "OAI_CONFIG_LIST"
"""Classic AutoGen and ag2 read their models from it: JSON in a variable of that name, else a file of that name."""

DEFAULT_MODEL: Final = "gpt-4o-mini"
_LISTED_MODELS: Final = (
    DEFAULT_MODEL,
    "gpt-4o",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4",
    "gpt-4-turbo",
    "gpt-3.5-turbo",
    "gpt-5",
)


def provider_environment(
    base: Mapping[str, str], base_url: str, directory: str | None, *, keep_keys: bool
) -> dict[str, str]:
    """`base` with every setting that says which provider to call.

    Args:
        base: the environment to start from.
        base_url: the provider's address, with its `/v1`.
        directory: where the program is started, for a configuration file there.
        keep_keys: leave keys alone: the requests go on to the real provider.
    """
    made = dict(base)
    made.update(dict.fromkeys(_ADDRESSES, base_url))
    for name in _KEYS:
        if not (keep_keys and made.get(name)):
            made[name] = KEY
    made["AZURE_OPENAI_ENDPOINT"] = base_url.removesuffix("/v1")
    made.setdefault("OPENAI_API_VERSION", "2024-10-21")
    for name in _MODELS:
        made.setdefault(name, DEFAULT_MODEL)
    made[CONFIG_LIST] = _config_list(made, base_url, directory, keep_keys=keep_keys)
    made.setdefault("PYTHONUNBUFFERED", "1")  # its log lines must come when they are written
    return _without_proxy(made)


def _without_proxy(environment: dict[str, str]) -> dict[str, str]:
    """Loopback must be reached directly, also where the machine reaches the web through a proxy."""
    names = (name for upper in _PROXIES for name in (upper, upper.lower()))
    if any(environment.get(name) for name in names):
        kept = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
        whole = ",".join(filter(None, (kept, "127.0.0.1,localhost,::1")))
        environment["NO_PROXY"] = environment["no_proxy"] = whole
    return environment


def _config_list(environment: Mapping[str, str], base_url: str, directory: str | None, *, keep_keys: bool) -> str:
    """The user's own list with the address replaced, or one with the usual models."""
    found = _read_config_list(environment.get(CONFIG_LIST), directory)
    entries = found or [{"model": model} for model in _LISTED_MODELS]
    return json.dumps([_pointed_at(entry, base_url, keep_keys=keep_keys) for entry in entries])


def _pointed_at(entry: Mapping[str, Any], base_url: str, *, keep_keys: bool) -> dict[str, Any]:
    kept = {name: value for name, value in entry.items() if name not in ("api_type", "api_version", "api_base")}
    key = entry.get("api_key") if keep_keys else None
    return {**kept, "base_url": base_url, "api_key": key or KEY}


def _read_config_list(value: str | None, directory: str | None) -> list[dict[str, Any]]:
    folder = Path(directory or os.getcwd())
    for text in (
        value,
        _text_of(folder / value) if value and len(value) < 255 else None,
        _text_of(folder / CONFIG_LIST),
    ):
        try:
            entries = json.loads(text or "")
        except ValueError:
            continue
        if isinstance(entries, list):
            return [entry for entry in entries if isinstance(entry, dict)]
    return []


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None

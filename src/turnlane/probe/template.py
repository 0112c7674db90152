"""A request with places for what a simulated user says: `{"message": "{prompt}", "id": "{conversation}"}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from turnlane.probe.trouble import ProbeError

Json = Any

PLACES: Final = ("prompt", "conversation", "user", "messages", "ui_messages", "turn", "word", "id")
"""Names that may stand in braces. `messages` and `ui_messages` are the whole conversation, for programs that keep
none: in OpenAI's shape, and in that of Vercel's AI SDK. Each must be a whole text of its own."""

_SPEAKS: Final = frozenset({"prompt", "messages", "ui_messages", "word"})
_NAME: Final = re.compile(r"\{(" + "|".join(PLACES) + r")\}")


def parsed(text: str) -> Json:
    """The JSON value of a template.

    Raises:
        ProbeError: it is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        hint = ""
        if re.search(r"(?<!\")\{(?:prompt|conversation|user|messages)\}", text):
            hint = ' Put quotes around the names in braces, as in \'{"message": "{prompt}"}\'.'
        raise ProbeError(f"--json is not JSON: {error}.{hint}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def speaks(*parts: Json) -> bool:
    """Whether a template has a place for what the user says."""
    return bool(_SPEAKS & {name for part in parts for name in names_in(part)})


def names_in(value: Json) -> set[str]:
    """The names in braces anywhere in `value`."""
    if isinstance(value, str):
        return set(_NAME.findall(value))
    if isinstance(value, Mapping):
        return {name for item in (*value.keys(), *value.values()) for name in names_in(item)}
    if isinstance(value, list | tuple):
        return {name for item in value for name in names_in(item)}
    return set()


def filled(value: Json, values: Mapping[str, Json]) -> Json:
    """`value` with every name in braces replaced; a text that is one name alone becomes that value itself."""
    if isinstance(value, str):
        alone = _NAME.fullmatch(value)
        if alone:
            return values[alone[1]]
        return _NAME.sub(lambda match: str(values[match[1]]), value)
    if isinstance(value, Mapping):
        return {filled(name, values): filled(item, values) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, values) for item in value]
    return value

"""Calls a user's handler with what a simulated user says, by the names of its parameters, and reads its answer."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from turnlane.probe.field_names import meaning, rank

Said = Mapping[str, str]
"""`prompt`, `conversation` and `user`."""

FIELD_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("prompt", "message", "text", "question", "query", "input", "content"),
    "conversation": ("conversation", "conversation_id", "session_id", "thread_id", "chat_id"),
    "user": ("user", "user_id"),
}
"""What a handler that takes a whole body as a mapping finds in it."""

_TEXTS: Final = ("answer", "reply", "response", "content", "text", "message", "output", "result", "summary")
_NOT_FOR_US: Final = ("starlette.", "fastapi.", "flask.", "aiohttp.", "django.")


class CannotCall(Exception):
    """The handler's parameters cannot be filled; its text is a sentence."""


def arguments(handler: Callable[..., Any], said: Said) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments for one call.

    Raises:
        CannotCall: a parameter without a default that nothing fits.
    """
    parameters = _parameters(handler)
    hints = _hints(handler)
    spoken = _spoken_parameter(parameters)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        filled, value = _argument(parameter, hints.get(parameter.name), said, spoken)
        if filled:
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            else:
                named[parameter.name] = value
        elif parameter.default is parameter.empty:
            raise CannotCall(
                f"{_name(handler)} has a parameter {parameter.name!r} that a simulated user has nothing for: give "
                "it a default, or probe the program through HTTP with --url and --start."
            )
    return positional, named


def _argument(parameter: inspect.Parameter, hint: Any, said: Said, spoken: str | None) -> tuple[bool, Any]:
    """Whether there is something for a parameter, and what."""
    kind = _bare(hint)
    if parameter.name == spoken:
        return True, _as_body(kind, said) if _is_body(kind) else said["prompt"]
    if _is_body(kind) and not _belongs_to_a_framework(kind):
        return True, _as_body(kind, said)
    says = meaning(parameter.name)
    if says in ("conversation", "user"):
        return True, said[says]
    return (True, [{"role": "user", "content": said["prompt"]}]) if says == "messages" else (False, None)


def _spoken_parameter(parameters: list[inspect.Parameter]) -> str | None:
    """The parameter for what the user says: by its name, else the first that has to be given."""
    ranked = [(rank(p.name), p.name) for p in parameters if meaning(p.name) == "prompt"]
    by_name = min(((place, name) for place, name in ranked if place is not None), default=None)
    if by_name is not None:
        return by_name[1]
    needed = [p.name for p in parameters if p.default is p.empty and meaning(p.name) is None]
    return needed[0] if needed else None


def _is_body(kind: Any) -> bool:
    if kind in (dict, typing.Mapping, Mapping) or typing.get_origin(kind) in (dict, Mapping):
        return True
    return isinstance(kind, type) and (
        hasattr(kind, "model_validate") or is_dataclass(kind) or _is_typed_dict(kind)
    )


def _as_body(kind: Any, said: Said) -> Any:
    """Raises CannotCall: it has fields, or rules for them, that a simulated user knows nothing of."""
    try:
        if hasattr(kind, "model_validate"):
            return kind.model_validate(_fields(kind.model_fields, said))
        if is_dataclass(kind) and isinstance(kind, type):
            return kind(**_fields(kind.__dataclass_fields__, said))
    except (TypeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise CannotCall(
            f"{kind.__name__} cannot be filled by a simulated user: {why}. Give its other fields defaults, or "
            "probe the program through HTTP with --url and --start."
        ) from None
    return {name: said[part] for part, names in FIELD_NAMES.items() for name in names}


def _fields(names: Mapping[str, Any], said: Said) -> dict[str, Any]:
    """Values for the fields of a body whose names say what they hold."""
    ranked = [(rank(name), name) for name in names if meaning(name) == "prompt"]
    spoken = min(((place, name) for place, name in ranked if place is not None), default=(0, None))[1]
    made: dict[str, Any] = {} if spoken is None else {spoken: said["prompt"]}
    for name in names:
        says = meaning(name)
        if says in ("conversation", "user"):
            made[name] = said[says]
        elif says == "messages":
            made[name] = [{"role": "user", "content": said["prompt"]}]
    return made


def _is_typed_dict(kind: Any) -> bool:
    return typing.is_typeddict(kind)


def _belongs_to_a_framework(kind: Any) -> bool:
    return getattr(kind, "__module__", "").startswith(_NOT_FOR_US)


def _bare(hint: Any) -> Any:
    """The type of `X | None`, `Annotated[X, ...]`."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        return _bare(inner[0])
    return hint


def _parameters(handler: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        raise CannotCall(f"{_name(handler)} does not say what it takes.") from None


def _hints(handler: Callable[..., Any]) -> dict[str, Any]:
    function = handler if inspect.isroutine(handler) else type(handler).__call__
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # a name that only a type checker knows
        return {}


def _name(handler: Any) -> str:
    return str(getattr(handler, "__qualname__", None) or type(handler).__qualname__)


async def whole(answer: Any) -> Any:
    """An answer that comes in pieces, put together; any other as it is."""
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, AsyncIterator):
        return "".join([_piece(piece) async for piece in answer])
    return "".join(map(_piece, answer)) if isinstance(answer, Iterator) else answer


def answer_json(answer: Any) -> Any:
    """An answer as a JSON value; what is no JSON becomes its text."""
    plain = _plain(answer)
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return {"answer": str(answer)}
    return plain if isinstance(plain, dict | list) else {"answer": plain}


def _plain(answer: Any) -> Any:
    if hasattr(answer, "model_dump"):
        return answer.model_dump(mode="json")
    if is_dataclass(answer) and not isinstance(answer, type):
        return _result_text(answer) or _dumped(answer)
    if answer is None or isinstance(answer, str | int | float | bool | dict | list | tuple):
        return answer
    return _result_text(answer) or str(answer)


def _dumped(answer: Any) -> Any:
    try:
        return asdict(answer)
    except TypeError:
        return str(answer)


def _result_text(answer: Any) -> str | None:
    """The text of a framework's result: its last message, or a field that is usually called so."""
    messages = getattr(answer, "messages", None)
    if isinstance(messages, list | tuple) and messages:
        return str(getattr(messages[-1], "content", None) or messages[-1])
    return next((text for name in _TEXTS if isinstance(text := getattr(answer, name, None), str)), None)


def _piece(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    text = _result_text(piece)
    return text if text is not None else json.dumps(answer_json(piece))

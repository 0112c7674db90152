"""The shapes of answers, for the OpenAPI document only: nothing is validated with them at run time.

The full types are those of the openai package; here is what a client can rely on, with our extra fields.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from turnlane.runtime.conversation import Status, StopAsk


class AnswerShape(BaseModel):
    """More fields may come with newer versions."""

    model_config = ConfigDict(extra="allow")


class ErrorDetail(AnswerShape):
    """OpenAI's error object; `hazard`, `agent`, `tool`, `error_type` and `response_id` when there is one."""

    message: str
    type: str
    param: str | None
    code: str | None
    request_id: str
    hazard: str | None = None
    hazard_url: str | None = None
    agent: str | None = None
    tool: str | None = None
    error_type: str | None = None
    response_id: str | None = None
    conversation_id: str | None = None


class ErrorAnswer(AnswerShape):
    """Every answer of status 400 and above."""

    error: ErrorDetail


class ConversationOfResponse(AnswerShape):
    """A reference."""

    id: str


class ResponseShape(AnswerShape):
    """`openai.types.responses.Response`, with `turn_status`, `attempt`, `input_required` and `request_id`; the
    answer of a create also has `joined`."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    turn_status: Status
    model: str
    conversation: ConversationOfResponse
    output: list[dict[str, Any]]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: dict[str, Any] | None
    metadata: dict[str, str]
    previous_response_id: str | None
    background: bool
    attempt: int
    input_required: dict[str, Any] | None
    request_id: str | None
    joined: bool | None = None


class Item(AnswerShape):
    """An item of a conversation or of a response's input. In a conversation those of a turn also have its
    `response_id` and `turn_status`."""

    id: str
    type: str
    response_id: str | None = None
    turn_status: Status | None = None


class ItemList(AnswerShape):
    """`ConversationItemList` and `ResponseItemList`."""

    object: Literal["list"]
    data: list[Item]
    first_id: str
    last_id: str
    has_more: bool


class ConversationShape(AnswerShape):
    """`openai.types.conversations.Conversation`."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(AnswerShape):
    """`openai.types.conversations.ConversationDeletedResource`."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: bool


class ChatCompletionShape(AnswerShape):
    """`openai.types.chat.ChatCompletion`, with `conversation`, `response_id`, `turn_status`, `joined` and
    `input_required`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
    conversation: str
    response_id: str
    turn_status: Status
    joined: bool
    input_required: dict[str, Any] | None


class ModelShape(AnswerShape):
    """`openai.types.Model`: an agent. `description` is the agent's setting."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str | None


class ModelList(AnswerShape):
    """All agents."""

    object: Literal["list"]
    data: list[ModelShape]


class StatusShape(AnswerShape):
    """Of `/healthz` and `/readyz`."""

    status: str
    reason: str | None = None


class LaneShape(AnswerShape):
    """A conversation with turns that have not ended."""

    conversation: str
    agent: str
    running: str | None
    queued: int
    oldest_at: float


class LanesShape(AnswerShape):
    """The lanes; the counts of the whole server for admin keys only."""

    lanes: list[LaneShape]
    stats: dict[str, Any] | None


class TurnShape(AnswerShape):
    """A turn in Turnlane's own words."""

    id: str
    conversation: str
    agent: str
    status: Status
    attempt: int
    stop_asked: StopAsk | None


class TurnList(AnswerShape):
    """Turns, the newest first."""

    turns: list[TurnShape]
    has_more: bool


class OpenApiShape(AnswerShape):
    """This document."""

    openapi: str
    paths: dict[str, Any]

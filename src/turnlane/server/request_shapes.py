"""The bodies and queries that the server accepts; the OpenAPI document is made from them.

Field names and limits are OpenAI's (`ResponseCreateParams`, `CompletionCreateParams`,
`ConversationCreateParams` of the openai package).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from turnlane.runtime.conversation import Status, WhenBusy

MAX_ITEMS: Final = 1000
WHEN_BUSY_HEADER: Final = "Turnlane-When-Busy"
DEBOUNCE_HEADER: Final = "Turnlane-Debounce"
Identifier: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Metadata: TypeAlias = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]


DebounceSeconds: TypeAlias = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
"""The range of `AgentSettings.debounce`; a test compares them."""


class Shape(BaseModel):
    """Fields that are not listed are ignored: clients echo items back with more fields than we need."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Strict(BaseModel):
    """Fields that are not listed are refused: a misspelt `conversation` must not start a new one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Query(BaseModel):
    """The query of a URL, where everything is text and has to be read as what it means."""

    model_config = ConfigDict(extra="ignore", frozen=True)


# --- parts of a message ---


class InputText(Shape):
    """A text part."""

    type: Literal["input_text"]
    text: str


class OutputText(Shape):
    """A text part that an assistant wrote."""

    type: Literal["output_text"]
    text: str


IMAGE_PATTERN: Final = r"^data:image/"
DataUrl: TypeAlias = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN)]
"""Only images inside the request: fetching an address that a user names would let him reach our network."""


class InputImage(Shape):
    """An image, as a `data:` URL."""

    type: Literal["input_image"]
    image_url: DataUrl
    detail: Literal["auto", "low", "high", "original"] | None = None


def _tag_of_type(value: Any) -> str:
    """The tag of a part or an item. Tags begin with `|`, so that they are told from fields in error paths."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"|{kind}" if isinstance(kind, str) else "|"


def _tag_of_item(value: Any) -> str:
    """Like `_tag_of_type`; an item without a type is a message, as in OpenAI's `EasyInputMessage`."""
    tag = _tag_of_type(value)
    return "|message" if tag == "|" and isinstance(value, dict) and "type" not in value else tag


def _tag_of_text_or_list(value: Any) -> str:
    return "|text" if isinstance(value, str) else "|list"


Part: TypeAlias = Annotated[
    Annotated[InputText, Tag("|input_text")]
    | Annotated[OutputText, Tag("|output_text")]
    | Annotated[InputImage, Tag("|input_image")],
    Discriminator(_tag_of_type),
]


class InputMessage(Shape):
    """A message of the user, or an earlier one of the assistant."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[str, Tag("|text")]
        | Annotated[Annotated[list[Part], Field(min_length=1, max_length=MAX_ITEMS)], Tag("|list")],
        Discriminator(_tag_of_text_or_list),
    ]


class CallOutput(Shape):
    """The answer to a `function_call` named `request_user_input`."""

    type: Literal["function_call_output"]
    call_id: Identifier
    output: Annotated[
        Annotated[str, Tag("|text")]
        | Annotated[Annotated[list[InputText], Field(min_length=1, max_length=MAX_ITEMS)], Tag("|list")],
        Discriminator(_tag_of_text_or_list),
    ]


InputItem: TypeAlias = Annotated[
    Annotated[InputMessage, Tag("|message")] | Annotated[CallOutput, Tag("|function_call_output")],
    Discriminator(_tag_of_item),
]


# --- POST /v1/responses ---


class ConversationReference(Shape):
    """A conversation by its id."""

    id: Identifier


ConversationGiven: TypeAlias = Annotated[
    Annotated[Identifier, Tag("|text")] | Annotated[ConversationReference, Tag("|list")],
    Discriminator(_tag_of_text_or_list),
]


class TurnlaneOptions(Strict):
    """What OpenAI's API has no word for; `extra_body={"turnlane": {...}}` in the openai client."""

    when_busy: WhenBusy | None = Field(
        default=None,
        description="What the message does while its conversation has a turn that has not ended: `enqueue` waits, "
        "`reject` answers 409, `interrupt` stops it and keeps what it said, `rollback` stops and forgets it, "
        "`merge` joins the one that waits, `debounce` also waits for further messages. "
        "Without it: the agent's setting.",
    )
    debounce: DebounceSeconds | None = Field(
        default=None,
        description="Seconds without another message before the turn starts, with `when_busy` `debounce`. "
        "Without it: the agent's setting.",
    )
    notes: bool = Field(
        default=False,
        description="Streams also show `turnlane.note` events: handoffs, model calls and the framework's notes.",
    )


class TurnlaneHeaders(Query):
    """The same for clients that can't send fields of ours, as headers."""

    when_busy: WhenBusy | None = Field(default=None, alias=WHEN_BUSY_HEADER)
    debounce: DebounceSeconds | None = Field(default=None, alias=DEBOUNCE_HEADER)


class ResponseCreate(Strict):
    """`POST /v1/responses`. Which parameters are ignored or refused: `RESPONSE_PARAMETERS`."""

    model: Identifier = Field(description="The agent's name.")
    input: Annotated[
        Annotated[str, Tag("|text")]
        | Annotated[Annotated[list[InputItem], Field(min_length=1, max_length=MAX_ITEMS)], Tag("|list")],
        Discriminator(_tag_of_text_or_list),
    ]
    conversation: ConversationGiven | None = None
    previous_response_id: Identifier | None = None
    stream: bool | None = False
    background: bool | None = False
    metadata: Metadata | None = None
    turnlane: TurnlaneOptions | None = None
    # Refused when they ask for something, see `parameters.py`.
    tools: list[Any] | None = None
    instructions: str | None = None
    prompt: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    # Taken and ignored.
    access_programs: Any = None
    background_options: Any = None
    context_management: Any = None
    image: Any = None
    include: Any = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    moderation: Any = None
    parallel_tool_calls: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    reasoning: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None
    stream_options: Any = None
    temperature: Any = None
    tool_choice: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None
    user: Any = None


# --- /v1/conversations ---


class ConversationCreate(Strict):
    """`POST /v1/conversations`. The body may be left out."""

    metadata: Metadata | None = None
    items: Annotated[list[InputItem], Field(max_length=20)] | None = None


class ConversationUpdate(Strict):
    """`POST /v1/conversations/{conversation_id}`: replaces the metadata."""

    metadata: Metadata | None


class ItemsCreate(Shape):
    """`POST /v1/conversations/{conversation_id}/items`."""

    items: Annotated[list[InputItem], Field(min_length=1, max_length=20)]


# --- POST /v1/chat/completions ---


class ChatText(Shape):
    """A text part."""

    type: Literal["text"]
    text: str


class ChatImageUrl(Shape):
    """The image, as a `data:` URL."""

    url: DataUrl
    detail: Literal["auto", "low", "high"] | None = None


class ChatImage(Shape):
    """An image part."""

    type: Literal["image_url"]
    image_url: ChatImageUrl


ChatPart: TypeAlias = Annotated[
    Annotated[ChatText, Tag("|text")] | Annotated[ChatImage, Tag("|image_url")],
    Discriminator(_tag_of_type),
]


class ChatMessage(Shape):
    """One message. Tools run on the server, so there are no tool calls and no tool messages."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[str, Tag("|text")]
        | Annotated[Annotated[list[ChatPart], Field(min_length=1, max_length=MAX_ITEMS)], Tag("|list")],
        Discriminator(_tag_of_text_or_list),
    ]


class ChatStreamOptions(Shape):
    """Options of a stream."""

    include_usage: bool | None = False


class ChatCreate(Shape):
    """`POST /v1/chat/completions`. Other fields are ignored: chat clients send many of their own."""

    model: Identifier = Field(description="The agent's name.")
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_ITEMS)]
    stream: bool | None = False
    stream_options: ChatStreamOptions | None = None
    metadata: Metadata | None = Field(
        default=None, description="`metadata.conversation` names the conversation to go on with."
    )
    turnlane: TurnlaneOptions | None = None
    n: int | None = Field(default=None, description="Only 1.")
    tools: list[Any] | None = Field(default=None, description="Only an empty list: tools run on the server.")
    functions: list[Any] | None = Field(default=None, description="Only an empty list.")
    response_format: dict[str, Any] | None = Field(default=None, description="Only `text`.")


# --- queries ---


class ResponseQuery(Query):
    """Of `GET /v1/responses/{response_id}`."""

    stream: bool = Field(default=False, description="Stream the events instead of the answer.")
    starting_after: int | None = Field(
        default=None, ge=0, le=2**53, description="With `stream`: only events with a higher `sequence_number`."
    )


class ListQuery(Query):
    """Of the lists of items."""

    limit: int = Field(default=20, ge=1, le=100, description="How many items at most.")
    order: Literal["asc", "desc"] = Field(default="desc", description="`desc`: the newest first.")
    after: Identifier | None = Field(default=None, description="The id of the last item seen.")


class TurnsQuery(Query):
    """Of `GET /turns`."""

    status: Status | None = Field(default=None, description="Only turns with this status.")
    conversation: Identifier | None = Field(default=None, description="Only turns of this conversation.")
    limit: int = Field(default=50, ge=1, le=500, description="How many turns at most.")
    before: Identifier | None = Field(default=None, description="The id of the last turn seen.")


class LanesQuery(Query):
    """Of `GET /lanes`."""

    limit: int = Field(default=100, ge=1, le=1000, description="How many lanes at most.")

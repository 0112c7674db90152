"""`/v1/models`: the agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from turnlane.runtime.app import AgentSpec
from turnlane.runtime.conversation import JsonObject
from turnlane.server.answer import Answer, as_json
from turnlane.server.answer_shapes import ModelList, ModelShape
from turnlane.server.call import Call
from turnlane.server.operation import Operation


async def list_models(call: Call) -> Answer:
    agents = call.server.intake.agents.values()
    return as_json({"object": "list", "data": [_model(spec) for spec in agents]})


async def retrieve_model(call: Call) -> Answer:
    return as_json(_model(call.server.intake.agent(call.path("model"))))


def _model(spec: AgentSpec) -> JsonObject:
    return {
        "id": spec.name,
        "object": "model",
        "created": 0,  # agents have no date; the field is required
        "owned_by": "turnlane",
        "description": spec.settings.description,
    }


OPERATIONS: Final[Sequence[Operation]] = (
    Operation("GET", "/v1/models", list_models, "The agents of this server.", ModelList),
    Operation("GET", "/v1/models/{model}", retrieve_model, "One agent.", ModelShape, errors=(404,)),
)

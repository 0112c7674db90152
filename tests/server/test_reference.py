"""The reference page is current, and its lists are those of the installed openai package."""

from __future__ import annotations

import warnings
from pathlib import Path

import openai
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from turnlane.runtime.conversation import OUTPUT_ITEMS
from turnlane.server.output_items import to_wire
from turnlane.server.parameters import CHAT_PARAMETERS, RESPONSE_PARAMETERS
from turnlane.server.reference import ITEM_OF, main, page
from turnlane.server.request_shapes import ChatCreate, ResponseCreate

LOOKED_AT = (3, 54)
"""The openai release whose parameters were looked at last."""

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python -m turnlane.server.reference --write docs/reference/http.md"
    )


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    assert main(["--write", str(tmp_path / "new" / "http.md")]) == 0
    assert (tmp_path / "new" / "http.md").read_text(encoding="utf-8") == page()


def test_every_parameter_of_the_openai_package_is_listed() -> None:
    known = set(ResponseCreateParamsBase.__annotations__) | {"stream", "turnlane"}
    installed = tuple(map(int, openai.__version__.split(".")[:2]))
    if unlisted := known - set(RESPONSE_PARAMETERS):
        # The package has a release a week, and none of them may break this suite over night.
        assert installed > LOOKED_AT, unlisted
        warnings.warn(
            f"openai {openai.__version__} has {unlisted}: list them in server/parameters.py", stacklevel=1
        )
    if installed == LOOKED_AT:
        assert set(RESPONSE_PARAMETERS) <= known
    assert set(ResponseCreate.model_fields) == set(RESPONSE_PARAMETERS)


def test_every_chat_parameter_that_is_looked_at_is_listed() -> None:
    assert set(ChatCreate.model_fields) == set(CHAT_PARAMETERS)
    assert set(CHAT_PARAMETERS) - {"turnlane", "stream"} <= set(CompletionCreateParamsBase.__annotations__)


def test_every_neutral_item_has_its_wire_item() -> None:
    assert set(ITEM_OF) == set(OUTPUT_ITEMS)
    for kind, described in ITEM_OF.items():
        item = to_wire({"type": kind, "item": "1", "call": "c", "text": "x", "name": "t"})
        assert described.startswith(f"`{item['type']}`")

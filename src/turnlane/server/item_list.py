"""Pages of items in OpenAI's list shape."""

from __future__ import annotations

from collections.abc import Sequence

from turnlane.runtime.conversation import JsonObject
from turnlane.server.problem import not_found
from turnlane.server.request_shapes import ListQuery


def page(oldest_first: Sequence[JsonObject], query: ListQuery) -> JsonObject:
    """The page that a query asks for, out of all items.

    Raises:
        Problem: 404, there is no item `after`.
    """
    ordered = list(oldest_first) if query.order == "asc" else list(reversed(oldest_first))
    start = 0
    if query.after is not None:
        ids = [item["id"] for item in ordered]
        if query.after not in ids:
            raise not_found("item", query.after)
        start = ids.index(query.after) + 1
    return item_list(ordered[start : start + query.limit], has_more=len(ordered) > start + query.limit)


def item_list(items: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    """`ResponseItemList` and `ConversationItemList` of the openai package; an empty list has empty ids."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else "",
        "last_id": items[-1]["id"] if items else "",
        "has_more": has_more,
    }

"""OpenAI's error object, as an exception: raised where a request turns out wrong, sent by the app."""

from __future__ import annotations

import json


class Refusal(Exception):
    """An answer that is an error, in OpenAI's shape.

    `status` is the HTTP status; `kind`, `param` and `code` are the error object's `type`, `param` and `code`.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code

    def body(self) -> bytes:
        """The JSON body of the answer."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode()

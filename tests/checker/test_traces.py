"""The way to a finding, as users read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Files = Callable[[Mapping[str, str]], None]
Check = Callable[..., Any]

HELPER = (
    "import asyncio\n\n\ndef answer(text):\n    return asyncio.run(work(text))\n\n\nasync def work(text): ...\n"
)


def test_the_way_leads_from_the_handler_to_the_call(check: Check, files: Files) -> None:
    handler = "import fastapi, helper\napp = fastapi.FastAPI()\n\n\n@app.get('/')\nasync def chat():\n"
    files({"app.py": handler + "    helper.answer('')\n", "helper.py": HELPER})
    lines = check("--select", "TL101").out.splitlines()
    assert [line for line in lines if line.startswith(("  path:", "     ->"))] == [
        "  path: app.py:6:1 handler `chat` (FastAPI)",
        "     -> app.py:7:5 calls `answer`",
        "     -> helper.py:5:12 `asyncio.run`",
    ]


def test_a_function_that_nobody_calls_is_called_a_function(check: Check, files: Files) -> None:
    files({"helper.py": HELPER + "\n\nasync def ask():\n    answer('')\n"})
    assert "  path: helper.py:11:1 function `ask`\n" in check("--select", "TL101").out


def test_the_way_is_left_out_where_it_says_nothing(check: Check, files: Files) -> None:
    files({"ask.py": "import asyncio\n\n\nasync def ask():\n    asyncio.run(work())\n\n\nasync def work(): ...\n"})
    said = check("--select", "TL101")
    assert said.status == 1
    assert "  path:" not in said.out

"""Which functions start by themselves, and in which surroundings."""

from __future__ import annotations

import pytest
from tests.checker.python.programs import Checked

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{FASTAPI}@app.post('/')\nasync def chat(): pass", ["chat: FastAPI request, loop, many users"]),
        (
            f"{FASTAPI}@app.post('/')\ndef chat(): pass",
            ["chat: FastAPI request, no loop, many users, own thread"],
        ),
        (
            "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef chat(): pass",
            ["chat: Flask request, no loop, many users"],
        ),
        (
            f"{FASTAPI}async def chat(): pass\napp.add_api_route('/', chat)",
            ["chat: FastAPI request, loop, many users"],
        ),
        (
            "from fastapi import FastAPI\ndef make():\n    app = FastAPI()\n    @app.get('/')\n"
            "    async def chat(): pass\n    return app",
            ["make.chat: FastAPI request, loop, many users"],
        ),
        (
            f"{FASTAPI}class Api:\n    def __init__(self):\n        app.add_api_route('/', self.chat)\n"
            "    async def chat(self): pass",
            ["Api.chat: FastAPI request, loop, many users"],
        ),
        (
            "from mystery import app\n@app.get('/chat')\nasync def chat(): pass",
            ["chat: a web framework request, loop, many users"],
        ),
        ("from mystery import app\n@app.get('chat')\nasync def chat(): pass", []),
        ("from mystery import wrapped\n@wrapped\nasync def chat(): pass", []),
        (
            "import chainlit as cl\n@cl.on_message\nasync def chat(message): pass",
            ["chat: Chainlit callback, loop, many users"],
        ),
        (
            "import click\n@click.command()\ndef chat(): pass",
            ["chat: command line script, no loop, one user"],
        ),
        (
            "import threading\nclass Worker(threading.Thread):\n    def run(self): pass",
            ["Worker.run: thread thread, no loop, many users"],
        ),
        (
            "import threading\nclass Base(threading.Thread): pass\nclass Worker(Base):\n    def run(self): pass",
            ["Worker.run: thread thread, no loop, many users"],
        ),
        ("class Worker:\n    def run(self): pass", []),
        ("def test_chat(): pass", []),
        (
            "import signal\ndef stop(number, frame): pass\nsignal.signal(signal.SIGINT, stop)",
            ["stop: signal handler callback, no loop, one user"],
        ),
        (
            "if __name__ == '__main__':\n    print()",
            ["__main__: script, no loop, one user"],
        ),
        ("", []),
    ],
)
def test_what_starts_by_itself(code: str, expected: list[str]) -> None:
    assert Checked(f"# file: main.py\n{code}\n").entries() == expected


def test_a_test_is_found_by_its_name_in_a_file_of_tests() -> None:
    program = Checked("# file: test_chat.py\nasync def test_chat(): pass\ndef helper(): pass\n")

    assert program.entries() == ["test_chat: pytest test, loop, one user"]


def test_a_dependency_and_a_registration_may_stand_in_other_files() -> None:
    program = Checked(
        "from api import chat\nfrom web import app\napp.get('/x')(chat)\n"
        "# file: api.py\nasync def chat(): pass\n# file: web.py\nfrom fastapi import FastAPI\napp = FastAPI()\n"
    )

    assert program.entries() == ["chat: FastAPI request, loop, many users"]


def test_only_a_streamlit_script_that_nobody_imports_runs_for_each_user() -> None:
    program = Checked(
        "# file: page.py\nimport streamlit as st\nimport kept\nagent = Agent()\nst.title('x')\nclass Agent: pass\n"
        "# file: kept.py\nimport streamlit as st\nst.title('x')\n"
        "# file: plain.py\nprint()\n"
    )

    assert program.entries() == [": Streamlit page, no loop, many users"]
    assert program.project.evaluator.per_run_modules == {"page.py"}


def test_what_a_streamlit_script_makes_is_made_for_each_run() -> None:
    code = "import streamlit as st\nclass Agent: pass\nagent = Agent()\nst.title('x')\ndef f(): look(agent)\nf()\n"

    assert Checked(code).met() == ["Agent"]


def test_top_levels_run_apart_from_what_the_main_guard_holds() -> None:
    program = Checked("look(1)\nif __name__ == '__main__':\n    look(2)\n")

    assert {site.situation.kind: site.call.span.line for site in program.sites()} == {"script": 3, "import": 1}

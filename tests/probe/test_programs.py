"""Programs that the probe starts itself, under the guard; and those that do not start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from turnlane.probe import attribute
from turnlane.probe.attribute import attributor
from turnlane.probe.belonging import TAG
from turnlane.probe.conditions import Conditions
from turnlane.probe.options import ProbeOptions, prepared, run
from turnlane.probe.outcome import LevelOutcome
from turnlane.probe.program import LONGEST_LINE, Program
from turnlane.probe.reach import free_port
from turnlane.probe.report import Report
from turnlane.probe.trouble import ProbeError

pytestmark = pytest.mark.anyio

HANDLERS = '''
import asyncio, dataclasses, os, time
import httpx2

http = None

async def ask(text, base="https://api.openai.com/v1"):
    """The provider's address stands in the source, as in many programs."""
    global http
    http = http or httpx2.AsyncClient()
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    answer = await http.post(f"{base}/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]

async def plain(message: str) -> str:
    return await ask(message)

def blocking(question, user_id, *, session_id=None) -> dict:
    body = {"model": "m", "messages": [{"role": "user", "content": f"{user_id} in {session_id}: {question}"}]}
    answer = httpx2.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    return {"reply": answer.json()["choices"][0]["message"]["content"]}

async def streamed(message: str):
    for word in (await ask(message)).split(" "):
        yield word + " "

@dataclasses.dataclass
class Body:
    text: str
    thread_id: str

class Service:
    async def __call__(self, body: Body) -> str:
        return await ask(body.text)

service = Service()

async def breaks(message: str) -> str:
    await ask(message)
    return inner({})

def inner(orders):
    return orders["P-404"]

stumbled = []

async def stumbles(message: str) -> str:
    await ask(message)
    if not stumbled:
        stumbled.append(message)
        raise TypeError("no date")
    raise ValueError("half a file")

served = []

async def dies(message: str) -> str:
    served.append(message)
    if len(served) > 17:
        print("out of memory", flush=True)
        os._exit(3)
    return await ask(message)

async def needs_more(message: str, database) -> str:
    return ""
'''

APP = """
import os
import httpx2
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

async def chat(request):
    said = await request.json()
    body = {"model": "m", "messages": [{"role": "user", "content": said["message"]}]}
    async with httpx2.AsyncClient() as http:
        await http.post(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json=body)
    raise LookupError("no such order")

app = Starlette(routes=[Route("/chat", chat, methods=["POST"])])
"""


async def level(options: ProbeOptions, conditions: Conditions | None = None) -> LevelOutcome:
    """One level of the target."""
    made = prepared(options)
    async with made.session as session:
        return await session.run_level(conditions or Conditions(concurrency=2, turns=1, latency=0.0))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "web.py").write_text(APP)
    return str(tmp_path)


async def test_a_blocking_function_gets_what_its_parameters_are_called(folder: str) -> None:
    outcome = await level(ProbeOptions(target="handlers:blocking", directory=folder))
    assert outcome.level.errors == {}
    prompts = {number: record.body["messages"][0]["content"] for number, record in outcome.recorded.items()}
    for request in outcome.requests:
        (call,) = request.calls
        assert prompts[call.number].startswith("user-")
        assert prompts[call.number].endswith(f" in {request.conversation}: {request.prompt}")
        assert "Noted: echo" in request.answer


async def test_an_address_in_the_source_leads_to_the_probe_and_says_for_whom(folder: str) -> None:
    outcome = await level(ProbeOptions(target="handlers:streamed", directory=folder))
    assert outcome.level.provider_calls_per_request == 1
    assert {record.headers.get(TAG) for record in outcome.recorded.values()} == {r.id for r in outcome.requests}


async def test_the_inner_exception_is_the_cause_with_its_line(folder: str) -> None:
    outcome = await level(ProbeOptions(target="handlers:breaks", directory=folder))
    causes = [request.cause for request in outcome.requests if request.cause]
    assert [cause.text for cause in causes] == ["KeyError: 'P-404'"] * 2
    assert all(cause.frames[-1].function == "inner" for cause in causes)


async def test_what_only_the_first_request_met_is_told(folder: str) -> None:
    report = await probed(ProbeOptions(target="handlers:stumbles", directory=folder, levels=(1,), rounds=1))
    assert set(report.levels[0].errors) == {"ValueError: half a file"}
    told = "The very first request, before the ramp, failed otherwise than all later ones: TypeError: no date."
    assert told in report.notes


async def test_a_program_that_dies_is_told_and_no_fresh_process_makes_a_cause(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute, "TRIALS", ())
    options = ProbeOptions(target="handlers:dies", directory=folder, levels=(1, 8), rounds=1)
    report = await run(options, attributor=lambda prepared: attributor())
    assert report.codes == frozenset()
    assert any("ended with status 3 while 8 users" in note and "out of memory" in note for note in report.notes)


async def test_a_parameter_that_nothing_fits_is_told(folder: str) -> None:
    with pytest.raises(ProbeError, match=r"^handlers:needs_more cannot be called: .* 'database' [^{]*$"):
        await probed(ProbeOptions(target="handlers:needs_more", directory=folder))


async def test_an_app_with_a_route_shows_what_its_500_hides(folder: str) -> None:
    options = ProbeOptions(
        target="web:app", url="/chat", json={"message": "{prompt}"}, directory=folder, levels=(1, 2), rounds=1
    )
    report = await probed(options)
    assert {cause for level in report.levels for cause in level.errors} == {"LookupError: no such order"}
    cause = report.requests[0].cause
    assert cause is not None
    assert (Path(cause.frames[-1].file).name, cause.frames[-1].function) == ("web.py", "chat")


async def test_a_name_that_cannot_be_hosted_is_one_sentence(folder: str) -> None:
    (Path(folder) / "broken.py").write_text("raise ValueError('no key:\\n  set SHOP_KEY')\n")
    with pytest.raises(ProbeError, match=r"^broken cannot be imported: ValueError: no key: set SHOP_KEY$"):
        await level(ProbeOptions(target="broken:chat", directory=folder))


async def test_what_is_nothing_to_call_is_one_sentence(folder: str) -> None:
    (Path(folder) / "settings.py").write_text("port = 8000\n")
    with pytest.raises(ProbeError, match=r"^int cannot be called: name a function, an app, or an agent\.$"):
        await level(ProbeOptions(target="settings:port", directory=folder))


async def test_a_file_of_a_package_imports_its_neighbours(folder: str) -> None:
    package = Path(folder) / "shop" / "api"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package.parent / "words.py").write_text("HELLO = 'Hello from next door'\n")
    (package / "chat.py").write_text(
        "from ..words import HELLO\nimport shop.api\n\nasync def chat(message):\n    return HELLO\n"
    )
    outcome = await level(ProbeOptions(target="shop/api/chat.py:chat", directory=folder))
    assert {request.answer for request in outcome.requests} == {"Hello from next door"}


def command(program: str) -> str:
    return f"{sys.executable} -c '{program}'"


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (command('print("no database"); raise SystemExit(3)'), r"ended with status 3 before.*\n  no database"),
        ("no-such-program-at-all {port}", "There is no command no-such-program-at-all: check its name"),
    ],
)
async def test_a_program_that_does_not_start_shows_its_last_words(start: str, sentence: str) -> None:
    with pytest.raises(ProbeError, match=sentence):
        await level(ProbeOptions(url="http://127.0.0.1:{port}/chat", start=start))


async def test_a_port_that_is_taken_is_told_and_the_program_ends_with_its_session(folder: str) -> None:
    made = prepared(ProbeOptions(target="handlers:plain", directory=folder))
    async with made.session as session:
        await session.start_program()
        program = session.program
        assert program is not None
        taken = ProbeOptions(url=f"http://127.0.0.1:{session.target.port}/chat", start=command("pass"))
        with pytest.raises(ProbeError, match=r"answers at .* already"):
            await level(taken)
    assert program.status is not None


async def test_another_environment_starts_it_anew(folder: str) -> None:
    made = prepared(ProbeOptions(target="handlers:plain", directory=folder))
    quick = Conditions(turns=1, latency=0.0)
    pids = []
    async with made.session as session:
        for conditions in (
            quick,
            quick,
            Conditions(turns=1, latency=0.0, environment={"SHOP": "two"}),
        ):
            outcome = await session.run_level(conditions)
            assert outcome.level.errors == {}
            assert session.program is not None
            pids.append(session.program.pid)
        assert session.guarded
    assert pids[0] == pids[1]
    assert pids[1] != pids[2]


async def test_no_temporary_folder_is_one_sentence(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", f"{folder}/gone")
    made = prepared(ProbeOptions(target="handlers:plain", directory=folder))
    with pytest.raises(ProbeError, match=r"^No temporary folder can be made: .* Set TMPDIR"):
        await made.session.__aenter__()
    with pytest.raises(RuntimeError, match="not started"):
        assert made.session.side.base_url


async def test_a_line_that_never_ends_is_kept_in_pieces() -> None:
    writes = f'import sys; sys.stdout.write("x" * {10 * LONGEST_LINE} + "\\nthe end"); raise SystemExit(3)'
    program = Program((sys.executable, "-c", writes), os.environ)
    with pytest.raises(ProbeError, match="the end"):
        await program.start("127.0.0.1", free_port())
    assert len(program.lines) > 2
    assert max(len(line.text) for line in program.lines) <= LONGEST_LINE


async def probed(options: ProbeOptions) -> Report:
    return await run(options)


SLOW = """
import http.server, sys, time

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()

    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello")

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)  # accepts from here on
time.sleep(1.0)  # and answers from here on, as a worker that still imports
server.serve_forever()
"""


async def test_a_program_that_listens_before_it_can_answer_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    start = f"{sys.executable} slow.py {{port}}"
    options = ProbeOptions(url="http://127.0.0.1:{port}/chat", start=start, directory=str(tmp_path))
    outcome = await level(options, Conditions(turns=1))
    (request,) = outcome.requests
    assert request.answer == "Hello"
    assert request.seconds < 0.9


TOUCHY = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        os._exit(1)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello")

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def test_a_program_that_dies_of_what_it_never_expects_is_asked_for_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "touchy.py").write_text(TOUCHY)
    start = f"{sys.executable} touchy.py {{port}}"
    options = ProbeOptions(url="http://127.0.0.1:{port}/chat", start=start, directory=str(tmp_path))
    (request,) = (await level(options, Conditions(turns=1))).requests
    assert request.answer == "Hello"

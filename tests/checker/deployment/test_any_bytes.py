"""Whatever the bytes of a file are: it is read or told about, never an exception, and every place is in it."""

from __future__ import annotations

import pickle
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnlane.checker.deployment.facts import DeploymentFile, Span
from turnlane.checker.deployment.language import DEPLOYMENT
from turnlane.checker.finding import Finding
from turnlane.checker.rules import all_rules
from turnlane.checker.settings import Settings
from turnlane.checker.source import Source
from turnlane.checker.texts import Texts

NAMES = (
    "requirements.txt", "dev-requirements.in", "constraints.txt", "pyproject.toml", "uv.lock", "Pipfile.lock",
    "Pipfile", "setup.cfg", "setup.py",
    "environment.yml", "package.json", "Dockerfile", "compose.yaml", "Procfile",
    "gunicorn.conf.py", "web.service", "run.sh", "Makefile", "vercel.json", "host.json", "serverless.yml",
    "template.yaml", "fly.toml", "railway.json", ".python-version", ".nvmrc", ".tool-versions", "runtime.txt",
)  # fmt: skip

PIECES = (
    "pyautogen", "autogen-agentchat", "autogen-ext[openai]", "ag2", ">=0.2", "==0.7.*", "~=", "^1", "@",
    "-r ", "\n", "\r\n", "\r", " ", "\t", "\\\n", '"', "'", '"""', "[", "]", "{", "}", "[[package]]",
    "name = ", "version = ", "dependencies", "project", "tool.poetry", "=", ":", ",", "#", ";", "&&", "$(",
    "((", "FROM python:3.9", "CMD ", "RUN pip install ", "gunicorn ", "--preload", "-w", "-c", "sh -c ",
    "web: ", "ExecStart=", "AWS::Lambda::Function", "Resources:", "Type: ", "provider:",
    "serving.knative.dev/v1", "functions", "maxDuration", "functionTimeout", '"00:00:30"', "&a ", "*a",
    "install_requires=[", "setup(",
    "!Ref ", "- ", "engines", "node", "9" * 30, "é", "😀", "\ufeff", "\x00", "1.5", "...",
)  # fmt: skip

texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def spans(value: object) -> list[Span]:
    if isinstance(value, Span):
        return [value]
    return [span for part in value for span in spans(part)] if isinstance(value, tuple) else []


def read(name: str, data: bytes) -> DeploymentFile:
    facts = DEPLOYMENT.extract(name, data)
    assert pickle.loads(pickle.dumps(facts)) == facts
    for said in DEPLOYMENT.check({name: facts}, Texts({}), all_rules(("deployment",)), Settings()):
        assert isinstance(said, Finding) or said.path == name
    return facts


@given(name=st.sampled_from(NAMES), data=st.binary(max_size=200) | texts.map(str.encode))
@settings(max_examples=400, deadline=None)
def test_any_bytes(name: str, data: bytes) -> None:
    assert DEPLOYMENT.takes(f"some/folder/{name}")
    read(name, data)


@given(name=st.sampled_from(NAMES), text=texts)
@settings(max_examples=200, deadline=None)
def test_places_are_in_the_file(name: str, text: str) -> None:
    source = Source(name, text.removeprefix("\ufeff"))
    for span in spans(read(name, text.encode())):
        assert 1 <= span.line <= len(source.lines)
        assert 0 <= span.column <= span.end_column <= len(source.line(span.line).encode())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 30_000,
        '{"a":' * 15_000,
        "a: " * 3_000,
        "- " * 8_000,
        'dependencies = ["' + "x" * 60_000,
        "FROM " + "$" * 15_000,
        "RUN pip install " + "a[" * 8_000,
        "CMD gunicorn " + "\\\n" * 8_000,
        "CMD gunicorn " + "$(" * 8_000,
        '"' * 30_001,
        "'''" * 30_001,
        "dependencies: [gunicorn, " + "&a " * 1_000,
        " " * 60_000 + "x",
        "pyautogen" + "." * 30_000,
        "ag2>=" + "1." * 15_000,
        "\\" * 30_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_files_end_soon(name: str, hostile: str) -> None:
    begun = time.process_time()
    read(name, f"# gunicorn pip install\n{hostile}".encode())
    read(name, hostile.encode())
    assert time.process_time() - begun < 5


def test_aliases_of_aliases_do_not_explode() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30))
    begun = time.process_time()
    read("template.yaml", f"AWS::Lambda::Function: &l0 [x]\n{levels}\nloop: &loop [*loop]\n".encode())
    assert time.process_time() - begun < 5


def test_reading_imports_nothing_heavy() -> None:
    import subprocess

    program = (
        "import sys\n"
        "from turnlane.checker.deployment.language import DEPLOYMENT\n"
        "DEPLOYMENT.extract('requirements.txt', b'pyautogen>=0.2')\n"
        "DEPLOYMENT.extract('Dockerfile', b'FROM python:3.9')\n"
        "print(*{'yaml', 'tomllib', 'asyncio', 'dataclasses', 'pydantic', 'packaging'} & set(sys.modules))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(said.stdout.split()) <= {"dataclasses"}, "settings.py is a dataclass"

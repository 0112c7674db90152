"""`turnlane practice` as a process."""

from __future__ import annotations

import signal

import httpx2

from .conftest import PATIENCE, Run


def test_it_answers_until_a_signal(run: Run) -> None:
    provider = run("practice", "--port", "0")
    url = provider.wait_for("practice provider on ").split()[-1]
    assert provider.wait_for("export OPENAI_BASE_URL=").count(url) == 1
    body = {"model": "any", "messages": [{"role": "user", "content": "Hello! My name is Ann."}]}
    answer = httpx2.post(f"{url}/chat/completions", json=body, trust_env=False, timeout=PATIENCE).json()
    assert "Ann" in answer["choices"][0]["message"]["content"]
    provider.send(signal.SIGTERM)
    assert provider.end() == 0


def test_script_that_is_wrong(run: Run) -> None:
    process = run("practice", "--script", "gone.yaml", "--port", "0")
    assert process.end() == 2
    assert process.stderr[0].startswith("turnlane: ")
    assert "gone.yaml" in process.stderr[0]

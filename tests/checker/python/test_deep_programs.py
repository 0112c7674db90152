"""Values that come by way of very many functions: the question ends, and no rule stops."""

from pathlib import Path

import pytest

from turnlane.checker.discovery import discover
from turnlane.checker.run import check
from turnlane.checker.settings import Settings

CHAINS = {
    "returned": "def f{n}(x):\n    return f{before}(x)\n",
    "assigned": "def f{n}(x):\n    value = f{before}(x)\n    return value\n",
    "member": "def f{n}(x):\n    value = [f{before}(x).a for _ in x][0]\n    return value.b\n",
    "variable": "f{n} = f{before}\n",
    "called": "f{n} = f{before}(1)\n",
}


@pytest.mark.parametrize("step", CHAINS.values(), ids=CHAINS)
def test_a_long_chain_of_values_stops_no_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    links = "".join(step.format(n=n, before=n - 1) for n in range(1, 500))
    program = f"import asyncio\n\n\ndef f0(x):\n    return asyncio\n{links}\nf499.run(1)\nf499(2).run(3)\n"
    (tmp_path / "main.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    outcome = check(discover(["."], settings, start=str(tmp_path)), settings, jobs=1)
    assert [note.text for note in outcome.notes] == []

"""No file makes the extractor raise, and what it keeps of a file that parses is complete.

`make sweep` reads the whole standard library, its own tests included; here a sample stands for it.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import time
from pathlib import Path

import hypothesmith
import pytest
from hypothesis import HealthCheck, given, settings
from tests.checker.python.conformity import faults
from tests.checker.python.mutation import mutated
from tests.checker.python.sweep import faults_of

from turnlane.checker.python.extract import extract
from turnlane.checker.source import Unreadable, decode

STDLIB = Path(sysconfig.get_path("stdlib"))


def sample(count: int, seed: int) -> list[Path]:
    """Some files of the standard library, and of its tests where they are installed."""
    folders = [STDLIB, STDLIB / "asyncio", STDLIB / "test", STDLIB / "test" / "test_asyncio", STDLIB / "lib2to3"]
    found = [path for folder in folders for path in sorted(folder.glob("*.py")) if path.stat().st_size < 60_000]
    return random.Random(seed).sample(found, count)


@pytest.mark.parametrize("seed", range(4))
def test_the_standard_library_is_read_completely(seed: int) -> None:
    wrong = {path.name: found for path in sample(25, seed) if (found := faults_of(path)[1])}
    assert not wrong


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_read(seed: int) -> None:
    chance = random.Random(seed)
    for path in sample(15, seed + 100):
        data = mutated(path.read_bytes(), chance, chance.choice((1, 2, 5, 40)))
        found = extract(path.name, data)
        try:
            text = decode(data)
        except Unreadable:
            assert found.problems
        else:
            assert not faults(found, text), f"{path}, seed {seed}"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(hypothesmith.from_grammar())
def test_every_program_of_the_grammar_is_read(code: str) -> None:
    assert not faults(extract("grammar.py", code.encode("utf-8", "surrogatepass")), code)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(hypothesmith.from_node())
def test_every_program_of_the_tree_is_read(code: str) -> None:
    assert not faults(extract("tree.py", code.encode("utf-8", "surrogatepass")), code)


def test_recovery_keeps_nearly_everything() -> None:
    chance = random.Random(11)
    calls = kept = 0
    for path in sample(40, 7):
        data = path.read_bytes()
        found = extract(path.name, mutated(data, chance, 1))
        if found.recovered:
            calls += sum(isinstance(node, ast.Call) for node in ast.walk(ast.parse(data)))
            kept += sum(len(scope.calls) for scope in found.scopes)
    assert kept > 0.8 * calls > 0


def test_a_large_broken_file_is_given_up_in_time() -> None:
    data = b"".join(b"def f%d(:\n    a(b c)\n    print 'x' 'y' z w\n" % number for number in range(4_000))
    start = time.process_time()
    extract("large.py", data)
    assert time.process_time() - start < 20

"""Scripts from files: YAML, or Python with a function `answer(request)`."""

from __future__ import annotations

import importlib.util
import traceback
from dataclasses import fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .answer import ToolCall
from .budget import Budget
from .faults import Fault
from .mistake import ScriptError
from .rule import Plan, Rule, Step
from .script import Script
from .yaml_place import Place, read_yaml

_SCRIPT_KEYS = ("rules", "fallback", "latency", "tokens_per_second", "faults", "budget", "models", "seed")
_RULE_KEYS = tuple(field.name for field in fields(Rule))
_FAULT_KEYS = tuple(field.name for field in fields(Fault))
_CALL_KEYS = tuple(field.name for field in fields(ToolCall))
_BUDGET_KEYS = ("requests_per_second", "burst")


def load_script(path: str | Path) -> Script:
    """The script in a `.py` file, or in any other file as YAML.

    Raises:
        ScriptError: the file cannot be read or used; one sentence that names file and line.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read: {error.strerror}") from None
    return _python_script(path) if path.suffix == ".py" else parse_script(raw, str(path))


@cache
def default_script() -> Script:
    """The script that is used when none is given: a support agent's model, and a writer and a critic."""
    return parse_script(files(__package__).joinpath("default.yaml").read_bytes(), "default.yaml")


def parse_script(raw: bytes | str, name: str) -> Script:
    """A script from YAML text; `name` is what messages call it.

    Raises:
        ScriptError: one sentence that names `name`, the line and the rule.
    """
    place = read_yaml(raw, name)
    given = place.entries(_SCRIPT_KEYS, "the script")
    options: dict[str, Any] = {key: entry.value for key, entry in given.items()}
    if "rules" in given:
        options["rules"] = [_rule(item) for item in given["rules"].items("'rules'", "rule")]
    if "faults" in given:
        options["faults"] = [_fault(item) for item in given["faults"].items("'faults'", "fault")]
    if "budget" in given:
        options["budget"] = _budget(given["budget"])
    with place.explaining():
        return Script(**options, name=name)


def _rule(place: Place) -> Rule:
    given = place.entries(_RULE_KEYS, "a rule")
    options: dict[str, Any] = {key: entry.value for key, entry in given.items()}
    if "call" in given:
        options["call"] = _plan(given["call"])
    if "fault" in given:
        options["fault"] = _fault(given["fault"])
    with place.explaining():
        return Rule(**options)


def _plan(place: Place) -> Plan:
    if not isinstance(place.value, list):
        return _call(place)
    return [_step(item) for item in place.items("'call'")]


def _step(place: Place) -> Step:
    if not isinstance(place.value, list):
        return _call(place)
    return [_call(item) for item in place.items("'call'")]


def _call(place: Place) -> ToolCall:
    if isinstance(place.value, str):
        return ToolCall(place.value)
    options = {key: entry.value for key, entry in place.entries(_CALL_KEYS, "a tool call").items()}
    if "tool" not in options:
        raise place.error("a tool call needs a key 'tool'")
    with place.explaining():
        return ToolCall(**options)


def _fault(place: Place) -> Fault:
    with place.explaining():
        if isinstance(place.value, str):
            return Fault(place.value)  # type: ignore[arg-type]  # checked by Fault
    options = {key: entry.value for key, entry in place.entries(_FAULT_KEYS, "a fault").items()}
    if "kind" not in options:
        raise place.error("a fault needs a key 'kind'")
    with place.explaining():
        return Fault(**options)


def _budget(place: Place) -> Budget:
    with place.explaining():
        if isinstance(place.value, int | float):
            return Budget(place.value)
    options = {key: entry.value for key, entry in place.entries(_BUDGET_KEYS, "a budget").items()}
    if "requests_per_second" not in options:
        raise place.error("a budget needs a key 'requests_per_second'")
    with place.explaining():
        return Budget(**options)


def _python_script(path: Path) -> Script:
    spec = importlib.util.spec_from_file_location(f"practice_script_{path.stem}", path)
    assert spec is not None  # .py files always have one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ScriptError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise ScriptError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    answer = getattr(module, "answer", None)
    if not callable(answer):
        raise ScriptError(f"{path}: a Python script needs a function answer(request)")
    return Script(answer=answer, name=str(path))

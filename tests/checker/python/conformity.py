"""What must hold of the facts of any file, checked against the syntax tree they were made from."""

from __future__ import annotations

import ast
import pickle
import warnings
from collections import Counter
from collections.abc import Iterator

from turnlane.checker.python.facts import CallRef, Function, Module, Scope

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def faults(module: Module, text: str) -> list[str]:
    """What is wrong with the facts of `text`, in words; the second half only for a text that parses."""
    found = [*_faults_of_structure(module)]
    if pickle.loads(pickle.dumps(module, pickle.HIGHEST_PROTOCOL)) != module:
        found.append("does not survive pickling")
    if module.recovered or any("nested too deeply" in problem for _, problem in module.problems):
        return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [*found, "parses no tree, and the facts say nothing of it"] if not module.problems else found
    return [*found, *_faults_against(module, tree)]


# --- Against the tree ----------------------------------------------------------------------------------------


def _faults_against(module: Module, tree: ast.Module) -> Iterator[str]:
    quoted: set[tuple[int, int]] = set()
    calls: Counter[tuple[int, ...]] = Counter()
    names: Counter[tuple[str, int, int]] = Counter()
    scopes = 1
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str()):
                quoted.add((node.lineno, node.col_offset))
            case ast.Call():
                calls[node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0] += 1
            case ast.Name(ctx=ast.Load() | ast.Del()):
                names[node.id, node.lineno, node.col_offset] += 1
            case _:
                scopes += isinstance(node, DEFINITIONS)
    kept = Counter(tuple(call.span) for scope in module.scopes for call in scope.calls)
    read = Counter((one.name, one.line, one.column) for scope in module.scopes for one in scope.reads)
    yield from (f"call {span} is missing" for span in calls - kept)
    yield from (f"call {span} is too many" for span in kept - calls if span[:2] not in quoted)
    yield from (f"read {name} is missing" for name in names - read)
    yield from (f"read {name} is too many" for name in read - names if name[1:] not in quoted)
    if len(module.scopes) < scopes:
        yield f"{scopes} scopes, {len(module.scopes)} kept"


# --- In themselves -------------------------------------------------------------------------------------------


def _faults_of_structure(module: Module) -> Iterator[str]:
    for number, scope in enumerate(module.scopes):
        if scope.number != number or scope.parent >= number or (scope.parent < 0) != (number == 0):
            yield f"scope {number} is out of place"
        for fault in (*_faults_of_uses(scope), *_faults_of_blocks(scope), *_faults_of_references(module, scope)):
            yield f"{scope.qualname or 'module'}: {fault}"
    for guard in module.main_guard:
        if not 0 < guard < len(module.scopes[0].blocks):
            yield f"main guard {guard} is no block"


def _faults_of_uses(scope: Scope) -> Iterator[str]:
    for number, call in enumerate(scope.calls):
        if call.use in ("argument", "callee") and not number < call.user < len(scope.calls):
            yield f"call {number} is used by call {call.user}"
    for use in (*scope.calls, *scope.reads):
        if use.use in ("argument", "callee"):
            wrong = not 0 <= use.user < len(scope.calls)
        elif use.use == "assigned":
            wrong = not -1 <= use.user < len(scope.assignments)
        else:
            wrong = use.user != -1
        if wrong:
            yield f"{use.use} of {use.user}"
    befores = [assignment.after for assignment in scope.assignments]
    if befores != sorted(befores) or any(not 0 <= after <= len(scope.calls) for after in befores):
        yield f"assignments are out of order: {befores}"


def _faults_of_blocks(scope: Scope) -> Iterator[str]:
    for number, block in enumerate(scope.blocks):
        if not -1 <= block.parent < max(number, 1) or block.end_line < block.line or block.partner >= number:
            yield f"block {number} is {block}"
    for one in (*scope.calls, *scope.reads, *scope.assignments, *scope.results, *scope.yields, *scope.raises):
        if not 0 <= one.block < len(scope.blocks):
            yield f"block {one.block} of {one}"


def _faults_of_references(module: Module, scope: Scope) -> Iterator[str]:
    parents = module.scopes[max(scope.parent, 0)]
    for around, parts in (
        (parents, (scope.decorators, scope.bases, scope.returns, scope.parameters)),
        (scope, (scope.calls, scope.assignments, scope.results, scope.yields, scope.raises, scope.blocks)),
    ):
        for part in _parts(parts):
            if isinstance(part, CallRef) and part.number >= len(around.calls):
                yield f"{part} of {len(around.calls)}"
            if isinstance(part, Function) and module.scopes[part.scope].kind != "lambda":
                yield f"{part} is no lambda"


def _parts(value: object) -> Iterator[tuple[object, ...]]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            yield part
            waiting.extend(part)

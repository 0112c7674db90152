"""What a `package.json` asks for: agent SDKs, their relatives, and the Node they run on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from turnlane.checker import json_spans
from turnlane.checker.deployment.facts import DeploymentFile, Engines, Requirement, Runtime
from turnlane.checker.deployment.platforms import json_problem
from turnlane.checker.deployment.published import NODE_SDKS
from turnlane.checker.deployment.requirements import span
from turnlane.checker.json_spans import Value
from turnlane.checker.source import Source

_RELATIVES = re.compile(r"ai|@ai-sdk/.+|@langchain/.+|@openai/agents.*|@mastra/.+|@autogen/.+")
_ELSEWHERE = re.compile(
    r"(?:workspace|file|link|portal|git\+?\w*|https?|github|catalog|npm|patch):|[\w.-]+/[\w.-]+$"
)
_OTHER_RUNTIME = re.compile(r"\b(?:bunx?|deno|wrangler) ")
_GROUPS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")


def package_json(path: str, source: Source) -> DeploymentFile:
    """Read a `package.json`."""
    if not source.text.strip():
        return DeploymentFile(path, "package.json")
    try:
        json.loads(source.text)
        return _package(path, source)
    except (ValueError, IndexError, RecursionError) as error:
        return DeploymentFile(path, "package.json", problems=(json_problem(error),))


def _package(path: str, source: Source) -> DeploymentFile:
    top = json_spans.value(source.text, 0)
    if not isinstance(top.data, dict):
        return DeploymentFile(path, "package.json")
    found: list[Requirement] = []
    engines: Engines | None = None
    runtimes: tuple[Runtime, ...] = ()
    for key, member in json_spans.members(source.text, top.start):
        if not isinstance(member.data, dict):
            continue
        if key in _GROUPS:
            found += _requirements(key, member, source)
        elif key == "engines":
            engines = _engines(member, source)
        elif key == "volta":
            runtimes = tuple(_volta(member, source))
    name = top.data.get("name")
    scripts = top.data.get("scripts")
    return DeploymentFile(
        path,
        "package.json",
        tuple(found),
        runtimes=runtimes,
        engines=engines,
        name=name if isinstance(name, str) else "",
        other_runtime="devEngines" in top.data or _OTHER_RUNTIME.search(json.dumps(scripts)) is not None,
    )


def _requirements(group: str, table: Value, source: Source) -> Iterator[Requirement]:
    at = table.start
    for name, member in json_spans.members(source.text, table.start):
        # The name stands between the value before and its own value.
        start = source.text.find('"', at + 1)
        at = member.end
        if not isinstance(member.data, str) or not (name in NODE_SDKS or _RELATIVES.fullmatch(name)):
            continue
        yield Requirement(
            "npm",
            name,
            member.data,
            span(source, start, member.end),
            group="" if group == "dependencies" else group,
            direct=_ELSEWHERE.match(member.data) is not None,
        )


def _engines(table: Value, source: Source) -> Engines | None:
    node = json_spans.member(source.text, table.start, "node")
    if node is None or not isinstance(node.data, str):
        return None
    return Engines(node.data, span(source, node.start, node.end))


def _volta(table: Value, source: Source) -> Iterator[Runtime]:
    node = json_spans.member(source.text, table.start, "node")
    if node is not None and isinstance(node.data, str):
        yield Runtime("node", node.data, span(source, node.start, node.end))

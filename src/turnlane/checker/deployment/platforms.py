"""Time limits of functions and requests: Vercel, Serverless Framework, SAM, CloudFormation, Cloud Run, Azure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from turnlane.checker import json_spans
from turnlane.checker.deployment.commands import commands, server
from turnlane.checker.deployment.facts import DeploymentFile, Server, TimeLimit
from turnlane.checker.deployment.requirements import span
from turnlane.checker.deployment.toml_values import values
from turnlane.checker.deployment.yaml_nodes import Node, read_yaml
from turnlane.checker.source import Source

LAMBDA_DEFAULT = 3.0
"""Seconds that AWS gives a function whose template says nothing."""
SERVERLESS_DEFAULT = 6.0
"""Seconds that the Serverless Framework asks AWS for when its file says nothing."""


def _seconds(text: object) -> float | None:
    """A number of seconds; None for a reference that only a deployment knows."""
    try:
        return float(str(text))
    except ValueError:
        return None


def vercel(path: str, source: Source) -> DeploymentFile:
    """Read `functions.*.maxDuration` of `vercel.json`."""
    try:
        limits = tuple(_vercel_limits(source))
    except (ValueError, IndexError, RecursionError) as error:
        return DeploymentFile(path, "platform", problems=(json_problem(error),))
    return DeploymentFile(path, "platform", limits=limits)


def json_problem(error: Exception) -> tuple[int, str]:
    """Line and sentence of what is wrong with a JSON file."""
    text = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or cut off"
    line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
    return line, f"it is not valid JSON ({text}); it was left out"


def _vercel_limits(source: Source) -> Iterator[TimeLimit]:
    text = source.text
    start = json_spans.skip(text, 0)
    json.loads(text)
    if text[start] != "{":
        return
    functions = json_spans.member(text, start, "functions")
    if functions is None or not isinstance(functions.data, dict):
        return
    for pattern, entry in json_spans.members(text, functions.start):
        limit = json_spans.member(text, entry.start, "maxDuration") if isinstance(entry.data, dict) else None
        if limit is not None and isinstance(limit.data, int | float) and not isinstance(limit.data, bool):
            place = span(source, limit.start, limit.end)
            yield TimeLimit("Vercel", pattern, float(limit.data), False, "maxDuration", place)


def host_json(path: str, source: Source) -> DeploymentFile:
    """Read `functionTimeout` of an Azure Functions `host.json`."""
    match = re.search(r'"functionTimeout"\s*:\s*"((?:(\d+)\.)?(\d+):(\d+):(\d+))"', source.text)
    if match is None:
        return DeploymentFile(path, "platform")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[1:])
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    limit = TimeLimit("Azure Functions", "", float(total), False, "functionTimeout", span(source, *match.span(1)))
    return DeploymentFile(path, "platform", limits=(limit,))


def template(path: str, source: Source) -> DeploymentFile:
    """Read a YAML file of one of the platforms; which one, its content says."""
    document = read_yaml(source.text)
    found = [
        limit
        for node in (document.node, *document.others)
        for limit in (*_serverless(node, source), *_cloudformation(node, source), *_cloud_run(node, source))
    ]
    servers = tuple(_start_commands(document.node, source))
    return DeploymentFile(path, "platform", servers=servers, limits=tuple(found), problems=document.problems)


def _limit(
    platform: str, name: str, node: Node, default: float, place: Node, key: str, code: str, source: Source
) -> Iterator[TimeLimit]:
    seconds = default if node.kind == "missing" else _seconds(node.text)
    if seconds is not None and not node.tag:
        where = place if node.kind == "missing" else node
        yield TimeLimit(platform, name, seconds, node.kind == "missing", key, span(source, *where.span), code)


def _serverless(node: Node, source: Source) -> Iterator[TimeLimit]:
    if node.member("provider", "name").text != "aws":
        return
    shared = node.member("provider", "timeout")
    functions = node.member("functions")
    for name, function in functions.members():
        own = function.member("timeout")
        handler = function.member("handler").text
        folder = handler.rpartition("/")[0]
        chosen = shared if own.kind == "missing" else own
        yield from _limit(
            "AWS Lambda", name, chosen, SERVERLESS_DEFAULT, functions.key(name), "timeout", folder, source
        )


_FUNCTION_TYPES = ("AWS::Serverless::Function", "AWS::Lambda::Function")


def _cloudformation(node: Node, source: Source) -> Iterator[TimeLimit]:
    shared = node.member("Globals", "Function", "Timeout")
    resources = node.member("Resources")
    for name, resource in resources.members():
        kind = resource.member("Type").text
        if kind not in _FUNCTION_TYPES:
            continue
        own = resource.member("Properties", "Timeout")
        code = resource.member("Properties", "CodeUri")
        chosen = shared if own.kind == "missing" and kind == _FUNCTION_TYPES[0] else own
        folder = code.text if not code.text.startswith("s3:") else ""
        yield from _limit(
            "AWS Lambda", name, chosen, LAMBDA_DEFAULT, resources.key(name), "Timeout", folder, source
        )


def _cloud_run(node: Node, source: Source) -> Iterator[TimeLimit]:
    if not node.member("apiVersion").text.startswith("serving.knative.dev/"):
        return
    limit = node.member("spec", "template", "spec", "timeoutSeconds")
    if limit.kind == "text":
        name = node.member("metadata", "name").text
        yield from _limit("Cloud Run", name, limit, 0, limit, "timeoutSeconds", "", source)


def _start_commands(node: Node, source: Source) -> Iterator[Server]:
    """`entrypoint` of App Engine's app.yaml, `startCommand` of Render's services."""
    places = [node.member("entrypoint"), *(item.member("startCommand") for item in node.member("services").items)]
    for place in places:
        if place.kind == "text":
            yield from _servers(source, *place.span)


def _servers(source: Source, start: int, end: int) -> Iterator[Server]:
    for words in commands(source.text, start, end):
        if (started := server(words, source, production=True)) is not None:
            yield started


def platform_toml(path: str, source: Source) -> DeploymentFile:
    """Read the start commands of `fly.toml` and `railway.toml`."""
    servers: list[Server] = []
    for value in values(source.text):
        if value.path[:1] == ("processes",) or value.path[-1:] in (("startCommand",), ("cmd",)):
            servers.extend(_servers(source, value.start, value.end))
    return DeploymentFile(path, "platform", servers=tuple(servers))


def platform_json(path: str, source: Source) -> DeploymentFile:
    """Read the start command of `railway.json`."""
    servers = tuple(
        started
        for match in re.finditer(r'"startCommand"\s*:\s*"((?:\\.|[^"\\])*)"', source.text)
        for started in _servers(source, *match.span(1))
    )
    return DeploymentFile(path, "platform", servers=servers)

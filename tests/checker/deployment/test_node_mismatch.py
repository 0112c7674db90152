"""TL602: what a package.json asks for, and the Node that runs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turnlane.checker.deployment.node_versions import NodeRange, node_range


def package(engines: str | None = ">=22.13", **dependencies: str) -> str:
    content: dict[str, Any] = {"name": "app", "dependencies": dependencies}
    if engines:
        content["engines"] = {"node": engines}
    return json.dumps(content, indent=2)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if part in line)


@pytest.mark.parametrize(
    ("text", "at", "severity", "said"),
    [
        (
            package(**{"@autogen/core": "^0.4.0", "next": "15"}),
            "@autogen/core",
            "error",
            "not on the npm registry",
        ),
        (package(**{"ai": "^5.0.0", "@ai-sdk/openai": "^1.3.3"}), '"ai"', "warning", "does not take"),
        (package(**{"@langchain/core": "^0.3.66", "langchain": "^1.0.1"}), "core", "warning", "generations"),
        (package(**{"@openai/agents": "0.1.0", "@openai/agents-core": "0.3.9"}), "agents", "warning", "releases"),
        (package("18.x", **{"@mastra/core": "1.5.0"}), '"node"', "error", "older ones only"),
        (package(">=18", **{"@mastra/core": "^1.5.0"}), '"node"', "information", "older ones too"),
        (
            package(None, **{"@ai-sdk/openai": "^2.0.0", "@mastra/core": "1.5.0"}),
            "@mastra",
            "information",
            "which Node",
        ),
        (
            package(None, **{"@langchain/core": "^1.1.8", "@mastra/core": "1"}),
            "@langchain",
            "information",
            "which Node",
        ),
    ],
)
def test_what_does_not_fit(check, text, at, severity, said) -> None:
    (found,) = check({"package.json": text})
    assert (found.code, found.place.line, found.severity) == ("TL602", line_of(text, at), severity)
    assert said in found.message


@pytest.mark.parametrize(
    "text",
    [
        package(**{"@mastra/core": "^1.5.0", "ai": "^5.0.48", "@ai-sdk/openai": "^2.0.32"}),
        package(**{"@mastra/core": "^0.14.1", "ai": "^5.0.22", "@ai-sdk/openai": "^1.0.0"}),
        package(**{"ai": "^6.0.0", "@ai-sdk/openai": "^3.0.0"}),
        package(**{"ai": "^4.3.9", "@ai-sdk/openai": "^1.3.17"}),
        package(**{"@langchain/core": "^0.3.72", "@langchain/langgraph": "^0.4.6", "langchain": "^0.3.31"}),
        package(**{"@autogen/core": "workspace:*"}),
        package(**{"@autogen/core": "file:../core"}),
        package(**{"@openai/agents": "^0.3.0", "@openai/agents-core": "0.3.9"}),
        package(None, next="15", openai="^4.0.0", ai="^3.1.5"),
        package(None, **{"@mastra/core": "latest"}).replace("dependencies", "devDependencies"),
        package(None, **{"@mastra/core": "latest"}).replace("dependencies", "peerDependencies"),
        package(">=22 <25", **{"@mastra/core": "^0.6.4"}),
        package("lts/*", **{"@mastra/core": "^1.5.0"}),
        '{"scripts": {"start": "bun run index.ts"}, "dependencies": {"@openai/agents": "latest"}}',
        '{"devEngines": {"runtime": {"name": "node"}}, "dependencies": {"@openai/agents": "latest"}}',
        '{"volta": {"node": "22.14.0"}, "dependencies": {"@mastra/core": "^1.5.0"}}',
        '{"dependencies": {}, "engines": "x"}',
        '{"dependencies": ["@autogen/core"], "engines": {"node": 22}, "name": 3}',
        "[]",
        "",
    ],
)
def test_what_fits(check, text) -> None:
    assert check({"package.json": text}) == []


@pytest.mark.parametrize(("path", "text"), [(".nvmrc", "v22.14.0\n"), ("Dockerfile", "FROM node:22-alpine\n")])
def test_a_file_beside_it_names_the_node(check, path, text) -> None:
    asked = {"apps/web/package.json": package(None, **{"@mastra/core": "1.5.0"})}
    assert check({**asked, f"apps/web/{path}": text}) == []
    assert check({**asked, f"apps/{path}": text}) == []
    assert len(check({**asked, f"other/{path}": text})) == 1


@pytest.mark.parametrize(("path", "text"), [(".nvmrc", "18\n"), ("Dockerfile", "FROM node:18.20-slim AS run\n")])
def test_the_node_beside_it_is_too_old(check, path, text) -> None:
    (found,) = check({"package.json": package(None, **{"@mastra/core": "1.5.0"}), path: text})
    assert (found.place.path, found.place.line, found.severity) == (path, 1, "error")


@pytest.mark.parametrize("root", ["/srv/app/", "../app/", "../../", "./", "C:/app/", "//host/app/"])
def test_paths_from_anywhere_come_to_an_end(check, root) -> None:
    files = {f"{root}apps/web/package.json": package(None, **{"@mastra/core": "1.5.0"})}
    assert len(check(files)) == 1
    assert check({**files, f"{root}.nvmrc": "22.14"}) == []


def test_the_engines_of_a_workspace_count_for_its_packages(check) -> None:
    files = {"package.json": package(), "apps/web/package.json": package(None, **{"@mastra/core": "1.5.0"})}
    assert check(files) == []


def test_examples_in_the_tree_of_the_sdk_itself(check) -> None:
    own = '{"name": "@openai/agents", "engines": {"node": ">=22"}}'
    example = package(None, **{"@openai/agents": "latest"})
    assert check({"packages/agents/package.json": own, "examples/chat/package.json": example}) == []


def test_a_broken_file_is_one_note(check) -> None:
    (note,) = check({"package.json": '{\n"dependencies": {,}\n}'})
    assert note.line == 2
    assert "not valid JSON" in note.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^1.2.3", NodeRange((1, 2, 3), (2,))),
        ("^0.4.1", NodeRange((0, 4, 1), (0, 5))),
        ("~1.2.3", NodeRange((1, 2, 3), (1, 3))),
        (">=18 <23", NodeRange((18,), (23,))),
        ("18 || 20", NodeRange((18,), (21,))),
        ("20.x", NodeRange((20,), (21,))),
        ("v22.14.0", NodeRange((22, 14, 0), (22, 14, 1))),
        ("18 - 20", NodeRange((18,), (21,))),
        (">20", NodeRange((21,), None)),
        ("<=20", NodeRange((), (21,))),
        ("latest", None),
        ("*", None),
        ("", None),
    ],
)
def test_ranges_of_npm(text, expected) -> None:
    assert node_range(text) == expected

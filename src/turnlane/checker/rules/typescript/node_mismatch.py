"""TL602 in TypeScript: imports that can't work."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.facts import Import
from turnlane.checker.typescript.libraries import SDK
from turnlane.checker.typescript.project import Project


class NodeMismatch(Rule):
    code = "TL602"
    language = "typescript"
    detects = (
        "An import of `@autogen/...`, which is not on the npm registry (unless a tsconfig, a workspace or a "
        "folder of the project says what it is), and `require` of an agent SDK in a file that is an ES module: "
        "there is no `require` there."
    )
    bad: ClassVar = (
        Example(
            """\
import { AssistantAgent } from "@autogen/core"; // here

export const agent = new AssistantAgent("support");
""",
            title="a package that is not there",
        ),
        Example(
            """\
// file: bot.mjs
const { Agent, run } = require("@openai/agents"); // here

const agent = new Agent({ name: "support", instructions: "Help." });
console.log((await run(agent, "Hello")).finalOutput);
""",
            title="require in an ES module",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: bot.mjs
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Agent } = require("@openai/agents");

export const agent = new Agent({ name: "support", instructions: "Help." });
""",
            title="a require that was made",
        ),
        Example(
            """\
// file: tsconfig.json
{ "compilerOptions": { "paths": { "@autogen/*": ["./packages/*/src"] } } }
// file: main.ts
import { AssistantAgent } from "@autogen/core";

export const agent = new AssistantAgent("support");
""",
            title="a package of the project",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for path, module in project.modules.items():
            for one in module.imports:
                if one.source.startswith("@autogen/") and not _is_own(project, path, one.source):
                    yield _missing(project, path, one)
                elif one.kind == "require" and SDK.match(one.source) and _is_es_module(project, path):
                    yield _required(project, path, one)


def _is_own(project: Project, path: str, source: str) -> bool:
    """Whether the project itself says what the package is."""
    if project.specifiers.find(path, source) or project.specifiers.alias(path, source):
        return True
    name = "/".join(source.split("/")[:2])
    for folder in _parents(path):
        content = project.packages.get(folder) or {}
        for group in ("dependencies", "devDependencies", "peerDependencies"):
            entries = content.get(group)
            version = entries.get(name) if isinstance(entries, dict) else None
            if isinstance(version, str) and version.startswith(
                ("workspace:", "file:", "link:", "git", "http", "npm:")
            ):
                return True
        if content.get("workspaces") or content.get("name") == name:
            return True
    return False


def _is_es_module(project: Project, path: str) -> bool:
    if path.endswith((".cjs", ".cts", ".ts", ".tsx", ".mts", ".jsx")):
        return False  # a compiler stands between
    if any(
        one.local == "createRequire" or one.source in ("module", "node:module")
        for one in project.modules[path].imports
    ):
        return False
    if path.endswith(".mjs"):
        return True
    for folder in _parents(path):
        content = project.packages.get(folder) or {}
        if content:
            return content.get("type") == "module"
    return False


def _parents(path: str) -> Iterator[str]:
    """The folders around a file, up to the root of an absolute path, or to where a relative one starts."""
    folder = path
    while (above := posixpath.dirname(folder)) != folder:
        folder = above
        yield folder


def _missing(project: Project, path: str, one: Import) -> Finding:
    name = "/".join(one.source.split("/")[:2])
    message = f"`{name}` is not on the npm registry, so this import can't work"
    help_line = "There is no official AutoGen for Node: call a Python service over HTTP."
    return project.finding("TL602", path, one.span, message, "error", help=help_line)


def _required(project: Project, path: str, one: Import) -> Finding:
    message = f"`require` does not exist in an ES module: `{one.source}` is never loaded here"
    help_line = f'Write `import ... from "{one.source}"`.'
    return project.finding("TL602", path, one.span, message, "error", help=help_line)

"""TL602: Node packages, the Node version and each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from turnlane.checker.deployment.facts import DeploymentFile, Requirement, Span
from turnlane.checker.deployment.node_versions import NodeRange, node_range
from turnlane.checker.deployment.project import Project, folder_of, place_of, upwards
from turnlane.checker.deployment.published import AI_SDK_PROVIDERS, LANGCHAIN_ON_CORE, NODE_SDKS
from turnlane.checker.finding import Finding, Severity
from turnlane.checker.rule import Example, Rule


class NodeMismatch(Rule):
    code = "TL602"
    language = "deployment"
    detects = (
        "In `package.json`: packages `@autogen/*`, which are not on the npm registry; versions of one SDK family "
        "that "
        "do not fit (AI SDK and its providers, LangChain and its core, `@openai/agents` and its parts); a Node in "
        "`engines`, `.nvmrc`, `volta` or a Dockerfile that is older than the agent SDK needs; as information, an "
        "agent "
        "SDK in `dependencies` of a project that names its Node nowhere. Packages from a workspace, a folder or "
        "a URL "
        "are left out."
    )
    bad: ClassVar = (
        Example(
            '// file: package.json\n{\n  "dependencies": {\n    "@autogen/core": "^0.4.0" // here\n  }\n}\n',
            title="A package that is not there",
        ),
        Example(
            '// file: package.json\n{\n  "engines": { "node": ">=20" },\n  "dependencies": {\n'
            '    "@ai-sdk/openai": "^1.3.3", // here\n    "ai": "^5.0.22"\n  }\n}\n',
            title="Two generations of one SDK",
        ),
        Example(
            '// file: package.json\n{\n  "engines": { "node": "18.x" }, // here\n'
            '  "dependencies": {\n    "@mastra/core": "^1.5.0"\n  }\n}\n',
            title="A Node that is too old",
        ),
        Example(
            '// file: package.json\n{\n  "dependencies": {\n    "@mastra/core": "^0.6.4", // here\n'
            '    "next": "15.2.4"\n  }\n}\n',
            title="No Node named",
        ),
    )
    good: ClassVar = (
        Example(
            '// file: package.json\n{\n  "engines": { "node": ">=22.13" },\n  "dependencies": {\n'
            '    "@ai-sdk/openai": "^2.0.32",\n    "@mastra/core": "^1.5.0",\n    "ai": "^5.0.48"\n  }\n}\n',
        ),
        Example(
            '// file: package.json\n{\n  "dependencies": {\n    "@autogen/core": "workspace:*"\n  }\n}\n',
            title="A package of the same workspace",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for file in project.files:
            if file.kind == "package.json":
                yield from _missing_packages(file)
                yield from _mixed_families(file)
                yield from _node_versions(file, project)


def _report(file: DeploymentFile, span: Span, text: str, severity: Severity, help_line: str) -> Finding:
    return Finding("TL602", place_of(file.path, span), text, severity, help=help_line)


def _missing_packages(file: DeploymentFile) -> Iterator[Finding]:
    for item in file.requirements:
        if item.name.startswith("@autogen/") and not item.direct:
            text = f"`{item.name}` is not on the npm registry: AutoGen has no packages for Node"
            yield _report(file, item.span, text, "error", "Run the agents in Python and call them over HTTP.")
            return


def _versions(file: DeploymentFile) -> dict[str, tuple[Requirement, NodeRange]]:
    """The packages that an installation of this file has and that name a range, by name."""
    return {
        item.name: (item, within)
        for item in file.requirements
        if item.group in ("", "devDependencies") and not item.direct and (within := node_range(item.specifier))
    }


def _mixed_families(file: DeploymentFile) -> Iterator[Finding]:
    present = _versions(file)
    for names, text, help_line in (*_ai_sdk(present), *_langchain(present), *_openai_agents(present)):
        span = min(present[name][0].span for name in names)
        yield _report(file, span, text, "warning", help_line)


_Mix = tuple[tuple[str, ...], str, str]


def _said(present: dict[str, tuple[Requirement, NodeRange]], name: str) -> str:
    return f"`{name}` {present[name][0].specifier}"


def _ai_sdk(present: dict[str, tuple[Requirement, NodeRange]]) -> Iterator[_Mix]:
    """`ai` from 5 on takes no models of the first generation of providers. Mastra does, by its older calls."""
    if "ai" not in present or present["ai"][1].low < (5,) or "@mastra/core" in present:
        return
    for name in sorted(AI_SDK_PROVIDERS & set(present)):
        below = present[name][1].below
        if below is not None and below <= (2,):
            text = f"{_said(present, name)} makes models that {_said(present, 'ai')} does not take"
            yield (name, "ai"), text, f"Install the generation of `{name}` that belongs to this `ai`."
            return


def _langchain(present: dict[str, tuple[Requirement, NodeRange]]) -> Iterator[_Mix]:
    if "@langchain/core" not in present:
        return
    core = present["@langchain/core"][1]
    for name in sorted(LANGCHAIN_ON_CORE & set(present)):
        other = present[name][1]
        if _generation(core) + _generation(other) == 1 and -1 not in (_generation(core), _generation(other)):
            text = f"{_said(present, name)} and {_said(present, '@langchain/core')} are of different generations"
            yield (name, "@langchain/core"), text, "Give both the same major version."
            return


def _generation(within: NodeRange) -> int:
    """1 for a range from 1 on, 0 for one that ends before 1, -1 for one that is neither."""
    if within.low >= (1,):
        return 1
    return 0 if within.below is not None and within.below <= (1,) else -1


def _openai_agents(present: dict[str, tuple[Requirement, NodeRange]]) -> Iterator[_Mix]:
    parts = sorted(name for name in present if name.startswith("@openai/agents"))
    for one, other in pairwise(parts):
        first, second = present[one][1], present[other][1]
        if not _overlap(first, second):
            text = f"{_said(present, one)} and {_said(present, other)} are of different releases"
            yield (one, other), text, "Give all `@openai/agents` packages one version."
            return


def _overlap(one: NodeRange, other: NodeRange) -> bool:
    return (one.below is None or other.low < one.below) and (other.below is None or one.low < other.below)


def _node_versions(file: DeploymentFile, project: Project) -> Iterator[Finding]:
    sdks = [item for item in file.requirements if item.name in NODE_SDKS and not item.group and not item.direct]
    if not sdks:
        return
    too_old = list(_too_old(file, sdks, project))
    if too_old:
        yield from too_old[:1]
    # In the SDK's own tree, the examples name no Node of their own.
    elif not file.other_runtime and not _names_node(file, project) and not project.names & _names(sdks):
        first = min(sdks, key=lambda item: item.span)
        text = f"nothing in the project says which Node runs `{first.name}`"
        yield _report(file, first.span, text, "information", _engines_help(first))


def _names(of: list[Requirement]) -> frozenset[str]:
    return frozenset(item.name for item in of)


def _engines_help(item: Requirement) -> str:
    least = _least(item) or (20,)
    return f'Add `"engines": {{ "node": ">={_dotted(least)}" }}`.'


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _least(item: Requirement) -> tuple[int, ...] | None:
    """The least Node that every version in the requirement's range needs; None: unknown."""
    within = node_range(item.specifier)
    if within is None:
        return None
    return next((node for major, node in NODE_SDKS[item.name] if within.low >= (major,)), None)


def _too_old(file: DeploymentFile, sdks: list[Requirement], project: Project) -> Iterator[Finding]:
    needs = [(node, item) for item in sdks if (node := _least(item)) is not None]
    if not needs:
        return
    least, item = max(needs, key=lambda need: need[0])
    help_line = f"Name a Node from {_dotted(least)} on."
    if file.engines is not None and (within := node_range(file.engines.range)) is not None:
        if within.below is not None and within.below <= least:
            text = (
                f"`{item.name}` {item.specifier} needs Node {_dotted(least)}, and `engines` admits older ones only"
            )
            yield _report(file, file.engines.span, text, "error", help_line)
        elif within.low[: len(least)] < least[: len(within.low)]:
            text = (
                f"`{item.name}` {item.specifier} needs Node {_dotted(least)}, and `engines` admits older ones too"
            )
            yield _report(file, file.engines.span, text, "information", help_line)
    for other in _runtime_files(file, project):
        for runtime in other.runtimes:
            chosen = tuple(int(part) for part in runtime.version.split(".") if part.isdigit())
            if runtime.language == "node" and chosen and chosen < least[: len(chosen)]:
                said = f"`{item.name}` {item.specifier}"
                text = f"{said} needs Node {_dotted(least)}, and this is Node {runtime.version}"
                yield _report(other, runtime.span, text, "error", help_line)


def _runtime_files(file: DeploymentFile, project: Project) -> list[DeploymentFile]:
    """The files of the package's own folder that choose a Node for it."""
    return [other for other in project.files_in(folder_of(file.path)) if other.runtimes]


def _names_node(file: DeploymentFile, project: Project) -> bool:
    """Whether the package, its workspace, or a file beside them names a version of Node."""
    return any(
        other.engines is not None or any(runtime.language == "node" for runtime in other.runtimes)
        for folder in upwards(folder_of(file.path))
        for other in project.files_in(folder)
    )

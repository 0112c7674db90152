"""Requirements in the files that describe a Python project, and in the lock files beside them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from turnlane.checker.deployment.facts import DeploymentFile, Include, Requirement, Runtime, Span
from turnlane.checker.deployment.requirements import WATCHED, normalised, requirement, span
from turnlane.checker.deployment.toml_values import Value, values
from turnlane.checker.source import Source

_DEVELOPMENT = "dev"


def pyproject(path: str, source: Source) -> DeploymentFile:
    """Read `pyproject.toml`: PEP 621, dependency groups, Poetry, PDM and uv."""
    read = list(values(source.text))
    elsewhere = {
        value.path[3] for value in read if value.path[:3] == ("tool", "uv", "sources") and len(value.path) > 3
    }
    direct = {normalised(name) for name in elsewhere}
    found = [
        item._replace(direct=True) if item.name in direct else item
        for item in (*_pep621(read, source), *_poetry(read, source))
    ]
    name = next(
        (value.text for value in read if value.path in (("project", "name"), ("tool", "poetry", "name"))), ""
    )
    return DeploymentFile(
        path,
        "pyproject",
        tuple(sorted(found, key=lambda item: item.span)),
        name=normalised(name),
        problems=_toml_problem(source.text) if WATCHED_PATTERN.search(source.text) else (),
    )


WATCHED_PATTERN = re.compile("|".join(sorted({name.split("-")[0] for name in WATCHED})), re.IGNORECASE)
"""Matches any text that could name a watched package: a first, cheap look."""


def _toml_problem(text: str) -> tuple[tuple[int, str], ...]:
    # Ten milliseconds to import: only for files that name an agent package.
    import tomllib

    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        return ((int(line[1]) if line else 0, f"it is not valid TOML ({error}); what could be read was checked"),)
    return ()


def _group(path: tuple[str, ...]) -> str | None:
    """Name of the group whose array of PEP 508 requirements has this path; None for any other array."""
    match path:
        case ("project", "dependencies"):
            return ""
        case ("project", "optional-dependencies", name) | ("dependency-groups", name):
            return name
        case ("tool", "pdm", "dev-dependencies", name):
            return name
        case ("tool", "uv", "dev-dependencies"):
            return _DEVELOPMENT
        case _:
            return None


def _pep621(read: list[Value], source: Source) -> Iterator[Requirement]:
    for value in read:
        group = _group(value.path)
        if group is not None and (item := requirement(value.text, value.start, source, group)):
            yield item


_POETRY_KEYS = ("version", "path", "git", "url", "extras")


def _poetry(read: list[Value], source: Source) -> Iterator[Requirement]:
    """`name = "^1.0"` and `name = {version = "^1.0", extras = ["x"]}`, also of Pipfile-like tables."""
    sources: set[str] = {
        value.path[-2]
        for value in read
        if value.path[-1:] in (("path",), ("git",), ("url",)) and len(value.path) > 1
    }
    for value in read:
        place = _poetry_place(value.path)
        if place is None or place[1] not in WATCHED:
            continue
        group, name = place
        yield Requirement(
            "pypi",
            name,
            _pep440(value.text),
            span(source, value.start, value.end),
            extras=tuple(normalised(other.text) for other in read if other.path == (*value.path[:-1], "extras"))
            if value.path[-1] == "version"
            else (),
            group=group,
            direct=name in {normalised(other) for other in sources},
            pinned=bool(re.fullmatch(r"=*\s*\d[\w.!+-]*", value.text)),
        )


def _poetry_place(path: tuple[str, ...]) -> tuple[str, str] | None:
    """Group and name of the requirement whose version has this path."""
    if path[-1:] and path[-1] in _POETRY_KEYS and path[-1] != "version":
        return None
    short = path[:-1] if path[-1:] == ("version",) else path
    match short:
        case ("tool", "poetry", "dependencies", name):
            return "", normalised(name)
        case ("tool", "poetry", "dev-dependencies", name) | ("dev-packages", name):
            return _DEVELOPMENT, normalised(name)
        case ("tool", "poetry", "group", group, "dependencies", name):
            return group, normalised(name)
        case ("packages", name):
            return "", normalised(name)
        case _:
            return None


def _pep440(poetry: str) -> str:
    """A bare version of Poetry means exactly that one."""
    text = poetry.strip()
    if text in ("*", "latest"):
        return ""
    return f"=={text}" if text[:1].isdigit() else text


def pipfile(path: str, source: Source) -> DeploymentFile:
    """Read a `Pipfile`."""
    found = tuple(_poetry(list(values(source.text)), source))
    return DeploymentFile(path, "pipfile", found)


_LOCKED = re.compile(r'^name = "([^"]+)"\r?\nversion = "([^"]+)"', re.MULTILINE)
_PIPFILE_LOCKED = re.compile(r'"([A-Za-z0-9._-]+)": \{[^{}]*"version": "==([^"]+)"')


def lock(path: str, source: Source) -> DeploymentFile:
    """The versions in `uv.lock`, `poetry.lock`, `pdm.lock`, `Pipfile.lock`; found by their form alone."""
    pattern = _PIPFILE_LOCKED if path.endswith("Pipfile.lock") else _LOCKED
    found = tuple(
        Requirement("pypi", normalised(match[1]), f"=={match[2]}", span(source, *match.span(1)), pinned=True)
        for match in pattern.finditer(source.text)
        if normalised(match[1]) in WATCHED
    )
    return DeploymentFile(path, "lock", found)


_SECTION = re.compile(r"\[([^\]]+)\]")
_KEY = re.compile(r"([\w.-]+)\s*=\s*(.*)")


def setup_cfg(path: str, source: Source) -> DeploymentFile:
    """`install_requires` and `extras_require` of `setup.cfg`."""
    found: list[Requirement] = []
    section = key = ""
    for number, text in enumerate(source.lines, start=1):
        if header := _SECTION.match(text):
            section, key = header[1].strip(), ""
            continue
        content = text.strip()
        if assigned := _KEY.match(text):
            key, content = assigned[1], assigned[2]
        group = {("options", "install_requires"): ""}.get((section, key))
        if section == "options.extras_require":
            group = key
        if group is not None and content:
            start = source.starts[number - 1] + text.find(content)
            found.extend(filter(None, [requirement(content, start, source, group)]))
    return DeploymentFile(path, "setup", tuple(found))


_CONDA_ITEM = re.compile(r"\s*-\s+(['\"]?)(?P<text>[^'\"#]+?)\1\s*(?:#.*)?")
_CONDA_INCLUDE = re.compile(r"-r\s+(\S+)")
_CONDA_PYTHON = re.compile(r"python\s*=+\s*(\d+\.\d+)")


def conda(path: str, source: Source) -> DeploymentFile:
    """`environment.yml`: its items line by line, since they have one form; those of pip are PEP 508."""
    found: list[Requirement] = []
    includes: list[Include] = []
    runtimes: list[Runtime] = []
    for number, text in enumerate(source.lines, start=1):
        match = _CONDA_ITEM.fullmatch(text)
        if match is None:
            continue
        content, column = match["text"].strip(), match.start("text")
        place = Span(number, len(text[:column].encode()), len(text[: column + len(content)].encode()))
        if include := _CONDA_INCLUDE.match(content):
            includes.append(Include(include[1], number))
        elif python := _CONDA_PYTHON.match(content):
            runtimes.append(Runtime("python", python[1], place))
        else:
            pip_form = re.sub(r"^([\w.-]+)=(?=\d)", r"\1==", content)
            item = requirement(pip_form, source.starts[number - 1] + column, source)
            found.extend([item._replace(span=place, specifier_span=None)] if item else [])
    return DeploymentFile(path, "conda", tuple(found), tuple(includes), runtimes=tuple(runtimes))


_VERSION_FILE = re.compile(r"\s*(?:(python|nodejs|node)[- ])?v?(\d+(?:\.\d+)*)")


def version_file(path: str, source: Source) -> DeploymentFile:
    """`.python-version`, `.nvmrc`, `.node-version`, `runtime.txt` and `.tool-versions`."""
    name = path.rsplit("/", 1)[-1]
    found = []
    for number, text in enumerate(source.lines, start=1):
        match = _VERSION_FILE.match(text)
        if match is None:
            continue
        node = name in (".nvmrc", ".node-version") or (match[1] or "").startswith("node")
        if name == ".tool-versions" and not match[1]:
            continue
        place = Span(number, 0, len(text.encode()))
        found.append(Runtime("node" if node else "python", match[2], place))
    return DeploymentFile(path, "runtime", runtimes=tuple(found))


def setup_py(path: str, source: Source) -> DeploymentFile:
    """`install_requires` and `extras_require` of `setup.py`, where they are written as plain lists."""
    try:
        tree = ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return DeploymentFile(path, "setup")  # the same file is checked as Python, which tells what is wrong
    lists = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    found: list[Requirement] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            found += _written(_behind(node.value, lists), "", source)
        elif isinstance(node, ast.keyword) and node.arg == "extras_require":
            for group, value in _entries(_behind(node.value, lists)):
                found += _written(_behind(value, lists), group, source)
    return DeploymentFile(path, "setup", tuple(found))


def _behind(node: ast.expr, lists: dict[str, ast.expr]) -> ast.expr:
    return lists.get(node.id, node) if isinstance(node, ast.Name) else node


def _entries(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _written(node: ast.expr, group: str, source: Source) -> Iterator[Requirement]:
    """The requirements of a list of texts, each of which stands in the file as it is."""
    for item in node.elts if isinstance(node, ast.List | ast.Tuple) else ():
        if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
            continue
        start = source.text.find(item.value, source.offset(item.lineno, item.col_offset))
        end = source.offset(item.end_lineno or item.lineno, item.end_col_offset or 0)
        if 0 <= start < end and (read := requirement(item.value, start, source, group)):
            yield read

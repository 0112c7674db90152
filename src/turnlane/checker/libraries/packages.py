"""Reads the source of published packages, without importing it: what each module defines and re-exports.

Only the generator and the verifier need it; `turnlane check` never does.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class NotAvailable(RuntimeError):
    """A distribution could not be downloaded. The message is one clear sentence."""


class Module(NamedTuple):
    """One module of a package."""

    name: str
    distribution: str
    is_package: bool
    is_stub: bool
    definitions: dict[str, list[Definition]]
    """Several of one name: overloads, and those of different branches."""
    bindings: dict[str, str]
    """Imported or assigned names, and the dotted name that each stands for."""
    stars: list[str]
    """Modules of `from m import *`."""


class Packages:
    """The modules of some distributions that are meant to be installed together; each is parsed when asked for."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self._files: dict[str, list[tuple[str, str, Callable[[], bytes]]]] = {}
        self._parsed: dict[str, Module] = {}

    def add_wheel(self, wheel: Path) -> None:
        """Know every module of a wheel."""
        distribution, version = wheel.name.split("-")[:2]
        distribution = distribution.replace("_", "-")
        self.versions[distribution] = version
        archive = zipfile.ZipFile(wheel)
        for name in archive.namelist():
            if ".dist-info/" not in name and ".data/" not in name:
                self._add(name, distribution, partial(archive.read, name))

    def add_folder(self, folder: Path, distribution: str) -> None:
        """Know every module of a package (or the single module) as it lies installed at `folder`."""
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.py*")):
            self._add(path.relative_to(folder.parent).as_posix(), distribution, path.read_bytes)

    def _add(self, path: str, distribution: str, read: Callable[[], bytes]) -> None:
        if path.endswith((".py", ".pyi")):
            name = path.rpartition(".")[0].replace("/", ".").removesuffix(".__init__")
            self._files.setdefault(name, []).append((path, distribution, read))

    def names(self) -> list[str]:
        """The modules, dotted."""
        return list(self._files)

    def modules(self) -> Iterator[Module]:
        """Every module, parsed."""
        for name in self._files:
            if (module := self.module(name)) is not None:
                yield module

    def module(self, name: str) -> Module | None:
        """The module of that name; None when it is not there or does not parse (templates, test data)."""
        if name in self._parsed:
            return self._parsed[name]
        parts = [part for file in self._files.get(name, ()) if (part := _parse(name, *file)) is not None]
        if not parts:
            return None
        # A stub beside a module that loads its names lazily: both count, first what runs.
        parts.sort(key=lambda part: part.is_stub)
        module = parts[0]
        for part in parts[1:]:
            module = module._replace(
                definitions=part.definitions | module.definitions,
                bindings=part.bindings | module.bindings,
                stars=module.stars + part.stars,
            )
        self._parsed[name] = module
        return module

    def resolve(self, name: str) -> str | None:
        """The dotted name under which `name` is defined, following re-exports; None when nothing defines it."""
        return self._resolve(name, set())

    def _resolve(self, name: str, seen: set[str]) -> str | None:
        if name in seen:
            return None  # modules that import each other
        seen.add(name)
        module, rest = self._split(name)
        if module is None:
            return None
        if not rest:
            return name
        head, _, tail = rest.partition(".")
        if head in module.definitions and not tail:
            return name
        if head in module.bindings:
            target = module.bindings[head] + (f".{tail}" if tail else "")
            if target != name:
                return self._resolve(target, seen)
        for star in module.stars:
            found = self._resolve(f"{star}.{rest}", seen) if self.module(star) is not None else None
            if found is not None:
                return found
        return None

    def _split(self, name: str) -> tuple[Module | None, str]:
        """The longest module that `name` starts with, and the rest."""
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            module = self.module(".".join(parts[:length]))
            if module is not None:
                return module, ".".join(parts[length:])
        return None, name

    def definitions(self, name: str) -> list[Definition]:
        """What stands under the (resolved) name: several for overloads."""
        package, _, plain = name.rpartition(".")
        module = self.module(package)
        return module.definitions.get(plain, []) if module is not None else []

    def exports(self, module: Module) -> set[str]:
        """The names that `from module import name` can give, star imports included."""
        names: set[str] = set()
        for each in self.with_stars(module):
            names.update(each.definitions, each.bindings)
        return names

    def with_stars(self, module: Module) -> Iterator[Module]:
        """The module and those that it takes everything from, each once."""
        seen = {module.name}
        waiting = [module]
        while waiting:
            yield (each := waiting.pop())
            fresh = [star for star in each.stars if star not in seen]
            seen.update(fresh)
            waiting += [other for star in fresh if (other := self.module(star)) is not None]


def download(requirements: Iterable[str], folder: Path) -> list[Path]:
    """Download the wheels of pinned requirements into `folder`, without what they depend on.

    Raises:
        NotAvailable: pip could not find or get one.
    """
    wheels = []
    for requirement in requirements:
        target = folder / requirement.replace("==", "-")
        # B: the interpreter that runs this may have no pip; any python3 on the path does.
        command = [
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            str(target),
            requirement,
        ]
        done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            done = subprocess.run(["python3", "-m", *command], capture_output=True, text=True, check=False)  # noqa: S603, S607
        found = sorted(target.glob("*.whl")) if target.exists() else []
        if done.returncode or not found:
            last = done.stderr.strip().splitlines()[-1:] or ["no wheel arrived"]
            raise NotAvailable(f"pip could not download {requirement}: {last[0]}")
        wheels += found
    return wheels


def _parse(name: str, path: str, distribution: str, read: Callable[[], bytes]) -> Module | None:
    try:
        tree = ast.parse(read())
    except (SyntaxError, ValueError):
        return None
    is_package = path.rpartition(".")[0].endswith("__init__")
    module = Module(name, distribution, is_package, path.endswith(".pyi"), {}, {}, [])
    for statement in _statements(tree.body):
        _read(statement, module)
    return module


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under if, try and with included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements(statement.body + statement.orelse)
        elif isinstance(statement, ast.Try):
            handlers = [inner for handler in statement.handlers for inner in handler.body]
            yield from _statements(statement.body + statement.orelse + statement.finalbody + handlers)
        elif isinstance(statement, ast.With):
            yield from _statements(statement.body)


def _read(statement: ast.stmt, module: Module) -> None:
    if isinstance(statement, Definition):
        module.definitions.setdefault(statement.name, []).append(statement)
    elif isinstance(statement, ast.ImportFrom):
        _read_import_from(statement, module)
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            local = alias.asname or alias.name.partition(".")[0]
            module.bindings.setdefault(local, alias.name if alias.asname else local)
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        _read_assignment(statement, module)


def _read_import_from(statement: ast.ImportFrom, module: Module) -> None:
    source = statement.module or ""
    if statement.level:
        parts = module.name.split(".")
        parts = parts[: len(parts) - statement.level + module.is_package]
        source = ".".join([*parts, source] if source else parts)
    for alias in statement.names:
        if alias.name == "*":
            module.stars.append(source)
        else:
            module.bindings.setdefault(alias.asname or alias.name, f"{source}.{alias.name}")


def _read_assignment(statement: ast.Assign | ast.AnnAssign, module: Module) -> None:
    """`Client = OpenAI`: another name for a class. Other values bind the name to nothing known."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    value = dotted(statement.value) if statement.value is not None else ""
    for target in targets:
        if not isinstance(target, ast.Name) or target.id in module.definitions:
            continue
        head, _, tail = value.partition(".")
        known = module.bindings.get(head, f"{module.name}.{head}" if head else "")
        meaning = f"{known}.{tail}" if tail else known
        module.bindings.setdefault(target.id, meaning or f"{module.name}.{target.id}")


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of attributes; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""

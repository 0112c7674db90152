"""Checks the hand-written tables against the source of libraries: `python -m turnlane.checker.libraries.verify`.

Every symbol of a library that is installed here, lies in a `--wheels` folder or in a `--source` folder must exist
there, and every keyword of the tables must be a parameter. Nothing is imported; other libraries are only named.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from turnlane.checker.libraries import frameworks
from turnlane.checker.libraries.effects import EFFECTS
from turnlane.checker.libraries.host_tables import REGISTRATIONS
from turnlane.checker.libraries.packages import Definition, Module, Packages, dotted
from turnlane.checker.libraries.registration import methods

Symbols = dict[str, set[str]]
"""By dotted symbol, the keywords that the tables hand a function in."""

NOT_IN_SOURCE = frozenset(
    {
        # Gone from the newest releases, and still in use.
        *methods("starlette.applications.Starlette starlette.routing.Router", "exception_handler on_event"),
        *methods("starlette.applications.Starlette starlette.routing.Router", "route websocket_route"),
        *methods("starlette.applications.Starlette starlette.routing.Router", "add_websocket_route"),
        "starlette.applications.Starlette",  # on_startup, on_shutdown
        "starlette.routing.Router",
        *methods("fastapi.FastAPI", "route add_event_handler"),
        *methods("mcp.server.fastmcp.FastMCP", "tool resource prompt add_tool"),
        *methods("mcp.server.lowlevel.Server", "call_tool get_prompt list_resources list_tools read_resource"),
        *methods("streamlit", "cache experimental_fragment experimental_memo experimental_singleton"),
        *methods("aiogram.Dispatcher", "message_handler callback_query_handler"),
        "dash.Dash.long_callback",
        "websockets.server.serve",
        "flask.Flask.before_first_request",
        # Of py-cord, which installs the same module as discord.py.
        *methods("discord.Bot", "slash_command message_command user_command"),
        # Put together when the module is imported.
        *methods("multiprocessing", "Lock Process Process.join"),
        *methods(
            "multiprocessing.Pool", "apply apply_async imap imap_unordered map map_async starmap starmap_async"
        ),
        # Written in C.
        *methods("socket.socket", "connect recv sendall"),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what does not exist; returns 1 when there is any, 0 otherwise."""
    parser = argparse.ArgumentParser(description="Check the tables against the source of libraries.")
    parser.add_argument("--wheels", type=Path, help="folder with wheels to check against")
    parser.add_argument("--source", type=Path, action="append", default=[], help="folder of a package's source")
    options = parser.parse_args(arguments)
    packages = installed(table_symbols())
    for wheel in sorted(options.wheels.glob("*.whl")) if options.wheels else []:
        packages.add_wheel(wheel)
    for folder in options.source:
        packages.add_folder(folder, folder.name)
    problems = list(check(table_symbols(), packages))
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    checked, unchecked = coverage(table_symbols(), packages)
    sys.stdout.write(f"checked: {' '.join(checked)}\nnot there to check: {' '.join(unchecked)}\n")
    return 1 if problems else 0


def table_symbols() -> Symbols:
    """Every symbol of the tables that names something in a library."""
    found: Symbols = {}
    for row in REGISTRATIONS:
        if row.symbol and not row.symbol.startswith("*") and row.how != "name":
            keywords = {place for place in row.where if isinstance(place, str)} if row.how == "argument" else set()
            found.setdefault(row.symbol, set()).update(keywords)
    for effect in EFFECTS:
        found.setdefault(effect.symbol, set()).update({effect.keyword} - {""})
    return found


def installed(symbols: Iterable[str]) -> Packages:
    """The packages among `symbols` that this interpreter could import, and the standard library."""
    packages = Packages()
    standard = Path(sysconfig.get_path("stdlib"))
    for top in sorted({symbol.partition(".")[0] for symbol in symbols}):
        spec = importlib.util.find_spec(top)  # of a top-level name: looks for the file, imports nothing
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        path = Path(spec.origin)
        folder = path.parent if path.name == "__init__.py" else path
        packages.add_folder(folder, "python" if folder.parent == standard else top)
    return packages


def coverage(symbols: Iterable[str], packages: Packages) -> tuple[list[str], list[str]]:
    """The top-level modules of the tables that were there to check, and the others."""
    tops = sorted({symbol.partition(".")[0] for symbol in symbols})
    known = {name.partition(".")[0] for name in packages.names()}
    return [top for top in tops if top in known], [top for top in tops if top not in known]


def check(symbols: Symbols, packages: Packages) -> Iterator[str]:
    """One sentence for each symbol that is not in its package, or keyword that it does not take."""
    known = {name.partition(".")[0] for name in packages.names()}
    for symbol, keywords in sorted(symbols.items()):
        top = symbol.partition(".")[0]
        if top not in known or symbol in NOT_IN_SOURCE:
            continue
        if frameworks.is_framework_module(symbol) and (wrong := _wrong_framework(symbol, keywords)) is not None:
            yield from wrong
            continue
        if ".*." in symbol:
            if not _anywhere(packages, top, symbol.rpartition(".")[2]):
                yield f"{symbol}: nothing in {top} has that method"
            continue
        definitions = _find(packages, symbol)
        if definitions is None:
            yield f"{symbol}: not found"
        elif definitions and (wrong := _unknown(keywords, _parameters(packages, symbol, definitions))):
            yield f"{symbol}: takes no {', '.join(wrong)}"


def _wrong_framework(symbol: str, keywords: set[str]) -> list[str] | None:
    """As `check`, against the generated table, which knows all releases; None when the symbol is not its."""
    entry = frameworks.lookup(symbol)
    if entry is None:
        owner, _, method = symbol.rpartition(".")
        entry = frameworks.lookup(owner)
        if not isinstance(entry, frameworks.ClassEntry):
            return None
        return [] if entry.method(method) is not None else [f"{symbol}: not found"]
    wrong = [] if "**" in entry.parameters else sorted(keywords - set(entry.parameters))
    return [f"{symbol}: takes no {', '.join(wrong)}"] if wrong else []


def _unknown(keywords: set[str], parameters: set[str] | None) -> list[str]:
    return [] if parameters is None else sorted(keywords - parameters)


def _find(packages: Packages, symbol: str) -> list[Definition] | None:
    """The definitions behind a symbol; [] when it exists but is no function or class; None when it doesn't."""
    resolved = packages.resolve(symbol)
    if resolved is not None:
        return packages.definitions(resolved)
    owner, _, name = symbol.rpartition(".")
    module = packages.module(packages.resolve(owner) or "")
    if module is not None and not _is_shadowed(packages, owner):
        return [] if _may_have(packages, module, name) else None
    parent = [] if module is not None else _find(packages, owner)
    if parent is None:
        return None
    if not parent or not isinstance(parent[-1], ast.ClassDef):
        return []  # an attribute of a value, or of a property's: its class is not looked up
    return _member(packages, packages.resolve(owner) or "", name)


def _member(packages: Packages, owner: str, name: str, depth: int = 0) -> list[Definition] | None:
    """A method or attribute of a class, its own or inherited."""
    for definition in packages.definitions(owner):
        if not isinstance(definition, ast.ClassDef):
            return []  # what a function returns
        found = [node for node in definition.body if isinstance(node, Definition) and node.name == name]
        if found:
            return found
        if any(_assigns(node, name) for node in ast.walk(definition)):
            return []
        module = owner.rpartition(".")[0]
        for node in definition.bases:
            base = dotted(node.value if isinstance(node, ast.Subscript) else node)
            resolved = packages.resolve(f"{module}.{base}") if base else None
            if resolved is None:
                continue
            inherited = _member(packages, resolved, name, depth + 1) if depth < 20 else None
            if inherited is not None:
                return inherited
    return None


def _assigns(node: ast.AST, name: str) -> bool:
    """Whether the statement gives a class or its objects the attribute `name`."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return any(dotted(target).rpartition(".")[2] == name for target in targets)


def _is_shadowed(packages: Packages, module: str) -> bool:
    """Whether `from a import b` gives something else than the module `a.b`: a package binds the name again."""
    package, _, name = module.rpartition(".")
    parent = packages.module(package)
    return parent is not None and parent.bindings.get(name, module) != module


def _may_have(packages: Packages, module: Module, name: str) -> bool:
    """Whether a module has a name that no source at hand defines: a value, or something of another library."""
    for each in packages.with_stars(module):
        if name in each.bindings or "__getattr__" in each.definitions:
            return True
        if any(packages.module(star) is None for star in each.stars):
            return True  # from a module in C, or of a library that is not at hand
    return False


def _anywhere(packages: Packages, top: str, name: str) -> bool:
    """Whether any class of the package has the attribute, or its source names it."""
    inside = (packages.module(each) for each in packages.names() if each.partition(".")[0] == top)
    for module in filter(None, inside):
        for definitions in module.definitions.values():
            for node in ast.walk(definitions[-1]):
                if isinstance(node, Definition) and node.name == name:
                    return True
                if isinstance(node, ast.Constant) and node.value == name:
                    return True
        if name in module.bindings:
            return True
    return False


def _parameters(packages: Packages, symbol: str, definitions: list[Definition]) -> set[str] | None:
    """The names that a function, or a class's constructor, takes; None when it takes any keyword."""
    names: set[str] = set()
    for definition in definitions:
        functions: list[Definition] = [definition]
        if isinstance(definition, ast.ClassDef):
            owner = packages.resolve(symbol) or symbol
            functions = _member(packages, owner, "__init__") or []
            names.update(
                node.target.id
                for node in definition.body
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            )
        for function in functions:
            if isinstance(function, ast.ClassDef):
                continue
            arguments = function.args
            names.update(each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))
            if arguments.vararg is not None:
                names.add(arguments.vararg.arg)
            if arguments.kwarg is not None:
                return None
    return names


if __name__ == "__main__":
    sys.exit(main())

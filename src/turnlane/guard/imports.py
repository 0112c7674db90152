"""Patches wait for the program to import what they patch: the guard itself imports no framework."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from turnlane.guard import journals, stacks

Patch = Callable[[ModuleType], object]

_patches: dict[str, list[Patch]] = {}
_looking = threading.local()


def when_imported(name: str, patch: Patch) -> None:
    """Call `patch` with the module `name` when it has been imported; at once if it has been already."""
    _patches.setdefault(name, []).append(patch)
    module = sys.modules.get(name)
    # A module that is half-way through its import has its spec's `_initializing` set.
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        _apply(patch, module)


def install() -> None:
    """Begin to listen. Does nothing the second time."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def uninstall() -> None:
    """Stop listening. For tests."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    _patches.clear()


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the others find a module that is waited for, and stands in front of its loader."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _patches or getattr(_looking, "name", None) == name:
            return None
        _looking.name, before = name, getattr(_looking, "name", None)
        try:
            spec = next((found for found in self._others(name, path, target) if found is not None), None)
        finally:
            _looking.name = before
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            _patch_after(spec.loader, name)
        return spec

    def _others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> Any:
        for finder in tuple(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                yield finder.find_spec(name, path, target)


@stacks.unseen_by_warnings
def _patch_after(loader: Any, name: str) -> None:
    """Patch right after this loader has run the module.

    The loader stays the same object, with one method in front of its own: whoever asks a module for its loader
    (pkgutil, importlib.resources, inspect) gets the real one.
    """
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        # A zip file has one loader for all of its modules.
        patches = _patches.get(name, ()) if module.__name__ == name else ()
        run(module)
        for patch in patches:
            _apply(patch, module)

    try:
        loader.exec_module = exec_module
    except AttributeError as error:  # a loader with slots, such as that of frozen modules
        journals.trouble(f"import of {name}", error)


def _apply(patch: Patch, module: ModuleType) -> None:
    try:
        patch(module)
    except Exception as error:
        journals.trouble(f"patch of {module.__name__}", error)

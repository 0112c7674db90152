"""Loads the guard into a Python process that was started with `turnlane guard` or `turnlane probe`.

Python imports the first `sitecustomize` on its path; the environment's own one, if there is any, runs after this.
Nothing here may stop the program: what fails is said in one line.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _load_guard() -> None:
    if not os.environ.get("TURNLANE_GUARD"):
        return
    if sys.version_info < (3, 11):  # noqa: UP036 - the program chooses its Python, not we
        version = ".".join(map(str, sys.version_info[:2]))
        _say("needs Python 3.11 or newer, and this is " + version + ": this process runs unwatched")
        return
    try:
        _find_turnlane()
        from turnlane.guard.installing import install
        from turnlane.guard.settings import of_environment

        install(of_environment())
    except Exception as error:
        _say(f"could not be loaded, this process runs unwatched: {type(error).__name__}: {error}")


def _say(sentence: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write("turnlane guard: " + sentence + "\n")


def _find_turnlane() -> None:
    """Make `turnlane` importable from where this file is, without the packages that are installed beside it."""
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    root = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    if find_spec("turnlane") is not None:
        return

    class Finder:
        """Knows one package."""

        @staticmethod
        def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
            return PathFinder.find_spec(name, [root]) if name == "turnlane" else None

    sys.meta_path.append(Finder)


def _run_the_other_sitecustomize() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


_load_guard()
_run_the_other_sitecustomize()

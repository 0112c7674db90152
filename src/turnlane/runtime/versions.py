"""Whether the installed packages belong together (hazard TL601)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Final

from turnlane.runtime.app import AppError

# Both as in our own pyproject.toml; a test compares them.
AUTOGEN: Final = ("autogen-core", "autogen-agentchat", "autogen-ext")
AUTOGEN_RELEASE: Final = (0, 7)
OPENAI_RANGE: Final = ((1, 93), (4, 0))
"""From the first to before the second."""

INSTALL: Final = "pip install 'turnlane[agentchat]'"


def check_versions(installed: Callable[[str], str | None] | None = None) -> None:
    """Refuse packages that are known to fail together.

    Args:
        installed: the version of a package, None when it is not there (default: of this environment).

    Raises:
        AppError: names the packages and the command that repairs it.
    """
    version_of = installed or installed_version
    autogen = {package: version for package in AUTOGEN if (version := version_of(package)) is not None}
    _check_same_release(autogen)
    _check_supported_release(autogen)
    openai = version_of("openai")
    if openai is not None and not OPENAI_RANGE[0] <= _numbers(openai)[:2] < OPENAI_RANGE[1]:
        raise AppError(f"openai {openai} is not supported, 1.93 to 3.x are (TL601): {INSTALL}")


def installed_version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _check_same_release(autogen: Mapping[str, str]) -> None:
    if len(set(autogen.values())) < 2:
        return
    told = ", ".join(f"{package} {version}" for package, version in autogen.items())
    newest = max(autogen.values(), key=_numbers)
    pins = " ".join(f"'{package}=={newest}'" for package in autogen)
    raise AppError(f"{told} are of different releases and don't work together (TL601): pip install {pins}")


def _check_supported_release(autogen: Mapping[str, str]) -> None:
    for package, version in autogen.items():
        if _numbers(version)[:2] != AUTOGEN_RELEASE:
            raise AppError(f"{package} {version} is not supported, 0.7 is (TL601): {INSTALL}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])

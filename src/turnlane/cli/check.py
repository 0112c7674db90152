"""`turnlane check`: the verb's place on the command line. The command itself is `turnlane.checker.command`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def check(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Find the hazards in Python, notebooks, TypeScript, packages and deployment files.

    Reached through this function only by those who run the whole command line in their own program;
    `turnlane.cli.main` hands `check` over before it imports cyclopts.
    """
    from turnlane.checker.command import main

    return main(arguments)

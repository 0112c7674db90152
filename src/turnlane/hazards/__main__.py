"""`python -m turnlane.hazards --write docs/hazards` makes the docs pages of the catalogue."""

from __future__ import annotations

import argparse
from pathlib import Path

from turnlane.hazards.site import write


def main() -> None:
    """Read the command line and write the pages."""
    parser = argparse.ArgumentParser(prog="python -m turnlane.hazards", description=__doc__)
    parser.add_argument("--write", metavar="DIR", type=Path, required=True, help="folder of the pages")
    write(parser.parse_args().write)


if __name__ == "__main__":
    main()

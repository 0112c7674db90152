"""`python -m turnlane.practice`: the practice provider as a process, without the command line's dependencies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import PortUnavailable, ScriptError, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m turnlane.practice", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--script", help="script file, YAML or Python (default: the built-in script)")
    parser.add_argument("--keep-requests", type=int, default=10_000, help="requests to keep (0: none)")
    options = parser.parse_args(arguments)
    try:
        serve(options.host, options.port, options.script, keep_requests=options.keep_requests)
    except ScriptError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except PortUnavailable as error:
        sys.stderr.write(f"{error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

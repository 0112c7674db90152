"""`turnlane check --lsp`: a language server on standard input and output, for every editor that speaks LSP.

Needs the extra `lsp` (pygls). The folder of the workspace is checked as a whole, since a helper in one file may
be wrong because of a handler in another; facts of files that did not change stay in memory.
"""

from __future__ import annotations

from turnlane.checker.lsp.server import make_server


def main() -> int:
    """Serve the editor until it says goodbye. Returns the exit status."""
    make_server().start_io()
    return 0

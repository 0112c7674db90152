"""Python's garbage collector in a process that serves."""

from __future__ import annotations

import gc
from typing import Final

NEW_OBJECTS: Final = 10_000
"""New objects between two passes over the young ones. Python's own 700 is less than one turn makes."""


def spare_what_is_loaded() -> None:
    """Take everything that is alive now out of the collector's passes; to be called once, when all is loaded.

    The libraries are 100,000 objects that live as long as the process, and each full pass over them stops the
    loop for 0.1 s. In a burst of a thousand turns the passes were half of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])

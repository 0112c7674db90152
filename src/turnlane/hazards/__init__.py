"""The hazard catalogue: what goes wrong around AutoGen agents, one code and one page per hazard.

A finding of the checker, a report of the guard, an error of the server and the docs cite the same code.

>>> from turnlane import hazards
>>> hazards.get("TL201").summary
'One agent object serves every user, so users read each other's text and break each other's turns.'
>>> hazards.get("shared-agent").url
'/hazards/TL201'

A hazard is one file, `pages/CODE-name.md`; add the file and it is in the catalogue. Importing this package
lists nothing and reads nothing: a page is read when it is asked for, once.
"""

from __future__ import annotations

from turnlane.hazards.catalogue import PAGE_PATH, UnknownHazard, codes, get, url_of
from turnlane.hazards.catalogue import every as all  # `hazards.all()` reads well; `every` shadows nothing

TYPE_CHECKING = False  # the constant of `typing`, without the 5 ms of importing it; mypy knows the name
if TYPE_CHECKING:
    from turnlane.hazards.hazard import Example, Hazard

__all__ = ["PAGE_PATH", "Example", "Hazard", "UnknownHazard", "all", "codes", "get", "url_of"]


def __getattr__(name: str) -> object:
    """Import the two classes when somebody asks: `dataclasses` costs more than all the rest together."""
    if name in {"Example", "Hazard"}:
        from turnlane.hazards import hazard

        return getattr(hazard, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

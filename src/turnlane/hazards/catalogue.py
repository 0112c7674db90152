"""Find a hazard by its code or name. The file names are the index: `pages/TL201-shared-agent.md`."""

from __future__ import annotations

import os
from functools import cache

TYPE_CHECKING = False  # see __init__.py
if TYPE_CHECKING:
    from turnlane.hazards.hazard import Hazard

PAGE_PATH = "/hazards"
"""Where every Turnlane server shows the pages. Links to a page are built from it, by `url_of`."""

PAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pages")
"""The folder with one file per hazard; it ships inside the wheel."""


class UnknownHazard(LookupError):
    """No hazard has this code or name. The message suggests the nearest ones."""

    def __init__(self, asked: str, near: tuple[str, ...]) -> None:
        self.asked = asked
        self.near = near
        hint = f" Did you mean {' or '.join(near)}?" if near else " `turnlane explain` lists them all."
        super().__init__(f"No hazard is called {asked!r}.{hint}")


@cache
def _index() -> dict[str, str]:
    """Code to name, in the order of the codes; one look at the folder, no file is opened."""
    stems = sorted(file[:-3] for file in os.listdir(PAGES) if file.endswith(".md"))
    return {code: name for code, _, name in (stem.partition("-") for stem in stems)}


def codes() -> tuple[str, ...]:
    """Return every code in order. Cheap: no page is read."""
    return tuple(_index())


def get(code_or_name: str) -> Hazard:
    """Return one hazard.

    Args:
        code_or_name: its code or its name, in any case: `TL201`, `tl201`, `shared-agent`, `shared_agent`.

    Raises:
        UnknownHazard: no hazard has that code or name; the message suggests near ones.
    """
    asked = code_or_name.strip()
    index = _index()
    if asked.upper() in index:
        return _read(asked.upper())
    name = asked.lower().replace("_", "-").replace(" ", "-")
    for code, known in index.items():
        if name == known:
            return _read(code)
    raise UnknownHazard(code_or_name, _near(asked))


def every() -> tuple[Hazard, ...]:
    """Return all hazards in the order of their codes. Reads every page the first time."""
    return tuple(_read(code) for code in _index())


def url_of(code: str) -> str:
    """Return the address of a hazard's page, relative to a server; does not ask whether the code exists."""
    return f"{PAGE_PATH}/{code}"


@cache
def _read(code: str) -> Hazard:
    from turnlane.hazards.hazard import read_page

    name = _index()[code]
    with open(os.path.join(PAGES, f"{code}-{name}.md"), encoding="utf-8") as page:
        return read_page(code, name, page.read())


def _near(asked: str) -> tuple[str, ...]:
    """Return up to three likely meanings, each as `TL201 (shared-agent)`."""
    import difflib

    index = _index()
    wanted = asked.lower().replace("_", "-").replace(" ", "-")
    candidates = {word: code for code, name in index.items() for word in (code.lower(), name)}
    if wanted[:2] == "tl" and wanted[2:].isdigit():  # a code of the right shape: stay in its family
        candidates = {word: code for word, code in candidates.items() if word[:3] == wanted[:3]}
    hits = difflib.get_close_matches(wanted, candidates, n=6, cutoff=0.6)
    parts = [part for part in wanted.split("-") if len(part) > 3]
    hits += [name for name in index.values() if any(part in name for part in parts)]
    found = dict.fromkeys(candidates[hit] for hit in hits)
    return tuple(f"{code} ({index[code]})" for code in list(found)[:3])

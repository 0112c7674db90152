"""Runs a builder of edits on a program in which «» mark the place."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from turnlane.checker import edits, fixing, notebook
from turnlane.checker.edits.code import Code
from turnlane.checker.finding import Finding, Fix, Place
from turnlane.checker.source import Source

Build = Callable[[Code, Place], Fix | None]
CELL = "# %%\n"


class Rewrite:
    """Applies a builder and says what the program is then; None when the builder declines."""

    def __init__(self) -> None:
        self.fix: Fix | None = None

    def __call__(self, build: Build, marked: str) -> str | None:
        path, text, places = self._read(marked)
        return self._rewritten(build, path, text, places)

    def _read(self, marked: str) -> tuple[str, str, list[Place]]:
        path = "n.ipynb" if CELL in marked else "a.py"
        clean = marked.replace("«", "").replace("»", "")
        flat = _joined(marked)
        program = Source(path, _joined(clean))
        places = []
        while "«" in flat:
            start = flat.index("«")
            flat = flat.replace("«", "", 1)
            end = flat.index("»")
            flat = flat.replace("»", "", 1)
            places.append(Place(path, *program.position(start), *program.position(end)))
        return path, _notebook(clean) if CELL in marked else clean, places

    def _rewritten(self, build: Build, path: str, text: str, places: list[Place]) -> str | None:
        whole = Place(path, 1, 0, 1, 0)
        code = _parse(path, text)
        self.fix = build(code, *(places or [whole]))
        if self.fix is None:
            return None
        finding = Finding("TL101", places[0] if places else whole, "message", "error", fix=self.fix)
        fixed = fixing.apply({path: text}, [finding], unsafe=True)
        assert not fixed.skipped, f"{fixed.skipped[0].reason}: {self.fix}"
        again = self._again(build, path, text, fixed.texts[path], places)
        assert again in (None, fixed.texts[path]), again
        return _marked(path, fixed.texts[path])

    def _again(self, build: Build, path: str, before: str, after: str, places: list[Place]) -> str | None:
        """What the same builder does to its own result, where it finds the marked text again."""
        old, code = _parse(path, before), _parse(path, after)
        found = []
        for place in places:
            start, end = (old.source.offset(*at) for at in ((place[1:3]), (place[3:5])))
            at = code.source.text.find(old.source.text[start:end])
            if at < 0:
                return None
            found.append(Place(path, *code.source.position(at), *code.source.position(at + end - start)))
        fix = build(code, *(found or [Place(path, 1, 0, 1, 0)]))
        if fix is None:
            return None
        again = fixing.apply(
            {path: after}, [Finding("TL101", fix.edits[0].place, "", "error", fix=fix)], unsafe=True
        )
        return again.texts.get(path, after)


def _parse(path: str, text: str) -> Code:
    read = notebook.read(text) if path.endswith(".ipynb") else None
    code = edits.parse(Source(path, read.program if read else text), read.cells if read else ())
    assert code is not None, text
    return code


def _joined(text: str) -> str:
    if CELL not in text:
        return text
    return "".join(cell if cell.endswith("\n") else cell + "\n" for cell in text.split(CELL)[1:])


def _notebook(text: str) -> str:
    cells = [{"cell_type": "code", "source": source} for source in text.split(CELL)[1:]]
    return json.dumps({"cells": cells, "metadata": {}})


def _marked(path: str, text: str) -> str:
    return "".join(CELL + source for source in notebook.read(text).sources) if path.endswith(".ipynb") else text


@pytest.fixture
def rewrite() -> Rewrite:
    return Rewrite()

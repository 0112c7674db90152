"""Facts are kept by content, and nothing that comes from elsewhere is loaded."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from turnlane.checker import cache
from turnlane.checker.cache import FactsStore, Kept
from turnlane.checker.finding import Place

KEPT = Kept((1, 2, 3), b"digest", False, 9, ((), True), cache.dumps(Place("x.py", 1, 2, 3, 4)))


def never() -> bytes:
    raise AssertionError("the file was read although its stamp is the same")


def test_facts_come_back(here: Path) -> None:
    (here / "x.py").write_text("")
    store = FactsStore("facts", "1")
    store.put("python\0x.py", KEPT)
    store.save()
    again = FactsStore("facts", "1").get("python\0x.py", (1, 2, 3), never)
    assert again == KEPT
    assert cache.loads(again.blob) == Place("x.py", 1, 2, 3, 4)
    assert isinstance(cache.loads(again.blob), Place)


def test_content_decides_when_the_stamp_differs(here: Path) -> None:
    store = FactsStore(None, "1")
    store.put("python\0x.py", KEPT)
    assert store.get("python\0x.py", (9, 9, 9), lambda: b"other") is None
    assert store.get("python\0x.py", (9, 9, 9), lambda: b"digest") == KEPT._replace(stamp=(9, 9, 9))
    assert store.get("python\0x.py", (9, 9, 9), never) is not None
    assert store.get("python\0x.py", None, lambda: b"other") is None
    assert store.get("python\0y.py", None, never) is None


def test_another_version_has_its_own(here: Path) -> None:
    store = FactsStore("facts", "1")
    store.put("python\0x.py", KEPT)
    store.save()
    assert FactsStore("facts", "2").get("python\0x.py", (1, 2, 3), never) is None


def test_files_that_are_gone_are_forgotten(here: Path) -> None:
    (here / "x.py").write_text("")
    store = FactsStore("facts", "1")
    for key in ("python\0x.py", "python\0gone.py"):
        store.put(key, KEPT)
    store.save()
    later = FactsStore("facts", "1")
    later.put("python\0x.py", KEPT)
    later.save()
    last = FactsStore("facts", "1")
    assert last.get("python\0x.py", (1, 2, 3), never)
    assert last.get("python\0gone.py", (1, 2, 3), never) is None


@pytest.mark.parametrize("data", [b"", b"\0", b"(((", bytes(range(7, 7 + 64))])
def test_a_broken_file_is_dropped(data: bytes, here: Path) -> None:
    (here / "facts").write_bytes(data)
    store = FactsStore("facts", "1")
    assert store.get("python\0x.py", (1, 2, 3), never) is None
    store.put("python\0x.py", KEPT)
    store.save()
    assert FactsStore("facts", "1").get("python\0x.py", (1, 2, 3), never)


def test_loaded_facts_are_let_go_and_stay_in_the_file(here: Path) -> None:
    for name in ("x.py", "y.py"):
        (here / name).write_text("")
    store = FactsStore("facts", "1")
    for key in ("python\0x.py", "python\0y.py"):
        store.put(key, KEPT)
        store.facts(key, KEPT, cache.loads)
    assert store.get("python\0x.py", (1, 2, 3), never) == KEPT  # not in the file yet
    store.save()
    kept = store.get("python\0x.py", (1, 2, 3), never)
    assert kept == KEPT._replace(blob=b"")
    assert store.facts("python\0x.py", kept, cache.loads) == Place("x.py", 1, 2, 3, 4)
    store.put("python\0y.py", KEPT._replace(digest=b"new"))
    store.save()
    again = FactsStore("facts", "1")
    assert again.get("python\0x.py", (1, 2, 3), never) == KEPT
    assert again.get("python\0y.py", (1, 2, 3), never) == KEPT._replace(digest=b"new")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize("evil", [_Evil(), [_Evil()], Path("x"), FactsStore])
def test_a_pickle_of_a_stranger_runs_nothing(evil: object, here: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match="is no fact"):
        cache.loads(pickle.dumps(evil))
    assert not (here / "made-by-a-pickle").exists()


def test_facts_in_memory_are_loaded_once() -> None:
    store = FactsStore(None, "1")
    first = store.facts("k", KEPT, cache.loads)
    assert store.facts("k", KEPT, cache.loads) is first
    assert store.facts("k", KEPT._replace(digest=b"new"), cache.loads) is not first


@pytest.mark.parametrize("file", ["facts", None])
def test_facts_of_a_changed_file_stay_until_they_are_loaded(file: str | None, here: Path) -> None:
    (here / "x.py").write_text("")
    store = FactsStore(file, "1")
    store.put("python\0x.py", KEPT)
    store.facts("python\0x.py", KEPT, cache.loads)
    store.save()
    changed = KEPT._replace(digest=b"changed", blob=cache.dumps(Place("x.py", 5, 6, 7, 8)))
    store.put("python\0x.py", changed)
    store.save()
    again = store.get("python\0x.py", None, lambda: b"changed")
    assert again is not None
    assert store.facts("python\0x.py", again, cache.loads) == Place("x.py", 5, 6, 7, 8)


def test_facts_that_are_nowhere_any_more_are_made_again() -> None:
    store = FactsStore(None, "1")
    store.put("python\0x.py", KEPT)
    store.facts("python\0x.py", KEPT, cache.loads)
    store.facts("python\0x.py", KEPT._replace(digest=b"changed"), cache.loads)
    assert store.get("python\0x.py", (1, 2, 3), never) is None

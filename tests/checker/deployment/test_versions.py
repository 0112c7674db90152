"""Ranges of Python packages admit what PEP 440 and Poetry say they admit."""

from __future__ import annotations

import pytest

from turnlane.checker.deployment.versions import Range, newest, parse_range, version


@pytest.mark.parametrize(
    ("specifier", "inside", "outside"),
    [
        ("", ["0.1", "9"], ["1.0b1"]),
        (">=0.4,<0.8", ["0.4", "0.7.5"], ["0.3.9", "0.8", "0.8.1"]),
        ("~=0.2", ["0.2", "0.7.5"], ["0.1.9", "1.0"]),
        ("~=0.2.0", ["0.2.0", "0.2.40"], ["0.3"]),
        ("~=0.2.0b6", ["0.2.0b6", "0.2.1"], ["0.2.0b5", "0.3"]),
        ("==0.7.*", ["0.7", "0.7.9"], ["0.8"]),
        ("==0.7", ["0.7", "0.7.0"], ["0.7.1"]),
        ("===0.7.5", ["0.7.5"], ["0.7.4"]),
        (">0.4", ["0.4.1"], ["0.4"]),
        ("<=0.4", ["0.4"], ["0.4.1"]),
        ("!=0.5", ["0.4"], []),
        ("^0.2.35", ["0.2.35", "0.2.99"], ["0.3", "0.2.34"]),
        ("^1.2", ["1.9"], ["2.0", "1.1"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("~0.2", ["0.2.9"], ["0.3"]),
        ("== 0.2.32", ["0.2.32"], ["0.2.33"]),
        (">=0.4.0.dev8", ["0.4.0.dev11", "0.4.0"], ["0.4.0.dev7"]),
        ("==0.9.1.post0", ["0.9.1.post0"], ["0.9.1"]),
    ],
)
def test_ranges(specifier, inside, outside) -> None:
    read = parse_range(specifier)
    assert read is not None
    assert [text for text in inside if not read.admits(version(text))] == []
    assert [text for text in outside if read.admits(version(text))] == []


@pytest.mark.parametrize("specifier", ["^1 || ^2", ">=x", "==", ">=1,<nothing", "1.2.3 - 2"])
def test_what_is_not_understood_admits_no_statement(specifier) -> None:
    assert parse_range(specifier) is None


def test_versions_are_ordered() -> None:
    texts = ["0.4.0.dev1", "0.4.0a1", "0.4.0b2", "0.4.0rc1", "0.4", "0.4.0.post1", "0.4.0.1", "0.4.9.2", "0.10"]
    assert sorted(texts, key=version) == texts


def test_the_newest_is_chosen_without_pre_releases() -> None:
    published = [version(text) for text in ("0.1", "0.2", "0.3b1")]
    assert newest(published, Range()) == version("0.2")
    assert newest(published, parse_range(">=0.3b1")) == version("0.3b1")
    assert newest(published, parse_range(">1")) is None

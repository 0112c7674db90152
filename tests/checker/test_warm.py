"""The answer of the last run: given again only while nothing has changed."""

from __future__ import annotations

import io
import marshal
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from turnlane.checker import warm
from turnlane.checker.discovery import Stamp, stamp

LATER = time.time_ns() + 3_600_000_000_000
"""A start of the run at which no file is young."""
ARGUMENTS = ("src",)


@pytest.fixture
def answer(here: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stamp]:
    """Keeps an answer about one file and its folder."""
    monkeypatch.setenv("TURNLANE_CACHE_DIR", str(here.parent / "cache"))
    (here / "x.py").write_text("x = 1\n")
    stamps = {path: stamp(path) for path in (".", "x.py", "gone.py")}
    warm.keep(ARGUMENTS, stamps, "found\n", "note\n", 1, LATER)
    return stamps


def replayed(*arguments: str) -> tuple[int | None, str]:
    errors = io.StringIO()
    return warm.replay(arguments or ARGUMENTS, errors), errors.getvalue()


@pytest.mark.usefixtures("answer")
def test_it_is_given_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed() == (1, "note\n")
    assert capsys.readouterr().out == "found\n"
    assert replayed("src", "--quiet") == (None, "")
    assert replayed("src", "--no-cache") == (None, "")
    assert replayed("src", "--cache-dir", "elsewhere") == (None, "")


@pytest.mark.usefixtures("answer")
@pytest.mark.parametrize("change", ["content", "time only", "new file", "removed", "absent comes"])
def test_a_change_ends_it(change: str, here: Path) -> None:
    file = here / "x.py"
    match change:
        case "content":
            file.write_text("x = 2\n")
        case "time only":
            os.utime(file, ns=(1, 1))
        case "new file":
            (here / "y.py").write_text("")
        case "removed":
            file.unlink()
        case "absent comes":
            (here / "gone.py").write_text("")
    assert replayed() == (None, "")


@pytest.mark.usefixtures("answer")
def test_the_same_size_and_time_do_not_hide_a_change(here: Path) -> None:
    file = here / "x.py"
    before = file.stat()
    file.write_text("x = 2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert replayed() == (None, "")


@pytest.mark.usefixtures("answer")
def test_another_folder_or_environment_has_its_own(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert replayed() == (None, "")
    monkeypatch.delenv("NO_COLOR")
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    assert replayed() == (None, "")


@pytest.mark.usefixtures("answer")
def test_it_depends_on_every_file_of_the_program() -> None:
    (file,) = Path(warm.folder()).glob("*.answer")
    kept = {path for path, _ in warm.read(str(file))[2]}
    package = Path(warm.__file__).parents[1]
    for part in ("checker/run.py", "checker/rules", "checker/reports/full.py", "hazards/pages", "cli/main.py"):
        assert str(package / part) in kept
    changed = warm.program()
    assert changed == warm.program()
    assert changed.startswith(sys.version)


def test_a_young_file_is_not_trusted(here: Path) -> None:
    (here / "x.py").write_text("")
    now = stamp("x.py")
    assert warm.young(now, now[0])
    assert warm.young(now, now[0] - 1_000_000_000)
    assert not warm.young(now, now[0] + 2 * warm.YOUNG_NS)
    whole_seconds = (5_000_000_000, 5_000_000_000, 1)
    assert warm.young(whole_seconds, 6_000_000_000)
    assert not warm.young(whole_seconds, 8_000_000_000)
    warm.keep(ARGUMENTS, {"x.py": now}, "", "", 0, now[0])
    assert replayed() == (None, "")


@pytest.mark.parametrize(
    "data", [b"", b"garbage", marshal.dumps(3), marshal.dumps((1, 2)), b"\xe9\xff\xff\xff\x7f", b"("]
)
@pytest.mark.usefixtures("answer")
def test_a_broken_file_is_no_answer(data: bytes) -> None:
    for file in Path(warm.folder()).glob("*.answer"):
        file.write_bytes(data)
    assert replayed() == (None, "")


@pytest.mark.usefixtures("answer")
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no owners here")
def test_a_file_that_others_may_write_is_not_read() -> None:
    for file in Path(warm.folder()).glob("*.answer"):
        file.chmod(0o666)
    assert replayed() == (None, "")


def test_it_is_kept_in_a_folder_of_the_user(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNLANE_CACHE_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "own"))
    assert warm.folder() == str(here / "own/turnlane")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the specification says to ignore it
    assert warm.folder() == ""
    assert warm.folder(["--cache-dir", "x"]) == "x"
    assert warm.folder(["--cache-dir=y"]) == "y"
    warm.keep(["--cache-dir=y"], {}, "", "", 0, LATER)
    assert (here / "y/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert (here / "y/.gitignore").read_text() == "*\n"


def test_a_folder_that_can_not_be_written_is_no_error(here: Path) -> None:
    (here / "file").write_text("")
    warm.write(str(here / "file/sub/x.answer"), b"data")
    assert warm.read(str(here / "file/sub/x.answer")) is None


def test_what_nobody_uses_is_removed(here: Path) -> None:
    for name in ("old.answer", "new.answer", "old.facts", "somebody.else"):
        (here / name).write_text("")
    month = (warm.KEPT_DAYS + 1) * 86400
    for name in ("old.answer", "old.facts", "somebody.else"):
        os.utime(here / name, (1_000, 1_000))
    warm.tidy(str(here), 1_000 + month)
    assert {path.name for path in here.iterdir()} == {"somebody.else", "new.answer"}


def test_two_runs_print_the_same_and_the_second_imports_next_to_nothing(here: Path) -> None:
    (here / "x.py").write_text("x = 1  # turnlane: ignore[TL201]\n")
    os.utime(here / "x.py", ns=(1_000_000_001, 1_000_000_001))
    script = (
        "import sys, time\n"
        "from turnlane.checker import warm\n"
        "warm.young = lambda stamp, began: False\n"  # the file is made a moment ago
        "before = set(sys.modules)\n"
        "from turnlane.cli.main import main\n"
        "status = main(['check', '--color', 'never'])\n"
        "print(status, *sorted(set(sys.modules) - before), sep='\\n', file=sys.stderr)\n"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert "TL001" in first.stdout
    assert first.stdout == second.stdout
    assert "turnlane.checker.run" in first.stderr.split()
    status, *imported = second.stderr.split()
    assert status == "1"
    assert {name for name in imported if name.startswith("turnlane")} <= {
        "turnlane.checker",
        "turnlane.cli",
        "turnlane.cli.complaint",
        "turnlane.cli.main",
    }
    assert not {"typing", "re", "argparse", "pathlib", "json"} & {*imported}

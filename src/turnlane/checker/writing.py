"""Writes fixed files back, and shows what would be written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from turnlane.checker.source import decode, encode


class NotWritten(Exception):
    """A fixed file could not be written; what was there is still there. The message is one clear sentence."""


def write(path: str, before: bytes, text: str) -> None:
    """Replace the file `path` by `text`, in its encoding and with its mode bits, in one step.

    Args:
        path: the file; a link stays a link, and what it points to is written.
        before: the bytes that `text` was made from. A file that has others by now is left alone.
        text: the new text.

    Raises:
        NotWritten: the file changed, can't be written, or its encoding lacks a character.
    """
    target = os.path.realpath(path)
    try:
        data = encode(text, before)
        if encode(decode(before), before) != before:
            raise NotWritten(f"{path} can't be fixed: its encoding can't be written back as it is")
        with open(target, "rb") as file:
            if file.read() != before:
                raise NotWritten(f"{path} changed while it was checked; run again")
        _replace(target, data)
    except UnicodeEncodeError as error:
        raise NotWritten(f"{path} can't be fixed: its encoding {error.encoding} lacks a character") from None
    except OSError as error:
        raise NotWritten(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from None


def _replace(target: str, data: bytes) -> None:
    mode = stat.S_IMODE(os.stat(target).st_mode)
    if not os.access(target, os.W_OK):
        raise PermissionError(13, "permission denied")  # replacing would do what writing may not
    handle, temporary = tempfile.mkstemp(prefix=".turnlane-", dir=os.path.dirname(target))
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def difference(path: str, before: str, after: str) -> str:
    """The change as a unified diff; of a notebook, one of each changed cell, `path:cell 3`.

    `before` and `after` are texts of the file, of a notebook the whole `.ipynb`. Empty when they are the same.
    """
    if not path.lower().endswith(".ipynb"):
        return _unified(path, before, after)
    from turnlane.checker import notebook

    old, new = notebook.read(before), notebook.read(after)
    return "".join(
        _unified(f"{path}:cell {cell.number}", was, now)
        for cell, was, now in zip(old.cells, old.sources, new.sources, strict=True)
    )


def _unified(name: str, before: str, after: str) -> str:
    import difflib

    lines: list[str] = []
    for line in difflib.unified_diff(_lines(before), _lines(after), name, name):
        end = line.endswith("\n")
        lines.append(line if end else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """The lines with their ends; those that a diff can show, so a lone CR ends none."""
    return [line + "\n" for line in text.split("\n")[:-1]] + (
        [text.rsplit("\n", 1)[-1]] if text[-1:] != "\n" else []
    )

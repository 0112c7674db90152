"""Damages real programs the way editors, merges and broken disks do."""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(rb"\w+|[^\w\s]|\n[ \t]*|[ \t]+")
_STRAY = (
    b"(",
    b")",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"'",
    b'"""',
    b":",
    b"\\",
    b"\n",
    b"    ",
    b"\t",
    b"\0",
    b"\xff",
)
_STRAY_LINES = (b"<<<<<<< HEAD\n", b"=======\n", b"%time x\n", b"print 'x'\n", b"    \n", b"match x:\n", b"f(\n")


def mutated(data: bytes, chance: random.Random, changes: int) -> bytes:
    """`data` after some changes: tokens dropped, doubled or swapped, strays put in, a tail cut off."""
    tokens = _TOKEN.findall(data)
    for _ in range(changes):
        if not tokens:
            break
        at = chance.randrange(len(tokens))
        match chance.randrange(7):
            case 0:
                del tokens[at]
            case 1:
                tokens.insert(at, tokens[at])
            case 2:
                other = chance.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens.insert(at, chance.choice(_STRAY))
            case 4:
                tokens[at] = chance.choice(_STRAY)
            case 5:
                tokens.insert(at, b"\n" + chance.choice(_STRAY_LINES))
            case 6:
                del tokens[at : at + chance.randrange(1, 40)]
    return b"".join(tokens)

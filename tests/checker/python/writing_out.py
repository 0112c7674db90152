"""Facts in a short written form, for tables of expected facts."""

from __future__ import annotations

from turnlane.checker.python.facts import (
    Attribute,
    Awaited,
    CallRef,
    Choice,
    Constant,
    Element,
    Entered,
    Expression,
    Function,
    Items,
    Name,
    Other,
    Scope,
    Starred,
    Subscript,
    Text,
    Unpacked,
)

BRACKETS = {"list": "[]", "tuple": "()", "set": "{}", "dict": "{}", "generator": "<>"}


def expression(value: Expression | None) -> str:
    """`#0` is call 0 of the scope, `~` what is of no interest, `...` one element for each round of a loop."""
    match value:
        case Name(id):
            return id
        case Attribute(base, name):
            return f"{expression(base)}.{name}"
        case Constant(constant):
            return repr(constant)
        case CallRef(number):
            return f"#{number}"
        case Items():
            return _items(value)
        case Subscript(base, key):
            return f"{expression(base)}[{expression(key)}]"
        case Starred(base):
            return f"*{expression(base)}"
        case Choice(options):
            return f"({' | '.join(map(expression, options))})"
        case Awaited(inner):
            return f"await {expression(inner)}"
        case Element(of):
            return f"each of {expression(of)}"
        case Entered(of):
            return f"entered {expression(of)}"
        case Unpacked(of, part):
            return f"part {part} of {expression(of)}"
        case Function(scope):
            return f"lambda {scope}"
        case Text(parts):
            return f"text({', '.join(map(expression, parts))})"
        case Other(parts):
            return f"~({', '.join(map(expression, parts))})" if parts else "~"
    return "nothing"


def _items(value: Items) -> str:
    opening, closing = BRACKETS[value.kind]
    values = [expression(part) for part in value.values]
    if value.keys:
        values = [f"{expression(key)}: {part}" for key, part in zip(value.keys, values, strict=True)]
    return opening + ", ".join(values) + ("..." if value.each else "") + closing


def calls(scope: Scope) -> list[str]:
    """Each call with its use; the user's number where there is one; the block's kind outside of the body."""
    return [f"{one} {_use(scope, call)}" for one, call in zip(bare_calls(scope), scope.calls, strict=True)]


def bare_calls(scope: Scope) -> list[str]:
    """Each call without its use."""
    lines: list[str] = []
    for call in scope.calls:
        arguments = [expression(value) for value in call.arguments]
        arguments += [
            f"{name}={expression(value)}" if name else f"**{expression(value)}" for name, value in call.keywords
        ]
        lines.append(f"{expression(call.callee)}({', '.join(arguments)})")
    return lines


def reads(scope: Scope) -> list[str]:
    """Each read with its attribute and its use."""
    return [f"{one.name}{'.' if one.attribute else ''}{one.attribute} {_use(scope, one)}" for one in scope.reads]


def assignments(scope: Scope) -> list[str]:
    """Each assignment, with the calls before it."""
    lines: list[str] = []
    for one in scope.assignments:
        annotation = f": {expression(one.annotation)}" if one.annotation is not None else ""
        sign = "+=" if one.augmented else "="
        line = f"{expression(one.target)}{annotation} {sign} {expression(one.value)} after {one.after}"
        lines.append(line + _block(scope, one.block))
    return lines


def blocks(scope: Scope) -> list[str]:
    """Each block after the first: kind, subject, lines, parent, partner."""
    lines: list[str] = []
    for block in scope.blocks[1:]:
        subject = " ".join(map(expression, block.subject))
        partner = f" with {block.partner}" if block.partner >= 0 else ""
        words = [block.kind, subject, block.name, f"{block.line}-{block.end_line}", f"in {block.parent}"]
        lines.append(" ".join(filter(None, words)) + partner)
    return lines


def _use(scope: Scope, one: object) -> str:
    user = getattr(one, "user")  # noqa: B009
    text: str = getattr(one, "use") + (f" {user}" if user >= 0 else "")  # noqa: B009
    return text + _block(scope, getattr(one, "block"))  # noqa: B009


def _block(scope: Scope, number: int) -> str:
    return f" in {scope.blocks[number].kind}" if number else ""

"""What is kept of one Python file: its scopes, and in each the calls, assignments, returns and uses, in order.

The facts are a lowered form of the syntax tree, small enough to keep between runs and to send between processes,
and complete enough to follow values from file to file without the tree. They depend on the file's bytes only:
names are not resolved here.

An expression is one of the small tuples below; what can't matter is `OTHER` with its interesting parts. A call is
kept once, in `Scope.calls`, in the order of evaluation, and named by its index there (`CallRef`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Span(NamedTuple):
    """Where something stands, as in `ast`: lines from 1, columns in UTF-8 bytes from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


# --- Expressions -----------------------------------------------------------------------------------------


class Name(NamedTuple):
    """A variable that is read."""

    id: str


class Attribute(NamedTuple):
    """`base.name`"""

    base: Expression
    name: str


class Constant(NamedTuple):
    """A literal; a text longer than 200 characters is cut."""

    value: str | int | float | bool | None


class CallRef(NamedTuple):
    """A call of the scope that the expression stands in: `scope.calls[number]`."""

    number: int


class Items(NamedTuple):
    """A display or a comprehension: `[a, b]`, `(a, b)`, `{a, b}`, `{k: v}`, `[f(x) for x in y]`.

    A comprehension has one value, the element, and `each` is true: its loops are `Block`s of the scope.
    """

    kind: Literal["list", "tuple", "set", "dict", "generator"]
    values: tuple[Expression, ...]
    keys: tuple[Expression, ...] = ()
    """Of a dict; `Constant(None)` for a `**` part, whose value is the mapping."""
    each: bool = False


class Subscript(NamedTuple):
    """`base[key]`"""

    base: Expression
    key: Expression


class Starred(NamedTuple):
    """`*base` in a call or a display."""

    base: Expression


class Choice(NamedTuple):
    """One of several: `a if c else b`, `a or b`, `a and b`; an assignment expression is its value."""

    options: tuple[Expression, ...]


class Awaited(NamedTuple):
    """`await value`"""

    value: Expression


class Element(NamedTuple):
    """What a loop variable stands for: one element of `of`."""

    of: Expression


class Entered(NamedTuple):
    """What `with ... as name` binds: the value that entering `of` gives."""

    of: Expression


class Unpacked(NamedTuple):
    """Part `part` of an unpacked value: `a, b = of`."""

    of: Expression
    part: int


class Function(NamedTuple):
    """A lambda: `module.scopes[scope]`."""

    scope: int


class Text(NamedTuple):
    """An f-string or a text put together: the expressions in it."""

    parts: tuple[Expression, ...]


class Other(NamedTuple):
    """Anything else: only the parts are of interest."""

    parts: tuple[Expression, ...] = ()


Expression = (
    Name
    | Attribute
    | Constant
    | CallRef
    | Items
    | Subscript
    | Starred
    | Choice
    | Awaited
    | Element
    | Entered
    | Unpacked
    | Function
    | Text
    | Other
)
"""Ask with `isinstance` what it is before comparing: as tuples, `Name("a") == Constant("a")`."""

OTHER = Other()


# --- What a scope holds ------------------------------------------------------------------------------------


Use = Literal[
    "dropped",  # an expression statement
    "awaited",
    "assigned",  # also `with ... as` is "entered", not this
    "returned",
    "yielded",
    "argument",  # of a call; `Call.user` / `Read.user` is the call's index
    "callee",  # the function of a call: `f()()`; with `user`
    "attribute",  # `f().name`, `name.attr`
    "subscript",
    "iterated",
    "async iterated",
    "entered",  # `with f():`
    "async entered",
    "tested",  # condition of if, while, assert, not, comparison, boolean operator
    "item",  # of a display or a comprehension
    "raised",
    "deleted",
    "decorator",
    "default",  # a parameter's default value
    "other",
]
"""How the surrounding code uses the value. Parentheses do not count; `await` wins over what stands around it."""


class Call(NamedTuple):
    """One call. `scope.calls` is in the order of evaluation: arguments stand before the call that takes them."""

    callee: Expression
    arguments: tuple[Expression, ...]
    keywords: tuple[tuple[str, Expression], ...]
    """In order; the name is empty for `**mapping`."""
    span: Span
    """The whole call, without a surrounding `await`."""
    block: int
    """The innermost block of the scope around it: an index into `scope.blocks`."""
    use: Use
    user: int = -1
    """For "argument" and "callee": index of the call that uses it. For "assigned": of the assignment. Else -1."""


class Assignment(NamedTuple):
    """One target of an assignment, also of a loop, a `with`, an import inside `try`, an unpacking, `:=`, `+=`."""

    target: Expression
    """Name, Attribute or Subscript; unpacking is one Assignment for each name, with `Unpacked` values."""
    value: Expression
    span: Span
    """The statement's; for a loop or `with` its target's."""
    block: int
    augmented: bool = False
    annotation: Expression | None = None
    after: int = 0
    """How many calls of the scope are evaluated before it."""


class Return(NamedTuple):
    """`return value`, or a lambda's body; `OTHER`-free: a bare return has `Constant(None)`."""

    value: Expression
    span: Span
    block: int


class Yield(NamedTuple):
    """`yield value` or `yield from value`."""

    value: Expression
    span: Span
    block: int


class Raise(NamedTuple):
    """`raise value from cause`; a bare `raise` has `Constant(None)`."""

    value: Expression
    cause: Expression | None
    span: Span
    block: int


class Jump(NamedTuple):
    """`break` or `continue`."""

    kind: Literal["break", "continue"]
    line: int
    block: int


class Read(NamedTuple):
    """One read of a plain name (not of a call's result), anywhere in the scope."""

    name: str
    line: int
    column: int
    block: int
    use: Use
    user: int = -1
    attribute: str = ""
    """For "attribute" and for the callee of `name.attr(...)`: the attribute."""


BlockKind = Literal[
    "body",
    "if",
    "else",
    "while",
    "for",
    "async for",
    "with",
    "async with",
    "try",
    "except",
    "else of try",
    "finally",
    "else of loop",
]


class Block(NamedTuple):
    """A part of a scope in which statements stand. Block 0 is the scope's own body, its parent is -1.

    A comprehension is a "for" (or "async for") block. `match` cases are "if" blocks with the subject.
    """

    kind: BlockKind
    parent: int
    line: int
    end_line: int
    subject: tuple[Expression, ...] = ()
    """Test of if/else/while (the same expression for both branches), iterable of a loop, context managers of a
    with, exception types of an except."""
    partner: int = -1
    """For "else": the block of its if. For "except", "else of try", "finally": the block of the try body."""
    name: str = ""
    """Of `except ... as name`."""


class Parameter(NamedTuple):
    name: str
    kind: Literal["positional", "keyword", "*", "**"]
    """"positional": can be given by place, with or without a default."""
    annotation: Expression | None
    default: Expression | None
    """Both stand in the enclosing scope: a CallRef in them is one of the parent's calls."""


class Import(NamedTuple):
    """One name that an import binds.

    `import a.b` binds `a` to module "a"; `import a.b as c` binds c to "a.b";
    `from a import b as c` binds c to module "a" with name "b"; a star import has local name "*".
    """

    local: str
    module: str
    """Dots in front for a relative import."""
    name: str
    """Of the imported object in `module`; empty for a module."""
    line: int
    scope: int
    block: int
    whole: str = ""
    """For `import a.b`: "a.b"."""


class Scope(NamedTuple):
    """A module, class, function or lambda. `module.scopes[0]` is the module; a scope stands after its parent."""

    number: int
    kind: Literal["module", "class", "function", "lambda"]
    name: str
    qualname: str
    """As Python's own, `<locals>` left out: `Service.run.helper`."""
    parent: int
    parent_block: int
    span: Span
    """From the `def` or `class` keyword (or the decorators, if any) to the end."""
    line: int
    """Of the `def`, `async def` or `class` keyword."""
    is_async: bool
    is_generator: bool
    parameters: tuple[Parameter, ...]
    decorators: tuple[Expression, ...]
    """In the enclosing scope, like bases and annotations."""
    bases: tuple[Expression, ...]
    """Of a class."""
    returns: Expression | None
    """The annotation."""
    docstring: bool
    globals: tuple[str, ...]
    nonlocals: tuple[str, ...]
    calls: tuple[Call, ...]
    assignments: tuple[Assignment, ...]
    results: tuple[Return, ...]
    yields: tuple[Yield, ...]
    raises: tuple[Raise, ...]
    jumps: tuple[Jump, ...]
    reads: tuple[Read, ...]
    blocks: tuple[Block, ...]


class Cell(NamedTuple):
    """One code cell of a notebook."""

    number: int
    """From 1, counting all cells, also markdown, as notebook programs and ruff do."""
    first_line: int
    """Its first line in the joined program."""
    lines: int


class Module(NamedTuple):
    """The facts of one file."""

    path: str
    kind: Literal["script", "notebook"]
    scopes: tuple[Scope, ...]
    imports: tuple[Import, ...]
    cells: tuple[Cell, ...] = ()
    main_guard: tuple[int, ...] = ()
    """Blocks of scope 0 under `if __name__ == "__main__"`."""
    exports: tuple[str, ...] = ()
    """`__all__`, when it is a plain list."""
    problems: tuple[tuple[int, str], ...] = ()
    """Line and sentence of what could not be read: a syntax error, an unknown encoding, a dynamic import."""
    recovered: bool = False
    """True when the file did not parse and its facts come from an error-tolerant parser."""

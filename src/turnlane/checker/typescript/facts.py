"""What is kept of one TypeScript or JavaScript file: its scopes, and in each the calls, assignments and returns.

A lowered form of the syntax tree, plain and small enough to keep between runs and to send between processes. It
depends on the file's bytes only: names are not resolved here. Types are dropped but for the names that annotate
parameters, fields and variables.
"""

from __future__ import annotations

from typing import Literal as Options
from typing import NamedTuple


class Span(NamedTuple):
    """Where something stands: lines from 1, columns in UTF-8 bytes from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


# --- Expressions -----------------------------------------------------------------------------------------


class Name(NamedTuple):
    """A variable that is read; `this` and `super` are names too."""

    id: str


class Member(NamedTuple):
    """`base.name`, `base?.name`, `base["name"]`"""

    base: Expression
    name: str


class Index(NamedTuple):
    """`base[key]` with a key that is not a text."""

    base: Expression
    key: Expression


class Constant(NamedTuple):
    """A literal; a text longer than 200 characters is cut. `null` and `undefined` are None."""

    value: str | int | float | bool | None


class CallRef(NamedTuple):
    """A call of the scope that the expression stands in: `scope.calls[number]`."""

    number: int


class Object(NamedTuple):
    """`{key: value, ...rest}`; a spread has the key `...`, a computed key is `[]`."""

    keys: tuple[str, ...]
    values: tuple[Expression, ...]


class Array(NamedTuple):
    """`[a, ...b]`; a spread is a `Spread`."""

    values: tuple[Expression, ...]


class Spread(NamedTuple):
    """`...base` in a call or an array."""

    base: Expression


class Choice(NamedTuple):
    """One of several: `c ? a : b`, `a || b`, `a ?? b`, `a && b`."""

    options: tuple[Expression, ...]


class Awaited(NamedTuple):
    """`await value`"""

    value: Expression


class Element(NamedTuple):
    """What the variable of a `for ... of` stands for: one element of `of`."""

    of: Expression


class Function(NamedTuple):
    """A function or arrow: `module.scopes[scope]`."""

    scope: int


class Class(NamedTuple):
    """A class: `module.scopes[scope]`."""

    scope: int


class Parameter(NamedTuple):
    """The value of parameter `number` of the scope."""

    number: int


class Package(NamedTuple):
    """Everything that a module exports: `import * as x`, `require(x)`, `await import(x)`."""

    source: str


class Text(NamedTuple):
    """A template or a text put together with `+`: the expressions in it."""

    parts: tuple[Expression, ...]


class Other(NamedTuple):
    """Anything else: only the parts are of interest."""

    parts: tuple[Expression, ...] = ()


Expression = (
    Name
    | Member
    | Index
    | Constant
    | CallRef
    | Object
    | Array
    | Spread
    | Choice
    | Awaited
    | Element
    | Function
    | Class
    | Parameter
    | Package
    | Text
    | Other
)
"""Ask with `isinstance` what it is before comparing: as tuples, `Name("a") == Constant("a")`."""

OTHER = Other()


# --- What a scope holds ------------------------------------------------------------------------------------

Use = Options[
    "dropped",  # an expression statement
    "void",  # `void f()`
    "awaited",
    "assigned",  # to a variable, a field or a member
    "returned",  # also the body of an arrow
    "yielded",
    "argument",  # of call `user`
    "callee",  # the function of call `user`: `f()()`
    "member",  # `f().name`; with `user` when that member is called: `f().name()`
    "item",  # of an array or an object
    "iterated",  # `for (... of f())`
    "async iterated",  # `for await (... of f())`
    "tested",
    "exported",
    "other",
]
"""How the surrounding code uses a value. Parentheses, casts, `!` and the arms of a choice do not count."""


class Call(NamedTuple):
    """One call. `scope.calls` is in the order of the text: a call stands before the calls in its arguments."""

    callee: Expression
    arguments: tuple[Expression, ...]
    span: Span
    """The whole call, without a surrounding `await`."""
    block: int
    """The innermost block of the scope around it: an index into `scope.blocks`."""
    use: Use
    user: int = -1
    new: bool = False
    """`new callee(...)`"""


AssignmentKind = Options[
    "const", "let", "var", "function", "class", "parameter", "field", "static", "method", "set"
]
"""How a name gets a value. "set" is a plain assignment, also to a member; "field", "static" and "method" stand in
the scope of a class, with a `Name` target."""


class Assignment(NamedTuple):
    """One target of a declaration or an assignment; a destructuring is one for each name."""

    target: Expression
    value: Expression
    span: Span
    block: int
    kind: AssignmentKind
    augmented: bool = False
    """`+=`, `??=`, `||=`"""
    annotation: Expression | None = None
    """The name of the annotated type, without its arguments."""


class Return(NamedTuple):
    """`return value`, or the body of an arrow."""

    value: Expression
    span: Span
    block: int


class Read(NamedTuple):
    """One read of a plain name that holds the result of a call nobody awaited."""

    name: str
    span: Span
    block: int
    use: Use
    attribute: str = ""
    """For "member": its name."""


BlockKind = Options[
    "body", "if", "while", "for", "for of", "for await", "try", "catch", "finally", "switch", "other"
]


class Block(NamedTuple):
    """A part of a scope in which statements stand. Block 0 is the scope's own body, its parent is -1.

    "for" is the loop that counts, "while" also `do`; "if" is either branch.
    """

    kind: BlockKind
    parent: int
    line: int
    subject: Expression = OTHER
    """Test of an if or a while, iterable of a loop; for "catch" the name of the error."""
    partner: int = -1
    """For "catch" and "finally": the block of their try."""


class Scope(NamedTuple):
    """A module, class or function. `module.scopes[0]` is the module; a scope stands after its parent."""

    number: int
    kind: Options["module", "class", "function", "method", "arrow"]
    name: str
    """Empty when nothing names it. A function that is assigned or is a property has that name."""
    parent: int
    parent_block: int
    span: Span
    is_async: bool = False
    is_generator: bool = False
    parameters: int = 0
    directives: tuple[str, ...] = ()
    """`use server`, `use client`"""
    decorators: tuple[Expression, ...] = ()
    """In the enclosing scope, like bases."""
    bases: tuple[Expression, ...] = ()
    """Of a class: what it extends."""
    calls: tuple[Call, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    results: tuple[Return, ...] = ()
    reads: tuple[Read, ...] = ()
    blocks: tuple[Block, ...] = ()


class Import(NamedTuple):
    """One name that an import binds; `require` and `import()` at any place are imports without a local name."""

    local: str
    source: str
    name: str
    """Of the imported object; `*` for the whole module, `default`; empty for `import "x"` alone."""
    span: Span
    """Of the text that names the module."""
    kind: Options["import", "require", "dynamic"]
    types: bool = False
    """`import type`"""


class Export(NamedTuple):
    """One name that others can import: `default`, or `*` with a `Package` for `export * from`."""

    name: str
    value: Expression
    """In the module's scope."""
    span: Span


class Module(NamedTuple):
    """The facts of one file."""

    scopes: tuple[Scope, ...]
    imports: tuple[Import, ...] = ()
    exports: tuple[Export, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()
    """Line (0: the whole file) and sentence of what could not be read."""


class Config(NamedTuple):
    """What is kept of a `tsconfig.json`: how the project spells its imports."""

    base: str = ""
    """`baseUrl`"""
    paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
    extends: str = ""

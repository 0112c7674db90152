"""Lowers expressions: a node becomes one of the small tuples of `facts.py`, its calls go to the scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from turnlane.checker.typescript.facts import (
    OTHER,
    Array,
    Assignment,
    AssignmentKind,
    Awaited,
    Call,
    CallRef,
    Choice,
    Class,
    Constant,
    Expression,
    Function,
    Import,
    Index,
    Member,
    Name,
    Object,
    Other,
    Package,
    Read,
    Spread,
    Text,
    Use,
)
from turnlane.checker.typescript.scopes import ScopeKind, Scopes
from turnlane.checker.typescript.syntax import Node, named, span, string, text

_WRAPPERS: Final = frozenset(
    ("parenthesized_expression", "as_expression", "satisfies_expression", "non_null_expression")
)
_FUNCTIONS: Final = frozenset(("function_expression", "arrow_function", "generator_function"))
_TYPES: Final = frozenset(
    ("type_annotation", "type_arguments", "type_parameters", "type_identifier", "predefined_type", "jsx_text")
)
_LONGEST: Final = 200
_VALUES: Final = {"true": True, "false": False, "null": None, "undefined": None}


class Expressions(Scopes):
    """Reads expressions into the scope that is open."""

    def expression(
        self, node: Node | None, use: Use = "other", user: int = -1, *, name: str = "", attribute: str = ""
    ) -> Expression:
        """Lower one expression.

        Args:
            use: what the surrounding code does with the value; `user` is the call that does it.
            name: what the value is called, should it be a function or a class.
            attribute: the member that is read of the value.
        """
        if node is None:
            return OTHER
        while node.type in _WRAPPERS:
            inner = next(named(node), None)
            if inner is None:
                return OTHER
            node = inner
        kind = node.type
        if kind == "identifier":
            return self._read(node, text(node), use, attribute)
        if kind in _FUNCTIONS:
            return self.function(node, name, "arrow" if kind == "arrow_function" else "function")
        if kind in ("call_expression", "new_expression"):
            return self._call(node, use, user)
        if kind == "class":
            return self.class_(node, name)
        if kind in ("binary_expression", "ternary_expression"):
            return self._choice(node, use, user)
        lower = self._lower.get(kind)
        return lower(self, node) if lower is not None else self._anything(node, use)

    def function(self, node: Node, name: str, kind: ScopeKind) -> Function:
        """Read a function into a scope of its own."""
        raise NotImplementedError

    def class_(self, node: Node, name: str) -> Class:
        """Read a class into a scope of its own."""
        raise NotImplementedError

    def bind(
        self,
        pattern: Node,
        value: Expression,
        where: Node,
        kind: AssignmentKind,
        type_: Expression | None = None,
    ) -> None:
        """Give the names of a pattern (or the one name, or the member) their part of the value."""
        raise NotImplementedError

    # --- Names and calls ---------------------------------------------------------------------------------

    def _read(self, node: Node, name: str, use: Use, attribute: str = "") -> Expression:
        if name == "undefined":
            return Constant(None)
        self.scope.reads.append(Read(name, span(node), self.block, use, attribute))
        return Name(name)

    def _call(self, node: Node, use: Use, user: int) -> Expression:
        new = node.type == "new_expression"
        function = node.child_by_field_name("constructor" if new else "function")
        arguments = node.child_by_field_name("arguments")
        if function is not None and (package := self._imported(function, arguments)) is not None:
            return package
        number = self.scope.reserve()
        callee = self._callee(function, number)
        values = self._arguments(arguments, number)
        self.scope.calls[number] = Call(callee, values, span(node), self.block, use, user, new)
        return CallRef(number)

    def _callee(self, node: Node | None, number: int) -> Expression:
        while node is not None and node.type in _WRAPPERS:
            node = next(named(node), None)
        if node is None or node.type != "member_expression":
            return self.expression(node, "callee", number)
        name = text(node.child_by_field_name("property"))
        return Member(self.expression(node.child_by_field_name("object"), "member", number, attribute=name), name)

    def _imported(self, function: Node, arguments: Node | None) -> Package | None:
        required = function.type == "identifier" and text(function) == "require"
        if not required and function.type != "import":
            return None
        source = next(named(arguments), None)
        if source is None or source.type not in ("string", "template_string"):
            return None
        name = string(source)
        self.imports.append(Import("", name, "*", span(source), "require" if required else "dynamic"))
        return Package(name)

    def _arguments(self, node: Node | None, user: int) -> tuple[Expression, ...]:
        if node is None:
            return ()
        if node.type == "template_string":  # a tagged template
            return (self._template(node),)
        return tuple(self.expression(child, "argument", user) for child in named(node))

    # --- What is chosen, put together, unpacked ------------------------------------------------------------

    def _choice(self, node: Node, use: Use, user: int) -> Expression:
        if node.type == "ternary_expression":
            self.expression(node.child_by_field_name("condition"), "tested")
            arms = [node.child_by_field_name(arm) for arm in ("consequence", "alternative")]
            return Choice(tuple(self.expression(arm, use, user) for arm in arms))
        operator = text(node.child_by_field_name("operator"))
        if operator in ("&&", "||", "??"):
            right = node.child_by_field_name("right")
            first = self.expression(node.child_by_field_name("left"), "tested" if operator == "&&" else use, user)
            return Choice((first, self.expression(right, use, user)))
        parts = tuple(part for part in self._operands(node) if part != OTHER)
        return Text(parts) if operator == "+" else Other(parts)

    def _operands(self, node: Node) -> list[Expression]:
        """The operands of a chain such as `a + b + c`, which may be thousands long: so without recursion."""
        nodes: list[Node] = []
        current: Node | None = node
        while current is not None and current.type == "binary_expression":
            if (right := current.child_by_field_name("right")) is not None:
                nodes.append(right)
            current = current.child_by_field_name("left")
        if current is not None:
            nodes.append(current)
        return [self.expression(operand, "tested") for operand in reversed(nodes)]

    def _anything(self, node: Node, use: Use = "other") -> Expression:
        if node.type in _TYPES or node.type.endswith("_type"):
            return OTHER
        parts = (self.expression(child, "other") for child in named(node))
        kept = tuple(part for part in parts if part != OTHER)
        return Other(kept) if kept else OTHER

    def _member(self, node: Node) -> Expression:
        name = text(node.child_by_field_name("property"))
        return Member(self.expression(node.child_by_field_name("object"), "member", attribute=name), name)

    def _subscript(self, node: Node) -> Expression:
        key = self.expression(node.child_by_field_name("index"), "tested")
        if isinstance(key, Constant) and isinstance(key.value, str):
            return Member(
                self.expression(node.child_by_field_name("object"), "member", attribute=key.value), key.value
            )
        return Index(self.expression(node.child_by_field_name("object"), "member", attribute="[]"), key)

    def _await(self, node: Node) -> Expression:
        return Awaited(self.expression(next(named(node), None), "awaited"))

    def _yield(self, node: Node) -> Expression:
        return Other((self.expression(next(named(node), None), "yielded"),))

    def _unary(self, node: Node) -> Expression:
        operator = text(node.child_by_field_name("operator"))
        value = self.expression(node.child_by_field_name("argument"), "void" if operator == "void" else "tested")
        if operator == "-" and isinstance(value, Constant) and isinstance(value.value, int | float):
            return Constant(-value.value)
        return Other((value,))

    def _sequence(self, node: Node) -> Expression:
        values = [self.expression(child, "dropped") for child in named(node)]
        return values[-1] if values else OTHER

    # --- Literals ------------------------------------------------------------------------------------------

    def _string(self, node: Node) -> Expression:
        return Constant(string(node)[:_LONGEST])

    def _template(self, node: Node) -> Expression:
        parts = [child for child in named(node) if child.type == "template_substitution"]
        if not parts:
            return Constant(string(node)[:_LONGEST])
        return Text(tuple(self.expression(next(named(part), None), "item") for part in parts))

    def _number(self, node: Node) -> Expression:
        return Constant(_number(text(node)))

    def _literal(self, node: Node) -> Expression:
        return Constant(_VALUES[node.type])

    def _name(self, node: Node) -> Expression:
        return Name(node.type)

    def _array(self, node: Node) -> Expression:
        return Array(tuple(self.expression(child, "item") for child in named(node)))

    def _spread(self, node: Node) -> Expression:
        return Spread(self.expression(next(named(node), None), "item"))

    def _object(self, node: Node) -> Expression:
        pairs = [pair for child in named(node) if (pair := self._property(child)) is not None]
        return Object(tuple(key for key, _ in pairs), tuple(value for _, value in pairs))

    def _property(self, node: Node) -> tuple[str, Expression] | None:
        if node.type == "pair":
            key = self.key(node.child_by_field_name("key"))
            return key, self.expression(node.child_by_field_name("value"), "item", name=key)
        if node.type == "shorthand_property_identifier":
            return text(node), self._read(node, text(node), "item")
        if node.type == "method_definition":
            key = self.key(node.child_by_field_name("name"))
            return key, self.function(node, key, "function")
        if node.type == "spread_element":
            return "...", self.expression(next(named(node), None), "item")
        return None

    def key(self, node: Node | None) -> str:
        """The name of a property; `[]` when it is computed."""
        if node is None:
            return ""
        if node.type == "computed_property_name":
            self.expression(next(named(node), None), "tested")
            return "[]"
        return string(node) if node.type == "string" else text(node)

    # --- Assignments -----------------------------------------------------------------------------------------

    def _assign(self, node: Node) -> Expression:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        name = text(left) if left is not None and left.type == "identifier" else ""
        value = self.expression(right, "assigned", name=name)
        if left is not None:
            self.bind(left, value, node, "set")
        return value

    def _augmented(self, node: Node) -> Expression:
        value = self.expression(node.child_by_field_name("right"), "assigned")
        left = node.child_by_field_name("left")
        target = self.expression(left, "other")
        self.scope.assignments.append(Assignment(target, value, span(node), self.block, "set", augmented=True))
        return value

    _lower: ClassVar[dict[str, Callable[[Expressions, Node], Expression]]] = {
        "member_expression": _member,
        "subscript_expression": _subscript,
        "await_expression": _await,
        "yield_expression": _yield,
        "unary_expression": _unary,
        "sequence_expression": _sequence,
        "string": _string,
        "template_string": _template,
        "number": _number,
        "true": _literal,
        "false": _literal,
        "null": _literal,
        "undefined": _literal,
        "this": _name,
        "super": _name,
        "array": _array,
        "object": _object,
        "spread_element": _spread,
        "assignment_expression": _assign,
        "augmented_assignment_expression": _augmented,
    }


def _number(literal: str) -> int | float | None:
    digits = literal.replace("_", "").rstrip("n")
    try:
        return int(digits, 0)
    except ValueError:
        pass
    try:
        return float(digits)
    except ValueError:
        return None

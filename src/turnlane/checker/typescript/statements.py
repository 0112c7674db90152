"""Reads statements and declarations: scopes, blocks, bindings, imports and exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from turnlane.checker.typescript.expressions import Expressions
from turnlane.checker.typescript.facts import (
    OTHER,
    Assignment,
    AssignmentKind,
    Choice,
    Class,
    Constant,
    Element,
    Export,
    Expression,
    Function,
    Import,
    Index,
    Member,
    Name,
    Package,
    Parameter,
    Return,
)
from turnlane.checker.typescript.scopes import ScopeKind
from turnlane.checker.typescript.syntax import Node, line, named, span, string, text

_IGNORED: Final = frozenset(
    (
        "interface_declaration",
        "type_alias_declaration",
        "enum_declaration",
        "function_signature",
        "import_alias",
        "empty_statement",
        "break_statement",
        "continue_statement",
        "debugger_statement",
        "hash_bang_line",
    )
)


class Statements(Expressions):
    """Reads a file, statement by statement."""

    def body(self, node: Node | None) -> None:
        """The statements of a program or a block, in the block that is open."""
        if node is None:
            return
        start = True
        for child in named(node):
            if start and (start := self._directive(child)):
                continue
            self.statement(child)

    def _directive(self, node: Node) -> bool:
        if node.type != "expression_statement":
            return False
        inner = next(named(node), None)
        if inner is None or inner.type != "string":
            return False
        self.scope.directives.append(string(inner))
        return True

    def statement(self, node: Node | None) -> None:
        """One statement; an expression in the place of one is read too."""
        if node is None or node.type in _IGNORED:
            return
        read = self._read_statement.get(node.type)
        if read is not None:
            read(self, node)
        elif node.type == "ERROR":
            for child in named(node):
                self.statement(child)
        else:
            self.expression(node, "dropped")

    def _expression_statement(self, node: Node) -> None:
        for child in named(node):
            if child.type in self._read_statement:  # `namespace x {}` is one
                self.statement(child)
            else:
                self.expression(child, "dropped")

    # --- Control flow -----------------------------------------------------------------------------------------

    def _if(self, node: Node) -> None:
        test = self.expression(node.child_by_field_name("condition"), "tested")
        for part in (node.child_by_field_name("consequence"), node.child_by_field_name("alternative")):
            if part is not None:
                with self.within("if", line(part), test):
                    self.statement(next(named(part), None) if part.type == "else_clause" else part)

    def _while(self, node: Node) -> None:
        test = self.expression(node.child_by_field_name("condition"), "tested")
        with self.within("while", line(node), test):
            self.statement(node.child_by_field_name("body"))

    def _for(self, node: Node) -> None:
        self.statement(node.child_by_field_name("initializer"))
        with self.within("for", line(node)):
            self.statement(node.child_by_field_name("condition"))
            self.expression(node.child_by_field_name("increment"), "other")
            self.statement(node.child_by_field_name("body"))

    def _for_in(self, node: Node) -> None:
        awaits = any(child.type == "await" for child in node.children)
        each = any(child.type == "of" for child in node.children)
        right = node.child_by_field_name("right")
        subject = self.expression(right, "async iterated" if awaits else "iterated")
        with self.within("for await" if awaits else "for of", line(node), subject):
            left = node.child_by_field_name("left")
            if left is not None:
                self.bind(left, Element(subject) if each else OTHER, left, "const")
            self.statement(node.child_by_field_name("body"))

    def _try(self, node: Node) -> None:
        with self.within("try", line(node)) as tried:
            self.statement(node.child_by_field_name("body"))
        if (handler := node.child_by_field_name("handler")) is not None:
            name = text(handler.child_by_field_name("parameter"))
            with self.within("catch", line(handler), Name(name), tried):
                self.statement(handler.child_by_field_name("body"))
        if (finalizer := node.child_by_field_name("finalizer")) is not None:
            with self.within("finally", line(finalizer), OTHER, tried):
                self.statement(finalizer.child_by_field_name("body"))

    def _switch(self, node: Node) -> None:
        subject = self.expression(node.child_by_field_name("value"), "tested")
        for case in named(node.child_by_field_name("body")):
            with self.within("switch", line(case), subject):
                value = case.child_by_field_name("value")
                self.expression(value, "tested")
                for child in named(case):
                    if child != value:
                        self.statement(child)

    def _block(self, node: Node) -> None:
        for child in named(node):
            self.statement(child)

    def _return(self, node: Node) -> None:
        value = next(named(node), None)
        result = self.expression(value, "returned") if value is not None else Constant(None)
        self.scope.results.append(Return(result, span(node), self.block))

    def _throw(self, node: Node) -> None:
        self.expression(next(named(node), None), "other")

    def _inner_body(self, node: Node) -> None:
        self.statement(node.child_by_field_name("body"))

    def _labeled(self, node: Node) -> None:
        self.statement(node.child_by_field_name("body"))

    # --- Declarations -------------------------------------------------------------------------------------------

    def _variables(self, node: Node) -> None:
        first = node.children[0].type if node.children else "var"
        kind: AssignmentKind = "const" if first == "const" else "let" if first == "let" else "var"
        for child in named(node):
            if child.type == "variable_declarator":
                self._declarator(child, kind)

    def _declarator(self, node: Node, kind: AssignmentKind) -> None:
        name = node.child_by_field_name("name")
        if name is None:
            return
        label = text(name) if name.type == "identifier" else ""
        value = node.child_by_field_name("value")
        lowered = self.expression(value, "assigned", name=label) if value is not None else Constant(None)
        self.bind(name, lowered, node, kind, annotation(node.child_by_field_name("type")))

    def _function_declaration(self, node: Node) -> None:
        name = text(node.child_by_field_name("name"))
        function = self.function(node, name, "function")
        self._assigned(Name(name), function, node, "function")

    def _class_declaration(self, node: Node) -> None:
        name = text(node.child_by_field_name("name"))
        self._assigned(Name(name), self.class_(node, name), node, "class")

    def _assigned(
        self,
        target: Expression,
        value: Expression,
        node: Node,
        kind: AssignmentKind,
        type_: Expression | None = None,
    ) -> None:
        entry = Assignment(target, value, span(node), self.block, kind, annotation=type_)
        self.scope.assignments.append(entry)

    def bind(
        self,
        pattern: Node,
        value: Expression,
        where: Node,
        kind: AssignmentKind,
        type_: Expression | None = None,
    ) -> None:
        match pattern.type:
            case "identifier" | "shorthand_property_identifier_pattern":
                self._assigned(Name(text(pattern)), value, where, kind, type_)
            case "object_pattern":
                for child in named(pattern):
                    self._bind_property(child, value, where, kind)
            case "array_pattern":
                for number, child in enumerate(named(pattern)):
                    self.bind(child, Index(value, Constant(number)), where, kind)
            case "rest_pattern":
                self.bind_first(pattern, OTHER, where, kind)
            case "assignment_pattern" | "object_assignment_pattern":
                self._bind_default(pattern, value, where, kind)
            case "non_null_expression" | "parenthesized_expression" | "as_expression":
                self.bind_first(pattern, value, where, kind)
            case _:
                self._assigned(self.expression(pattern, "other"), value, where, "set")
                self._exported_member(pattern, value)

    def bind_first(self, pattern: Node, value: Expression, where: Node, kind: AssignmentKind) -> None:
        """Bind what a pattern wraps."""
        if (inner := next(named(pattern), None)) is not None:
            self.bind(inner, value, where, kind)

    def _bind_property(self, node: Node, value: Expression, where: Node, kind: AssignmentKind) -> None:
        if node.type == "pair_pattern":
            target = node.child_by_field_name("value")
            if target is not None:
                self.bind(target, Member(value, self.key(node.child_by_field_name("key"))), where, kind)
        elif node.type == "object_assignment_pattern":
            left = node.child_by_field_name("left")
            default = self.expression(node.child_by_field_name("right"), "assigned")
            self._assigned(Name(text(left)), Choice((Member(value, text(left)), default)), where, kind)
        elif node.type == "shorthand_property_identifier_pattern":
            self._assigned(Name(text(node)), Member(value, text(node)), where, kind)
        else:
            self.bind(node, OTHER, where, kind)

    def _bind_default(self, node: Node, value: Expression, where: Node, kind: AssignmentKind) -> None:
        default = self.expression(node.child_by_field_name("right"), "assigned")
        if (left := node.child_by_field_name("left")) is not None:
            self.bind(left, Choice((value, default)), where, kind)

    # --- Functions and classes -----------------------------------------------------------------------------------

    def function(self, node: Node, name: str, kind: ScopeKind) -> Function:
        name = text(node.child_by_field_name("name")) or name
        with self.opened(kind, name, span(node)) as scope:
            scope.is_async = any(child.type == "async" for child in node.children)
            scope.is_generator = "generator" in node.type or any(child.type == "*" for child in node.children)
            self._parameters(node)
            body = node.child_by_field_name("body")
            if body is not None and body.type == "statement_block":
                self.body(body)
            elif body is not None:
                value = self.expression(body, "returned")
                scope.results.append(Return(value, span(body), 0))
        return Function(scope.number)

    def _parameters(self, node: Node) -> None:
        if (single := node.child_by_field_name("parameter")) is not None:
            self.scope.parameters = 1
            self.bind(single, Parameter(0), single, "parameter")
            return
        parameters = list(named(node.child_by_field_name("parameters")))
        self.scope.parameters = len(parameters)
        for number, parameter in enumerate(parameters):
            self._parameter(parameter, number)

    def _parameter(self, node: Node, number: int) -> None:
        pattern = node.child_by_field_name("pattern")
        if pattern is None:
            self.bind(node, Parameter(number), node, "parameter")
            return
        type_ = annotation(node.child_by_field_name("type"))
        value: Expression = Parameter(number)
        if (default := node.child_by_field_name("value")) is not None:
            value = Choice((value, self.expression(default, "assigned")))
        self.bind(pattern, value, node, "parameter", type_)
        if any(child.type in ("accessibility_modifier", "readonly") for child in node.children):
            self._assigned(Member(Name("this"), text(pattern)), Parameter(number), node, "set", type_)

    def class_(self, node: Node, name: str) -> Class:
        decorators = self._decorators(node)
        bases = [base for child in node.children if child.type == "class_heritage" for base in self._bases(child)]
        with self.opened("class", text(node.child_by_field_name("name")) or name, span(node)) as scope:
            scope.decorators, scope.bases = decorators, bases
            self._members(node.child_by_field_name("body"))
        return Class(scope.number)

    def _decorators(self, node: Node) -> list[Expression]:
        holders = [node]
        if node.parent is not None and node.parent.type == "export_statement":
            holders.append(node.parent)
        found = (child for holder in holders for child in holder.children if child.type == "decorator")
        return [self.expression(next(named(child), None)) for child in found]

    def _bases(self, node: Node) -> list[Expression]:
        clause = next((child for child in named(node) if child.type == "extends_clause"), None)
        if clause is not None:
            return [self.expression(clause.child_by_field_name("value"))]
        return [self.expression(child) for child in named(node) if child.type != "implements_clause"]

    def _members(self, body: Node | None) -> None:
        decorators: list[Expression] = []
        for child in named(body):
            if child.type == "decorator":
                decorators.append(self.expression(next(named(child), None)))
                continue
            if child.type == "method_definition":
                self._method(child, decorators)
            elif child.type in ("public_field_definition", "field_definition"):
                self._field(child)
            elif child.type == "class_static_block":
                self.statement(child.child_by_field_name("body"))
            decorators = []

    def _method(self, node: Node, decorators: list[Expression]) -> None:
        key = self.key(node.child_by_field_name("name"))
        function = self.function(node, key, "method")
        self.scopes[function.scope].decorators = decorators
        self._assigned(Name(key), function, node, "static" if _static(node) else "method")

    def _field(self, node: Node) -> None:
        name = node.child_by_field_name("name") or node.child_by_field_name("property")
        key, value = self.key(name), node.child_by_field_name("value")
        lowered = self.expression(value, "assigned", name=key) if value is not None else Constant(None)
        type_ = annotation(node.child_by_field_name("type"))
        self._assigned(Name(key), lowered, node, "static" if _static(node) else "field", type_)

    # --- Imports and exports -------------------------------------------------------------------------------------

    def _import(self, node: Node) -> None:
        clause = next((child for child in named(node) if child.type == "import_clause"), None)
        required = next((child for child in named(node) if child.type == "import_require_clause"), None)
        source = (required or node).child_by_field_name("source")
        if source is None:
            return
        types = any(child.type == "type" for child in node.children)
        found = _imported(clause) if clause else [("", "")]
        if required is not None:
            found = [(text(next(named(required), None)), "*")]
        for local, name in found:
            self.imports.append(Import(local, string(source), name, span(source), "import", types))
            if local:
                whole = Package(string(source))
                self._assigned(Name(local), whole if name == "*" else Member(whole, name), node, "const")

    def _export(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        declaration = node.child_by_field_name("declaration")
        default = any(child.type in ("default", "=") for child in node.children)
        if source is not None:
            self._reexport(node, Package(string(source)), source)
        elif declaration is not None:
            self._export_declaration(declaration, default)
        elif default:
            value = next((child for child in named(node) if child.type != "decorator"), None)
            self._add_export("default", self.expression(value, "exported", name="default"), node)
        for child in named(node):
            if child.type == "export_clause" and source is None:
                for name, local in _specifiers(child):
                    self._add_export(name, Name(local), node)

    def _export_declaration(self, declaration: Node, default: bool) -> None:
        first = len(self.scope.assignments)
        self.statement(declaration)
        for entry in self.scope.assignments[first:]:
            if isinstance(entry.target, Name):
                value = entry.target if entry.target.id else entry.value
                self._add_export("default" if default else entry.target.id, value, declaration)

    def _reexport(self, node: Node, source: Package, place: Node) -> None:
        self.imports.append(Import("", source.source, "*", span(place), "import"))
        clause = next(
            (child for child in named(node) if child.type in ("export_clause", "namespace_export")), None
        )
        if clause is None:
            self._add_export("*", source, node)
        elif clause.type == "namespace_export":
            self._add_export(text(next(named(clause), None)), source, node)
        else:
            for name, local in _specifiers(clause):
                self._add_export(name, Member(source, local), node)

    def _exported_member(self, target: Node, value: Expression) -> None:
        """CommonJS: `module.exports = ...`, `exports.name = ...`"""
        spelled = text(target) if target.type == "member_expression" else ""
        if spelled == "module.exports":
            self._add_export("default", value, target)
        elif spelled.startswith(("exports.", "module.exports.")):
            self._add_export(spelled.rsplit(".", 1)[-1], value, target)

    def _add_export(self, name: str, value: Expression, node: Node) -> None:
        if self.scope.number == 0:
            self.exports.append(Export(name, value, span(node)))

    _read_statement: ClassVar[dict[str, Callable[[Statements, Node], None]]] = {
        "expression_statement": _expression_statement,
        "if_statement": _if,
        "while_statement": _while,
        "do_statement": _while,
        "for_statement": _for,
        "for_in_statement": _for_in,
        "try_statement": _try,
        "switch_statement": _switch,
        "statement_block": _block,
        "return_statement": _return,
        "throw_statement": _throw,
        "labeled_statement": _labeled,
        "lexical_declaration": _variables,
        "variable_declaration": _variables,
        "function_declaration": _function_declaration,
        "generator_function_declaration": _function_declaration,
        "class_declaration": _class_declaration,
        "abstract_class_declaration": _class_declaration,
        "internal_module": _inner_body,
        "module": _inner_body,
        "ambient_declaration": lambda self, node: None,
        "import_statement": _import,
        "export_statement": _export,
    }


def annotation(node: Node | None) -> Expression | None:
    """The name of an annotated type, without its arguments; what a `Promise` promises."""
    if node is None:
        return None
    match node.type:
        case "type_identifier" | "identifier":
            return Name(text(node))
        case "nested_type_identifier":
            return Member(Name(text(node.child_by_field_name("module"))), text(node.child_by_field_name("name")))
        case "generic_type":
            name = node.child_by_field_name("name")
            return annotation(node.child_by_field_name("type_arguments") if text(name) == "Promise" else name)
        case "type_annotation" | "union_type" | "parenthesized_type" | "type_arguments":
            return next((found for child in named(node) if (found := annotation(child)) is not None), None)
    return None


def _static(node: Node) -> bool:
    return any(child.type == "static" for child in node.children)


def _imported(clause: Node) -> list[tuple[str, str]]:
    """Local name and imported name of each name of an import clause."""
    found: list[tuple[str, str]] = []
    for child in named(clause):
        if child.type == "identifier":
            found.append((text(child), "default"))
        elif child.type == "namespace_import":
            found.append((text(next(named(child), None)), "*"))
        elif child.type == "named_imports":
            found.extend((local, name) for local, name in _specifiers(child))
    return found


def _specifiers(clause: Node) -> list[tuple[str, str]]:
    """Of `{ name as alias }`: alias (or the name) and name."""
    pairs = [
        (
            child.child_by_field_name("alias") or child.child_by_field_name("name"),
            child.child_by_field_name("name"),
        )
        for child in named(clause)
        if child.type in ("import_specifier", "export_specifier")
    ]
    return [(text(alias).strip("\"'"), text(name).strip("\"'")) for alias, name in pairs]

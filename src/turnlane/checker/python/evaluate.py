"""What an expression stands for, in one frame: values followed through variables, attributes, calls and files.

The evaluation is lazy, memoised and bounded. It knows the order of statements only where it decides (a variable is
all that is assigned to it), and it prefers knowing nothing to guessing: an unknown value is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from turnlane.checker.libraries import frameworks
from turnlane.checker.python import containers, lookup, members, results
from turnlane.checker.python.calls import bind
from turnlane.checker.python.facts import (
    Attribute,
    Awaited,
    Call,
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
    Starred,
    Subscript,
    Unpacked,
)
from turnlane.checker.python.frames import Frame
from turnlane.checker.python.objects import Objects
from turnlane.checker.python.program import Program, last_name
from turnlane.checker.python.values import ClassObject, External, FunctionObject, Instance, Ref, Refs, merged

DEEPEST: Final = 14
"""Calls inside calls that are followed with their arguments."""
MOST_FRAMES: Final = 12
"""Ways to call one function that are told apart."""
DEEPEST_EVALUATION: Final = 70
"""Questions inside questions: up to a dozen of Python's calls each, of the thousand that Python allows."""
MOST_STEPS: Final = 20_000
"""Expressions evaluated for one question; a bound against programs that define everything by everything."""


class Evaluator(Objects):
    """Evaluates expressions of one program.

    Answers are remembered here; how they are found is in `lookup`, `members`, `containers`, `annotations`, `calls`
    and `results`, which ask back.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.per_run_modules: set[str] = set()
        """Modules whose top level runs once for each user's request: Streamlit's main scripts."""
        self._module_names: dict[tuple[str, str], Refs | None] = {}
        self._members: dict[tuple[Ref, str], Refs | None] = {}
        self._stores: dict[tuple[object, ...], tuple[tuple[Ref, bool], ...] | None] = {}
        self._mro: dict[ClassObject, tuple[ClassObject | External, ...]] = {}
        self._direct_bases: dict[ClassObject, tuple[ClassObject | External, ...]] = {}
        self._depth = 0
        self._steps = 0

    def call_frame(self, function: FunctionObject, call: Call, frame: Frame) -> Frame:
        """The frame of `function` when `call` of `frame` runs it."""
        view = self.program[function.path]
        place = (function.path, function.scope)
        if frame.depth >= DEEPEST or self._frames_of.get(place, 0) > MOST_FRAMES:
            receiver = function.receiver
            known = receiver if receiver is not None and receiver.shared else None
            return self.free_frame(function.path, function.scope, known, function.closure)
        arguments = bind(self, view.scopes[function.scope], function.receiver is not None, call, frame)
        return self._frame(
            view,
            function.scope,
            function.receiver,
            arguments,
            function.closure,
            free=False,
            depth=frame.depth + 1,
        )

    # --- Expressions --------------------------------------------------------------------------------------

    def evaluate(self, expression: Expression, frame: Frame) -> Refs:
        """All values that `expression` can stand for in `frame`, each with its lifetime."""
        kind = type(expression)
        # Two thirds of all questions: remembered by the frame, and merged already.
        if kind is Name:
            return self.name(expression.id, frame)  # type: ignore[union-attr]
        if kind is CallRef:
            return self.call(expression.number, frame)  # type: ignore[union-attr]
        return self._answer(lambda: self._evaluate(expression, frame))

    def _answer(self, question: Callable[[], Iterable[Ref]]) -> Refs:
        """The answer to a question that may be asked inside of others; nothing when they are too many."""
        if self._depth == 0:
            self._steps = 0
        if self._depth > DEEPEST_EVALUATION or self._steps > MOST_STEPS:
            return ()
        self._depth += 1
        self._steps += 1
        try:
            return merged(question())
        finally:
            self._depth -= 1

    def _evaluate(self, expression: Expression, frame: Frame) -> Iterable[Ref]:
        match expression:
            case Name(id=name):
                return self.name(name, frame)
            case Attribute(base=base, name=name):
                return members.attribute_values(self, base, name, frame)
            case CallRef(number=number):
                return self.call(number, frame)
            case Awaited(value=value):
                return self.awaited(self.evaluate(value, frame))
            case Constant(value=value):
                return (Ref(self.literal(value)),)
            case Choice(options=options):
                return (ref for option in options for ref in self.evaluate(option, frame))
            case Items(kind=kind, values=values):
                return (Ref(self.container(kind, self._items(kind, values, frame))),)
            case Subscript(base=base, key=key):
                return self._subscript(base, key, frame)
            case Element(of=of):
                return self.elements(self.evaluate(of, frame))
            case Unpacked(of=of, part=part):
                return containers.unpacked(self, self.evaluate(of, frame), part)
            case Entered(of=of):
                return containers.entered(self, self.evaluate(of, frame))
            case Function(scope=scope):
                return (Ref(self.function_object(frame.path, scope, None, frame)),)
            case Starred(base=base):
                return self.elements(self.evaluate(base, frame))
            case Other(parts=parts) if parts:
                # `MaxMessageTermination(10) | TextMentionTermination("DONE")` is a condition as its parts are.
                return (ref for part in parts for ref in self.evaluate(part, frame) if _is_condition(ref))
            case _:
                return ()

    def _items(self, kind: str, values: tuple[Expression, ...], frame: Frame) -> Refs:
        """The values in a display; of a short tuple one for each place."""
        if kind == "tuple" and len(values) <= 8:
            nothing = (Ref(self.literal(None)),)
            return tuple((self.evaluate(value, frame) or nothing)[0] for value in values)
        return merged(ref for value in values for ref in self.evaluate(value, frame))

    def _subscript(self, base: Expression, key: Expression, frame: Frame) -> Iterator[Ref]:
        if isinstance(key, Constant) and isinstance(key.value, str) and last_name(base) == "session_state":
            yield from members.session_state(self, key.value)
            return
        refs = self.evaluate(base, frame)
        yield from self.elements(refs, key=key)
        for ref in refs:
            if isinstance(ref.value, External):
                # `list[Agent]`, `dict[str, Agent]`: the type stays what it is.
                yield ref

    # --- Answers that are remembered ------------------------------------------------------------------------

    def name(self, name: str, frame: Frame) -> Refs:
        """What the variable `name` can be in `frame`."""
        if name in frame.names:
            return frame.names[name] or ()
        frame.names[name] = None
        found = self._answer(lambda: lookup.name_values(self, name, frame))
        frame.names[name] = found
        return found

    def module_name(self, path: str, name: str) -> Refs:
        """What the variable `name` of a file can be, as others see it."""
        key = (path, name)
        if key in self._module_names:
            return self._module_names[key] or ()
        self._module_names[key] = None
        found = self._answer(lambda: lookup.module_values(self, path, name))
        self._module_names[key] = found
        return found

    def mro(self, cls: ClassObject) -> tuple[ClassObject | External, ...]:
        """The class and its bases, in an order near to Python's."""
        if cls not in self._mro:
            self._mro[cls] = (cls,)  # for a base that is found through the class itself, in broken code
            order: dict[ClassObject | External, None] = {}
            waiting: list[ClassObject | External] = [cls]
            while waiting:
                one = waiting.pop()
                if one not in order:
                    order[one] = None
                    if isinstance(one, ClassObject):
                        waiting += reversed(self._bases(one))
            # What is outside the project comes last: a method that the project defines wins.
            self._mro[cls] = tuple(sorted(order, key=lambda one: isinstance(one, External)))
        return self._mro[cls]

    def _bases(self, cls: ClassObject) -> tuple[ClassObject | External, ...]:
        if cls not in self._direct_bases:
            self._direct_bases[cls] = tuple(members.bases(self, cls))
        return self._direct_bases[cls]

    def member(self, ref: Ref, name: str) -> Refs:
        """An attribute of an object of the project's own class, or of the class."""
        key = (ref, name)
        if key in self._members:
            return self._members[key] or ()
        self._members[key] = None
        found = self._answer(lambda: members.member_values(self, ref, name))
        self._members[key] = found
        return found

    def call(self, number: int, frame: Frame) -> Refs:
        """What call `number` of the frame's scope gives."""
        if number in frame.calls:
            return frame.calls[number] or ()
        frame.calls[number] = None
        found = self._answer(lambda: results.call_values(self, number, frame))
        frame.calls[number] = found
        return found

    def stored(self, store: tuple[object, ...]) -> tuple[tuple[Ref, bool], ...]:
        """What is put into a container after it was made: each value, and whether under a key."""
        if store not in self._stores:
            self._stores[store] = None
            self._stores[store] = tuple(dict.fromkeys(containers.put_in(self, store)))
        return self._stores[store] or ()

    # --- What rules and calls ask beside --------------------------------------------------------------------

    def awaited(self, refs: Refs) -> Iterator[Ref]:
        """What `await` gives."""
        return containers.awaited(self, refs)

    def elements(self, refs: Refs, *, key: Expression | None = None) -> Iterator[Ref]:
        """What iterating gives, or with `key` a subscript."""
        return containers.elements(self, refs, key)

    def attribute(self, ref: Ref, name: str, frame: Frame) -> Iterator[Ref]:
        """`ref.name`"""
        return members.attribute(self, ref, name, frame)

    def parent_object(self, frame: Frame) -> Iterator[Ref]:
        """What `super()` is in a method: the object, seen as an object of the next class."""
        return members.parent_object(self, frame)

    def function_result(self, function: FunctionObject, call: Call | None, frame: Frame) -> Iterator[Ref]:
        """What calling a function of the project gives; without a call, with unknown arguments."""
        return results.function_result(self, function, call, frame)

    def is_cached(self, function: FunctionObject) -> bool:
        """Whether the function's result is kept and given to all callers."""
        return results.is_cached(self, function)


def _is_condition(ref: Ref) -> bool:
    value = ref.value
    if not isinstance(value, Instance) or not isinstance(value.cls, External):
        return False
    entry = frameworks.lookup(value.cls.name)
    return isinstance(entry, frameworks.ClassEntry) and entry.role == "termination"

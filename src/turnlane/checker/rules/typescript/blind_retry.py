"""TL304 in TypeScript: a run that is started again after any error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.agents import Run
from turnlane.checker.typescript.facts import Block, CallRef, Expression, Name, Scope
from turnlane.checker.typescript.project import Project, called

_LOOPS = ("for", "while")
_COUNTERS = ("attempt", "attempts", "retries", "retry", "retryCount", "tries", "attemptCount", "retriesLeft")


class BlindRetry(Rule):
    code = "TL304"
    language = "typescript"
    detects = (
        "A counting loop around a `try` that returns an agent's run, whose `catch` never looks at the error and "
        "goes on with the loop. What decides by the error, or leaves the loop in the `catch`, is right."
    )
    bad: ClassVar = (
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "payer", instructions: "Pay invoices.", tools: [pay] });

export async function answer(text: string) {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await run(agent, text); // here
    } catch (error) {
      console.error("again", error);
    }
  }
}
""",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "payer", instructions: "Pay invoices.", tools: [pay] });

export async function answer(text: string) {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await run(agent, text);
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }
}
""",
            title="decided by the error",
        ),
        Example(
            """\
import { Agent, run } from "@openai/agents";

const agent = new Agent({ name: "support", instructions: "Help." });

export async function chat(readline) {
  while (true) {
    const text = await readline.question("> ");
    try {
      console.log((await run(agent, text)).finalOutput);
    } catch (error) {
      console.error(error);
    }
  }
}
""",
            title="a loop over questions",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for run in project.runs():
            scope = project.scope((run.path, run.scope))
            if run.shape.loop and run.promise and _is_blind(scope, run):
                call = project.call(run)
                message = f"any error makes this loop start `{called(call)}` again, with all that its tools do"
                help_line = (
                    "Retry only what is transient, and at the model's call; the user's message is sent again here."
                )
                yield project.finding("TL304", run.path, call.span, message, "warning", help=help_line)


def _is_blind(scope: Scope, run: Run) -> bool:
    tried = _enclosing(scope, scope.calls[run.number].block, ("try",))
    if tried < 0 or not _is_left(scope, scope.calls[run.number].use, tried):
        return False
    loop = _enclosing(scope, scope.blocks[tried].parent, _LOOPS)
    if loop < 0 or not (scope.blocks[loop].kind == "for" or _counts(scope, scope.blocks[loop].subject)):
        return False
    catch = next(
        (number for number, block in enumerate(scope.blocks) if block.kind == "catch" and block.partner == tried),
        -1,
    )
    return catch >= 0 and not _decides(scope, catch)


def _counts(scope: Scope, test: Expression) -> bool:
    """Whether the test of a `while` is about tries."""
    return any(_mentions(scope, test, name) for name in _COUNTERS)


def _is_left(scope: Scope, use: str, tried: int) -> bool:
    """Whether success leaves the loop: the `try` returns."""
    return use == "returned" or any(_within(scope, result.block, tried) for result in scope.results)


def _decides(scope: Scope, catch: int) -> bool:
    """Whether the `catch` asks something of the error, gives it to a function that may, or leaves."""
    error = scope.blocks[catch].subject
    name = error.id if isinstance(error, Name) else ""
    if any(_within(scope, result.block, catch) for result in scope.results):
        return True
    for block in scope.blocks:
        if (
            block.kind in ("if", "switch")
            and _below(scope.blocks, block, catch)
            and _mentions(scope, block.subject, name)
        ):
            return True
    return False


def _mentions(scope: Scope, expression: Expression, name: str) -> bool:
    if isinstance(expression, Name):
        return expression.id == name
    if isinstance(expression, CallRef):
        call = scope.calls[expression.number]
        return any(_mentions(scope, part, name) for part in (call.callee, *call.arguments))
    return any(
        _mentions(scope, part, name)
        for field in expression
        if isinstance(field, tuple)
        for part in ((field,) if hasattr(field, "_fields") else field)
        if hasattr(part, "_fields")
    )


def _enclosing(scope: Scope, block: int, kinds: tuple[str, ...]) -> int:
    while block > 0 and scope.blocks[block].kind not in kinds:
        block = scope.blocks[block].parent
    return block if block > 0 else -1


def _within(scope: Scope, block: int, outer: int) -> bool:
    while block > outer:
        block = scope.blocks[block].parent
    return block == outer


def _below(blocks: tuple[Block, ...], block: Block, outer: int) -> bool:
    parent = block.parent
    while parent > outer:
        parent = blocks[parent].parent
    return parent == outer

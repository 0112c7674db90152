"""TL202 in TypeScript: text of all users gathered in one variable that a model is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.histories import conversations
from turnlane.checker.typescript.project import Project

_HELP = "Keep it by the id of the conversation, in a store or a `Map`."


class SharedHistory(Rule):
    code = "TL202"
    language = "typescript"
    detects = (
        "A list or a text at module scope that a request handler adds to and that a model is given. Lists of "
        "messages with their speaker are TL201; lists that no model sees are not reported."
    )
    bad: ClassVar = (
        Example(
            """\
import express from "express";
import { generateText } from "ai";

const app = express();
let transcript = "";

app.post("/chat", async (req, res) => {
  transcript += `Customer: ${req.body.text}\\n`; // here
  const { text } = await generateText({ model, prompt: transcript });
  res.send(text);
});
""",
        ),
    )
    good: ClassVar = (
        Example(
            """\
import express from "express";

const app = express();
const todos = [];

app.post("/todos", (req, res) => {
  todos.push(req.body);
  res.json(todos);
});
""",
            title="a list that no model sees",
        ),
        Example(
            """\
import express from "express";
import { generateText } from "ai";

const app = express();

app.post("/chat", async (req, res) => {
  let transcript = await store.load(req.body.id);
  transcript += `Customer: ${req.body.text}\\n`;
  const { text } = await generateText({ model, prompt: transcript });
  res.send(text);
});
""",
            title="loaded by its id",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for conversation in conversations(project):
            holding = conversation.holding
            if conversation.speaks or holding.kind == "field":
                continue
            for write in conversation.writes:
                if project.sharing.shared(holding, write.place):
                    message = (
                        f"`{holding.name}` gathers what all users say, and a model is given it: "
                        f"{project.handler_of(write.place)} adds to it in every request"
                    )
                    trace = project.trace(write.place)
                    yield project.finding(
                        "TL202", write.place[0], write.span, message, "error", help=_HELP, trace=trace
                    )

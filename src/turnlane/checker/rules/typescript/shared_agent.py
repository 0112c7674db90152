"""TL201 in TypeScript: one agent, chat or list of messages for all users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.finding import Finding
from turnlane.checker.finding import Step as TraceStep
from turnlane.checker.rule import Example, Rule
from turnlane.checker.typescript.agents import option
from turnlane.checker.typescript.facts import Call, CallRef, Constant, Expression, Member, Name, Object, Span
from turnlane.checker.typescript.histories import Conversation, Write, conversations
from turnlane.checker.typescript.libraries import Shape
from turnlane.checker.typescript.project import Project, file_place
from turnlane.checker.typescript.reach import Place
from turnlane.checker.typescript.sharing import Holding
from turnlane.checker.typescript.values import Made

_HELP = "Make it in the handler and load the conversation by its id, or keep one for each conversation in a `Map`."


class SharedAgent(Rule):
    code = "TL201"
    language = "typescript"
    detects = (
        "An object that keeps a conversation (agents of AutoGen's ports, Strands, BeeAI and LlamaIndex, LangChain "
        "chains with a memory, chat sessions, sessions of the OpenAI Agents SDK) or a list of messages, which "
        "lives in a module, in a closure around handlers or in a class of which there is one, and which a request "
        "handler runs or writes to. Agents that are definitions (Mastra, OpenAI Agents SDK, AI SDK) are "
        "right at module scope and are not reported; nor is what is found by a key. A thread of a memory or a "
        "checkpointer whose name is a literal is reported at the run."
    )
    bad: ClassVar = (
        Example(
            """\
import express from "express";

const app = express();
const messages = [{ role: "system", content: "You help customers." }];

app.post("/chat", async (req, res) => {
  messages.push({ role: "user", content: req.body.text }); // here
  const answer = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
  messages.push(answer.choices[0].message); // here
  res.json(answer.choices[0].message);
});
""",
            title="a list of messages",
        ),
        Example(
            """\
// file: lib/chain.ts
import { ConversationChain } from "langchain/chains";
import { BufferMemory } from "langchain/memory";

export const chain = new ConversationChain({ llm, memory: new BufferMemory() });
// file: app/api/chat/route.ts
import { chain } from "../../../lib/chain";

export async function POST(request: Request) {
  const { text } = await request.json();
  const answer = await chain.call({ input: text }); // here
  return Response.json(answer);
}
""",
            title="a chain with its memory, in another file",
        ),
        Example(
            """\
// file: bot.ts
export class SupportBot {
  private history: Message[] = [];

  async answer(text: string) {
    this.history.push({ role: "user", content: text });
    return this.client.responses.create({ model: "gpt-4o-mini", input: this.history });
  }
}
// file: server.ts
import { Hono } from "hono";
import { SupportBot } from "./bot";

const app = new Hono();
const bot = new SupportBot();

app.post("/chat", async (c) => c.json(await bot.answer(await c.req.text()))); // here
""",
            title="an own class",
        ),
        Example(
            """\
import { GoogleGenerativeAI } from "@google/generative-ai";

const model = new GoogleGenerativeAI(key).getGenerativeModel({ model: "gemini-2.0-flash" });
const chat = model.startChat();

export async function POST(request: Request) {
  const result = await chat.sendMessage(await request.text()); // here
  return new Response(result.response.text());
}
""".replace("import", "// file: app/api/chat/route.ts\nimport", 1),
            title="a chat session",
        ),
        Example(
            """\
// file: app/api/chat/route.ts
import { MemorySaver } from "@langchain/langgraph";
import { createReactAgent } from "@langchain/langgraph/prebuilt";

const agent = createReactAgent({ llm, tools, checkpointer: new MemorySaver() });

export async function POST(request: Request) {
  const { messages } = await request.json();
  const state = await agent.invoke({ messages }, { configurable: { thread_id: "1" } }); // here
  return Response.json(state.messages.at(-1));
}
""",
            title="one thread for everybody",
        ),
    )
    good: ClassVar = (
        Example(
            """\
// file: app/api/chat/route.ts
import { Agent } from "@mastra/core/agent";

const agent = new Agent({ name: "support", instructions: "Help.", model });

export async function POST(request: Request) {
  const { text, thread } = await request.json();
  const answer = await agent.generate(text, { memory: { thread, resource: "support" } });
  return Response.json({ text: answer.text });
}
""",
            title="a definition that keeps nothing",
        ),
        Example(
            """\
import express from "express";

const app = express();
const conversations = new Map();

app.post("/chat/:id", async (req, res) => {
  const messages = conversations.get(req.params.id) ?? [];
  messages.push({ role: "user", content: req.body.text });
  conversations.set(req.params.id, messages);
  res.json(await openai.chat.completions.create({ model: "gpt-4o-mini", messages }));
});
""",
            title="one list for each conversation",
        ),
        Example(
            """\
import { Server } from "socket.io";

const io = new Server(3000);

io.on("connection", (socket) => {
  const history = [];
  socket.on("message", async (text) => {
    history.push({ role: "user", content: text });
    socket.emit("answer", await ask(history));
  });
});
""",
            title="one list for each connection",
        ),
        Example(
            """\
import { BufferMemory } from "langchain/memory";
import { ConversationChain } from "langchain/chains";

const chain = new ConversationChain({ llm, memory: new BufferMemory() });

async function main() {
  console.log(await chain.call({ input: process.argv[2] }));
}

main();
""",
            title="a script of one user",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for place in project.served:
            yield from _runs(project, place)
            yield from _passed(project, place)
            yield from _one_thread(project, place)
        for conversation in conversations(project):
            if conversation.speaks or (conversation.fed and conversation.holding.kind == "field"):
                yield from _written(project, conversation)


def _runs(project: Project, place: Place) -> Iterator[Finding]:
    for run in project.agents.runs(place):
        if run.subject is None:
            continue
        shape = run.shape
        if shape.keeps == "yes" and (holding := _shared(project, place, run.subject)):
            yield _found(project, place, project.call(run).span, holding, shape.title)


def _passed(project: Project, place: Place) -> Iterator[Finding]:
    """A memory or a session of all users that is given to a run."""
    for call in project.scope(place).calls:
        for part in _parts(call.arguments):
            shape = _passed_shape(project, place, part)
            if shape is not None and (holding := _shared(project, place, part)):
                yield _found(project, place, call.span, holding, shape.title)


def _parts(arguments: tuple[Expression, ...]) -> Iterator[Expression]:
    for argument in arguments:
        if isinstance(argument, Name | Member):
            yield argument
        elif isinstance(argument, Object):
            yield from (value for value in argument.values if isinstance(value, Name | Member))


def _passed_shape(project: Project, place: Place, part: Expression) -> Shape | None:
    subject = part.base if isinstance(part, Member) and part.name == "id" else part
    shapes = (shape for _, shape in project.agents.shapes(*place, subject))
    return next((shape for shape in shapes if shape.passed and shape.keeps == "yes"), None)


def _one_thread(project: Project, place: Place) -> Iterator[Finding]:
    """An agent whose memory is kept by threads, and the same thread for every request."""
    for run in project.agents.runs(place):
        thread = _thread(project.call(run))
        if thread and run.subject is not None and _remembers(project, place, run.subject):
            message = f"every request continues the same thread `{thread}`: all users share one conversation"
            help_line = "Give the id of the user's own conversation."
            yield project.finding(
                "TL201",
                place[0],
                project.call(run).span,
                message,
                "error",
                help=help_line,
                trace=project.trace(place),
            )


def _thread(call: Call) -> str:
    """The thread's name when it is a literal; empty: it is not, or there is none."""
    for path in (("configurable", "thread_id"), ("memory", "thread"), ("threadId",)):
        value = option(call, path[0])
        if len(path) > 1 and isinstance(value, Object) and path[1] in value.keys:
            value = value.values[value.keys.index(path[1])]
        if isinstance(value, Constant) and isinstance(value.value, str):
            return value.value
    return ""


def _remembers(project: Project, place: Place, subject: Expression) -> bool:
    for value in project.values.made(*place, subject):
        if isinstance(value, Made) and isinstance(value.expression, CallRef):
            call = project.scope((value.path, value.scope)).calls[value.expression.number]
            if any(option(call, name) is not None for name in ("checkpointer", "checkpointSaver", "memory")):
                return True
    return False


def _shared(project: Project, place: Place, subject: Expression) -> Holding | None:
    holding = project.sharing.holder(*place, subject)
    return holding if holding is not None and project.sharing.shared(holding, place) else None


def _written(project: Project, conversation: Conversation) -> Iterator[Finding]:
    holding = conversation.holding
    entered: set[tuple[Place, Span]] = set()
    for write in conversation.writes:
        if project.sharing.shared(holding, write.place):
            entered.update(_entries(project, holding, write))
    for place, span in sorted(entered):
        yield _found(project, place, span, holding, "a conversation")


def _entries(project: Project, holding: Holding, write: Write) -> Iterator[tuple[Place, Span]]:
    """Where handlers' code enters the object whose field it is; of a variable, the write itself."""
    if holding.kind != "field":
        yield write.place, write.span
        return
    inside = {
        place
        for place in project.places()
        if place[0] == holding.path and project.values.enclosing_class(*place) == holding.scope
    }
    writing = {place for place in inside if write.place in project.graph.reach([place])}
    outside = False
    for caller in project.served:
        for target, span in project.graph.callees(caller) if caller not in inside else ():
            if target in writing and project.scope(target).name != "constructor":
                outside = True
                yield caller, span
    if not outside:
        yield write.place, write.span


def _found(project: Project, place: Place, span: Span, holding: Holding, what: str) -> Finding:
    name = f"this.{holding.name}" if holding.kind == "field" else holding.name
    made = holding.made
    where = f"line {made.assignment.span.line}" + ("" if holding.path == place[0] else f" of {holding.path}")
    message = (
        f"`{name}` ({where}) keeps {what} for all users: {project.handler_of(place)} uses it in every request"
    )
    start = TraceStep(file_place(made.path, made.assignment.span), f"`{name}` is made")
    return project.finding(
        "TL201", place[0], span, message, "error", help=_HELP, trace=(start, *project.trace(place))
    )

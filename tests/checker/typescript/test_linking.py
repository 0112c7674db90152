# ruff: noqa: E501  -- programs of one line read better whole
"""Files of a project put together: imports, handlers, who shares what."""

from __future__ import annotations

import pytest
from tests.checker.typescript.project_of import found

from turnlane.checker.settings import Settings
from turnlane.checker.typescript.facts import Config
from turnlane.checker.typescript.specifiers import Specifiers, read_config

CHAT = """
import { Agent } from "@strands-agents/sdk";
export const agent = new Agent({ systemPrompt: "Help." });
"""


@pytest.mark.parametrize(
    ("importer", "specifier", "configs", "file"),
    [
        ("src/a.ts", "./b", {}, "src/b.ts"),
        ("src/a.ts", "./b.js", {}, "src/b.ts"),
        ("src/a.ts", "./lib", {}, "src/lib/index.ts"),
        ("src/a.ts", "../src/b.ts", {}, "src/b.ts"),
        ("src/a.ts", "@/b", {}, "src/b.ts"),
        ("src/deep/a.ts", "~/b", {}, "src/b.ts"),
        ("src/a.ts", "#b", {"tsconfig.json": Config(paths=(("#*", ("./src/*",)),))}, "src/b.ts"),
        ("src/a.ts", "lib", {"tsconfig.json": Config(base="src")}, "src/lib/index.ts"),
        (
            "src/a.ts",
            "#b",
            {
                "tsconfig.json": Config(extends="./config/base"),
                "config/base.json": Config(paths=(("#*", ("../src/*",)),)),
            },
            "src/b.ts",
        ),
        ("src/a.ts", "express", {}, ""),
        ("src/a.ts", "./missing", {}, ""),
    ],
)
def test_specifiers(importer: str, specifier: str, configs: dict[str, Config], file: str) -> None:
    files = ["src/a.ts", "src/b.ts", "src/lib/index.ts", "src/deep/a.ts"]
    assert Specifiers(files, configs).find(importer, specifier) == file


@pytest.mark.parametrize(
    ("data", "config"),
    [
        (
            b'{\n  // aliases\n  "compilerOptions": { "baseUrl": ".", "paths": { "@/*": ["./src/*"], }, },\n}',
            Config(".", (("@/*", ("./src/*",)),)),
        ),
        (b'{"extends": "./base.json"}', Config(extends="./base.json")),
        (b"not json", Config()),
        (b"[]", Config()),
        (b'{"compilerOptions": 1, "extends": []}', Config()),
        (b'{"compilerOptions": {"paths": {"a": 1}}}', Config()),
    ],
)
def test_read_config(data: bytes, config: Config) -> None:
    assert read_config(data) == config


@pytest.mark.parametrize(
    "between",
    [
        {"lib/index.ts": 'export * from "./chat";'},
        {"lib/index.ts": 'export { agent } from "./chat";'},
        {"lib/index.ts": 'import { agent } from "./chat";\nexport { agent };'},
        {"lib/index.ts": 'import * as chat from "./chat";\nexport const agent = chat.agent;'},
        {"lib/index.ts": 'const { agent } = require("./chat");\nmodule.exports = { agent };'},
        {"lib/index.ts": 'import { agent as one } from "./chat";\nexport const agent = one;'},
    ],
)
def test_an_agent_is_followed_through_barrels(between: dict[str, str]) -> None:
    route = 'import { agent } from "@/lib";\nexport async function POST(r) {\n  return agent.invoke(await r.text());\n}'
    files = {"lib/chat.ts": CHAT, "app/api/chat/route.ts": route, **between}
    assert found(files) == {("TL201", "app/api/chat/route.ts", 3)}


@pytest.mark.parametrize(
    "handler",
    [
        "app.post('/chat', async (req, res) => {\n  res.json(await agent.invoke(req.body));\n});",
        "app.post('/chat', guard, async (req, res) => {\n  res.json(await agent.invoke(req.body));\n});",
        "const chat = async (req, res) => {\n  res.json(await agent.invoke(req.body));\n};\nrouter.post('/chat', chat);",
        "router.post('/chat', wrap(async (req, res) => {\n  res.json(await agent.invoke(req.body));\n}));",
        "export const handler = async (event) => {\n  return agent.invoke(event.body);\n};",
        "exports.handler = async (event) => {\n  return agent.invoke(event.body);\n};",
        "export default { async fetch(request) {\n  return new Response(await agent.invoke(await request.text()));\n} };",
        "Deno.serve(async (request) => {\n  return new Response(await agent.invoke(await request.text()));\n});",
        "Bun.serve({ async fetch(request) {\n  return new Response(await agent.invoke(await request.text()));\n} });",
        "io.on('connection', (socket) => socket.on('message', async (text) => {\n  await agent.invoke(text);\n}));",
        "fastify.route({ method: 'POST', url: '/', handler: async (r) => {\n  return agent.invoke(r.body);\n} });",
        "export const chat = publicProcedure.input(z).mutation(async ({ input }) => {\n  return agent.invoke(input);\n});",
        "class C {\n  @Post() async chat(@Body() b) { return agent.invoke(b); }\n}",
        "export async function ask(text) { 'use server';\n  return agent.invoke(text);\n}",
    ],
)
def test_handlers(handler: str) -> None:
    assert found({"server.ts": CHAT + handler}) == {("TL201", "server.ts", 5)}


def test_what_no_handler_reaches_is_no_shared_agent() -> None:
    assert found({"cli.ts": CHAT + "async function main() {\n  await agent.invoke('hi');\n}\nmain();"}) == set()


def test_a_helper_in_another_file_is_reached() -> None:
    files = {
        "chat.ts": CHAT + "export async function answer(text) {\n  return agent.invoke(text);\n}",
        "server.ts": 'import { answer } from "./chat";\napp.post("/chat", async (req, res) => res.json(await answer(req.body)));',
    }
    assert found(files) == {("TL201", "chat.ts", 5)}


@pytest.mark.parametrize(
    "code",
    [
        # a factory that makes a new one for each request
        "const make = () => new Agent({});\napp.post('/x', async (q) => { const agent = make(); await agent.invoke(q); });",
        # kept by a key
        "const agents = {};\napp.post('/:id', async (q) => {\n"
        "  agents[q.id] ??= new Agent({});\n  await agents[q.id].invoke(q);\n});",
        "const agents = new Map();\napp.post('/:id', async (q) => {\n  let agent = agents.get(q.id);\n"
        "  if (!agent) { agent = new Agent({}); agents.set(q.id, agent); }\n  await agent.invoke(q);\n});",
        # a class that is made for each request
        "class Chat { agent = new Agent({}); ask(t) { return this.agent.invoke(t); } }\n"
        "app.post('/x', async (q) => new Chat().ask(q));",
        # a parameter
        "export function answer(agent: Agent, text) { return agent.invoke(text); }\n"
        "app.post('/x', async (q) => answer(new Agent({}), q));",
    ],
)
def test_one_for_each_request_or_key_is_right(code: str) -> None:
    assert found({"server.ts": 'import { Agent } from "@strands-agents/sdk";\n' + code}) == set()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        # a lazy singleton
        (
            "let agent;\nfunction get() {\n  if (!agent) agent = new Agent({});\n  return agent;\n}\n"
            "app.post('/x', async (q) => {\n  await get().invoke(q);\n});",
            8,
        ),
        # a closure around the handlers
        (
            "export function create() {\n  const agent = new Agent({});\n"
            "  app.post('/x', async (q) => {\n    await agent.invoke(q);\n  });\n}\ncreate();",
            5,
        ),
        # a field of a class of which there is one
        (
            "class Chat { agent = new Agent({});\n  ask(t) { return this.agent.invoke(t); } }\n"
            "const chat = new Chat();\napp.post('/x', async (q) => chat.ask(q));",
            3,
        ),
        (
            "@Injectable()\nclass Chat { agent = new Agent({});\n  ask(t) { return this.agent.invoke(t); } }\n"
            "@Controller()\nclass Routes { constructor(private chat: Chat) {}\n  @Post() post(q) { return this.chat.ask(q); } }",
            4,
        ),
        # a property of an object
        (
            "const services = { agent: new Agent({}) };\napp.post('/x', async (q) => {\n  await services.agent.invoke(q);\n});",
            4,
        ),
    ],
)
def test_shared_in_other_ways(code: str, line: int) -> None:
    assert found({"server.ts": 'import { Agent } from "@strands-agents/sdk";\n' + code}) == {
        ("TL201", "server.ts", line)
    }


def test_agents_named_in_the_settings() -> None:
    files = {
        "server.ts": 'import { Helper } from "our-agents";\nconst h = new Helper();\n'
        "app.post('/x', async (q) => {\n  await h.run(q);\n});"
    }
    assert found(files) == set()
    assert found(files, Settings(agent_classes=("Helper",))) == {("TL201", "server.ts", 4)}
    assert found(files, Settings(agent_packages=("our-agents",))) == {("TL201", "server.ts", 4)}


def test_a_conversation_that_is_emptied_elsewhere_is_still_shared() -> None:
    code = (
        "let history = [];\napp.post('/chat', (q) => {\n  history.push({ role: 'user', content: q.body });\n});\n"
        "app.post('/reset', () => { history = []; });"
    )
    assert found({"server.js": code}) == {("TL201", "server.js", 3)}


def test_a_browser_has_one_user() -> None:
    code = '"use client";\nconst messages = [];\nexport async function POST(t) {\n  messages.push({ role: "user", content: t });\n}'
    assert found({"app/api/route.ts": code}) == set()

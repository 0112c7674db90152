// A small assistant that survives restarts: each user's history is in a file of its own.
import { createServer } from "node:http";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const client = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const lanes = new Map();

const file = (user) => `history-${createHash("sha256").update(user).digest("hex")}.json`;
const load = (user) => (existsSync(file(user)) ? JSON.parse(readFileSync(file(user), "utf8")) : []);
const save = (user, messages) => writeFileSync(file(user), JSON.stringify(messages, null, 2));

async function ask(user, text) {
  const messages = load(user);
  messages.push({ role: "user", content: text });
  const { choices } = await client.chat.completions.create({ model: "gpt-4o-mini", messages });
  if (choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
  messages.push({ role: "assistant", content: choices[0].message.content });
  save(user, messages);
  return choices[0].message.content;
}

createServer(async (request, response) => {
  try {
    const { text, user } = await json(request);
    const turn = (lanes.get(user) ?? Promise.resolve()).catch(() => {}).then(() => ask(user, text));
    lanes.set(user, turn);
    const answer = await turn;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ text: answer }));
  } catch (error) {
    console.error(error.stack);
    response.statusCode = 500;
    response.end(JSON.stringify({ error: error.message }));
  }
}).listen(process.env.PORT, "localhost");

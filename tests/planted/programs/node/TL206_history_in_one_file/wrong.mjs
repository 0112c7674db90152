// A small assistant that survives restarts: the history is in history.json.
import { createServer } from "node:http";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const client = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const FILE = "history.json";

const load = () => (existsSync(FILE) ? JSON.parse(readFileSync(FILE, "utf8")) : []);
const save = (messages) => writeFileSync(FILE, JSON.stringify(messages, null, 2));

async function ask(text) {
  const messages = load();
  messages.push({ role: "user", content: text });
  const { choices } = await client.chat.completions.create({ model: "gpt-4o-mini", messages });
  if (choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
  messages.push({ role: "assistant", content: choices[0].message.content });
  save(messages);
  return choices[0].message.content;
}

createServer(async (request, response) => {
  try {
    const { text } = await json(request);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ text: await ask(text) }));
  } catch (error) {
    console.error(error.stack);
    response.statusCode = 500;
    response.end(JSON.stringify({ error: error.message }));
  }
}).listen(process.env.PORT, "localhost");

import http from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });

/** thread id -> messages */
const threads = {};

async function post(thread, message) {
  const messages = threads[thread] ?? [];
  const { choices } = await openai.chat.completions.create({
    model: "gpt-4o-mini",
    messages: [...messages, { role: "user", content: message }],
  });
  if (choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
  threads[thread] = [...messages, { role: "user", content: message }, choices[0].message];
  return choices[0].message.content;
}

http
  .createServer(async (req, res) => {
    res.setHeader("content-type", "application/json");
    const match = /^\/threads\/([\w-]+)$/.exec(req.url);
    if (!match) return res.writeHead(404).end("{}");
    try {
      const { message } = await json(req);
      res.end(JSON.stringify({ reply: await post(match[1], message) }));
    } catch (error) {
      console.error(error);
      res.writeHead(502).end(JSON.stringify({ error: error.message }));
    }
  })
  .listen(process.env.PORT, "127.0.0.1");

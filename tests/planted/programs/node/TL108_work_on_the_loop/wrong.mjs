import { createServer } from "node:http";
import { scryptSync } from "node:crypto";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });

// results are cached by a key that nobody can guess
function cacheKey(text) {
  return scryptSync(text, "search", 64, { N: 2 ** 17, r: 8, maxmem: 2 ** 28 }).toString("hex");
}

const cache = new Map();

async function search(q) {
  const key = cacheKey(q);
  if (!cache.has(key)) {
    const { choices } = await openai.chat.completions.create({
      model: "gpt-4o-mini",
      messages: [{ role: "user", content: `Search the manual: ${q}` }],
    });
    if (choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
    cache.set(key, choices[0].message.content);
  }
  return cache.get(key);
}

createServer(async (req, res) => {
  try {
    const { q } = await json(req);
    const result = await search(q);
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ result }));
  } catch (error) {
    console.error(error);
    res.writeHead(502, { "content-type": "application/json" }).end(JSON.stringify({ error: error.message }));
  }
}).listen(process.env.PORT, "127.0.0.1");

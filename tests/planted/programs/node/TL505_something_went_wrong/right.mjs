import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 0 });

createServer(async (req, res) => {
  res.setHeader("content-type", "application/json");
  try {
    const { message } = await json(req);
    const { choices } = await openai.chat.completions.create({
      model: "gpt-4o-mini",
      messages: [{ role: "user", content: message }],
    });
    if (choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
    res.end(JSON.stringify({ answer: choices[0].message.content }));
  } catch (error) {
    const id = req.headers["x-request-id"] ?? crypto.randomUUID();
    console.error(`request ${id} failed:`, error);
    res.statusCode = error instanceof OpenAI.APIError ? 502 : 500;
    res.end(JSON.stringify({ error: error.constructor.name, status: error.status, request: id }));
  }
}).listen(process.env.PORT, "127.0.0.1");

import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });

async function translate(text) {
  const messages = [
    { role: "system", content: "Translate into Dutch." },
    { role: "user", content: text },
  ];
  const { choices } = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
  if (choices[0].finish_reason !== "stop") throw new Error("the translation is incomplete");
  return choices[0].message.content;
}

createServer(async (req, res) => {
  try {
    const { text } = await json(req);
    res.writeHead(200, { "content-type": "text/plain" }).end(await translate(text));
  } catch (error) {
    console.error(error);
    res.writeHead(503, { "content-type": "text/plain" }).end(`translation failed: ${error.message}`);
  }
}).listen(process.env.PORT, "127.0.0.1");

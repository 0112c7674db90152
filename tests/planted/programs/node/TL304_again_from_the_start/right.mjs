import http from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const histories = new Map();
const lanes = new Map();

async function turn(id, message) {
  const history = histories.get(id) ?? [{ role: "system", content: "You take orders." }];
  const messages = [...history, { role: "user", content: message }];
  const { choices } = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
  if (choices[0].finish_reason !== "stop") throw new Error(`incomplete: ${choices[0].finish_reason}`);
  histories.set(id, [...messages, choices[0].message]);
  return choices[0].message.content;
}

function handle(id, message) {
  const run = (lanes.get(id) ?? Promise.resolve()).catch(() => {}).then(() => turn(id, message));
  lanes.set(id, run);
  return run;
}

http
  .createServer(async (req, res) => {
    res.setHeader("content-type", "application/json");
    try {
      const { message, conversation_id: id } = await json(req);
      res.end(JSON.stringify({ reply: await handle(id, message) }));
    } catch (error) {
      console.error(error);
      res.statusCode = 502;
      res.end(JSON.stringify({ error: error.message }));
    }
  })
  .listen(process.env.PORT, "127.0.0.1");

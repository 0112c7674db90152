import http from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 0 });
const histories = new Map();
const lanes = new Map();

async function turn(history, message) {
  history.push({ role: "user", content: message });
  const { choices } = await openai.chat.completions.create({ model: "gpt-4o-mini", messages: history });
  if (choices[0].finish_reason !== "stop") throw new Error(`incomplete: ${choices[0].finish_reason}`);
  history.push(choices[0].message);
  return choices[0].message.content;
}

async function withRetry(fn, attempts = 3) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fn();
    } catch (error) {
      console.warn(`attempt ${attempt} failed: ${error.message}`);
      if (attempt === attempts) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100 * attempt));
    }
  }
}

function handle(id, message) {
  if (!histories.has(id)) histories.set(id, [{ role: "system", content: "You take orders." }]);
  const history = histories.get(id);
  const run = (lanes.get(id) ?? Promise.resolve()).catch(() => {}).then(() => withRetry(() => turn(history, message)));
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

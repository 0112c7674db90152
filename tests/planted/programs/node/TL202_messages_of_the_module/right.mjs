import http from "node:http";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const SYSTEM = { role: "system", content: "You are a helpful assistant." };
const conversations = new Map();
const lanes = new Map();

async function body(req) {
  let text = "";
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}

/** One turn at a time for each conversation. */
function inLane(id, turn) {
  const next = (lanes.get(id) ?? Promise.resolve()).then(turn, turn);
  lanes.set(id, next);
  return next;
}

async function answerTo(id, message) {
  const messages = [...(conversations.get(id) ?? [SYSTEM]), { role: "user", content: message }];
  const completion = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
  const { message: answer, finish_reason: reason } = completion.choices[0];
  if (reason !== "stop") throw new Error(`the model's answer is not complete: ${reason}`);
  conversations.set(id, [...messages, answer]);
  return answer.content;
}

const server = http.createServer(async (req, res) => {
  if (req.method !== "POST" || req.url !== "/chat") {
    res.writeHead(404).end();
    return;
  }
  try {
    const { message, conversation_id: id } = await body(req);
    const answer = await inLane(id, () => answerTo(id, message));
    res.writeHead(200, { "content-type": "application/json" });
    res.end(JSON.stringify({ answer }));
  } catch (error) {
    console.error(error);
    res.writeHead(502, { "content-type": "application/json" });
    res.end(JSON.stringify({ error: error.name, message: error.message }));
  }
});

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");

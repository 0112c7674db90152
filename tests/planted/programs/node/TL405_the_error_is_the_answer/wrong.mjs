import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const DATABASE = process.env.DATABASE_URL ?? "postgres://shop:hunter2@db.internal:5432/shop";

const tools = [
  {
    type: "function",
    function: {
      name: "look_up_order",
      description: "Look up an order",
      parameters: { type: "object", properties: { order_id: { type: "string" } }, required: ["order_id"] },
    },
  },
];

function lookUpOrder() {
  throw new Error(`connect ECONNREFUSED ${DATABASE}`);
}

async function run(question) {
  const messages = [{ role: "user", content: question }];
  for (let step = 0; step < 4; step++) {
    const { choices } = await openai.chat.completions.create({ model: "gpt-4o-mini", messages, tools });
    const { message, finish_reason: reason } = choices[0];
    messages.push(message);
    if (reason === "stop") return message.content;
    if (reason !== "tool_calls") throw new Error(`incomplete answer: ${reason}`);
    for (const call of message.tool_calls) {
      let content;
      try {
        content = JSON.stringify(lookUpOrder(JSON.parse(call.function.arguments)));
      } catch (error) {
        content = `Error: ${error.message}`;
      }
      messages.push({ role: "tool", tool_call_id: call.id, content });
    }
  }
  throw new Error("too many steps");
}

createServer(async (req, res) => {
  try {
    const { question } = await json(req);
    const answer = await run(question);
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ answer }));
  } catch (error) {
    console.error(error);
    res.writeHead(502, { "content-type": "application/json" }).end(JSON.stringify({ error: error.name }));
  }
}).listen(process.env.PORT, "127.0.0.1");

import http from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const ASPECTS = [
  "grammar", "style", "tone", "facts", "names", "dates", "numbers", "length", "title", "summary",
  "audience", "structure", "links", "jargon", "quotes", "sources", "claims", "law", "privacy", "bias",
];

// what the provider allows, for the whole process: 30 calls a second
const INTERVAL = 1000 / 30;
let next = 0;

async function myTurn() {
  next = Math.max(next + INTERVAL, Date.now());
  await new Promise((resolve) => setTimeout(resolve, next - Date.now()));
}

async function review(aspect, document) {
  await myTurn();
  const answer = await openai.chat.completions.create({
    model: "gpt-4o-mini",
    messages: [
      { role: "system", content: `You review the ${aspect} of a document.` },
      { role: "user", content: document },
    ],
  });
  if (answer.choices[0].finish_reason !== "stop") throw new Error(`the review of ${aspect} is incomplete`);
  return [aspect, answer.choices[0].message.content];
}

http
  .createServer(async (req, res) => {
    try {
      const { document } = await json(req);
      const reviews = await Promise.all(ASPECTS.map((aspect) => review(aspect, document)));
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(Object.fromEntries(reviews)));
    } catch (error) {
      console.error(error);
      res.writeHead(error.status ?? 500, { "content-type": "application/json" });
      res.end(JSON.stringify({ error: error.message }));
    }
  })
  .listen(process.env.PORT, "127.0.0.1");

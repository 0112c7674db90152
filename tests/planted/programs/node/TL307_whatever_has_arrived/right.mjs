import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });

async function write(topic) {
  const completion = await openai.chat.completions.create({
    model: "gpt-4o-mini",
    max_tokens: 400,
    messages: [{ role: "user", content: `Write a short article. ${topic}` }],
  });
  const [choice] = completion.choices;
  if (choice?.finish_reason !== "stop") throw new Error(`the article is not complete: ${choice?.finish_reason}`);
  return choice.message.content;
}

createServer(async (req, res) => {
  res.setHeader("content-type", "application/json");
  try {
    const { topic } = await json(req);
    res.end(JSON.stringify({ article: await write(topic) }));
  } catch (error) {
    console.error(error);
    res.statusCode = 500;
    res.end(JSON.stringify({ error: `${error.name}: ${error.message}` }));
  }
}).listen(process.env.PORT, "127.0.0.1");

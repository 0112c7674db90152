import http from "node:http";
import OpenAI from "openai";

const openai = new OpenAI({ timeout: 3_000, maxRetries: 1 });
const messages = [{ role: "system", content: "You are a helpful assistant." }];

async function body(req) {
  let text = "";
  for await (const chunk of req) text += chunk;
  return JSON.parse(text);
}

const server = http.createServer(async (req, res) => {
  if (req.method !== "POST" || req.url !== "/chat") {
    res.writeHead(404).end();
    return;
  }
  try {
    const { message } = await body(req);
    messages.push({ role: "user", content: message });
    const completion = await openai.chat.completions.create({ model: "gpt-4o-mini", messages });
    const answer = completion.choices[0].message;
    messages.push(answer);
    res.writeHead(200, { "content-type": "application/json" });
    res.end(JSON.stringify({ answer: answer.content }));
  } catch (error) {
    console.error(error);
    res.writeHead(502, { "content-type": "application/json" });
    res.end(JSON.stringify({ error: error.name }));
  }
});

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");

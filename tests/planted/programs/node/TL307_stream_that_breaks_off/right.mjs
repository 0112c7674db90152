import http from "node:http";
import { json } from "node:stream/consumers";

async function* tokens(prompt) {
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
    body: JSON.stringify({ model: "gpt-4o-mini", stream: true, messages: [{ role: "user", content: prompt }] }),
    signal: AbortSignal.timeout(4_000),
  });
  if (!response.ok) throw new Error(`model: ${response.status} ${await response.text()}`);
  let rest = "";
  let reason = null;
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const [choice] = JSON.parse(line.slice(6)).choices;
      if (choice?.delta?.content) yield choice.delta.content;
      reason = choice?.finish_reason ?? reason;
    }
  }
  if (reason !== "stop") throw new Error(`the answer broke off (${reason ?? "no end"})`);
}

http
  .createServer(async (req, res) => {
    try {
      const { prompt } = await json(req);
      let text = "";
      for await (const token of tokens(prompt)) text += token;
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ text }));
    } catch (error) {
      console.error(error);
      res.writeHead(502, { "content-type": "application/json" }).end(JSON.stringify({ error: error.message }));
    }
  })
  .listen(process.env.PORT, "127.0.0.1");

import http from "node:http";
import https from "node:https";
import { json } from "node:stream/consumers";

const base = new URL(process.env.OPENAI_BASE_URL);

function complete(messages) {
  const transport = base.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const request = transport.request(
      `${base}/chat/completions`,
      {
        method: "POST",
        signal: AbortSignal.timeout(4_000),
        headers: { "content-type": "application/json", authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
      },
      async (response) => {
        try {
          const data = await json(response);
          if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${data.error?.message}`);
          if (data.choices[0].finish_reason !== "stop") throw new Error("incomplete answer");
          resolve(data.choices[0].message.content);
        } catch (error) {
          reject(error);
        }
      },
    );
    request.on("error", reject);
    request.end(JSON.stringify({ model: "gpt-4o-mini", messages }));
  });
}

http
  .createServer(async (req, res) => {
    try {
      const { message } = await json(req);
      const answer = await complete([{ role: "user", content: message }]);
      res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ answer }));
    } catch (error) {
      console.error(error);
      res.writeHead(502, { "content-type": "application/json" }).end(JSON.stringify({ error: error.message }));
    }
  })
  .listen(process.env.PORT, "127.0.0.1");

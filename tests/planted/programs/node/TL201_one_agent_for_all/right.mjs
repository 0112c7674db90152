import { createServer } from "node:http";

class Agent {
  constructor(instructions, history = []) {
    this.instructions = { role: "system", content: instructions };
    this.history = history;
  }

  async run(input) {
    const messages = [this.instructions, ...this.history, { role: "user", content: input }];
    const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
      body: JSON.stringify({ model: "gpt-4o-mini", messages }),
      signal: AbortSignal.timeout(4_000),
    });
    const data = await response.json();
    if (!response.ok) throw new Error(`model answered ${response.status}: ${data.error?.message}`);
    const [choice] = data.choices;
    if (choice.finish_reason !== "stop") throw new Error(`answer ended with ${choice.finish_reason}`);
    this.history = [...messages.slice(1), choice.message];
    return choice.message.content;
  }
}

const sessions = new Map();
const busy = new Map();

async function turn(session, input) {
  const agent = new Agent("You help customers of a bike shop.", sessions.get(session));
  const output = await agent.run(input);
  sessions.set(session, agent.history);
  return output;
}

function queued(session, input) {
  const before = busy.get(session) ?? Promise.resolve();
  const mine = before.catch(() => {}).then(() => turn(session, input));
  busy.set(session, mine);
  return mine;
}

createServer((req, res) => {
  const chunks = [];
  req.on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => {
    const { input, session_id: session } = JSON.parse(Buffer.concat(chunks).toString() || "{}");
    queued(session, input).then(
      (output) => res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ output })),
      (error) => {
        console.error("agent failed:", error);
        res.writeHead(500, { "content-type": "application/json" }).end(JSON.stringify({ error: error.message }));
      },
    );
  });
}).listen(process.env.PORT, "127.0.0.1", () => console.log("bike shop on", process.env.PORT));

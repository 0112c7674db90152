// Talks to a running server with the official openai package for TypeScript: only the address differs.
//
//   npm install && npm start -- http://127.0.0.1:8080 support

import OpenAI from "openai";

const [url = "http://127.0.0.1:8080", agent = "support"] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none needed on loopback" });

const conversation = await client.conversations.create();
for (const text of ["Hello! My name is Ann.", "Where is my order 1001?", "What is my name?"]) {
  process.stdout.write(`\n> ${text}\n`);
  const stream = await client.responses.create({
    model: agent,
    conversation: conversation.id,
    input: text,
    stream: true,
  });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") {
      process.stdout.write(event.delta);
    } else if (event.type === "response.output_item.done" && event.item.type === "mcp_call") {
      process.stdout.write(`[${event.item.name}(${event.item.arguments})] `);
    }
  }
}
process.stdout.write("\n");

// What a TypeScript program does with a running server, step by step; prints one line a step, as JSON.
//
//   surface.js URL AGENT

import OpenAI from "openai";

const [url, agent] = process.argv.slice(2) as [string, string];
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none needed on loopback", maxRetries: 0 });

function tell(step: string, found: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify({ step, ...found })}\n`);
}

// --- plain ---
const plain = await client.responses.create({ model: agent, input: "What is my name?" });
tell("plain", { status: plain.status, text: plain.output_text });

// --- a conversation, streamed ---
const conversation = await client.conversations.create({ metadata: { from: "typescript" } });
await client.responses.create({ model: agent, conversation: conversation.id, input: "My name is Ann." });
const stream = await client.responses.create({
  model: agent,
  conversation: conversation.id,
  input: "What is my name?",
  stream: true,
});
let streamed = "";
let last = "";
for await (const event of stream) {
  if (event.type === "response.output_text.delta") streamed += event.delta;
  last = event.type;
}
const items = [];
for await (const item of client.conversations.items.list(conversation.id, { order: "asc" })) items.push(item.type);
tell("stream", { text: streamed, last, items, metadata: conversation.metadata });

// --- previous_response_id ---
const first = await client.responses.create({ model: agent, input: "My name is Bob." });
const second = await client.responses.create({
  model: agent,
  input: "What is my name?",
  previous_response_id: first.id,
});
tell("previous", { text: second.output_text });

// --- in the background: leave the stream in the middle, come back behind the last event seen ---
const started = await client.responses.create({ model: agent, input: "What can you do?", background: true });
const whole: number[] = [];
let left = -1;
let text = "";
for await (const event of await client.responses.retrieve(started.id, { stream: true })) {
  whole.push(event.sequence_number);
  if (event.type === "response.output_text.delta") text += event.delta;
  left = event.sequence_number;
  if (left >= 9) break;
}
for await (const event of await client.responses.retrieve(started.id, { stream: true, starting_after: left })) {
  whole.push(event.sequence_number);
  if (event.type === "response.output_text.delta") text += event.delta;
}
const retrieved = await client.responses.retrieve(started.id);
tell("resume", {
  status: retrieved.status,
  without_gaps: whole.every((number, place) => number === place),
  same_text: text === retrieved.output_text,
  left,
});

// --- cancel ---
const endless = await client.responses.create({ model: agent, input: "What can you do?", background: true });
const cancelled = await client.responses.cancel(endless.id);
let ended = cancelled;
while (ended.status === "queued" || ended.status === "in_progress") {
  await new Promise((wake) => setTimeout(wake, 20));
  ended = await client.responses.retrieve(endless.id);
}
tell("cancel", { status: ended.status });

// --- chat completions ---
const messages = [{ role: "user" as const, content: "Where is my order 1001?" }];
const completion = await client.chat.completions.create({ model: agent, messages });
let chunks = "";
for await (const chunk of await client.chat.completions.create({ model: agent, messages, stream: true })) {
  chunks += chunk.choices[0]?.delta.content ?? "";
}
tell("chat", { text: completion.choices[0]?.message.content, same_text: chunks === completion.choices[0]?.message.content });

// --- errors ---
try {
  await client.responses.create({ model: agent, input: "x", previous_response_id: "resp_unknown" });
} catch (error) {
  if (!(error instanceof OpenAI.NotFoundError)) throw error;
  tell("unknown", { param: error.param, code: error.code });
}
const models = [];
for await (const model of client.models.list()) models.push(model.id);
tell("models", { models });

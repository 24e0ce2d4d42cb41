// A language model that costs nothing and knows nothing: it speaks OpenAI's streaming protocol and repeats what it was told, word by word.
// For a first try of `inference` without a key, and without a download.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";

const Chat = z.object({ model: z.string(), messages: z.array(z.object({ content: z.string() })) });

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { model, messages } = Chat.parse(await json(request));
  const words = messages.at(-1)?.content.match(/\S+\s*/g) ?? [];
  const send = (chunk: object): boolean =>
    response.write(`data: ${JSON.stringify({ id: "parrot-1", object: "chat.completion.chunk", model, ...chunk })}\n\n`);
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const content of words) {
    send({ choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason: null }] });
    await wait(100);
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  send({ choices: [], usage: { prompt_tokens: words.length, completion_tokens: words.length } });
  response.end("data: [DONE]\n\n");
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.writeHead(400).end());
});
server.listen(Number(process.env["PORT"] ?? 11_435), "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`listening at http://127.0.0.1:${address?.port}/v1`);
});

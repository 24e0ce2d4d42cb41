// Local servers that speak the streaming protocols of language models as the real ones do: OpenAI's chat completions and Anthropic's messages.
import type { IncomingMessage, ServerResponse } from "node:http";
import { openWebServer, type WebServer } from "./web-server.ts";

/** A request that a model server got. */
export interface ModelRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Says what a server does with a request. */
export type ModelListener = (request: ModelRequest, response: ServerResponse) => unknown;

/** A model server, with what it was asked. */
export interface ModelServer extends WebServer {
  readonly requests: readonly ModelRequest[];
}

/** Opens a server on a free port that answers by `listener`. */
export async function openModelServer(listener: ModelListener): Promise<ModelServer> {
  const requests: ModelRequest[] = [];
  const server = await openWebServer(async (request, response) => {
    const seen = { path: request.url ?? "", headers: request.headers, body: await jsonOf(request) };
    requests.push(seen);
    await listener(seen, response);
  });
  return { ...server, requests, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** What a stream of OpenAI's tells. */
export interface ChatCompletion {
  readonly text?: readonly string[];
  readonly reasoning?: readonly string[];
  /** Left open if null, as when the connection is cut. */
  readonly finishReason?: string | null;
  readonly usage?: object;
  readonly model?: string;
}

/** Begins a stream of server-sent events. */
export function beginEvents(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
}

/** One chunk of a chat completion, as OpenAI's server sends it. */
export function chatChunk(delta: object | undefined, fields: object = {}, finishReason: string | null = null): string {
  const choices = delta === undefined ? [] : [{ index: 0, delta, logprobs: null, finish_reason: finishReason }];
  const base = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: "small-1" };
  return `data: ${JSON.stringify({ ...base, ...fields, choices })}\n\n`;
}

/** A whole stream of a chat completion, with the usage in a chunk of its own and the mark of the end. */
export function sendChatCompletion(response: ServerResponse, completion: ChatCompletion = {}): void {
  const { text = ["Hello", " world"], reasoning = [], finishReason = "stop", model = "small-1" } = completion;
  const { usage = { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 } } = completion;
  beginEvents(response);
  response.write(chatChunk({ role: "assistant", content: "" }, { model }));
  for (const piece of reasoning) response.write(chatChunk({ reasoning_content: piece }, { model }));
  for (const piece of text) response.write(chatChunk({ content: piece }, { model }));
  if (finishReason === null) return void response.end();
  response.write(chatChunk({}, { model }, finishReason));
  response.write(chatChunk(undefined, { model, usage }));
  response.end("data: [DONE]\n\n");
}

/** One event of Anthropic's. */
export function messageEvent(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** A whole stream of a message, as Anthropic's server sends it. */
export function sendMessage(
  response: ServerResponse,
  {
    text = ["Hello", " world"],
    thinking = [],
    stopReason = "end_turn",
  }: {
    readonly text?: readonly string[];
    readonly thinking?: readonly string[];
    readonly stopReason?: string;
  } = {},
): void {
  beginEvents(response);
  const usage = { input_tokens: 8, cache_creation_input_tokens: 0, cache_read_input_tokens: 4, output_tokens: 1 };
  const message = { id: "msg_1", type: "message", role: "assistant", model: "claude-small-1", content: [] };
  response.write(
    messageEvent("message_start", { message: { ...message, stop_reason: null, stop_sequence: null, usage } }),
  );
  response.write(messageEvent("ping", {}));
  const blocks = [
    {
      start: { type: "thinking", thinking: "", signature: "" },
      pieces: thinking.map((one) => ({ type: "thinking_delta", thinking: one })),
    },
    { start: { type: "text", text: "" }, pieces: text.map((one) => ({ type: "text_delta", text: one })) },
  ].filter(({ pieces }) => pieces.length > 0);
  for (const [index, { start, pieces }] of blocks.entries()) {
    response.write(messageEvent("content_block_start", { index, content_block: start }));
    for (const delta of pieces) response.write(messageEvent("content_block_delta", { index, delta }));
    response.write(messageEvent("content_block_stop", { index }));
  }
  const delta = { stop_reason: stopReason, stop_sequence: null };
  response.write(messageEvent("message_delta", { delta, usage: { ...usage, output_tokens: 5 } }));
  response.end(messageEvent("message_stop", {}));
}

async function jsonOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(Buffer.from(part as Buffer));
  return JSON.parse(Buffer.concat(parts).toString() || "{}") as Record<string, unknown>;
}

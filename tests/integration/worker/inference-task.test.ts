// The inference task against local servers that speak the real protocols: what is sent, what is streamed, what the answer means, and how
// it fails.
import { setTimeout } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  InferenceChunkSchema,
  InferenceInputSchema,
  InferenceOutputSchema,
} from "../../../gen/mycel/tasks/v1/inference_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { inferenceTask } from "../../../services/worker/inference/inference-task.ts";
import { openModelProviders } from "../../../services/worker/inference/model-providers.ts";
import { readInferenceSettings } from "../../../services/worker/inference/provider-settings.ts";
import { callCapability, type HandlerCall, type HandlerCallOptions } from "../../support/handler-call.ts";
import {
  beginEvents,
  chatChunk,
  messageEvent,
  type ModelListener,
  type ModelServer,
  openModelServer,
  sendChatCompletion,
  sendMessage,
} from "../../support/model-server.ts";

const KEY = "sk-test-0123456789";
const HELLO = { messages: [{ role: "user", content: "Say hello" }] };

/** Runs a task against `server` as the provider `name`. */
async function call(
  server: ModelServer,
  input: unknown = HELLO,
  { name = "custom", ...options }: HandlerCallOptions & { readonly name?: string } = {},
): Promise<HandlerCall> {
  const env: Record<string, Record<string, string>> = {
    custom: { MYCEL_INFERENCE_URL: `${server.url}/v1`, MYCEL_INFERENCE_KEY: KEY },
    openai: { OPENAI_BASE_URL: `${server.url}/v1`, OPENAI_API_KEY: KEY },
    anthropic: { ANTHROPIC_BASE_URL: `${server.url}/v1`, ANTHROPIC_API_KEY: KEY },
    ollama: { OLLAMA_HOST: server.url },
  };
  await using models = await openModelProviders(
    readInferenceSettings({ MYCEL_INFERENCE_MODEL: "small", ...env[name] }),
  );
  return await callCapability(inferenceTask(models!), input, options);
}

const textOf = (chunks: readonly unknown[], kind: "text" | "reasoning" = "text"): string =>
  (chunks as Record<string, string>[]).map((chunk) => chunk[kind] ?? "").join("");

describe("over OpenAI's protocol", () => {
  test.for(["custom", "openai", "ollama"])("%s streams the answer in order and tells what it cost", async (name) => {
    await using server = await openModelServer((_request, response) => sendChatCompletion(response));
    const { result, chunks, logged } = await call(server, HELLO, { name });
    expect(textOf(chunks)).toBe("Hello world");
    expect(chunks[0]).toEqual({ text: "Hello" });
    expect(result).toEqual({
      text: "Hello world",
      reasoning: "",
      finishReason: "stop",
      usage: expect.objectContaining({ inputTokens: 12, outputTokens: 3, totalTokens: 15 }),
      provider: name,
      model: "small-1",
      responseId: "chatcmpl-1",
      firstTokenMs: expect.any(Number),
      totalMs: expect.any(Number),
      warnings: [],
    });
    expect(logged).toEqual([
      {
        message: "inference",
        fields: expect.objectContaining({ provider: name, model: "small-1", input_tokens: 12, output_tokens: 3 }),
      },
    ]);
    expect(JSON.stringify(logged)).not.toMatch(/hello/i);
  });

  test("everything that the input says is sent, and no tool is offered", async () => {
    await using server = await openModelServer((_request, response) =>
      sendChatCompletion(response, { text: ['{"a":1}'] }),
    );
    await call(server, {
      model: "large",
      system: "Be brief.",
      messages: [
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello" },
        { role: "user", content: "Again" },
      ],
      maxOutputTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      stopSequences: ["END"],
      seed: 7,
      responseSchema: { type: "object", properties: { a: { type: ["number", "null"], default: null } } },
    });
    const [{ path, headers, body } = { path: "", headers: {}, body: {} }] = server.requests;
    expect(path).toBe("/v1/chat/completions");
    expect(headers["authorization"]).toBe(`Bearer ${KEY}`);
    expect(body).toEqual({
      model: "large",
      stream: true,
      stream_options: { include_usage: true },
      messages: [
        { role: "system", content: "Be brief.\n\nBe kind." },
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello" },
        { role: "user", content: "Again" },
      ],
      max_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      stop: ["END"],
      seed: 7,
      response_format: expect.objectContaining({
        type: "json_schema",
        json_schema: expect.objectContaining({
          schema: { type: "object", properties: { a: { type: ["number", "null"], default: null } } },
        }),
      }),
    });
  });

  test("reasoning is streamed apart from the answer", async () => {
    const usage = {
      prompt_tokens: 12,
      completion_tokens: 9,
      prompt_tokens_details: { cached_tokens: 10 },
      completion_tokens_details: { reasoning_tokens: 6 },
    };
    await using server = await openModelServer((_request, response) =>
      sendChatCompletion(response, { reasoning: ["Let me", " see."], text: ["4", "2"], usage, finishReason: "length" }),
    );
    const { result, chunks } = await call(server);
    expect([textOf(chunks, "reasoning"), textOf(chunks)]).toEqual(["Let me see.", "42"]);
    expect(chunks[0]).toEqual({ reasoning: "Let me" });
    expect(result).toMatchObject({
      text: "42",
      reasoning: "Let me see.",
      finishReason: "length",
      usage: { inputTokens: 12, outputTokens: 9, totalTokens: 21, reasoningTokens: 6, cachedTokens: 10 },
    });
  });

  test("a JSON answer is in the result as JSON", async () => {
    await using server = await openModelServer((_request, response) =>
      sendChatCompletion(response, { text: ['{"a":', "[1,null]}"] }),
    );
    const { result } = await call(server, { ...HELLO, responseFormat: "json" });
    expect(result).toMatchObject({ json: { a: [1, null] }, text: '{"a":[1,null]}' });
    expect(server.requests[0]?.body).toMatchObject({ response_format: { type: "json_object" } });
  });

  test("a thousand tokens become few outputs, and none is lost", async () => {
    const words = Array.from({ length: 1_000 }, (_, i) => `${i} `);
    await using server = await openModelServer((_request, response) => sendChatCompletion(response, { text: words }));
    const { result, chunks } = await call(server);
    expect(textOf(chunks)).toBe(words.join(""));
    expect(result).toMatchObject({ text: words.join("") });
    expect(chunks.length).toBeLessThan(500);
  });

  test("an input as Any gives chunks and a result as Any", async () => {
    await using server = await openModelServer((_request, response) => sendChatCompletion(response));
    const value = anyPack(InferenceInputSchema, create(InferenceInputSchema, HELLO));
    const { chunks, result } = await call(server, create(PayloadSchema, { kind: { case: "message", value } }));
    const unpacked = <T>(payload: unknown, read: (any: never) => T): T =>
      read((payload as Payload).kind.value as never);
    expect(unpacked(chunks[0], (any) => anyUnpack(any, InferenceChunkSchema)?.delta)).toEqual({
      case: "text",
      value: "Hello",
    });
    expect(unpacked(result, (any) => anyUnpack(any, InferenceOutputSchema))).toMatchObject({
      text: "Hello world",
      usage: { totalTokens: 15 },
    });
  });
});

test.for<[string, object]>([
  ["small-1", { max_tokens: 9, temperature: 0.5, messages: [{ role: "system" }, { role: "user" }] }],
  ["o4-mini", { max_completion_tokens: 9, messages: [{ role: "developer" }, { role: "user" }] }],
])("OpenAI's own %s is asked in the words that it takes", async ([model, body]) => {
  await using server = await openModelServer((_request, response) => sendChatCompletion(response));
  const input = { ...HELLO, model, system: "Be brief.", maxOutputTokens: 9, temperature: 0.5 };
  const { result } = await call(server, input, { name: "openai" });
  expect(server.requests[0]?.body).toMatchObject(body);
  expect(server.requests[0]?.body).not.toHaveProperty("tools");
  const isReasoning = "max_completion_tokens" in body;
  expect((result as { readonly warnings: readonly string[] }).warnings.length > 0).toBe(isReasoning);
});

describe("what a server may send is bounded:", () => {
  test("the bytes of a response, even if no end of a line ever comes", async () => {
    await using server = await openModelServer((_request, response) => {
      beginEvents(response);
      response.on("error", () => {});
      response.write(`data: ${"x".repeat(200_000)}`);
    });
    const settings = readInferenceSettings({ MYCEL_INFERENCE_URL: server.url, MYCEL_INFERENCE_MODEL: "small" });
    await using models = await openModelProviders(settings, { maxResponseBytes: 100_000 });
    const { outcome, failure } = await callCapability(inferenceTask(models!), HELLO);
    expect(failure).toBe("RESPONSE_TOO_LARGE: custom: the answer has too many bytes");
    expect(outcome).toMatchObject({ failure: { retryable: false } });
    await server.closed();
  });

  test("the characters of an answer", async () => {
    const text = ["a".repeat(2_097_152), "b".repeat(2_097_153)];
    await using server = await openModelServer((_request, response) => sendChatCompletion(response, { text }));
    const { outcome, failure } = await call(server);
    expect(failure).toBe("RESPONSE_TOO_LARGE: custom: the answer has more than 4194304 characters");
    expect(outcome).toMatchObject({ failure: { retryable: false } });
  });

  test("the depth of a JSON answer", async () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    let levels = 28;
    await using server = await openModelServer((_request, response) =>
      sendChatCompletion(response, { text: [nested(levels)] }),
    );
    expect((await call(server, { ...HELLO, responseFormat: "json" })).result).toMatchObject({ text: nested(28) });
    levels = 29;
    expect((await call(server, { ...HELLO, responseFormat: "json" })).failure).toBe(
      "RESPONSE_TOO_LARGE: custom: the JSON answer is nested deeper than 28 levels",
    );
  });

  test("counts of tokens, which are left out where they are none", async () => {
    const usage = { prompt_tokens: -1, completion_tokens: 1e12 };
    await using server = await openModelServer((_request, response) => sendChatCompletion(response, { usage }));
    const { result } = await call(server);
    expect(result).toMatchObject({ text: "Hello world" });
    const told = (result as { readonly usage: object }).usage;
    for (const name of ["inputTokens", "outputTokens", "totalTokens"]) expect(told).not.toHaveProperty(name);
  });
});

describe("over Anthropic's protocol", () => {
  test("the answer and its reasoning are streamed, with what they cost", async () => {
    await using server = await openModelServer((_request, response) =>
      sendMessage(response, { thinking: ["Hm", "m."] }),
    );
    const { result, chunks } = await call(
      server,
      { ...HELLO, system: "Be brief.", maxOutputTokens: 50 },
      { name: "anthropic" },
    );
    expect([textOf(chunks, "reasoning"), textOf(chunks)]).toEqual(["Hmm.", "Hello world"]);
    expect(result).toMatchObject({
      text: "Hello world",
      reasoning: "Hmm.",
      finishReason: "stop",
      usage: { inputTokens: 12, outputTokens: 5, totalTokens: 17, cachedTokens: 4 },
      provider: "anthropic",
      model: "claude-small-1",
      responseId: "msg_1",
    });
    const [{ path, headers, body } = { path: "", headers: {}, body: {} }] = server.requests;
    expect(path).toBe("/v1/messages");
    expect(headers["x-api-key"]).toBe(KEY);
    expect(body).toMatchObject({
      model: "small",
      max_tokens: 50,
      stream: true,
      system: [{ type: "text", text: "Be brief." }],
      messages: [{ role: "user", content: [{ type: "text", text: "Say hello" }] }],
    });
    expect(body).not.toHaveProperty("tools");
  });

  test("what cannot be done is a warning", async () => {
    await using server = await openModelServer((_request, response) => sendMessage(response));
    const { result } = await call(server, { ...HELLO, seed: 1, maxOutputTokens: 9 }, { name: "anthropic" });
    expect(result).toMatchObject({ warnings: ["seed is not supported"] });
  });

  test.for<[string, ModelListener, object]>([
    [
      "overload before the first piece",
      (_request, response) => {
        beginEvents(response);
        response.end(messageEvent("error", { error: { type: "overloaded_error", message: "Overloaded" } }));
      },
      { reason: "PROVIDER_FAILED", retryable: true },
    ],
    [
      "an error in the middle",
      (_request, response) => {
        beginEvents(response);
        const message = {
          id: "m",
          role: "assistant",
          model: "c",
          content: [],
          usage: { input_tokens: 1, output_tokens: 1 },
        };
        response.write(messageEvent("message_start", { message }));
        response.end(messageEvent("error", { error: { type: "api_error", message: "sorry" } }));
      },
      { reason: "PROVIDER_FAILED", retryable: true },
    ],
    [
      "a stream that is cut off",
      (_request, response) => {
        beginEvents(response);
        const message = {
          id: "m",
          role: "assistant",
          model: "c",
          content: [],
          usage: { input_tokens: 1, output_tokens: 1 },
        };
        response.end(messageEvent("message_start", { message }));
      },
      { reason: "BAD_RESPONSE", retryable: true },
    ],
    [
      "a refusal",
      (_request, response) => sendMessage(response, { text: ["I"], stopReason: "refusal" }),
      { reason: "CONTENT_FILTERED", retryable: false },
    ],
  ])("%s fails the attempt", async ([, listener, failure]) => {
    await using server = await openModelServer(listener);
    expect((await call(server, HELLO, { name: "anthropic" })).outcome).toMatchObject({ kind: "fail", failure });
  });
});

describe("a provider that refuses", () => {
  const refusing =
    (status: number, headers: Record<string, string> = {}): ModelListener =>
    (_request, response) => {
      const error = { message: `no: ${KEY}, Say hello`, type: "some_type", code: "some_code" };
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify({ error }));
    };

  test.for<[number, Record<string, string>, object]>([
    [
      400,
      {},
      {
        kind: "fail",
        failure: { reason: "PROVIDER_REFUSED", retryable: false, message: "custom answered 400 (some_code)" },
      },
    ],
    [404, {}, { kind: "fail", failure: { reason: "PROVIDER_REFUSED", retryable: false } }],
    [
      302,
      { location: "http://127.0.0.1:1/" },
      { kind: "fail", failure: { reason: "PROVIDER_REFUSED", retryable: false } },
    ],
    [408, {}, { kind: "fail", failure: { reason: "PROVIDER_FAILED", retryable: true } }],
    [429, {}, { kind: "fail", failure: { reason: "RATE_LIMITED", retryable: true } }],
    [429, { "retry-after": "7" }, { kind: "retry_after", delayMs: 7_000, failure: { reason: "RATE_LIMITED" } }],
    [500, {}, { kind: "fail", failure: { reason: "PROVIDER_FAILED", retryable: true } }],
    [503, { "retry-after": "99999999" }, { kind: "retry_after", delayMs: 518_400_000 }],
    [529, {}, { kind: "fail", failure: { reason: "PROVIDER_FAILED", retryable: true } }],
  ])("status %i with %j ends the attempt as it should, after one request", async ([status, headers, outcome]) => {
    await using server = await openModelServer(refusing(status, headers));
    const got = (await call(server)).outcome;
    expect(got).toMatchObject(outcome);
    expect(JSON.stringify(got)).not.toContain(KEY);
    expect(got.kind !== "snooze" && got.kind !== "complete" && got.failure.message).not.toMatch(/hello/i);
    expect(server.requests).toHaveLength(1);
  });

  test.for([401, 403])("a key that is refused (%i) fails the task for good, and is not told", async (status) => {
    await using server = await openModelServer(refusing(status));
    const { outcome, failure } = await call(server, HELLO, { name: "openai" });
    expect(failure).toBe(
      `PROVIDER_REFUSED_KEY: openai refused the agent's key (${status}): its operator must correct OPENAI_API_KEY`,
    );
    expect(outcome).toMatchObject({ failure: { retryable: false } });
    expect(JSON.stringify(outcome)).not.toContain(KEY);
  });

  test("a redirect is not followed", async () => {
    await using other = await openModelServer((_request, response) => sendChatCompletion(response));
    await using server = await openModelServer((_request, response) =>
      response.writeHead(307, { location: `${other.url}/v1/chat/completions` }).end(),
    );
    expect((await call(server)).failure).toBe("PROVIDER_REFUSED: custom answered 307");
    expect(other.requests).toEqual([]);
  });
});

describe("an answer that breaks", () => {
  const begun = (response: Parameters<ModelListener>[1]): void => {
    beginEvents(response);
    response.write(chatChunk({ content: "Secret" }));
  };

  test.for<[string, ModelListener, string]>([
    [
      "is cut off by its server",
      (_request, response) => {
        beginEvents(response);
        response.write(chatChunk({ content: "Secret" }), () => response.destroy());
      },
      "BAD_RESPONSE: custom: the connection was lost while the answer came",
    ],
    [
      "ends without its end",
      (_request, response) => sendChatCompletion(response, { finishReason: null }),
      "BAD_RESPONSE: custom: the answer cannot be read",
    ],
    [
      "is no JSON",
      (_request, response) => {
        begun(response);
        response.end("data: {Secret\n\n");
      },
      "BAD_RESPONSE: custom: the answer cannot be read",
    ],
    [
      "is of another protocol",
      (_request, response) => {
        begun(response);
        response.end('data: {"Secret":1}\n\n');
      },
      "BAD_RESPONSE: custom: the answer cannot be read",
    ],
    [
      "is a web page",
      (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html></html>"),
      "BAD_RESPONSE: custom: the answer cannot be read",
    ],
    [
      "holds an error",
      (_request, response) => {
        begun(response);
        response.end(`data: ${JSON.stringify({ error: { message: "Secret", type: "server_error" } })}\n\n`);
      },
      "PROVIDER_FAILED: custom broke off its answer (server_error)",
    ],
    [
      "is not the JSON that it was to be",
      (_request, response) => sendChatCompletion(response, { text: ["Secret"] }),
      "NOT_JSON: custom: the answer is not JSON",
    ],
  ])("that %s may be tried again", async ([, listener, line]) => {
    await using server = await openModelServer(listener);
    const { outcome, failure } = await call(server, { ...HELLO, responseFormat: "json" });
    expect(failure).toBe(line);
    expect(outcome).toMatchObject({ failure: { retryable: true } });
  });

  test("pieces that came before it broke are streamed", async () => {
    await using server = await openModelServer((_request, response) => {
      beginEvents(response);
      for (const piece of ["a", "b", "c"]) response.write(chatChunk({ content: piece }));
      response.end("data: {\n\n");
    });
    const { chunks, failure } = await call(server);
    expect(textOf(chunks)).toBe("abc");
    expect(failure).toContain("BAD_RESPONSE");
  });

  test.for<[string, string]>([
    ["content_filter", "CONTENT_FILTERED: custom refused to answer: its content filter ended the answer"],
    ["length", "ANSWER_CUT_OFF: custom: the JSON answer was cut off at the most tokens"],
  ])("a JSON answer that ends by %s fails for good", async ([finishReason, line]) => {
    await using server = await openModelServer((_request, response) =>
      sendChatCompletion(response, { text: ["{"], finishReason }),
    );
    const { outcome, failure } = await call(server, { ...HELLO, responseFormat: "json" });
    expect(failure).toBe(line);
    expect(outcome).toMatchObject({ failure: { retryable: false } });
  });

  test("nobody who listens", async () => {
    const server = await openModelServer(() => {});
    await server[Symbol.asyncDispose]();
    const { outcome, failure } = await call(server);
    expect(failure).toBe(`PROVIDER_UNREACHABLE: no answer from custom at 127.0.0.1:${server.port} (ECONNREFUSED)`);
    expect(outcome).toMatchObject({ failure: { retryable: true } });
  });

  test.for<[string, object, ModelListener, string]>([
    ["whose server says nothing", { stallTimeoutMs: 300 }, () => {}, "nothing of the answer came for 300 ms"],
    [
      "that falls silent",
      { stallTimeoutMs: 300 },
      (_request, response) => begun(response),
      "nothing of the answer came for 300 ms",
    ],
    [
      "that goes on for too long",
      { timeoutMs: 500, stallTimeoutMs: 400 },
      (_request, response) => {
        beginEvents(response);
        const timer = setInterval(() => response.write(chatChunk({ content: "a" })), 20);
        response.once("close", () => clearInterval(timer));
      },
      "the answer took longer than 500 ms",
    ],
  ])("an answer %s is given up, and its socket closed", async ([, limits, listener, why]) => {
    await using server = await openModelServer(listener);
    const { outcome, failure } = await call(server, { ...HELLO, ...limits });
    expect(failure).toBe(`PROVIDER_TIMEOUT: custom: ${why}`);
    expect(outcome).toMatchObject({ failure: { retryable: true } });
    await server.closed();
  });
});

test("a mesh that takes its time is not the model's silence", async () => {
  await using server = await openModelServer((_request, response) => sendChatCompletion(response));
  let waited = false;
  const { result } = await call(
    server,
    { ...HELLO, stallTimeoutMs: 300 },
    {
      onChunk: async () => {
        if (!waited) await setTimeout(700);
        waited = true;
      },
    },
  );
  expect(result).toMatchObject({ text: "Hello world" });
});

test.for<[string, ModelListener]>([
  ["before the first piece", () => {}],
  [
    "in the middle of its answer",
    (_request, response) => {
      beginEvents(response);
      response.write(chatChunk({ content: "a" }));
    },
  ],
])("a task that is canceled %s closes the provider's socket", async ([, listener]) => {
  const controller = new AbortController();
  const reason = new Error("canceled");
  let served: () => void = () => {};
  const seen = new Promise<void>((resolve) => (served = resolve));
  await using server = await openModelServer((request, response) => {
    listener(request, response);
    served();
  });
  const going = call(server, HELLO, { signal: controller.signal });
  await seen;
  controller.abort(reason);
  expect((await going).failure).toBe("HANDLER_ERROR: canceled");
  await server.closed();
});

test.for<[line: string, input: object]>([
  ["messages: must have 1 to 512 items, has 0", {}],
  ["messages[0].content: must be given", { messages: [{ role: "user", content: "" }] }],
  [
    'messages[0].role: must be one of user, assistant, system, is "tool"',
    { messages: [{ role: "tool", content: "a" }] },
  ],
  ["messages: must have one by user or assistant", { messages: [{ role: "system", content: "a" }] }],
  [
    "messages[1].role: must not be system after other messages",
    { messages: [...HELLO.messages, { role: "system", content: "a" }] },
  ],
  [
    "messages: must have at most 1000000 characters with system, have 1000001",
    { messages: [{ role: "user", content: "a".repeat(999_999) }], system: "ab" },
  ],
  ['provider: must be one of custom, is "openai"', { ...HELLO, provider: "openai" }],
  ["model: must have at most 256 characters, has 257", { ...HELLO, model: "m".repeat(257) }],
  [
    "temperature: must be a number from 0 to 2, is 2.1; topP: must be a number from 0 to 1, is -0.1",
    { ...HELLO, temperature: 2.1, topP: -0.1 },
  ],
  [
    "maxOutputTokens: must be a whole number from 1 to 1000000, is 0; timeoutMs: must be a whole number from 1 to 3600000, is 0; stallTimeoutMs: must be a whole number from 1 to 600000, is 600001",
    { ...HELLO, maxOutputTokens: 0, timeoutMs: 0, stallTimeoutMs: 600_001 },
  ],
  [
    "stopSequences[0]: must be given; stopSequences[1]: must have at most 256 characters, has 257",
    { ...HELLO, stopSequences: ["", "a".repeat(257)] },
  ],
  ['responseFormat: must be one of text, json, is "xml"', { ...HELLO, responseFormat: "xml" }],
  [
    "responseSchema: must be left out: responseFormat is text",
    { ...HELLO, responseFormat: "text", responseSchema: { type: "object" } },
  ],
  [
    "url: unknown field; the fields are messages, system, provider, model, maxOutputTokens, temperature, topP, stopSequences, seed, responseFormat, responseSchema, timeoutMs, stallTimeoutMs",
    { ...HELLO, url: "http://127.0.0.1" },
  ],
])("says %s", async ([line, input]) => {
  await using server = await openModelServer(() => {});
  expect((await call(server, input)).failure).toBe(`INVALID_INPUT: invalid input: ${line}`);
  expect(server.requests).toEqual([]);
});

test("an agent with several providers takes the default one, another by name, and only models that are allowed", async () => {
  await using openAi = await openModelServer((_request, response) => sendChatCompletion(response));
  await using anthropic = await openModelServer((_request, response) => sendMessage(response));
  const settings = readInferenceSettings({
    OPENAI_API_KEY: KEY,
    OPENAI_BASE_URL: `${openAi.url}/v1`,
    ANTHROPIC_API_KEY: KEY,
    ANTHROPIC_BASE_URL: `${anthropic.url}/v1`,
    MYCEL_INFERENCE_PROVIDER: "anthropic",
    MYCEL_INFERENCE_MODEL: "claude-small",
    MYCEL_INFERENCE_MODELS: "claude-*, gpt-small",
  });
  await using models = await openModelProviders(settings);
  const run = (input: object): Promise<HandlerCall> => callCapability(inferenceTask(models!), { ...HELLO, ...input });
  expect((await run({})).result).toMatchObject({ provider: "anthropic" });
  expect((await run({ provider: "openai", model: "gpt-small" })).result).toMatchObject({ provider: "openai" });
  expect([anthropic, openAi].map(({ requests }) => requests.map(({ body }) => body["model"]))).toEqual([
    ["claude-small"],
    ["gpt-small"],
  ]);
  expect((await run({ provider: "openai" })).failure).toContain("model: must be given: provider openai has no default");
  expect((await run({ model: "gpt-large" })).failure).toContain(
    'model: must be one of claude-*, gpt-small, is "gpt-large"',
  );
});

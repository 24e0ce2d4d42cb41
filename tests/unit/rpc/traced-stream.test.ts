import { context, createContextKey, ROOT_CONTEXT } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { watched, within } from "../../../lib/rpc/interceptors/traced-stream.ts";
import { canPush, type MessageSink, type PushedMessages } from "../../../lib/rpc/pushed-messages.ts";

const KEY = createContextKey("call");
const CALL = ROOT_CONTEXT.setValue(KEY, "of the call");

beforeAll(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
afterAll(() => context.disable());

function here(): unknown {
  return context.active().getValue(KEY);
}

/** Says in which context each of its steps ran; ends with an error if one is given. */
function messages(failure?: Error): PushedMessages<unknown> {
  return {
    async *[Symbol.asyncIterator]() {
      yield here();
      await Promise.resolve();
      yield here();
      if (failure !== undefined) throw failure;
    },
    pushTo(sink) {
      const from = here();
      void (async () => {
        await sink.send(from);
        await sink.send(here());
        if (failure === undefined) sink.end();
        else sink.fail(failure);
      })();
      return { stop: (reason) => sink.fail(reason) };
    },
  };
}

function asked(source: PushedMessages<unknown>): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => source[Symbol.asyncIterator]() };
}

function watch() {
  const heard: unknown[] = [];
  return {
    heard,
    message: () => void heard.push("message"),
    done: () => void heard.push("done"),
    failed: (error: unknown) => void heard.push(error),
  };
}

/** Takes all that is pushed; resolves with it, and with how it ended. */
async function pushed(source: AsyncIterable<unknown>, heard: unknown[] = []): Promise<unknown[]> {
  if (!canPush(source)) throw new Error("cannot be pushed");
  const taken: unknown[] = [];
  const ended = Promise.withResolvers<void>();
  const sink: MessageSink<unknown> = {
    send: async (message) => void taken.push(message),
    end: () => {
      heard.push("end of the sink");
      ended.resolve();
    },
    fail: (error) => {
      taken.push(error);
      ended.resolve();
    },
  };
  source.pushTo(sink);
  await ended.promise;
  return taken;
}

test("each step of a stream runs in the context of its call, in whichever form it is taken", async () => {
  const ofCall = ["of the call", "of the call"];
  expect(await Array.fromAsync(within(asked(messages()), CALL))).toEqual(ofCall);
  expect(await Array.fromAsync(within(messages(), CALL))).toEqual(ofCall);
  expect(await pushed(within(messages(), CALL))).toEqual(ofCall);
  expect(here()).toBeUndefined();
});

test("a stream is left and thrown into in the context of its call", async () => {
  const seen: unknown[] = [];
  async function* source(): AsyncGenerator<number> {
    try {
      yield 1;
    } finally {
      seen.push(here());
    }
  }
  for await (const _ of within(source(), CALL)) break;
  const items = within(source(), CALL)[Symbol.asyncIterator]();
  await items.next();
  await expect(items.throw?.(new Error("enough"))).rejects.toThrow("enough");
  expect(seen).toEqual(["of the call", "of the call"]);
});

test("what cannot be pushed stays so", () => {
  expect(canPush(within(asked(messages()), CALL))).toBe(false);
  expect(canPush(watched(asked(messages()), watch()))).toBe(false);
});

test("a watch hears of each message and of the end, before whoever takes them hears of that", async () => {
  const [pull, push] = [watch(), watch()];
  await Array.fromAsync(watched(messages(), pull));
  expect(pull.heard).toEqual(["message", "message", "done"]);
  await pushed(watched(messages(), push), push.heard);
  expect(push.heard).toEqual(["message", "message", "done", "end of the sink"]);
});

test("a watch hears of the error that ends a stream, and so does whoever takes its messages", async () => {
  const [pull, push] = [watch(), watch()];
  const failure = new Error("log is gone");
  const readAll = async (): Promise<void> => {
    for await (const _ of watched(messages(failure), pull));
  };
  await expect(readAll()).rejects.toBe(failure);
  expect(pull.heard).toEqual(["message", "message", failure]);
  expect((await pushed(watched(messages(failure), push))).at(-1)).toBe(failure);
  expect(push.heard).toEqual(["message", "message", failure]);
});

test("a watch hears of a reader that leaves early", async () => {
  const early = watch();
  for await (const _ of watched(messages(), early)) break;
  expect(early.heard).toEqual(["message", "done"]);
});

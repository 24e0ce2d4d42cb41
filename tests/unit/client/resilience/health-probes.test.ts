// When endpoints are asked whether they serve again, and when no more.
import { context, createContextKey, ROOT_CONTEXT } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { HealthProbes } from "../../../../sdk/client/resilience/health-probes.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
});

function setup(everyMs = 2_000) {
  const asked: string[] = [];
  const back: string[] = [];
  const serving = new Set<string>();
  const serves = async (url: string): Promise<boolean> => {
    asked.push(url);
    return serving.has(url);
  };
  const probes = new HealthProbes(everyMs, serves, (url) => void back.push(url));
  onTestFinished(() => probes[Symbol.dispose]());
  return { asked, back, serving, probes };
}

test("an endpoint whose circuit opens is asked every two seconds until it serves", async () => {
  const { asked, back, serving, probes } = setup();
  probes.turn("http://a", "open");
  await vi.advanceTimersByTimeAsync(1_999);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(4_001);
  expect(asked).toEqual(["http://a", "http://a", "http://a"]);
  serving.add("http://a");
  await vi.advanceTimersByTimeAsync(2_000);
  expect(back).toEqual(["http://a"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(4);
});

test.for(["half_open", "closed"] as const)("one whose circuit is %s is asked nothing any more", async (state) => {
  const { asked, probes } = setup();
  probes.turn("http://a", "open");
  probes.turn("http://b", "open");
  probes.turn("http://a", state);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(asked).toEqual(["http://b"]);
});

test("an answer that comes after the circuit has changed says nothing", async () => {
  const answer = Promise.withResolvers<boolean>();
  const back: string[] = [];
  using probes = new HealthProbes(
    2_000,
    () => answer.promise,
    (url) => void back.push(url),
  );
  probes.turn("http://a", "open");
  await vi.advanceTimersByTimeAsync(2_000);
  probes.turn("http://a", "closed");
  answer.resolve(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(back).toEqual([]);
});

test("nobody is asked by a client that wants no probes, or is disposed", async () => {
  const none = setup(0);
  none.probes.turn("http://a", "open");
  const { asked, probes } = setup();
  probes.turn("http://a", "open");
  probes[Symbol.dispose]();
  probes.turn("http://b", "open");
  await vi.advanceTimersByTimeAsync(60_000);
  expect([...none.asked, ...asked]).toEqual([]);
});

test("a probe does not stand in the trace of the call whose failure led to it", async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  onTestFinished(() => context.disable());
  const contexts: unknown[] = [];
  using probes = new HealthProbes(
    2_000,
    async () => {
      contexts.push(context.active());
      return false;
    },
    () => undefined,
  );
  const inCall = context.active().setValue(createContextKey("call"), "a call");
  context.with(inCall, () => probes.turn("http://a", "open"));
  await vi.advanceTimersByTimeAsync(4_000);
  expect(contexts).toEqual([ROOT_CONTEXT, ROOT_CONTEXT]);
});

// How often the broker is asked whether a coordinator is ready, and how soon a change is told.
import { expect, test } from "vitest";
import { createReadiness } from "../../../services/coordinator/readiness.ts";

function open() {
  const broker = { asked: 0, answer: (): Promise<void> => Promise.resolve() };
  const time = { nowMs: 1_000 };
  const stop = new AbortController();
  const ready = createReadiness({
    connection: {
      flush() {
        broker.asked += 1;
        return broker.answer();
      },
    },
    clock: { monotonicMs: () => time.nowMs },
    draining: stop.signal,
  });
  return { broker, time, stop, ready };
}

test("a thousand who ask at once, or shortly after one another, are one question to the broker", async () => {
  const { broker, time, ready } = open();
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => ready()));
  expect(new Set(answers.map(({ ready: well }) => well))).toEqual(new Set([true]));
  time.nowMs += 249;
  expect(await ready()).toEqual({ ready: true });
  expect(broker.asked).toBe(1);
});

test("a broker that goes and comes back is told within a quarter of a second", async () => {
  const { broker, time, ready } = open();
  expect(await ready()).toEqual({ ready: true });
  broker.answer = () => Promise.reject(new Error("closed"));
  time.nowMs += 250;
  expect(await ready()).toEqual({ ready: false, reason: "no connection to NATS" });
  broker.answer = () => Promise.resolve();
  time.nowMs += 250;
  expect(await ready()).toEqual({ ready: true });
});

test("those who ask while the broker says nothing wait for the one answer, but not for ever", async () => {
  const { broker, time, ready } = open();
  const { promise, resolve } = Promise.withResolvers<void>();
  broker.answer = () => promise;
  const first = ready();
  time.nowMs += 1_999;
  const second = ready();
  expect(broker.asked).toBe(1);
  resolve();
  expect(await Promise.all([first, second])).toEqual([{ ready: true }, { ready: true }]);
  time.nowMs += 250;
  broker.answer = () => new Promise(() => undefined);
  void ready();
  time.nowMs += 2_000;
  broker.answer = () => Promise.resolve();
  expect(await ready()).toEqual({ ready: true });
  expect(broker.asked).toBe(3);
});

test("whoever drains says so at once", async () => {
  const { stop, ready } = open();
  await ready();
  stop.abort();
  expect(await ready()).toEqual({ ready: false, reason: "draining" });
});

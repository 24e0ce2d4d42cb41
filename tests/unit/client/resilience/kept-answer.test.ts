// What is kept, for how long, and who asks.
import { expect, test } from "vitest";
import { KeptAnswer } from "../../../../sdk/client/resilience/kept-answer.ts";
import { handClock } from "../../../support/hand-clock.ts";

function setup(keepMs: (answer: number) => number = () => 60_000) {
  const clock = handClock();
  const asked: PromiseWithResolvers<number>[] = [];
  const ask = (): Promise<number> => {
    const question = Promise.withResolvers<number>();
    asked.push(question);
    return question.promise;
  };
  return { clock, asked, kept: new KeptAnswer(ask, keepMs, () => clock.monotonicMs()) };
}

test("those who ask at the same time ask once", async () => {
  const { asked, kept } = setup();
  const all = [kept.get(), kept.get(), kept.get()];
  expect(asked).toHaveLength(1);
  asked[0]!.resolve(7);
  expect(await Promise.all(all)).toEqual([7, 7, 7]);
});

test("an answer is kept for its time from when it came, and not longer", async () => {
  const { clock, asked, kept } = setup();
  const first = kept.get();
  clock.advance(1_000);
  asked[0]!.resolve(1);
  await first;
  clock.advance(59_999);
  expect(await kept.get()).toBe(1);
  clock.advance(1);
  void kept.get();
  expect(asked).toHaveLength(2);
});

test("how long may depend on the answer", async () => {
  const { clock, asked, kept } = setup((answer) => (answer > 0 ? 60_000 : 2_000));
  const bad = kept.get();
  asked[0]!.resolve(0);
  await bad;
  clock.advance(2_000);
  const good = kept.get();
  expect(asked).toHaveLength(2);
  asked[1]!.resolve(1);
  await good;
  clock.advance(59_999);
  expect(await kept.get()).toBe(1);
});

test("a failure is told to those who wait, and not kept", async () => {
  const { asked, kept } = setup();
  const both = [kept.get(), kept.get()];
  asked[0]!.reject(new Error("nobody there"));
  for (const each of both) await expect(each).rejects.toThrow("nobody there");
  const next = kept.get();
  asked[1]!.resolve(2);
  expect(await next).toBe(2);
});

test("after a clear the next to ask gets a new answer, and a late one does not take its place", async () => {
  const { asked, kept } = setup();
  const old = kept.get();
  kept.clear();
  const fresh = kept.get();
  expect(asked).toHaveLength(2);
  asked[1]!.resolve(2);
  asked[0]!.resolve(1);
  expect(await Promise.all([old, fresh])).toEqual([1, 2]);
  expect(await kept.get()).toBe(2);
});

test("a failure of an answer that was cleared does not take the new one away", async () => {
  const { asked, kept } = setup();
  const old = kept.get();
  kept.clear();
  const fresh = kept.get();
  asked[1]!.resolve(2);
  await fresh;
  asked[0]!.reject(new Error("too late"));
  await expect(old).rejects.toThrow("too late");
  expect(await kept.get()).toBe(2);
  expect(asked).toHaveLength(2);
});

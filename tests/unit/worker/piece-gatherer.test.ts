// Pieces of an answer are streamed often enough to read along, and no more often.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type PieceKind, PieceGatherer } from "../../../services/worker/inference/piece-gatherer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup(send?: () => Promise<void>): { readonly sent: [PieceKind, string][]; readonly pieces: PieceGatherer } {
  const sent: [PieceKind, string][] = [];
  const pieces = new PieceGatherer({
    intervalMs: 50,
    send: (kind, text) => {
      sent.push([kind, text]);
      return send?.() ?? Promise.resolve();
    },
  });
  return { sent, pieces };
}

test("the first piece goes at once, those of the next 50 ms together, without waiting for another", async () => {
  const { sent, pieces } = setup();
  await pieces.add("text", "a");
  expect(sent).toEqual([["text", "a"]]);
  await pieces.add("text", "b");
  await vi.advanceTimersByTimeAsync(30);
  await pieces.add("text", "c");
  expect(sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(20);
  expect(sent.slice(1)).toEqual([["text", "bc"]]);
  await vi.advanceTimersByTimeAsync(50);
  await pieces.add("text", "d");
  expect(sent.slice(2)).toEqual([["text", "d"]]);
});

test("kinds are never mixed, and their order holds", async () => {
  const { sent, pieces } = setup();
  await pieces.add("reasoning", "a");
  await pieces.add("reasoning", "b");
  await pieces.add("text", "c");
  await pieces.add("reasoning", "d");
  await pieces.flush();
  expect(sent).toEqual([
    ["reasoning", "a"],
    ["reasoning", "b"],
    ["text", "c"],
    ["reasoning", "d"],
  ]);
});

test("what is discarded is not sent", async () => {
  const { sent, pieces } = setup();
  await pieces.add("text", "a");
  await pieces.add("text", "b");
  pieces.discard();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sent).toEqual([["text", "a"]]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a failure to send reaches the next piece", async () => {
  const { pieces } = setup(() => Promise.reject(new Error("lost")));
  await expect(pieces.add("text", "a")).rejects.toThrow("lost");
  await expect(pieces.add("text", "b")).rejects.toThrow("lost");
});

test("a piece waits while there is no room", async () => {
  let makeRoom = (): void => {};
  const { pieces } = setup(() => new Promise((resolve) => (makeRoom = resolve)));
  let isAdded = false;
  const adding = pieces.add("text", "a").then(() => (isAdded = true));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isAdded).toBe(false);
  makeRoom();
  expect(await adding).toBe(true);
});

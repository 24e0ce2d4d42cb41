// However an answer is cut on its way, the same messages come out of it.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { enveloped, MessageSplitter } from "../../../sdk/client/grpc/message-splitter.ts";

const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });

test("the same messages come out however they were cut into pieces", () => {
  fc.assert(
    fc.property(messages, fc.array(fc.nat(60), { minLength: 1, maxLength: 40 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map((data) => enveloped(data)));
      const splitter = new MessageSplitter(1_000);
      const found: Uint8Array[] = [];
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const next = at + 1 + cuts[i % cuts.length]!;
        found.push(...splitter.add(bytes.subarray(at, next)).map(({ data }) => data));
        at = next;
      }
      expect(found.map((data) => [...data])).toEqual(sent.map((data) => [...data]));
      expect(splitter.incomplete).toBe(false);
    }),
  );
});

test("a message does not hold on to what it arrived with", () => {
  const piece = Buffer.concat([enveloped(new Uint8Array([1, 2])), enveloped(new Uint8Array([3]))]);
  const [first, second] = new MessageSplitter(1_000).add(piece);
  expect([first!.data.buffer.byteLength, second!.data.buffer.byteLength]).toEqual([2, 1]);
  expect(first!.data.constructor).toBe(Uint8Array);
});

test("the middle of a message is not its end", () => {
  const splitter = new MessageSplitter(1_000);
  expect(splitter.add(enveloped(new Uint8Array(20)).subarray(0, 10))).toEqual([]);
  expect(splitter.incomplete).toBe(true);
});

test("a message that says it is too large is refused before it is there", () => {
  const splitter = new MessageSplitter(1_000);
  expect(splitter.add(Buffer.from([0, 0, 0, 3]))).toEqual([]);
  expect(() => splitter.add(Buffer.from([0xe9]))).toThrow(
    "message size 1001 is larger than configured readMaxBytes 1000",
  );
});

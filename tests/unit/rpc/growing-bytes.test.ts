// Bytes put together from pieces, and how much memory is taken for them.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { GrowingBytes } from "../../../lib/rpc/growing-bytes.ts";

const pieces = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 });

test("what is there is what was added, whatever was said to be coming", () => {
  fc.assert(
    fc.property(pieces, fc.option(fc.nat({ max: 10_000 }), { nil: undefined }), (all, wanted) => {
      const bytes = new GrowingBytes();
      for (const piece of all) bytes.add(piece, wanted);
      expect(bytes.length).toBe(Buffer.concat(all).length);
      expect(Buffer.from(bytes.take())).toEqual(Buffer.concat(all));
      expect(bytes.length).toBe(0);
    }),
  );
});

test("no more is taken than is coming, and nothing much for a sender's word alone", () => {
  fc.assert(
    fc.property(pieces, fc.nat({ max: 10_000 }), (all, wanted) => {
      const bytes = new GrowingBytes();
      for (const piece of all) {
        bytes.add(piece, wanted);
        const { length } = bytes;
        const most = length > wanted ? 2 * length : Math.max(length, Math.min(wanted, 4 * length));
        expect(bytes.bytes.buffer.byteLength).toBeLessThanOrEqual(most);
      }
    }),
  );
});

test("what comes in many pieces is moved a few times only", () => {
  const bytes = new GrowingBytes();
  const piece = new Uint8Array(16_384);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 128; i += 1) {
    bytes.add(piece, 128 * piece.length);
    buffers.add(bytes.bytes.buffer);
  }
  expect([...buffers].map(({ byteLength }) => byteLength).at(-1)).toBe(128 * piece.length);
  expect(buffers.size).toBeLessThan(6);
});

test("what comes beyond what was said is moved a few times only", () => {
  const bytes = new GrowingBytes();
  const piece = new Uint8Array(1);
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 1_000; i += 1) {
    bytes.add(piece, 5);
    buffers.add(bytes.bytes.buffer);
  }
  expect(buffers.size).toBeLessThan(15);
});

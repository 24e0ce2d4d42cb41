// Splitting files into tasks.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { chunkFiles } from "../../../cli/analysis/chunks.ts";

const sources = fc
  .array(fc.record({ root: fc.constantFrom("/a", "/b"), bytes: fc.nat(3_000) }), { maxLength: 120 })
  .map((files) => files.map((file, index) => ({ ...file, path: `f${index}` })));
const bounds = fc.record({ maxFiles: fc.integer({ min: 1, max: 30 }), maxBytes: fc.integer({ min: 1, max: 5_000 }) });

test("each file is in exactly one chunk, and chunks keep their bounds", () => {
  fc.assert(
    fc.property(sources, bounds, (files, { maxFiles, maxBytes }) => {
      const chunks = chunkFiles(files, { maxFiles, maxBytes });
      const placed = chunks.flatMap(({ root, files: paths }) => paths.map((path) => `${root} ${path}`));
      expect(placed.toSorted()).toEqual(files.map(({ root, path }) => `${root} ${path}`).toSorted());
      for (const chunk of chunks) {
        expect(chunk.files.length).toBeGreaterThan(0);
        expect(chunk.files.length).toBeLessThanOrEqual(maxFiles);
        expect(chunk.bytes <= maxBytes || chunk.files.length === 1).toBe(true);
        expect(chunk.files).toEqual(chunk.files.toSorted());
      }
    }),
  );
});

test("chunks are about equal in bytes", () => {
  const files = Array.from({ length: 1_000 }, (_, index) => ({
    root: "/",
    path: `${index}`,
    bytes: (index % 100) * 100,
  }));
  const bytes = chunkFiles(files).map((chunk) => chunk.bytes);
  expect(bytes).toHaveLength(40);
  expect(Math.max(...bytes) - Math.min(...bytes)).toBeLessThan(10_000);
});

test("the largest chunk comes first, and a file above the limit stands alone", () => {
  const file = (path: string, bytes: number) => ({ root: "/", path, bytes });
  expect(chunkFiles([file("a", 1), file("b", 9), file("c", 2)], { maxBytes: 4 })).toEqual([
    { root: "/", files: ["b"], bytes: 9 },
    { root: "/", files: ["c"], bytes: 2 },
    { root: "/", files: ["a"], bytes: 1 },
  ]);
});

test("no files are no chunks, empty files still have one", () => {
  expect(chunkFiles([])).toEqual([]);
  expect(chunkFiles([{ root: "/", path: "a", bytes: 0 }])).toEqual([{ root: "/", files: ["a"], bytes: 0 }]);
});

test("impossible bounds are refused by name", () => {
  expect(() => chunkFiles([], { maxFiles: 0 })).toThrow("maxFiles must be a whole number from 1, is 0");
  expect(() => chunkFiles([], { maxBytes: Number.NaN })).toThrow("maxBytes must be at least 1, is NaN");
});

import { headers, MsgHdrsImpl } from "@nats-io/nats-core";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PublishedHeaders } from "../../../lib/nats/published-headers.ts";

const NAME = fc.constantFrom("Nats-Batch-Id", "Nats-Expected-Last-Subject-Sequence", "traceparent", "tracestate");
const VALUE = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]/.test(text));

test("go over the wire as nats.js writes and reads them", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(NAME, VALUE), { selector: ([name]) => name }), (all) => {
      const written = new PublishedHeaders();
      const theirs = headers();
      for (const [name, value] of all) {
        written.add(name, value);
        theirs.append(name, value);
      }
      expect(written.get("tracestate").trim()).toBe(theirs.get("tracestate"));
      const read = MsgHdrsImpl.decode(written.encode());
      expect([...read]).toEqual([...theirs]);
      expect(read.code).toBe(0);
    }),
  );
});

test("take no value that would add another header", () => {
  for (const value of ["a\r\nNats-Rollup: all", "a\n", "\r"]) {
    expect(() => new PublishedHeaders().add("tracestate", value)).toThrow("tracestate can't hold a line break");
  }
});

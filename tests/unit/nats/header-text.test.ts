import { type Msg, MsgHdrsImpl } from "@nats-io/nats-core";
import { MsgImpl } from "@nats-io/nats-core/internal";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { headerField, headerText, statusCode } from "../../../lib/nats/header-text.ts";

const NAMES = [
  "Nats-Sequence",
  "Nats-Last-Sequence",
  "Nats-Expected-Last-Subject-Sequence",
  "traceparent",
  "tracestate",
];
const NAME = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.constantFrom("nats-sequence", "X-Nats-Sequence", "Nats-Sequence-X"),
);
const VALUE = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !/[\r\n]/.test(text)),
  fc.constantFrom("", " 7 ", ":", "Nats-Sequence: 9", "\t"),
);
const LINE = fc.oneof(
  fc.tuple(NAME, fc.constantFrom(":", ": ", ":  "), VALUE).map((parts) => parts.join("")),
  fc.constantFrom("", "no header", "NATS/1.0"),
);
const FIRST = fc.constantFrom(
  "NATS/1.0",
  "NATS/1.0 204 EOB",
  "NATS/1.0 404 Message Not Found",
  "NATS/1.0 503",
  "NATS/1.0 ",
  "NATS/1.0 what",
);

/** A message as it comes from the wire, with something behind it in the same buffer. */
function received(block: string, body = "the body"): Msg {
  const header = Buffer.from(block);
  const bytes = Buffer.concat([Buffer.from("MSG before"), header, Buffer.from(body), Buffer.from("\r\nMSG behind")]);
  const data = bytes.subarray(10, 10 + header.length + body.length);
  const none = new Uint8Array();
  const argument = { subject: none, sid: 1, hdr: header.length === 0 ? -1 : header.length, size: data.length };
  return new MsgImpl(argument, data, { publish: () => undefined }) as Msg;
}

test("single headers and the status say what nats.js says that they say", () => {
  fc.assert(
    fc.property(FIRST, fc.array(LINE, { maxLength: 8 }), (first, lines) => {
      const block = [first, ...lines, "", ""].join("\r\n");
      const theirs = MsgHdrsImpl.decode(Buffer.from(block));
      const text = headerText(received(block));
      expect(statusCode(text)).toBe(theirs.code);
      for (const name of NAMES) expect(headerField(name)(text)).toBe(theirs.last(name));
    }),
    { seed: 20_261_121, numRuns: 1_000 },
  );
});

test("a message without headers has none", () => {
  const text = headerText(received(""));
  expect(text).toBe("");
  expect(statusCode(text)).toBe(0);
  expect(headerField("Nats-Sequence")(text)).toBe("");
});

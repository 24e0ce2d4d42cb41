// The one message of a gRPC request, from the pieces in which it arrives.
import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { MessageReader } from "../../../lib/rpc/grpc/message-reader.ts";
import { envelope } from "../../support/raw-http2.ts";

const MAX_BYTES = 100;
const message = Buffer.from("a message");

function open(): MessageReader {
  return new MessageReader(MAX_BYTES, "unary");
}

test.for([1, 2, 4, 5, 6, 13, 14])("a message is read from pieces of %d bytes", (size) => {
  const reader = open();
  const bytes = envelope(message);
  for (let at = 0; at < bytes.length; at += size) reader.add(bytes.subarray(at, at + size));
  expect(Buffer.from(reader.end().data)).toEqual(message);
});

test("a part of a message is copied, so that nothing else of what it came with is kept", () => {
  const reader = open();
  const bytes = envelope(message);
  for (const piece of [bytes.subarray(0, 3), bytes.subarray(3, 8), bytes.subarray(8, 10), bytes.subarray(10)]) {
    const arrived = Buffer.from(piece);
    reader.add(arrived);
    arrived.fill(0xff);
  }
  expect(Buffer.from(reader.end().data)).toEqual(message);
});

test("a message that comes as one piece is not copied", () => {
  const reader = open();
  const bytes = envelope(message);
  reader.add(bytes);
  expect(reader.end().data.buffer).toBe(bytes.buffer);
});

test("a message that was taken is kept no longer", () => {
  const reader = open();
  reader.add(envelope(message));
  reader.end();
  expect(() => reader.end()).toThrow("missing input message");
});

test.for([
  ["a second message", envelope(message), "extra input message"],
  ["a second message that is too large", envelope(message, 0, MAX_BYTES + 1), "is larger than"],
] as const)("%s is refused before the request has ended", ([, second, words]) => {
  const reader = open();
  reader.add(envelope(message));
  for (const byte of second.subarray(0, 4)) reader.add(Buffer.of(byte));
  expect(() => reader.add(second.subarray(4))).toThrow(words);
  expect(() => reader.add(second)).toThrow(ConnectError);
});

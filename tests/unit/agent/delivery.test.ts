import { expect, test } from "vitest";
import { create } from "@bufbuild/protobuf";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { beginBefore, type Delivery, parseDelivery } from "../../../sdk/agent/delivery.ts";

const FACTS = { stream: "S", consumer: "C", deliveryCount: 2, storedMs: 1_700_000_000_000, consumerSequence: "5" };

test.for([
  ["the short form", "$JS.ACK.S.C.2.4.5.1700000000000000000.7", FACTS],
  ["the long form", "$JS.ACK._.hash.S.C.2.4.5.1700000000000000000.7.random", FACTS],
  ["the long form without its random end", "$JS.ACK.hub.hash.S.C.2.4.5.1700000000000000000.7", FACTS],
  ["another subject", "_INBOX.x.y", undefined],
  ["too few tokens", "$JS.ACK.S.C.2.4.5", undefined],
  ["no number", "$JS.ACK.S.C.x.4.5.1700000000000000000.7", undefined],
] as const)("%s of a reply subject", ([, subject, expected]) => {
  expect(parseDelivery(subject)).toEqual(expected);
});

function delivery(change: Partial<Delivery>, beginRequired = false): Delivery {
  const dispatch = create(DispatchSchema, { beginRequired });
  return { ...FACTS, deliveryCount: 1, reply: "", carrier: {}, receivedMs: 0, suspect: false, dispatch, ...change };
}

test.for([
  ["a first, fresh delivery", delivery({}), "no"],
  ["a dispatch that says so", delivery({}, true), "first"],
  ["a second delivery", delivery({ deliveryCount: 2 }), "redelivery"],
  ["a second delivery of a dispatch that says so", delivery({ deliveryCount: 2 }, true), "redelivery"],
  ["a message older than the session", delivery({ storedMs: 999 }), "redelivery"],
  ["a delivery seen only after a standstill", delivery({ suspect: true }), "redelivery"],
] as const)("whether %s must be begun", ([, given, expected]) => {
  expect(beginBefore(given, 1_000)).toBe(expected);
});

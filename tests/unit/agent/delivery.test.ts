import { expect, test } from "vitest";
import { create } from "@bufbuild/protobuf";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { beginBefore, type Delivery } from "../../../sdk/agent/delivery.ts";

const FACTS = { stream: "S", consumer: "C", sequence: 4, storedMs: 1_700_000_000_000, consumerSequence: 5, pending: 0 };

function delivery(change: Partial<Delivery>, beginRequired = false): Delivery {
  const dispatch = create(DispatchSchema, { beginRequired });
  return { ...FACTS, deliveries: 1, reply: "", carrier: {}, receivedMs: 0, suspect: false, dispatch, ...change };
}

test.for([
  ["a first, fresh delivery", delivery({}), "no"],
  ["a dispatch that says so", delivery({}, true), "first"],
  ["a second delivery", delivery({ deliveries: 2 }), "redelivery"],
  ["a second delivery of a dispatch that says so", delivery({ deliveries: 2 }, true), "redelivery"],
  ["a message older than the session", delivery({ storedMs: 999 }), "redelivery"],
  ["a delivery seen only after a standstill", delivery({ suspect: true }), "redelivery"],
] as const)("whether %s must be begun", ([, given, expected]) => {
  expect(beginBefore(given, 1_000)).toBe(expected);
});

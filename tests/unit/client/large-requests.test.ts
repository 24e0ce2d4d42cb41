// Requests with large inputs, against what the library writes.
import { create, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  BatchSubmitTasksRequestSchema,
  GetTaskRequestSchema,
  ResultKind,
  RunTaskRequestSchema,
  SubmitTaskRequestSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { encodeLarge } from "../../../sdk/client/large-requests.ts";

const task = fc
  .record({ id: fc.string(), length: fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 40_000 })), labels: fc.boolean() })
  .map(({ id, length, labels }) =>
    create(SubmitTaskRequestSchema, {
      taskId: id,
      type: "echo",
      input: { kind: { case: "json", value: fromJson(ValueSchema, { text: "é".repeat(length) }) } },
      labels: labels ? { a: "b" } : {},
    }),
  );

/** What is written with room in front, without it; the library's own if that is left to it. */
function bytesOf(encoded: Uint8Array | undefined, room: number): Buffer | undefined {
  return encoded === undefined ? undefined : Buffer.from(encoded.subarray(room));
}

test("a batch is written as by the library, whichever of its tasks are large", () => {
  fc.assert(
    fc.property(fc.array(task, { maxLength: 6 }), fc.boolean(), fc.nat({ max: 9 }), (tasks, atomic, room) => {
      const request = create(BatchSubmitTasksRequestSchema, { tasks, atomic });
      const expected = Buffer.from(toBinary(BatchSubmitTasksRequestSchema, request));
      expect(bytesOf(encodeLarge(request, room), room) ?? expected).toEqual(expected);
    }),
  );
});

test("a submission and a run are written as by the library", () => {
  fc.assert(
    fc.property(task, (task) => {
      const submission = Buffer.from(toBinary(SubmitTaskRequestSchema, task));
      expect(bytesOf(encodeLarge(task, 5), 5) ?? submission).toEqual(submission);
      const request = create(RunTaskRequestSchema, { task, kinds: [ResultKind.CHUNK] });
      const run = Buffer.from(toBinary(RunTaskRequestSchema, request));
      expect(bytesOf(encodeLarge(request, 5), 5) ?? run).toEqual(run);
    }),
  );
});

test("what is small, or no submission, is left to the library, and what is large is not", () => {
  const input = (length: number) => ({
    kind: { case: "json" as const, value: fromJson(ValueSchema, "x".repeat(length)) },
  });
  const small = create(SubmitTaskRequestSchema, { type: "echo", input: input(500) });
  const large = create(SubmitTaskRequestSchema, { type: "echo", input: input(5_000) });
  expect(encodeLarge(small, 0)).toBeUndefined();
  expect(encodeLarge(create(BatchSubmitTasksRequestSchema, { tasks: [small] }), 0)).toBeUndefined();
  expect(encodeLarge(create(RunTaskRequestSchema), 0)).toBeUndefined();
  expect(encodeLarge(create(GetTaskRequestSchema, { taskId: "x".repeat(5_000) }), 0)).toBeUndefined();
  expect(encodeLarge(large, 0)).toBeDefined();
  expect(encodeLarge(create(BatchSubmitTasksRequestSchema, { tasks: [small, large] }), 0)).toBeDefined();
  expect(encodeLarge(create(RunTaskRequestSchema, { task: large }), 0)).toBeDefined();
});

test("what cannot be written is left to the library, which says why", () => {
  const input = { kind: { case: "json" as const, value: fromJson(ValueSchema, "x".repeat(5_000)) } };
  const request = create(SubmitTaskRequestSchema, { type: "echo", input });
  Object.assign(request, { priority: 1.5 });
  expect(encodeLarge(request, 0)).toBeUndefined();
  expect(() => toBinary(SubmitTaskRequestSchema, request)).toThrow("priority");
});

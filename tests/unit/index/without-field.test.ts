import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { DispatchSchema } from "../../../gen/mycel/v1/task_log_pb.ts";
import { decodeDispatch, encodeDispatch } from "../../../lib/wire/task-codec.ts";
import { withoutField } from "../../../services/coordinator/index/without-field.ts";

const INPUT = [DispatchSchema.field.task.number, 5];
const input = { kind: { case: "bytes" as const, value: { data: new Uint8Array(300), contentType: "a/b" } } };
const task = { taskId: "t", type: "echo", labels: { a: "b" } };
const rest = { attempt: 3, fence: 7n, requestDigest: new Uint8Array([1, 2, 3]) };

describe("a field taken out of an encoded message", () => {
  test("is gone, and all else stands", () => {
    const stripped = withoutField(encodeDispatch({ ...rest, task: { ...task, input } }), INPUT);
    expect(stripped).toEqual(encodeDispatch({ ...rest, task }));
  });

  test("is gone as often as it occurs", () => {
    const once = encodeDispatch({ ...rest, task: { ...task, input } });
    const stripped = withoutField(Buffer.concat([once, once]), INPUT);
    expect(decodeDispatch(stripped).task?.input).toBeUndefined();
    expect(decodeDispatch(stripped).task?.taskId).toBe("t");
  });

  test("need not be there", () => {
    const bytes = encodeDispatch({ ...rest, task });
    expect(withoutField(bytes, INPUT)).toEqual(bytes);
    expect(withoutField(encodeDispatch(rest), INPUT)).toEqual(encodeDispatch(rest));
    expect(withoutField(new Uint8Array(), INPUT)).toEqual(new Uint8Array());
  });

  test("leaves alone what this version does not know", () => {
    const unknown = Buffer.from([0xf8, 0x07, 0x2a, 0xfa, 0x07, 0x01, 0x63]);
    const stripped = withoutField(Buffer.concat([encodeDispatch({ task: { ...task, input } }), unknown]), INPUT);
    expect(toBinary(DispatchSchema, fromBinary(DispatchSchema, stripped)).slice(-unknown.length)).toEqual(
      new Uint8Array(unknown),
    );
  });

  test.for([1, 20, 100])("makes a message that ends %i bytes early unreadable", (missing) => {
    const bytes = encodeDispatch({ task: { ...task, input } });
    expect(() => withoutField(bytes.subarray(0, bytes.length - missing), INPUT)).toThrow();
  });
});

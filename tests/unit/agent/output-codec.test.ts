import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { LogLevel, OutputBatchSchema } from "../../../gen/mycel/v1/output_pb.ts";
import { msFromTimestamp } from "../../../lib/wire/time-codec.ts";
import { encodeOutput, type OutputKind } from "../../../sdk/agent/output-codec.ts";
import { encodePayload, valueOfPayload } from "../../../sdk/agent/payload.ts";

const TIME_MS = 1_700_000_000_123;

test.for<[string, OutputKind | undefined, object]>([
  [
    "progress",
    { kind: "progress", fraction: 0.25, message: "m".repeat(2_000) },
    { case: "progress", value: { fraction: 0.25, message: "m".repeat(1_024) } },
  ],
  [
    "a log line",
    { kind: "log", level: "warn", message: "m".repeat(5_000) },
    { case: "log", value: { level: LogLevel.WARN, message: "m".repeat(4_096) } },
  ],
  ["an output that was left out", undefined, { case: undefined }],
])("the bytes of %s are those of the schema", ([, output, expected]) => {
  const bytes = encodeOutput(2 ** 40, TIME_MS, output);
  const batch = fromBinary(OutputBatchSchema, bytes);
  expect(batch.outputs).toHaveLength(1);
  expect(batch.outputs[0]).toMatchObject({ index: 2n ** 40n, kind: expected });
  expect(msFromTimestamp(batch.outputs[0]!.time)).toBe(TIME_MS);
  expect(Buffer.compare(toBinary(OutputBatchSchema, batch), bytes)).toBe(0);
});

test.for([null, "text", [1, { a: true }], new Uint8Array([0, 255])])(
  "a chunk of %j comes out as it went in, with the schema's own bytes",
  (value) => {
    const bytes = encodeOutput(7, TIME_MS, { kind: "chunk", payload: encodePayload(value)! });
    const batch = fromBinary(OutputBatchSchema, bytes);
    const { kind } = batch.outputs[0]!;
    expect(valueOfPayload(kind.case === "chunk" ? kind.value : undefined)).toEqual(value);
    expect(Buffer.compare(toBinary(OutputBatchSchema, batch), bytes)).toBe(0);
  },
);

test("batches one behind the other are one batch", () => {
  const bytes = [1, 2].map((index) => encodeOutput(index, TIME_MS, { kind: "progress", fraction: 1, message: "" }));
  const { outputs } = fromBinary(OutputBatchSchema, Buffer.concat(bytes));
  expect(outputs.map(({ index }) => index)).toEqual([1n, 2n]);
});

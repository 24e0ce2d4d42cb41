// Capabilities by schema: each form of an input, the same form for what comes back, and every violation in one line.
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { EchoChunkSchema, EchoInputSchema, EchoOutputSchema } from "../../../gen/mycel/tasks/v1/echo_pb.ts";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { AgentError, complete, defineAgent, fail, snooze, typedCapability } from "../../../sdk/agent/index.ts";
import { packMessage, unpackMessage } from "../../../sdk/tasks/index.ts";
import { callCapability } from "../../support/handler-call.ts";

const shout = typedCapability({
  input: EchoInputSchema,
  output: EchoOutputSchema,
  chunk: EchoChunkSchema,
  check: ({ message, repeat = 1 }) => [
    ...(message === undefined ? [{ field: "message", description: "must be given" }] : []),
    ...(repeat > 3 ? [{ field: "repeat", description: "must be at most 3" }] : []),
  ],
  async run({ input, taskId }, { output }) {
    const message = (input.message ?? "").toUpperCase();
    for (let index = 1; index <= (input.repeat ?? 0); index += 1) await output({ message, index });
    return { message: `${message} ${taskId}` };
  },
});

const bytes = (contentType: string, data: Uint8Array): Payload =>
  create(PayloadSchema, { kind: { case: "bytes", value: { contentType, data } } });
const blob = (contentType: string, blobId: string): Payload =>
  create(PayloadSchema, {
    kind: { case: "blob", value: { contentType, blobId, sizeBytes: 1n, sha256: new Uint8Array(32) } },
  });
const hi = toBinary(EchoInputSchema, create(EchoInputSchema, { message: "hi", repeat: 1 }));
const PROTOBUF = 'application/x-protobuf; messageType="mycel.tasks.v1.EchoInput"';

test("JSON gives JSON, with zeros written and what is unset left out", async () => {
  expect(await callCapability(shout, { message: "hi", repeat: 1 })).toMatchObject({
    result: { message: "HI task" },
    chunks: [{ message: "HI", index: 1 }],
  });
});

test("an Any gives Any", async () => {
  const { result, chunks } = await callCapability(shout, packMessage(EchoInputSchema, { message: "hi", repeat: 1 }));
  expect(result).toEqual(packMessage(EchoOutputSchema, { message: "HI task" }));
  expect(chunks).toEqual([packMessage(EchoChunkSchema, { message: "HI", index: 1 })]);
  expect(unpackMessage(EchoOutputSchema, result)).toEqual(create(EchoOutputSchema, { message: "HI task" }));
});

test.for(["application/protobuf", "application/x-protobuf", PROTOBUF])(
  "bytes of %s give bytes",
  async (contentType) => {
    const { result } = await callCapability(shout, bytes(contentType, hi));
    expect(result).toMatchObject({
      kind: {
        case: "bytes",
        value: { contentType: 'application/x-protobuf; messageType="mycel.tasks.v1.EchoOutput"' },
      },
    });
    expect(unpackMessage(EchoOutputSchema, result).message).toBe("HI task");
  },
);

test("bytes of application/json give the same, and a blob is read like bytes", async () => {
  const data = Buffer.from('{"message":"hi"}');
  expect((await callCapability(shout, bytes("application/json; charset=utf-8", data))).result).toMatchObject({
    kind: { value: { contentType: "application/json; charset=utf-8", data: Buffer.from('{"message":"HI task"}') } },
  });
  const options = { blobs: { json: data, proto: hi } };
  expect((await callCapability(shout, blob("application/json", "json"), options)).result).toEqual({
    message: "HI task",
  });
  const { result } = await callCapability(shout, blob(PROTOBUF, "proto"), options);
  expect(unpackMessage(EchoOutputSchema, result).message).toBe("HI task");
});

test("no input is the empty message", async () => {
  expect((await callCapability(shout, undefined)).failure).toBe("INVALID_INPUT: invalid input: message: must be given");
});

test.for<[string, unknown, string]>([
  [
    "every violation of both kinds, each field once",
    { message: 5, repeat: 4, shout: true },
    "shout: unknown field; the fields are message, repeat, delayMs; message: must be a string; repeat: must be at most 3",
  ],
  [
    "a message of another type",
    create(PayloadSchema, { kind: { case: "message", value: anyPack(EchoOutputSchema, create(EchoOutputSchema)) } }),
    "must be a mycel.tasks.v1.EchoInput, is a mycel.tasks.v1.EchoOutput",
  ],
  [
    "bytes of another type",
    bytes('application/x-protobuf; messageType="a.B"', hi),
    "must be a mycel.tasks.v1.EchoInput, is a a.B",
  ],
  [
    "bytes of a media type that says nothing",
    bytes("image/png", hi),
    'must be JSON or a mycel.tasks.v1.EchoInput, is bytes of type "image/png"',
  ],
  [
    "bytes without a media type",
    new Uint8Array(3),
    "must be JSON or a mycel.tasks.v1.EchoInput, is bytes without a media type",
  ],
])("%s: one line", async ([, input, message]) => {
  expect((await callCapability(shout, input)).failure).toBe(`INVALID_INPUT: invalid input: ${message}`);
});

test("a message that is cut off, and JSON that is none, are told as such", async () => {
  const cut = create(PayloadSchema, {
    kind: {
      case: "message",
      value: { typeUrl: "type.googleapis.com/mycel.tasks.v1.EchoInput", value: hi.subarray(0, 3) },
    },
  });
  expect((await callCapability(shout, cut)).failure).toMatch(
    /^INVALID_INPUT: .* cannot be read as a mycel\.tasks\.v1\.EchoInput: /,
  );
  expect((await callCapability(shout, bytes("application/json", Buffer.from("{")))).failure).toMatch(/is not JSON: /);
});

test("a long list of violations is cut, and says so", async () => {
  const many = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`f${i}`, i]));
  expect((await callCapability(shout, { message: "", ...many })).failure).toMatch(/f19: [^;]*; [^;]*; and 5 more$/);
});

test("bytes of another kind are taken where the capability says how", async () => {
  const count = typedCapability({
    input: EchoInputSchema,
    output: EchoOutputSchema,
    fromPayload: ({ kind }) => (kind.case === "bytes" ? { repeat: kind.value.data.length } : undefined),
    run: ({ input }) => ({ outputs: input.repeat ?? 0 }),
  });
  expect((await callCapability(count, new Uint8Array(7))).result).toEqual({ message: "", outputs: 7 });
  expect((await callCapability(count, blob("image/png", "x"))).failure).toMatch(/must be JSON or a/);
});

test("the other ways to end an attempt stay as they are", async () => {
  const ending = (run: () => ReturnType<typeof complete>): Promise<unknown> =>
    callCapability(typedCapability({ input: EchoInputSchema, output: EchoOutputSchema, run }), {}).then(
      ({ outcome }) => outcome,
    );
  expect(await ending(() => complete({ message: "x" }))).toMatchObject({ kind: "complete", value: { message: "x" } });
  expect(await ending(() => complete())).toMatchObject({ kind: "complete", value: { message: "" } });
  expect(await ending(() => fail("no"))).toMatchObject({ kind: "fail", failure: { message: "no" } });
  expect(await ending(() => snooze(5))).toMatchObject({ kind: "snooze", delayMs: 5 });
  expect(
    await ending(() => {
      throw new AgentError("CANCELED", "stop");
    }),
  ).toMatchObject({ kind: "fail", failure: { message: "stop", reason: "HANDLER_ERROR" } });
});

test("a result too large for an Any travels as bytes, which may become a blob", async () => {
  const large = typedCapability({
    input: EchoInputSchema,
    output: EchoOutputSchema,
    run: () => ({ message: "x".repeat(300_000) }),
  });
  const { result } = await callCapability(large, packMessage(EchoInputSchema, {}));
  expect(result).toMatchObject({
    kind: { case: "bytes", value: { contentType: 'application/x-protobuf; messageType="mycel.tasks.v1.EchoOutput"' } },
  });
});

test("a typed capability stands in an agent's definition with its queue and description", () => {
  const typed = typedCapability({
    input: EchoInputSchema,
    output: EchoOutputSchema,
    queue: "q",
    description: "d",
    run: () => ({}),
  });
  expect(defineAgent({ name: "a", capabilities: { typed } }).capabilities.get("typed")).toMatchObject({
    queue: "q",
    description: "d",
  });
});

test.for([
  ["a blob", blob("application/json", "b")],
  ["bytes", bytes("application/json", Buffer.from("[1,\n\x1b[2Jx]"))],
] as const)("JSON in %s that is none is refused in one line, and not tried again", async ([, input]) => {
  const { failure, outcome } = await callCapability(shout, input, { blobs: { b: Buffer.from("[1,\n\x1b[2Jx]") } });
  expect(failure).toMatch(/^INVALID_INPUT: invalid input: is not JSON: \P{Cc}+$/u);
  expect(outcome).toMatchObject({ kind: "fail", failure: { retryable: false, details: "" } });
});

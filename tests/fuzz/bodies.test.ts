// Bodies that are not what they say: wrong lengths, wrong compression, bombs, truncated and flipped messages. Each refusal has its code;
// nothing is accepted, nothing hangs, and memory comes back.
import { readFileSync } from "node:fs";
import { brotliCompressSync, constants, deflateSync, gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SubmitTaskRequestSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import type { TestMesh } from "../support/processes.ts";
import { openRawCaller, type RawAnswer, type RawCaller } from "./raw-call.ts";
import { envelope } from "../support/raw-http2.ts";
import { expectNoTask, expectUnharmed, openWatchedMesh, type Vitals, vitalsOf } from "./vitals.ts";

const SUBMIT = "/mycel.v1.AgentService/SubmitTask";
const STREAM = "/mycel.v1.AgentService/SubmitTaskStream";
const READ_MAX_BYTES = 4 * 1024 * 1024;

const valid = toBinary(SubmitTaskRequestSchema, create(SubmitTaskRequestSchema, { taskId: "forbidden", type: "fuzz" }));
/** Decompresses to a gigabyte of zeros; 1 MB as gzip, under 1 KB as brotli. */
const bomb = new Uint8Array(1_000_000_000);
const gzipBomb = gzipSync(bomb, { level: 1 });
const brotliBomb = brotliCompressSync(bomb, {
  params: { [constants.BROTLI_PARAM_QUALITY]: 1, [constants.BROTLI_PARAM_LGWIN]: 24 },
});

let mesh: TestMesh;
let before: Vitals;
let call: RawCaller;
beforeAll(async () => {
  mesh = await openWatchedMesh();
  call = await openRawCaller(mesh.urls[0]!);
  before = await vitalsOf(mesh);
});
afterAll(async () => {
  await call[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

describe("a gRPC body", () => {
  const gzip = { "grpc-encoding": "gzip" };
  test.for([
    ["without a message", Buffer.alloc(0), {}, "InvalidArgument|Unimplemented"],
    ["with half an envelope", Buffer.of(0, 0, 0), {}, "InvalidArgument"],
    ["shorter than it says", envelope(valid, 0, valid.length + 1), {}, "InvalidArgument"],
    ["longer than it says", envelope(valid, 0, valid.length - 1), {}, "InvalidArgument"],
    ["that says 4 GiB", envelope(valid, 0, 0xffffffff), {}, "ResourceExhausted"],
    ["that says one byte too many", envelope(valid, 0, READ_MAX_BYTES + 1), {}, "ResourceExhausted"],
    ["with two messages", Buffer.concat([envelope(valid), envelope(valid)]), {}, "Unimplemented|InvalidArgument"],
    ["compressed, but not said so", envelope(gzipSync(valid), 1), {}, "Internal|InvalidArgument"],
    ["said to be compressed, but not", envelope(valid, 1), gzip, "InvalidArgument"],
    ["compressed as nobody does", envelope(valid, 1), { "grpc-encoding": "zstd" }, "Unimplemented"],
    ["compressed otherwise than it says", envelope(deflateSync(valid), 1), gzip, "InvalidArgument"],
    ["whose gzip ends too soon", envelope(gzipSync(valid).subarray(0, -9), 1), gzip, "InvalidArgument"],
    ["whose gzip has a wrong checksum", envelope(flipped(gzipSync(valid), -6), 1), gzip, "InvalidArgument"],
    ["that is a gzip bomb", envelope(gzipBomb, 1), gzip, "ResourceExhausted"],
    ["that is a brotli bomb", envelope(brotliBomb, 1), { "grpc-encoding": "br" }, "Unimplemented"],
    ["of nonsense", envelope(Buffer.from("nonsense")), {}, "InvalidArgument"],
    ["of JSON", envelope(Buffer.from('{"type":"fuzz"}')), {}, "InvalidArgument"],
    ["of nested groups", envelope(new Uint8Array(100_000).fill(0x0b)), {}, "InvalidArgument"],
    ["with a timeout of nonsense", envelope(new Uint8Array()), { "grpc-timeout": "soon" }, "InvalidArgument"],
    ["with a negative timeout", envelope(new Uint8Array()), { "grpc-timeout": "-1S" }, "InvalidArgument"],
  ] as const)("%s is refused", async ([, body, headers, codes]) => {
    const answer = await call.grpc(SUBMIT, body, headers);
    expect(`${answer.status} ${answer.code}`, answer.message).toMatch(new RegExp(`^200 (?:${codes})$`));
    expect(answer.reason).not.toBe("");
  });

  test.for([
    ["half a character", '{"priority":"\\ud800"}'],
    ["half a character in a name", '{"\\udfff":1}'],
    ["a name of 40 KB", `{"${"é".repeat(20_000)}":1}`],
    ["a number of 1 MB", `{"retryPolicy":{"maximumAttempts":"${"\u{1f30d}".repeat(250_000)}"}}`],
  ] as const)("of JSON is refused with a message that can be sent, though it would quote %s", async ([, json]) => {
    const answer = await call.grpc(SUBMIT, envelope(Buffer.from(json)), { "content-type": "application/grpc+json" });
    expect(`${answer.status} ${answer.code}`, answer.message).toBe("200 InvalidArgument");
    expect(answer.reason).toBe("UNREADABLE_REQUEST");
  });

  test("of a stream that is cut in a message refuses that message only", async () => {
    const task = toBinary(
      SubmitTaskRequestSchema,
      create(SubmitTaskRequestSchema, { taskId: "streamed", type: "fuzz" }),
    );
    const item = Buffer.concat([Buffer.of(0x0a, task.length), task]);
    const answer = await call.grpc(STREAM, Buffer.concat([envelope(item), envelope(item).subarray(0, 9)]));
    expect(`${answer.status} ${answer.code}`).toBe("200 InvalidArgument");
  });
});

describe("a Connect body", () => {
  const gzip = { "content-encoding": "gzip" };
  test.for([
    ["compressed, but not said so", gzipSync(valid), {}, "400 InvalidArgument"],
    ["said to be compressed, but not", valid, gzip, "400 InvalidArgument"],
    ["compressed as nobody does", valid, { "content-encoding": "zstd" }, "501 Unimplemented"],
    ["whose gzip ends too soon", gzipSync(valid).subarray(0, -9), gzip, "400 InvalidArgument"],
    ["that is a gzip bomb", gzipBomb, gzip, "429 ResourceExhausted"],
    ["that is a brotli bomb", brotliBomb, { "content-encoding": "br" }, "501 Unimplemented"],
    ["of one byte too many", new Uint8Array(READ_MAX_BYTES + 1), {}, "429 ResourceExhausted"],
    ["of nonsense", "nonsense", {}, "400 InvalidArgument"],
    ["of invalid UTF-8 in a text", Buffer.of(0x0a, 2, 0xc3, 0x28, 0x1a, 1, 0x61), {}, "400 InvalidArgument"],
    ["of a varint without end", new Uint8Array(20).fill(0xff), {}, "400 InvalidArgument"],
    ["of nested groups", new Uint8Array(100_000).fill(0x0b), {}, "400 InvalidArgument"],
    ["of nested values", nested(10_000), {}, "400 InvalidArgument"],
    ["of no JSON", "{", { "content-type": "application/json" }, "400 InvalidArgument"],
    [
      "of nested JSON",
      `{"type":"t","input":{"json":${"[".repeat(200_000)}`,
      { "content-type": "application/json" },
      "400 InvalidArgument",
    ],
    [
      "of nested JSON that ends",
      `{"type":"t","input":{"json":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`,
      { "content-type": "application/json" },
      "400 InvalidArgument",
    ],
    [
      "of JSON with one name twice",
      '{"type":"a","type":"b"}',
      { "content-type": "application/json" },
      "400 InvalidArgument",
    ],
    [
      "of JSON in another charset",
      Buffer.from('{"type":"fuzz"}', "utf16le"),
      { "content-type": "application/json" },
      "400 InvalidArgument",
    ],
    ["with a timeout of nonsense", "", { "connect-timeout-ms": "1e3" }, "400 InvalidArgument"],
    ["of no known type", valid, { "content-type": "text/html" }, "415 "],
    ["of a type of garbage", valid, { "content-type": ";;;=" }, "415 "],
  ] as const)("%s is refused", async ([, body, headers, expected]) => {
    const answer = await call.connect(SUBMIT, body, headers);
    expect(`${answer.status} ${answer.code}`, answer.message).toBe(expected);
    if (answer.code !== "") expect(answer.reason).not.toBe("");
  });

  test.for([
    "",
    "/",
    "/mycel.v1.AgentService",
    "/mycel.v1.AgentService/",
    "/mycel.v1.AgentService/submitTask",
    `${SUBMIT}/`,
    `/${"x".repeat(8_000)}`,
    "/%00",
    "/..%2f..",
    "/mycel.v1.AgentService/SubmitTask%20",
  ])("to %s is to nobody", async (path) => {
    expect((await call.connect(path === "" ? "/?" : path, valid)).status).toBe(404);
  });
});

test.for([
  ["", "415 "],
  ["?encoding=xml&message=a", "415 "],
  ["?encoding=proto", "400 INVALID_REQUEST"],
  ["?encoding=proto&message=%FF%FE", "400 UNREADABLE_REQUEST"],
  ["?encoding=proto&base64=1&message=!!!!", "400 UNREADABLE_REQUEST"],
  ["?encoding=proto&base64=1&message=A", "400 UNREADABLE_REQUEST"],
  ["?encoding=json&message=%7B", "400 UNREADABLE_REQUEST"],
  ["?encoding=json&compression=gzip&message=abc", "400 UNREADABLE_REQUEST"],
  ["?encoding=json&compression=br&message=abc", "501 UNIMPLEMENTED"],
  ["?encoding=json&message=%7B%7D&encoding=proto", "400 INVALID_REQUEST"],
] as const)("a GET with the query %s is refused", async ([query, expected]) => {
  const response = await fetch(`${mesh.urls[0]}/mycel.v1.AgentService/GetTask${query}`, {
    headers: { connection: "close" },
  });
  const text = await response.text();
  const reason = /"reason":"([A-Z_]+)"/.exec(text)?.[1] ?? "";
  expect(`${response.status} ${reason}`, text).toBe(expected);
});

describe.for(["grpc-web", "grpc-web+json", "grpc", "grpc+json", "connect+proto", "connect+json"])(
  "as application/%s",
  (type) => {
    test.for(["SubmitTask", "StreamResults", "SubmitTaskStream", "WatchAgents"])(
      "a body of no sense ends %s",
      async (method) => {
        const bodies = [
          Buffer.alloc(0),
          Buffer.from("garbage"),
          envelope(Buffer.from("x"), 0, 0xffffffff),
          envelope(Buffer.from("{}"), 0x80),
          envelope(Buffer.from("{}"), 2),
          envelope(Buffer.from("nonsense"), 1),
          Buffer.concat([envelope(Buffer.alloc(0)), envelope(Buffer.from("{"))]),
        ];
        for (const body of bodies) {
          const headers = { "content-type": `application/${type}`, "grpc-timeout": "1S", "connect-timeout-ms": "1000" };
          const { status } = await call.connect(`/mycel.v1.AgentService/${method}`, body, headers);
          // What is wrong stands in the body or in the trailers; a unary call is no stream of Connect's.
          expect(status).toBe(type.startsWith("connect") && method === "SubmitTask" ? 415 : 200);
        }
      },
    );
  },
);

/** The most memory that a process ever had, in MB. */
function peakMb(): number {
  const status = readFileSync(`/proc/${mesh.coordinators[0]!.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1_024;
}

/** A repeated field of nothing but empty items, as large as a request may be. */
function empties(tag: number): Buffer<ArrayBuffer> {
  return Buffer.alloc(READ_MAX_BYTES).fill(Buffer.of(tag, 0));
}

test.for([
  ["tasks", "BatchSubmitTasks", empties(0x0a)],
  ["capabilities", "RegisterAgent", empties(0x22)],
  ["labels", "SubmitTask", empties(0x3a)],
  ["values", "SubmitTask", listOfEmpties()],
] as const)("two million empty %s are refused without two million complaints", async ([, method, body]) => {
  const answer = await call.connect(`/mycel.v1.AgentService/${method}`, body);
  expect(`${answer.status} ${answer.code}`, answer.message).toBe("400 InvalidArgument");
});

test("requests of a few bytes that become large are decompressed a few at a time", async () => {
  const small = gzipSync(new Uint8Array(READ_MAX_BYTES), { level: 9 });
  const peak = peakMb();
  const calls = Array.from({ length: 200 }, () => call.connect(SUBMIT, small, { "content-encoding": "gzip" }));
  const answers = await Promise.all(calls);
  expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(["InvalidArgument"]));
  // Side by side they would hold some 800 MB.
  expect(peakMb() - peak).toBeLessThan(350);
});

test("twenty bombs at once take no more than their bound each", async () => {
  const answers = await bombs();
  expect(new Set(answers.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(["429 ResourceExhausted"]));
});

test("nothing of all that was accepted, and the coordinator is as well as before", async () => {
  await expectNoTask(mesh, "forbidden");
  await expectUnharmed(mesh, before, { allowed: { rssMb: 400 } });
});

async function bombs(): Promise<RawAnswer[]> {
  // On a connection of their own: what became of the others' streams must not count here.
  await using own = await openRawCaller(mesh.urls[0]!);
  const headers = { "content-encoding": "gzip" };
  return await Promise.all(Array.from({ length: 20 }, () => own.connect(SUBMIT, gzipBomb, headers)));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.at(at)! ^ 0x55, copy.length + at);
  return copy;
}

/** A field that holds these bytes. */
function field(tag: number, bytes: Uint8Array): Buffer<ArrayBuffer> {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Buffer.of(tag, ...length), bytes]);
}

/** A submission whose input is this Value. */
function submissionOf(value: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([Buffer.of(0x1a, 1, 0x74), field(0x22, field(0x0a, value))]);
}

/** A submission whose input is a list in a list, so many levels deep. */
function nested(levels: number): Buffer<ArrayBuffer> {
  let value: Buffer<ArrayBuffer> = Buffer.of(0x20, 1);
  for (let i = 0; i < levels; i += 1) value = field(0x32, field(0x0a, value));
  return submissionOf(value);
}

/** A submission whose input is one list of nothing but empty values. */
function listOfEmpties(): Buffer<ArrayBuffer> {
  return submissionOf(field(0x32, empties(0x0a).subarray(0, READ_MAX_BYTES - 64)));
}

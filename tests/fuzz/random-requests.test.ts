// Random requests of every method, and valid ones with their bytes changed: each is answered with a code of the contract, and whatever is
// accepted can be read by everybody. Repeat a failure with the seed that it prints: FUZZ_SEED=… npx vitest run tests/fuzz.
import { create, type DescMethod, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { ERROR_DOMAIN, readDetails } from "../../lib/rpc/rich-error.ts";
import type { TestMesh } from "../support/processes.ts";
import { SERVICES } from "../support/services.ts";
import { requestWith, VALID } from "./field-bounds.ts";
import { FUZZ_FACTOR, randomBytes, randomFrom, tries } from "./fuzz-run.ts";
import { messageOf } from "./message-arbitrary.ts";
import { openRawCaller, type RawCaller } from "./raw-call.ts";
import { envelope } from "../support/raw-http2.ts";
import { expectUnharmed, openWatchedMesh, type Vitals, vitalsOf } from "./vitals.ts";

/** What the contract may answer to a request, whatever is in it. */
const ANSWERS = [
  "OK",
  "InvalidArgument",
  "NotFound",
  "AlreadyExists",
  "FailedPrecondition",
  "OutOfRange",
  "ResourceExhausted",
  "Aborted",
];
/** A wait, or a stream, that goes on when the caller has seen enough. */
const LEFT = ["DeadlineExceeded", "Canceled"];
const TIMEOUT_MS = 1_000;
/** Of a stream that does not end by itself all of it is waited for. */
const STREAM_TIMEOUT_MS = 250;

const METHODS = SERVICES.flatMap((service) => service.methods);

type Calls = Readonly<Record<string, (request: unknown, options: object) => unknown>>;

let mesh: TestMesh;
let before: Vitals;
let raw: RawCaller;
let clients: Readonly<Record<string, Calls>>;
beforeAll(async () => {
  mesh = await openWatchedMesh({ env: { MYCEL_QUEUE_LIMIT: "1000000" } });
  raw = await openRawCaller(mesh.urls[0]!);
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]! });
  clients = Object.fromEntries(
    SERVICES.map((service) => [service.typeName, createClient(service, transport) as unknown as Calls]),
  );
  before = await vitalsOf(mesh);
});
afterAll(async () => {
  await raw[Symbol.asyncDispose]();
  await mesh[Symbol.asyncDispose]();
});

/** Calls a method and reads no more than one message; with the code, and the first answer. */
async function callOnce(
  method: DescMethod,
  request: object,
): Promise<{ readonly code: string; readonly answer?: unknown }> {
  const call = clients[method.parent.typeName]![method.localName]!;
  const streams = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  const left = new AbortController();
  try {
    const answer = call(streams ? one(request) : request, { signal: left.signal, timeoutMs: TIMEOUT_MS });
    if (method.methodKind === "unary" || method.methodKind === "client_streaming")
      return { code: "OK", answer: await answer };
    for await (const message of answer as AsyncIterable<unknown>) return { code: "OK", answer: message };
    return { code: "OK" };
  } catch (error) {
    const failure = ConnectError.from(error);
    const code = Code[failure.code];
    if (!LEFT.includes(code)) expect(readDetails(failure).domain, failure.message).toBe(ERROR_DOMAIN);
    return { code: failure.code === Code.Internal ? failure.message : code };
  } finally {
    left.abort();
  }
}

async function* one<T>(request: T): AsyncGenerator<T> {
  yield request;
}

describe.for(METHODS.map((method) => [method.name, method] as const))("%s", ([, method]) => {
  test("answers random requests with codes of the contract", async () => {
    await fc.assert(
      fc.asyncProperty(messageOf(method.input), async (request) => {
        // What no library can encode, no library sends.
        fc.pre(isEncodable(method, request));
        const { code } = await callOnce(method, request);
        expect([...ANSWERS, ...LEFT]).toContain(code);
      }),
      tries(40),
    );
  });

  test("answers requests whose bytes were changed with codes of the contract", async () => {
    const input = requestWith(method.input, [], undefined);
    const bytes = toBinary(method.input, create(method.input, input));
    const json = toJsonString(method.input, create(method.input, { ...VALID[method.input.name] }));
    const path = `/${method.parent.typeName}/${method.name}`;
    const timeoutMs = method.methodKind === "unary" ? TIMEOUT_MS : STREAM_TIMEOUT_MS;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 2 ** 31 - 1 }), async (seed) => {
        const random = randomFrom(seed);
        const binary = await raw.grpc(path, envelope(changed(bytes, random)), { "grpc-timeout": `${timeoutMs}m` });
        expect([...ANSWERS, ...LEFT, "Unimplemented"], binary.message).toContain(binary.code);
        const text = changed(Buffer.from(random() < 0.5 ? json : json.replaceAll(/[a-z]/g, odd(random))), random);
        const grpcJson = { "content-type": "application/grpc+json", "grpc-timeout": `${timeoutMs}m` };
        const quoted = await raw.grpc(path, envelope(text), grpcJson);
        expect([...ANSWERS, ...LEFT, "Unimplemented"], quoted.message).toContain(quoted.code);
        if (method.methodKind !== "unary") return;
        const headers = { "content-type": "application/json", "connect-timeout-ms": String(TIMEOUT_MS) };
        const answer = await raw.connect(path, text, headers);
        expect([...ANSWERS, ...LEFT], answer.message).toContain(answer.code);
      }),
      tries(25),
    );
  });
});

test("whatever was accepted can be listed and read over every protocol", async () => {
  for (const useBinaryFormat of [true, false]) {
    const agents = createClient(
      AgentService,
      createConnectTransport({ baseUrl: mesh.urls[0]!, httpVersion: "1.1", useBinaryFormat }),
    );
    let pageToken = "";
    let read = 0;
    do {
      const page = await agents.listTasks({ pageSize: 200, pageToken });
      for (const { taskId } of page.tasks.slice(0, read < 400 * FUZZ_FACTOR ? 200 : 0)) {
        expect((await agents.getTask({ taskId })).task?.taskId).toBe(taskId);
        read += 1;
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(read).toBeGreaterThan(50);
  }
});

test("and the coordinator is as well as before", async () => {
  await expectUnharmed(mesh, before);
});

function isEncodable(method: DescMethod, request: object): boolean {
  try {
    toBinary(method.input, create(method.input, request as MessageInitShape<typeof method.input>));
    return true;
  } catch {
    return false;
  }
}

/** What JSON can spell that texts had better not hold. */
function odd(random: () => number): string {
  const choices = ["\\ud800", "\\udfff", "\\u0000", "\\n", "é", "\u{1f30d}", '\\"', "%", "-", "9", "x".repeat(300)];
  return choices[Math.trunc(random() * choices.length)]!;
}

/** Bytes with one to four changes: flipped, cut, inserted, doubled, or made into numbers without end. */
function changed(bytes: Uint8Array, random: () => number): Buffer {
  let result: Buffer = Buffer.from(bytes);
  const below = (bound: number): number => Math.trunc(random() * bound);
  for (let changes = 1 + below(4); changes > 0; changes -= 1) {
    const at = below(result.length + 1);
    const [head, tail] = [result.subarray(0, at), result.subarray(at)];
    const kinds: readonly (() => Buffer)[] = [
      () =>
        Buffer.concat([head, Buffer.from(tail.subarray(0, 1)).map((byte) => byte ^ (1 << below(8))), tail.subarray(1)]),
      () => Buffer.from(head),
      () => Buffer.concat([head, randomBytes(random, 1 + below(12)), tail]),
      () => Buffer.concat([head, tail, tail]),
      () => Buffer.concat([head, Buffer.alloc(9, 0xff), Buffer.of(1), tail]),
      () => Buffer.concat([head, tail.subarray(below(5))]),
    ];
    result = kinds[below(kinds.length)]!();
  }
  return result;
}

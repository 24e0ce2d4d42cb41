// Every field of every request of the contract at, below and above its bound: an answer that is no INVALID_ARGUMENT, or one that names
// the field. Fields and methods come from the descriptors, so that a new one without bounds here fails.
import type { DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  AgentService,
  type ItemError,
  type SubmitTaskStreamRequestSchema,
} from "../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService, type UploadBlobRequestSchema } from "../../gen/mycel/v1/blob_service_pb.ts";
import { ERROR_DOMAIN, readDetails } from "../../lib/rpc/rich-error.ts";
import type { TestMesh } from "../support/processes.ts";
import { SERVICES } from "../support/services.ts";
import { BOUNDS, ELSEWHERE, type FieldCase, type FieldPath, pathsOf, requestWith } from "./field-bounds.ts";
import { expectUnharmed, openWatchedMesh, type Vitals, vitalsOf } from "./vitals.ts";

const METHODS = SERVICES.flatMap((service) => service.methods);

/** What a call says about its request. */
interface Verdict {
  readonly code: string;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly message: string;
}

const OK: Verdict = { code: "OK", reason: "OK", fields: [], message: "" };
/** Reasons by which a request is refused for what stands in it, and not for what there is. */
const OF_THE_REQUEST = ["INVALID_REQUEST", "PAYLOAD_TOO_LARGE"];

let mesh: TestMesh;
let before: Vitals;
let call: (method: DescMethod, request: Record<string, unknown>) => Promise<Verdict>;
beforeAll(async () => {
  mesh = await openWatchedMesh({ env: { MYCEL_QUEUE_LIMIT: "1000000" } });
  before = await vitalsOf(mesh);
  const transport = createGrpcTransport({ baseUrl: mesh.urls[0]!, nodeOptions: { maxSessionMemory: 64 } });
  call = caller(transport);
});
afterAll(() => mesh[Symbol.asyncDispose]());

function caller(transport: ReturnType<typeof createGrpcTransport>): typeof call {
  const agents = createClient(AgentService, transport);
  const blobs = createClient(BlobService, transport);
  const all = new Map(SERVICES.map((service) => [service.typeName, createClient(service, transport)]));
  return async (method, request) => {
    try {
      if (method.name === "SubmitTaskStream") {
        for await (const { result } of agents.submitTaskStream(
          one(request as MessageInitShape<typeof SubmitTaskStreamRequestSchema>),
        )) {
          if (result.case === "error") return ofItem(result.value);
        }
      } else if (method.name === "UploadBlob") await blobs.uploadBlob(upload(request));
      else {
        const client = all.get(method.parent.typeName) as unknown as Record<
          string,
          (request: unknown, options: object) => unknown
        >;
        const left = new AbortController();
        const answer = client[method.localName]!(request, { signal: left.signal, timeoutMs: 30_000 });
        if (method.methodKind === "unary") await answer;
        // The first message says that the request was taken.
        else for await (const _ of answer as AsyncIterable<unknown>) break;
        left.abort();
      }
      return OK;
    } catch (error) {
      const failure = ConnectError.from(error);
      const { reason = "", domain, violations } = readDetails(failure);
      expect(domain, failure.message).toBe(ERROR_DOMAIN);
      return {
        code: Code[failure.code],
        reason,
        fields: violations.map(({ field }) => field),
        message: failure.rawMessage,
      };
    }
  };
}

async function* one<T>(request: T): AsyncGenerator<T> {
  yield request;
}

async function* upload(
  request: MessageInitShape<typeof UploadBlobRequestSchema>,
): AsyncGenerator<MessageInitShape<typeof UploadBlobRequestSchema>> {
  if ("part" in request && request.part?.case === "chunk") yield { part: { case: "open", value: {} } };
  yield request;
}

function ofItem({ code, reason, violations, message }: ItemError): Verdict {
  return { code: String(Code[code]), reason, fields: violations.map(({ field }) => field), message };
}

/** The path of a field as the answer names it: from the item where items have answers of their own. */
function namedPath(method: DescMethod, path: FieldPath): string {
  return method.name === "SubmitTaskStream" ? path.text.replace(/^task\./, "") : path.text;
}

function casesOf(method: DescMethod, path: FieldPath): readonly FieldCase[] | undefined {
  return ELSEWHERE[`${method.name} ${path.text}`] ?? BOUNDS[path.key];
}

test("every field that a request can carry has its bounds here, and nothing else has", () => {
  const paths = METHODS.flatMap((method) => pathsOf(method.input));
  expect(paths.filter(({ key }) => BOUNDS[key] === undefined).map(({ key }) => key)).toEqual([]);
  const keys = new Set(paths.map(({ key }) => key));
  expect(Object.keys(BOUNDS).filter((key) => !keys.has(key))).toEqual([]);
});

describe.for(METHODS.map((method) => [method.name, method] as const))("%s", ([, method]) => {
  const paths = pathsOf(method.input);

  test.for(paths.map((path) => [path.text, path] as const))("keeps the bounds of %s", async ([, path]) => {
    const wrong: unknown[] = [];
    for (const { name, value, fits } of casesOf(method, path) ?? []) {
      const verdict = await call(method, requestWith(method.input, path.fields, value));
      const refused = verdict.code === "InvalidArgument" && OF_THE_REQUEST.includes(verdict.reason);
      const expected = namedPath(method, path);
      // A payload that is too large is named itself, not what is in it.
      const named = verdict.fields.some(
        (field) => field.startsWith(expected) || (field.endsWith("input") && expected.startsWith(field)),
      );
      const known = !["Internal", "Unknown", "Unavailable", "DeadlineExceeded"].includes(verdict.code);
      if (!known || refused === fits || (refused && !named)) wrong.push({ name, fits, verdict });
    }
    expect(wrong).toEqual([]);
  });
});

test("what was accepted can be listed and read over every protocol", async () => {
  for (const useBinaryFormat of [true, false]) {
    const agents = createClient(
      AgentService,
      createConnectTransport({ baseUrl: mesh.urls[0]!, httpVersion: "1.1", useBinaryFormat }),
    );
    let read = 0;
    let pageToken = "";
    do {
      const page = await agents.listTasks({ pageSize: 1_000, pageToken });
      for (const { taskId, type } of page.tasks) {
        // The thousands of a batch are all alike.
        if (type === "fuzz" && read > 500) continue;
        await agents.getTask({ taskId });
        read += 1;
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(read).toBeGreaterThan(300);
    await agents.registerAgent({
      agentId: "reader",
      name: "\u0000\u001b[31m",
      version: "\u{1f30d}",
      capabilities: [{ type: "fuzz" }],
    });
    expect((await agents.listAgents({})).agents).toContainEqual(expect.objectContaining({ agentId: "reader" }));
  }
});

test("and the coordinator is as well as before", async () => {
  await expectUnharmed(mesh, before);
});

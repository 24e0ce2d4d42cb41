import { connect, type IncomingHttpHeaders } from "node:http2";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  AgentService,
  GetTaskStatusResponseSchema,
  StreamResultsResponseSchema,
  SubmitTaskStreamResponseSchema,
} from "../../../gen/mycel/v1/agent_service_pb.ts";
import { BlobService, UploadBlobRequestSchema } from "../../../gen/mycel/v1/blob_service_pb.ts";
import { Health } from "../../../gen/health/v1/health_pb.ts";
import { MeshError } from "../../../lib/core/mesh-error.ts";
import { served } from "../../../lib/rpc/grpc/grpc-route.ts";
import { readDetails } from "../../../lib/rpc/rich-error.ts";
import { type Decision, type Gate, openGate } from "../../../services/coordinator/access/gate.ts";
import { principalOf } from "../../../services/coordinator/rpc/caller.ts";
import { openServer, type Server } from "../../../services/coordinator/server.ts";
import { failureOf } from "../../support/rpc-call.ts";
import { type TestCredentials, testCredentials, testHeader, testPrincipal } from "../../support/test-credentials.ts";

const READER = testPrincipal([{ actions: new Set(["task:read"]), taskTypes: ["*"], labels: {} }], { id: "reader" });
const WRITER = testPrincipal([{ actions: new Set(["task:submit", "blob:write"]), taskTypes: ["*"], labels: {} }], {
  id: "writer",
});

/** What the implementations were called with, and how their calls ended. */
const heard: { who: string[]; submitted: string[]; ended: unknown[] } = { who: [], submitted: [], ended: [] };
let reached = Promise.withResolvers<void>();

async function untilAborted({ signal }: HandlerContext): Promise<void> {
  reached.resolve();
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  heard.ended.push(signal.reason);
}

const agents = served(AgentService, {
  async getTaskStatus({ taskId }, context) {
    heard.who.push(principalOf(context).id);
    if (taskId === "wait") {
      await untilAborted(context);
      context.signal.throwIfAborted();
    }
    return create(GetTaskStatusResponseSchema);
  },
  async *streamResults({ taskId }, context) {
    heard.who.push(principalOf(context).id);
    yield create(StreamResultsResponseSchema, { cursor: "first" });
    if (taskId === "end") return;
    // One that does not care whether anybody listens ends as if nothing had happened.
    await untilAborted(context);
    if (taskId === "deaf")
      for (let i = 0; i < 100; i += 1) yield create(StreamResultsResponseSchema, { cursor: `${i}` });
  },
  async *submitTaskStream(requests, context) {
    heard.who.push(principalOf(context).id);
    let index = 0n;
    for await (const { task } of requests) {
      heard.submitted.push(task?.taskId ?? "");
      yield create(SubmitTaskStreamResponseSchema, { index });
      index += 1n;
    }
  },
});
const blobs = served(BlobService, {
  async uploadBlob(requests, context) {
    heard.who.push(principalOf(context).id);
    reached.resolve();
    for await (const _ of requests) heard.submitted.push("chunk");
    return {};
  },
});

const PROTOCOLS: Readonly<Record<string, (baseUrl: string) => Transport>> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  "gRPC-Web over HTTP/1.1": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect over HTTP/1.1": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect over HTTP/2": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
};

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };

describe.each([
  ["answers at once", false],
  ["answers later", true],
])("an authenticator that %s,", (_, isAsync) => {
  let credentials: TestCredentials;
  let gate: Gate;
  let server: Server;
  let decisions: Decision[] = [];
  let nowMs = 1_000_000;
  beforeAll(async () => {
    credentials = testCredentials({}, { isAsync });
    gate = openGate({
      authenticators: [{ authenticate: () => undefined }, credentials],
      clock: { now: () => nowMs },
      onDecision: (decision) => void decisions.push(decision),
    });
    server = await openServer({
      host: "127.0.0.1",
      port: 0,
      corsOrigins: [],
      hosts: [],
      gate: gate.admit,
      everybody: undefined,
      services: [agents, blobs],
      ready: () => Promise.resolve({ ready: true }),
      shutdown: new AbortController().signal,
      logger: quiet,
      quiet: () => undefined,
    });
  });
  afterAll(async () => {
    gate[Symbol.dispose]();
    await server.listener[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    nowMs = 1_000_000;
    decisions = [];
    reached = Promise.withResolvers();
    for (const list of Object.values(heard)) list.length = 0;
    credentials.principals.clear();
    credentials.principals.set("reader", READER).set("writer", WRITER);
  });

  describe.each(Object.entries(PROTOCOLS))("over %s,", (_, transportTo) => {
    const client = () => createClient(AgentService, transportTo(server.listener.url));
    const reader = { headers: testHeader("reader") };

    test("lets in who shows a credential that is good for the call, under its name", async () => {
      await client().getTaskStatus({ taskId: "t" }, reader);
      for await (const message of client().streamResults({ taskId: "end" }, reader)) {
        expect(message.cursor).toBe("first");
      }
      expect(heard.who).toEqual(["reader", "reader"]);
      expect(decisions.map(({ refusal }) => refusal)).toEqual([undefined, undefined]);
    });

    test.for([
      ["no credential", {}, Code.Unauthenticated, "CREDENTIAL_MISSING", "this call needs a credential"],
      [
        "a credential that nobody knows",
        { headers: { authorization: "Bearer x" } },
        Code.Unauthenticated,
        "CREDENTIAL_INVALID",
        "the credential is not valid",
      ],
      [
        "a credential of nobody",
        { headers: testHeader("nobody") },
        Code.Unauthenticated,
        "CREDENTIAL_INVALID",
        "the credential is not valid",
      ],
      [
        "a credential that is good for other calls",
        { headers: testHeader("writer") },
        Code.PermissionDenied,
        "ACTION_NOT_ALLOWED",
        "this caller may not do this: it needs task:read",
      ],
    ] as const)("refuses %s before the call's body is read", async ([, options, code, reason, message]) => {
      const unary = await failureOf(client().getTaskStatus({ taskId: "t" }, options));
      const stream = await failureOf(drained(client().streamResults({ taskId: "t" }, options)));
      for (const error of [unary, stream]) expect(told(error)).toEqual([code, reason, message]);
      expect(heard.who).toEqual([]);
      expect(decisions.map(({ refusal }) => refusal?.reason)).toEqual([reason, reason]);
    });

    test("ends a call that waits when its credential expires", async () => {
      credentials.principals.set("reader", { ...READER, expiresMs: nowMs + 50 });
      const failure = failureOf(client().getTaskStatus({ taskId: "wait" }, reader));
      await reached.promise;
      nowMs += 50;
      expect(told(await failure)).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID", "the credential is not valid"]);
      expect(decisions.map(({ refusal }) => refusal?.reason)).toEqual([undefined, "CREDENTIAL_INVALID"]);
    });

    test.for(["stream", "deaf"])(
      "ends a stream when its credential expires, with nothing more (%s)",
      async (taskId) => {
        credentials.principals.set("reader", { ...READER, expiresMs: nowMs + 50 });
        const received: string[] = [];
        const failure = failureOf(drained(client().streamResults({ taskId }, reader), received));
        await reached.promise;
        nowMs += 50;
        expect(told(await failure)).toEqual([
          Code.Unauthenticated,
          "CREDENTIAL_INVALID",
          "the credential is not valid",
        ]);
        expect(received).toEqual(["first"]);
        // Its implementation is told, and does not go on for nobody.
        await expect.poll(() => heard.ended.length).toBe(1);
      },
    );

    test("ends a stream when its credential is revoked, and leaves those of others alone", async () => {
      credentials.principals.set("other", { ...READER, id: "other" });
      const others = new AbortController();
      const other = failureOf(
        drained(client().streamResults({ taskId: "t" }, { headers: testHeader("other"), signal: others.signal })),
      );
      await reached.promise;
      reached = Promise.withResolvers();
      const failure = failureOf(drained(client().streamResults({ taskId: "t" }, reader)));
      await reached.promise;
      credentials.principals.delete("reader");
      credentials.revoked();
      expect(told(await failure)).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID", "the credential is not valid"]);
      expect(heard.ended).toHaveLength(1);
      others.abort();
      expect((await other).code).toBe(Code.Canceled);
    });

    test("ends a stream when its caller may do less than it did, as one to be begun anew", async () => {
      const failure = failureOf(drained(client().streamResults({ taskId: "t" }, reader)));
      await reached.promise;
      credentials.principals.set("reader", { ...READER, grants: [{ ...READER.grants[0]!, taskTypes: ["echo"] }] });
      gate.recheck();
      expect(told(await failure).slice(0, 2)).toEqual([Code.Unavailable, "ACCESS_CHANGED"]);
      reached = Promise.withResolvers();
      const again = failureOf(drained(client().streamResults({ taskId: "t" }, reader)));
      await reached.promise;
      credentials.principals.set("reader", { ...READER, grants: [] });
      gate.recheck();
      expect(told(await again).slice(0, 2)).toEqual([Code.PermissionDenied, "ACTION_NOT_ALLOWED"]);
    });

    test("looks again without ending what may go on", async () => {
      const ended = new AbortController();
      const failure = failureOf(drained(client().streamResults({ taskId: "t" }, { ...reader, signal: ended.signal })));
      await reached.promise;
      credentials.principals.set("reader", { ...READER, grants: [...READER.grants] });
      gate.recheck();
      await client().getTaskStatus({ taskId: "t" }, reader);
      expect(heard.ended).toEqual([]);
      ended.abort();
      expect((await failure).code).toBe(Code.Canceled);
      await expect.poll(() => heard.ended.length).toBe(1);
    });

    test("answers a health check of anybody, and a watch of those it knows", async () => {
      const health = createClient(Health, transportTo(server.listener.url));
      expect((await health.check({})).status).toBe(1);
      expect((await failureOf(health.list({}))).code).toBe(Code.Unauthenticated);
      expect((await failureOf(health.watch({})[Symbol.asyncIterator]().next())).code).toBe(Code.Unauthenticated);
      expect((await health.list({}, reader)).statuses[""]?.status).toBe(1);
    });

    test("does not let in who claims to have no end, or a tenant that is no name", async () => {
      for (const wrong of [{ expiresMs: NaN }, { expiresMs: nowMs }, { tenant: "a.>" }, { tenant: "" }]) {
        credentials.principals.set("reader", { ...READER, ...wrong });
        const failure = await failureOf(client().getTaskStatus({ taskId: "t" }, reader));
        expect(told(failure)).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID", "the credential is not valid"]);
      }
      expect(heard.who).toEqual([]);
    });

    test("tells why it could not say now, if that is known, and else nothing", async () => {
      credentials.principals.set("reader", new MeshError("BROKER_UNAVAILABLE", "no answer", { retryDelayMs: 1 }));
      const unavailable = await failureOf(client().getTaskStatus({ taskId: "t" }, reader));
      expect(told(unavailable).slice(0, 2)).toEqual([Code.Unavailable, "BROKER_UNAVAILABLE"]);
    });
  });

  test.for([
    ["application/grpc", "grpc-status", "16"],
    ["application/json", ":status", "401"],
  ] as const)("does not serve a call whose credential is revoked before its body is there (%s)", async (how) => {
    const [contentType, field, value] = how;
    const session = connect(server.listener.url);
    const call = session.request({
      ":method": "POST",
      ":path": "/mycel.v1.AgentService/GetTaskStatus",
      "content-type": contentType,
      ...testHeader("reader"),
    });
    const answered = new Promise<unknown>((resolve) => {
      for (const event of ["response", "trailers"] as const) {
        call.on(event, (fields: IncomingHttpHeaders) => fields[field] === undefined || resolve(fields[field]));
      }
    });
    await expect.poll(() => decisions.length).toBe(1);
    credentials.principals.delete("reader");
    credentials.revoked();
    call.end(contentType === "application/grpc" ? Buffer.alloc(5) : "{}");
    call.resume();
    expect(String(await answered)).toBe(value);
    expect(heard.who).toEqual([]);
    session.close();
  });

  describe.each(["gRPC", "Connect over HTTP/2"])("over %s, which goes both ways at once,", (name) => {
    const transport = () => PROTOCOLS[name]!(server.listener.url);
    const client = () => createClient(AgentService, transport());

    test("takes nothing more of a stream of requests whose credential expires", async () => {
      credentials.principals.set("writer", { ...WRITER, expiresMs: nowMs + 50 });
      const more = Promise.withResolvers<void>();
      async function* requests() {
        yield { task: { taskId: "one" } };
        await more.promise;
        yield { task: { taskId: "two" } };
      }
      const answers = client().submitTaskStream(requests(), { headers: testHeader("writer") });
      const read = answers[Symbol.asyncIterator]();
      await read.next();
      nowMs += 50;
      const failure = await failureOf(read.next());
      more.resolve();
      expect(told(failure)).toEqual([Code.Unauthenticated, "CREDENTIAL_INVALID", "the credential is not valid"]);
      // Whatever came late came before this.
      await client().getTaskStatus({ taskId: "t" }, { headers: testHeader("reader") });
      expect(heard.submitted).toEqual(["one"]);
    });

    test("ends an upload when its credential expires", async () => {
      credentials.principals.set("writer", { ...WRITER, expiresMs: nowMs + 50 });
      const never = Promise.withResolvers<void>();
      async function* chunks() {
        yield create(UploadBlobRequestSchema, { part: { case: "open", value: {} } });
        await never.promise;
      }
      const upload = createClient(BlobService, transport()).uploadBlob(chunks(), {
        headers: testHeader("writer"),
      });
      const failure = failureOf(upload);
      await reached.promise;
      nowMs += 50;
      expect((await failure).code).toBe(Code.Unauthenticated);
      never.resolve();
    });
  });
});

function told(error: ConnectError): readonly [Code, string | undefined, string] {
  return [error.code, readDetails(error).reason, error.rawMessage];
}

async function drained(messages: AsyncIterable<{ readonly cursor?: string }>, into: string[] = []): Promise<void> {
  for await (const { cursor } of messages) into.push(cursor ?? "");
}

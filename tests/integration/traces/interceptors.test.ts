import { mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, trace } from "@opentelemetry/api";
import { Code, ConnectError, type ServiceImpl, createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import type { SpanRecord } from "../../../cli/traces/span-record.ts";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { AgentService } from "../../../gen/mycel/v1/agent_service_pb.ts";
import { clientTracing, serverTracing } from "../../../lib/rpc/interceptors/tracing.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";

type Protocol = "connect" | "grpc";
const PROTOCOLS = ["connect", "grpc"] as const;

async function setup(
  protocol: Protocol,
  implementation: Partial<ServiceImpl<typeof AgentService>>,
  traced = true,
  sampler = "parentbased_always_on",
) {
  const cleanup = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "mycel-rpc-"));
  cleanup.defer(async () => await rm(dir, { recursive: true }));
  const store = cleanup.use(await openTraceStore({ dir }));
  // Only flush() sends, so that each look at the store sees everything up to it.
  const target = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "600000" };
  const env = traced ? { ...target, OTEL_TRACES_SAMPLER: sampler } : {};
  const tracing = cleanup.use(await openTracing({ serviceName: "test", env }));

  const headers: (string | undefined)[] = [];
  const adapter = connectNodeAdapter({
    routes: (router) => void router.service(AgentService, implementation),
    interceptors: [serverTracing()],
  });
  const server = createServer((request, response) => {
    headers.push(request.headers["traceparent"]?.toString());
    adapter(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sessions = new AbortController();
  server.on("session", (session) => sessions.signal.addEventListener("abort", () => session.destroy()));
  cleanup.defer(async () => {
    sessions.abort();
    server.close();
    await once(server, "close");
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const baseUrl = `http://127.0.0.1:${address.port}`;
  const interceptors = [clientTracing()];
  const transport =
    protocol === "grpc"
      ? createGrpcTransport({ baseUrl, interceptors })
      : createConnectTransport({ baseUrl, interceptors, httpVersion: "2" });
  const client = createClient(AgentService, transport);

  const spans = async (traceId: string): Promise<SpanRecord[]> => {
    await tracing.flush();
    const response = await fetch(`${store.addressOf(traceId)}.json`);
    if (response.status === 404) return [];
    const body: { spans: SpanRecord[] } = JSON.parse(await response.text());
    return body.spans;
  };
  return { client, headers, spans, port: address.port, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
}

function traceIdOf(traceparent: string | null | undefined): string {
  expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  return traceparent!.split("-")[1]!;
}

function pairOf(spans: readonly SpanRecord[]): { client: SpanRecord; server: SpanRecord } {
  const [client] = spans.filter((span) => span.role === "client");
  const [server] = spans.filter((span) => span.role === "server");
  return { client: client!, server: server! };
}

function attribute(span: SpanRecord, key: string): unknown {
  return span.attributes.find(([name]) => name === key)?.[1];
}

test.for(PROTOCOLS)(
  "a unary call over %s is one trace from client to server, which the handler sees",
  async (protocol) => {
    let seen: string | undefined;
    await using bench = await setup(protocol, {
      getTask: () => {
        seen = trace.getActiveSpan()?.spanContext().spanId;
        return {};
      },
    });
    let echoed: string | null = null;
    await bench.client.getTask({}, { onHeader: (header) => (echoed = header.get("traceparent")) });
    const { client, server } = pairOf(await bench.spans(traceIdOf(echoed)));
    expect(server).toMatchObject({ name: "mycel.v1.AgentService/GetTask", parentId: client.spanId, spanId: seen });
    expect(client.name).toBe("mycel.v1.AgentService/GetTask");
    expect(client.parentId).toBeUndefined();
    const system = protocol === "grpc" ? "grpc" : "connectrpc";
    for (const span of [client, server]) {
      expect(attribute(span, "rpc.system.name")).toBe(system);
      expect(attribute(span, "rpc.method")).toBe("mycel.v1.AgentService/GetTask");
      expect(attribute(span, "server.address")).toBe("127.0.0.1");
      expect(attribute(span, "server.port")).toBe(bench.port);
      expect(attribute(span, "rpc.response.status_code")).toBe(protocol === "grpc" ? "OK" : undefined);
      expect(span.failed).toBe(false);
    }
  },
);

test.for(PROTOCOLS)(
  "the spans of a stream over %s last until its end, and each step runs inside them",
  async (protocol) => {
    const seen: (string | undefined)[] = [];
    const gate = Promise.withResolvers<void>();
    await using bench = await setup(protocol, {
      async *streamResults() {
        seen.push(trace.getActiveSpan()?.spanContext().spanId);
        yield {};
        await gate.promise;
        seen.push(trace.getActiveSpan()?.spanContext().spanId);
        yield {};
      },
    });
    let echoed: string | null = null;
    const stream = bench.client.streamResults({}, { onHeader: (header) => (echoed = header.get("traceparent")) });
    const messages = stream[Symbol.asyncIterator]();
    await messages.next();
    const traceId = traceIdOf(echoed);
    // Nothing has ended yet, so there is no trace to be seen.
    expect(await bench.spans(traceId)).toEqual([]);
    gate.resolve();
    await messages.next();
    expect((await messages.next()).done).toBe(true);
    const { client, server } = pairOf(await bench.spans(traceId));
    expect(server.parentId).toBe(client.spanId);
    expect(seen).toEqual([server.spanId, server.spanId]);
    for (const span of [client, server]) expect(attribute(span, "mycel.rpc.response.message_count")).toBe(2);
  },
);

test.for([
  [Code.NotFound, "NOT_FOUND", false],
  [Code.Unavailable, "UNAVAILABLE", true],
] as const)(
  "the error %s marks the client's span, the server's only if it is the server's fault",
  async ([code, name, fault]) => {
    await using bench = await setup("grpc", {
      getTask: () => {
        throw new ConnectError("nothing here", code);
      },
    });
    const error = await bench.client.getTask({}).then(
      () => undefined,
      (reason: unknown) => ConnectError.from(reason),
    );
    expect(error?.code).toBe(code);
    const { client, server } = pairOf(await bench.spans(traceIdOf(error?.metadata.get("traceparent"))));
    expect(client).toMatchObject({ failed: true, statusMessage: "nothing here" });
    expect(attribute(client, "error.type")).toBe(name);
    expect(attribute(client, "rpc.response.status_code")).toBe(name);
    expect(attribute(server, "rpc.response.status_code")).toBe(name);
    expect(server.failed).toBe(fault);
  },
);

test("a stream that fails half way ends both spans with its error", async () => {
  await using bench = await setup("connect", {
    async *streamResults() {
      yield {};
      throw new ConnectError("log is gone", Code.DataLoss);
    },
  });
  const read = async (): Promise<void> => {
    for await (const _ of bench.client.streamResults({}));
  };
  await expect(read()).rejects.toThrow("log is gone");
  const { client, server } = pairOf(await bench.spans(traceIdOf(bench.headers[0])));
  for (const span of [client, server]) expect(attribute(span, "error.type")).toBe("DATA_LOSS");
});

test("a reader that leaves early ends both spans", async () => {
  const left = Promise.withResolvers<void>();
  await using bench = await setup("grpc", {
    async *streamResults(_request, { signal }) {
      yield {};
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      left.resolve();
    },
  });
  const abort = new AbortController();
  const read = async (): Promise<void> => {
    for await (const _ of bench.client.streamResults({}, { signal: abort.signal })) abort.abort();
  };
  await expect(read()).rejects.toMatchObject({ code: Code.Canceled });
  await left.promise;
  const { client, server } = pairOf(await bench.spans(traceIdOf(bench.headers[0])));
  expect(attribute(client, "rpc.response.status_code")).toBe("CANCELLED");
  expect(attribute(server, "rpc.response.status_code")).toBe("CANCELLED");
  expect([client.failed, server.failed]).toEqual([true, false]);
});

test("a bidirectional stream is one trace", async () => {
  await using bench = await setup("grpc", {
    async *submitTaskStream(requests) {
      for await (const _ of requests) yield {};
    },
  });
  async function* three() {
    for (let index = 0; index < 3; index += 1) yield {};
  }
  let count = 0;
  for await (const _ of bench.client.submitTaskStream(three())) count += 1;
  expect(count).toBe(3);
  const { client, server } = pairOf(await bench.spans(traceIdOf(bench.headers[0])));
  expect(server.parentId).toBe(client.spanId);
});

test.for(PROTOCOLS)(
  "a trace that is not sampled goes from client to server over %s, into each step of the handler and back, unrecorded",
  async (protocol) => {
    const seen: (string | undefined)[] = [];
    const look = (): void => {
      const active = trace.getActiveSpan()?.spanContext();
      seen.push(active === undefined ? undefined : `00-${active.traceId}-${active.spanId}-0${active.traceFlags}`);
    };
    await using bench = await setup(
      protocol,
      {
        getTask: async () => {
          await Promise.resolve();
          look();
          return {};
        },
        cancelTask: () => {
          look();
          throw new ConnectError("nothing here", Code.NotFound);
        },
        async *streamResults() {
          look();
          yield {};
          look();
          yield {};
        },
      },
      true,
      "parentbased_always_off",
    );
    const echoed: (string | null | undefined)[] = [];
    const onHeader = (header: Headers): void => void echoed.push(header.get("traceparent"));
    await bench.client.getTask({}, { onHeader });
    for await (const _ of bench.client.streamResults({}, { onHeader }));
    await bench.client.cancelTask({}).catch((error: unknown) => {
      echoed.push(ConnectError.from(error).metadata.get("traceparent"));
    });
    const [get, stream, cancel] = bench.headers;
    expect(new Set(bench.headers).size).toBe(3);
    for (const header of bench.headers) expect(header).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(seen).toEqual([get, stream, stream, cancel]);
    expect(echoed).toEqual([get, stream, cancel]);
    for (const header of bench.headers) expect(await bench.spans(header!.split("-")[1]!)).toEqual([]);
  },
);

test("a call within a trace that is not sampled goes on with it", async () => {
  await using bench = await setup("grpc", { getTask: () => ({}) });
  const spanContext = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 0 };
  const active = trace.setSpanContext(context.active(), spanContext);
  await context.with(active, () => bench.client.getTask({}));
  expect(bench.headers).toEqual(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]);
  expect(await bench.spans(spanContext.traceId)).toEqual([]);
});

test("with tracing off no header is sent or echoed, and calls work", async () => {
  await using bench = await setup(
    "connect",
    {
      getTask: () => ({}),
      async *streamResults() {
        yield {};
      },
    },
    false,
  );
  let echoed: string | null = "unset";
  await bench.client.getTask({}, { onHeader: (header) => (echoed = header.get("traceparent")) });
  expect(echoed).toBeNull();
  let count = 0;
  for await (const _ of bench.client.streamResults({})) count += 1;
  expect(count).toBe(1);
  expect(bench.headers).toEqual([undefined, undefined]);
});

test.each(PROTOCOLS)("callers who get one and the same error are told their own traces (%s)", async (protocol) => {
  const both = Promise.withResolvers<never>();
  let calls = 0;
  const getTask = async (): Promise<never> => {
    calls += 1;
    if (calls === 2) both.reject(new ConnectError("the coordinator is shutting down", Code.Unavailable));
    return await both.promise;
  };
  await using mesh = await setup(protocol, { getTask });
  const outcomes = await Promise.allSettled([mesh.client.getTask({}), mesh.client.getTask({})]);
  const told = outcomes.map((outcome) =>
    outcome.status === "rejected" ? ConnectError.from(outcome.reason).metadata.get("traceparent")?.slice(3, 35) : "",
  );
  expect(new Set(told).size).toBe(2);
  expect(new Set(told)).toEqual(new Set(mesh.headers.map((sent) => sent?.slice(3, 35))));
});

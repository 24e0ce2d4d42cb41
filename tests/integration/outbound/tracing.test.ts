// The trace goes on to whom a request is sent, hop by hop, and tells of it without its secrets.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { context, trace } from "@opentelemetry/api";
import { expect, onTestFinished, test } from "vitest";
import type { SpanRecord } from "../../../cli/traces/span-record.ts";
import { openTraceStore } from "../../../cli/traces/trace-store.ts";
import { createOutbound } from "../../../lib/outbound/outbound.ts";
import { openTracing } from "../../../lib/telemetry/tracing.ts";
import { openWebServer, type WebServer } from "../../support/web-server.ts";

interface Traced {
  /** Runs inside of a span of its own and returns the other spans of its trace. */
  follow(work: () => Promise<unknown>): Promise<{ readonly parentId: string; readonly spans: readonly SpanRecord[] }>;
}

async function openTraced(): Promise<Traced> {
  const cleanup = new AsyncDisposableStack();
  onTestFinished(() => cleanup.disposeAsync());
  const dir = await mkdtemp(join(tmpdir(), "mycel-outbound-"));
  cleanup.defer(() => rm(dir, { recursive: true }));
  const store = cleanup.use(await openTraceStore({ dir }));
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: store.address, OTEL_BSP_SCHEDULE_DELAY: "600000" };
  const tracing = cleanup.use(await openTracing({ serviceName: "test", env }));
  return {
    async follow(work) {
      const parent = trace.getTracer("test").startSpan("parent");
      await context.with(trace.setSpan(context.active(), parent), work);
      parent.end();
      await tracing.flush();
      const { traceId, spanId } = parent.spanContext();
      const response = await fetch(`${store.addressOf(traceId)}.json`);
      const { spans }: { spans: SpanRecord[] } = JSON.parse(await response.text());
      return { parentId: spanId, spans: spans.filter((span) => span.spanId !== spanId) };
    },
  };
}

async function openListener(seen: (string | undefined)[]): Promise<WebServer> {
  return openWebServer((request, response) => {
    seen.push(request.headers["traceparent"]?.toString());
    if (request.url?.startsWith("/go")) response.writeHead(302, { location: "/there/secret?token=secret" }).end();
    else response.end();
  });
}

const outbound = createOutbound({ allowPrivate: ["127.0.0.1"] });

test("each hop is a span of the caller's trace, and the other side can go on from it", async () => {
  const traced = await openTraced();
  const seen: (string | undefined)[] = [];
  await using server = await openListener(seen);
  const { parentId, spans } = await traced.follow(() =>
    outbound.request({ url: `${server.url}/go/secret?token=secret`, maxRedirects: 1 }),
  );
  expect(spans).toHaveLength(2);
  expect(spans.map((span) => [span.name, span.role, span.parentId, span.failed])).toEqual([
    ["GET", "client", parentId, false],
    ["GET", "client", parentId, false],
  ]);
  expect(seen).toEqual(spans.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`));
  expect(spans.map((span) => Object.fromEntries(span.attributes))).toMatchObject([
    { "url.scheme": "http", "http.response.status_code": 302, "server.port": server.port },
    { "url.scheme": "http", "http.response.status_code": 200, "server.address": "127.0.0.1" },
  ]);
  expect(JSON.stringify(spans)).not.toContain("secret");
  expect(JSON.stringify(spans)).not.toContain("/there");
});

test("a request that fails is a failed span with the code of its error", async () => {
  const traced = await openTraced();
  const { spans } = await traced.follow(() => outbound.request({ url: "http://127.0.0.2/" }).catch(() => undefined));
  expect(spans).toHaveLength(1);
  expect(spans[0]).toMatchObject({ failed: true });
  expect(Object.fromEntries(spans[0]!.attributes)["error.type"]).toBe("ADDRESS_REFUSED");
});

test("a trace that the caller names itself stays as it is, and without tracing none is made up", async () => {
  const seen: (string | undefined)[] = [];
  await using server = await openListener(seen);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await outbound.request({ url: server.url });
  const traced = await openTraced();
  await traced.follow(() => outbound.request({ url: server.url, headers: { traceparent } }));
  expect(seen).toEqual([undefined, traceparent]);
});

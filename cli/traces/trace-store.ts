// Owns the small trace viewer behind `npm start`: an HTTP server that takes OTLP/JSON and shows what it got.
// A convenience on the loopback interface, not a collector: bounded in everything, no authentication, no query language.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { once } from "node:events";
import { type Logger, silentLogger } from "../../lib/core/logger.ts";
import { ExportError, readExport } from "./export-request.ts";
import { listPage } from "./list-page.ts";
import { CONTENT_SECURITY_POLICY } from "./page.ts";
import { type SpanFile, openSpanFile } from "./span-file.ts";
import { TraceBook, summaryOf } from "./trace-book.ts";
import { tracePage } from "./trace-page.ts";

// Two files of this size at most; some 20,000 spans each.
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const TRACES_PATH = "/v1/traces";

/** What {@link openTraceStore} needs. */
export interface TraceStoreOptions {
  /** Interface to listen on. Default 127.0.0.1: traces can hold users' data, and there is no login. */
  readonly host?: string;
  /** Port to listen on, 0–65535. Default 0: any free one. */
  readonly port?: number;
  /** Folder for the traces of earlier runs; created if missing. */
  readonly dir: string;
  /** Traces kept in memory, 1–10,000. Default 200. */
  readonly keep?: number;
  /** Takes the lines of the store itself. Default: silent. */
  readonly logger?: Logger;
}

/** A running trace viewer. Disposing stops it at once and waits for the last write to disk. */
export interface TraceStore extends AsyncDisposable {
  /** Base address, e.g. `http://127.0.0.1:4318`. */
  readonly address: string;
  /** Where spans are taken: the value for OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. Nothing but traces is. */
  readonly endpoint: string;
  /** Address of one trace's page, whether or not its spans have arrived. Throws a RangeError unless 32 hex digits. */
  addressOf(traceId: string): string;
}

/** Starts the viewer, with the traces of earlier runs. Throws a RangeError for options out of range. */
export async function openTraceStore(options: TraceStoreOptions): Promise<TraceStore> {
  const host = options.host ?? "127.0.0.1";
  const port = inRange("port", options.port ?? 0, 0, 65_535);
  const book = new TraceBook(inRange("keep", options.keep ?? 200, 1, 10_000));
  const file = await openSpanFile(options.dir, MAX_FILE_BYTES, options.logger ?? silentLogger);
  book.add(file.past);

  let address = "";
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    answer(request, async () => await route(request))
      .then((reply) => send(response, reply))
      .catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(port, host);
  await once(server, "listening");
  address = addressOf(server, host);
  const endpoint = `${address}${TRACES_PATH}`;

  const route = async (request: IncomingMessage): Promise<Reply> => {
    // A page elsewhere could make a browser reach this port under its own host name; such a request is refused.
    if (isLoopback(host) && !isLoopback(hostOf(request))) return text(403, "ask by a loopback address");
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    if (path === TRACES_PATH) {
      return request.method === "POST" ? await ingest(request, book, file) : text(405, "use POST", "POST");
    }
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "use GET", "GET, HEAD");
    if (path === "/" || path === "/traces" || path === "/traces/") return page(listPage(book.list(), endpoint));
    const [, traceId = "", suffix] = /^\/traces\/([0-9a-f]{32})(\.json)?$/i.exec(path) ?? [];
    const found = book.get(traceId.toLowerCase());
    if (found === undefined) return text(404, "no such trace here; it may not have arrived, or be too old");
    if (suffix === undefined) return page(tracePage(found));
    return json(200, { ...summaryOf(found), droppedSpans: found.droppedSpans, spans: [...found.spans.values()] });
  };

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
    await file.append([]);
  };
  return {
    address,
    endpoint,
    addressOf(traceId) {
      if (!/^[0-9a-f]{32}$/i.test(traceId)) throw new RangeError("trace id must be 32 hexadecimal digits");
      return `${address}/traces/${traceId.toLowerCase()}`;
    },
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly allow?: string;
}

async function ingest(request: IncomingMessage, book: TraceBook, file: SpanFile): Promise<Reply> {
  const { added, dropped } = book.add(await readExport(request));
  await file.append(added);
  if (dropped === 0) return json(200, { partialSuccess: {} });
  return json(200, { partialSuccess: { rejectedSpans: String(dropped), errorMessage: "trace is full" } });
}

async function answer(request: IncomingMessage, route: () => Promise<Reply>): Promise<Reply> {
  try {
    return await route();
  } catch (error) {
    // The body is a google.rpc.Status, as OTLP asks; 3 is INVALID_ARGUMENT, 13 INTERNAL.
    if (error instanceof ExportError) return json(error.status, { code: 3, message: error.message });
    if (request.destroyed) throw error;
    return json(500, { code: 13, message: "internal error" });
  }
}

function send(response: ServerResponse, reply: Reply): void {
  const withBody = response.req.method !== "HEAD";
  response.writeHead(reply.status, {
    "content-type": reply.type,
    "content-length": Buffer.byteLength(reply.body),
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    ...(reply.allow === undefined ? {} : { allow: reply.allow }),
  });
  response.end(withBody ? reply.body : undefined);
}

function page(body: string): Reply {
  return { status: 200, type: "text/html; charset=utf-8", body };
}

function json(status: number, body: unknown): Reply {
  return { status, type: "application/json", body: JSON.stringify(body) };
}

function text(status: number, line: string, allow?: string): Reply {
  const reply = { status, type: "text/plain; charset=utf-8", body: `${line}\n` };
  return allow === undefined ? reply : { ...reply, allow };
}

function hostOf(request: IncomingMessage): string {
  const host = request.headers.host ?? "";
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : "";
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function addressOf(server: Server, host: string): string {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("trace store has no TCP address");
  return `http://${host.includes(":") ? `[${host}]` : host}:${bound.port}`;
}

function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a whole number from ${min} to ${max}, not ${value}`);
}

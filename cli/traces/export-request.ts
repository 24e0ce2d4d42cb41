// Owns the reading of one OTLP/HTTP export: content type, compression, size and format. Keeps nothing.
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { OtlpFormatError, type SpanRecord, spansFromOtlp } from "./span-record.ts";

/** Most bytes of a body, before and after decompression. What exporters send by default stays well below. */
export const MAX_BODY_BYTES: number = 8 * 1024 * 1024;

/** An export that is refused: the HTTP status and one line for its sender. */
export class ExportError extends Error {
  override readonly name = "ExportError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Reads the spans of a POST to /v1/traces. Throws ExportError when there are none to be had. */
export async function readExport(request: IncomingMessage): Promise<SpanRecord[]> {
  const body = await bodyOf(request);
  const type = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") {
    throw new ExportError(415, "only OTLP as application/json is taken: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json");
  }
  const json = parsed(await inflated(body, request.headers["content-encoding"]));
  try {
    return spansFromOtlp(json);
  } catch (error) {
    if (error instanceof OtlpFormatError) throw new ExportError(400, error.message);
    throw error;
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop would destroy the socket before the answer is out, so the rest is read and forgotten; the
  // server's request timeout bounds how long.
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (bytes > MAX_BODY_BYTES) throw new ExportError(413, `body must be at most ${MAX_BODY_BYTES} bytes`);
  return Buffer.concat(chunks);
}

const gunzipAsync = promisify(gunzip);

async function inflated(body: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (encoding === undefined || encoding === "identity") return body;
  if (encoding !== "gzip") throw new ExportError(415, "content-encoding must be gzip or none");
  try {
    return await gunzipAsync(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (error) {
    const large = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    if (large) throw new ExportError(413, `body must inflate to at most ${MAX_BODY_BYTES} bytes`);
    throw new ExportError(400, "body is not gzip");
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new ExportError(400, "body is not JSON");
  }
}

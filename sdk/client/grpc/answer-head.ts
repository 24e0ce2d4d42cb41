// What the headers and trailers of an answer say. The ordinary ones are read as Node gives them; whatever is out of the ordinary is judged
// by Connect, in its words.
import type { IncomingHttpHeaders, IncomingHttpStatusHeader } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { validateResponseWithCompression, validateTrailer } from "@connectrpc/connect/protocol-grpc";
import { headersFrom } from "../../../lib/rpc/grpc/node-headers.ts";

/** A compression as Connect takes it. */
export type Compression = typeof compressionGzip;

/** What the headers of an answer say. */
export interface AnswerHead {
  readonly compression: Compression | undefined;
  /** Whether the status is among the headers already: no trailers follow. */
  readonly foundStatus: boolean;
  /** The error that the status says. */
  readonly error: ConnectError | undefined;
}

/** What answers may be compressed with. */
export const ACCEPTED_COMPRESSIONS: Compression[] = [compressionGzip, compressionBrotli];
const CONTENT_TYPES: ReadonlySet<unknown> = new Set(["application/grpc", "application/grpc+proto"]);
/** By how an answer is encoded: a server that may compress says so of each. */
const ORDINARY: ReadonlyMap<unknown, AnswerHead> = new Map(
  [undefined, ...ACCEPTED_COMPRESSIONS].map((compression) => [
    compression?.name,
    { compression, foundStatus: false, error: undefined },
  ]),
);

/** Reads the headers. Throws ConnectError for an answer that is none. */
export function readHead(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): AnswerHead {
  const isOrdinary =
    headers[":status"] === 200 &&
    CONTENT_TYPES.has(headers["content-type"]) &&
    headers["grpc-status"] === undefined &&
    headers["grpc-status-details-bin"] === undefined;
  const ordinary = isOrdinary ? ORDINARY.get(headers["grpc-encoding"]) : undefined;
  if (ordinary !== undefined) return ordinary;
  const { compression, foundStatus, headerError } = validateResponseWithCompression(
    ACCEPTED_COMPRESSIONS,
    headers[":status"] ?? 0,
    headersFrom(headers),
  );
  return { compression: compression ?? undefined, foundStatus, error: headerError };
}

/** Checks the trailers. Throws the ConnectError that they say. */
export function checkTrailers(headers: IncomingHttpHeaders, trailers: IncomingHttpHeaders): void {
  if (trailers["grpc-status"] === "0" && trailers["grpc-status-details-bin"] === undefined) return;
  validateTrailer(headersFrom(trailers), headersFrom(headers));
}

/** The error of a call of one message that has none. */
export function missingMessage(trailers: IncomingHttpHeaders): ConnectError {
  const code = trailers["grpc-status"] === undefined ? Code.Unknown : Code.Unimplemented;
  return new ConnectError("protocol error: missing output message for unary method", code);
}
